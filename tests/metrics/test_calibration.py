"""Calibration error and ROC area: by hand, against references, by property."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skl_locus import KMeansRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import (
    expected_calibration_error,
    make_onboarding_scorer,
    neg_expected_calibration_error_scorer,
    soft_roc_auc_score,
    soft_roc_auc_scorer,
)

few_examples = settings(max_examples=60)
unit = st.floats(0, 1, width=32)
few_values = st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 1.0])
rows_of = st.one_of(
    st.lists(st.tuples(unit, unit), min_size=1, max_size=40),
    st.lists(st.tuples(few_values, few_values), min_size=1, max_size=40),
)


# Expected calibration error


def test_two_bins_of_equal_mass_by_hand():
    y = [0, 0, 1, 1, 0, 1]
    p = [0.1, 0.2, 0.3, 0.6, 0.7, 0.8]
    expected = 0.5 * abs(1 / 3 - 0.2) + 0.5 * abs(2 / 3 - 0.7)
    assert expected_calibration_error(y, p, n_bins=2) == pytest.approx(expected)


def test_two_bins_of_equal_width_by_hand():
    y, p = [0, 1, 1, 1], [0.1, 0.2, 0.4, 0.5]
    expected = 0.75 * abs(2 / 3 - 0.7 / 3) + 0.25 * abs(1 - 0.5)
    error = expected_calibration_error(y, p, n_bins=2, strategy="uniform")
    assert error == pytest.approx(expected)


def test_the_last_uniform_bin_includes_one():
    error = expected_calibration_error([1, 0], [1, 0.9], n_bins=4, strategy="uniform")
    assert error == pytest.approx(abs(0.5 - 0.95))


def test_equal_probabilities_stay_in_one_bin():
    y, p = [1] * 5 + [0] * 5, [0.5] * 10
    assert expected_calibration_error(y, p, n_bins=5) == 0
    # The middle of the weight of 0.6 lies in the second half of the weight.
    y, p = [0, 0, 1, 1, 1, 1, 1, 1], [0.1, 0.1] + [0.6] * 6
    expected = 0.25 * 0.1 + 0.75 * 0.4
    assert expected_calibration_error(y, p, n_bins=2) == pytest.approx(expected)


def test_as_many_bins_as_rows_put_each_row_alone():
    rng = np.random.default_rng(0)
    for n in (3, 7, 15, 49, 100):
        y, p = rng.random(n), rng.permutation(n) / n
        error = expected_calibration_error(y, p, n_bins=n)
        assert error == pytest.approx(np.mean(np.abs(y - p)))


def test_bins_have_equal_mass_where_probabilities_differ():
    y, p = np.zeros(60), (np.arange(60) + 0.5) / 60
    y[:4] = 1  # the first of fifteen bins, whole
    expected = (1 - p[:4].mean()) * 4 / 60 + p[4:].sum() / 60
    assert expected_calibration_error(y, p) == pytest.approx(expected)


@few_examples
@given(rows=rows_of, strategy=st.sampled_from(["mass", "uniform"]))
def test_one_bin_is_the_difference_of_means(rows, strategy):
    y, p = np.array(rows).T
    error = expected_calibration_error(y, p, n_bins=1, strategy=strategy)
    assert error == pytest.approx(abs(y.mean() - p.mean()), abs=1e-9)


@few_examples
@given(rows=rows_of, n_bins=st.integers(1, 20))
def test_the_error_lies_between_that_of_one_bin_and_of_single_rows(rows, n_bins):
    y, p = np.array(rows).T
    for strategy in ("mass", "uniform"):
        error = expected_calibration_error(y, p, n_bins=n_bins, strategy=strategy)
        assert abs(y.mean() - p.mean()) - 1e-9 <= error
        assert error <= np.abs(y - p).mean() + 1e-9


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="n_bins must be an integer of at least 1"):
        expected_calibration_error([1], [1], n_bins=0)
    with pytest.raises(ValueError, match="strategy must be one of"):
        expected_calibration_error([1], [1], strategy="quantile")


# ROC area


def test_roc_auc_agrees_with_sklearn_on_binary_scores():
    rng = np.random.default_rng(0)
    y, w = rng.integers(0, 2, 300), rng.random(300)
    p = np.round(rng.random(300), 1)  # many ties
    assert soft_roc_auc_score(y, p) == pytest.approx(roc_auc_score(y, p))
    weighted = roc_auc_score(y, p, sample_weight=w)
    assert soft_roc_auc_score(y, p, sample_weight=w) == pytest.approx(weighted)


def slow_area(y, p):
    """Compare every positive with every negative side of a row."""
    pairs = y[:, None] * (1 - y)[None, :]
    wins = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
    return (pairs * wins).sum() / pairs.sum()


@few_examples
@given(rows=st.lists(st.tuples(few_values, few_values), min_size=2, max_size=30))
def test_roc_auc_equals_the_slow_reference_on_soft_scores(rows):
    y, p = np.array(rows).T
    if y.any() and not y.all():
        assert soft_roc_auc_score(y, p) == pytest.approx(slow_area(y, p))


@pytest.mark.parametrize("score", [0, 1])
def test_the_area_of_one_class_is_undefined(score):
    with pytest.warns(UndefinedMetricWarning, match="all scores are 0, or all 1"):
        assert np.isnan(soft_roc_auc_score([score] * 3, [0.1, 0.5, 0.9]))


# Both

METRICS = [expected_calibration_error, soft_roc_auc_score]


@pytest.mark.parametrize("metric", METRICS)
@few_examples
@given(rows=rows_of, data=st.data())
def test_nothing_changes_a_bit_when_rows_are_shuffled(metric, rows, data):
    weights = data.draw(
        st.lists(st.floats(0.125, 8), min_size=len(rows), max_size=len(rows))
    )
    rows = [*rows, (0.0, 0.5), (1.0, 0.5)]
    together = list(zip(rows, [*weights, 1.0, 1.0], strict=True))
    shuffled = data.draw(st.permutations(together))

    def value(weighted):
        y, p = zip(*(row for row, _ in weighted), strict=True)
        return metric(y, p, sample_weight=[weight for _, weight in weighted])

    assert value(together) == value(shuffled)


@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_of_two_is_a_row_twice(metric):
    rng = np.random.default_rng(1)
    y, p = rng.random(20), rng.random(20)
    weights = rng.integers(1, 4, 20)
    repeated = metric(np.repeat(y, weights), np.repeat(p, weights))
    assert metric(y, p, sample_weight=weights) == pytest.approx(repeated)


@pytest.mark.parametrize("metric", METRICS)
def test_any_container_and_two_columns_give_the_same(metric):
    y, p = np.array([1, 0, 0.5, 0]), np.array([0.8, 0.4, 0.5, 0.9])
    expected = metric(y, p)
    assert isinstance(expected, float)
    assert metric(y.tolist(), np.column_stack([1 - p, p])) == expected
    assert metric(pl.Series(y), pl.Series(p)) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_bad_rows_are_named(metric):
    with pytest.raises(ValueError, match="y_true is empty"):
        metric([], [])
    with pytest.raises(ValueError, match=r"y_prob must lie in \[0, 1\]; row 1"):
        metric([0, 1], [0.5, 1.5])
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        metric([0, 1], [0.5, 0.5], sample_weight=[1, -1])


def test_scorers_are_the_metrics_with_greater_better():
    log = make_evaluations(n_models=4, n_queries=40, random_state=0).evaluations
    router = KMeansRouter(3, random_state=0).fit(log, log["score"])
    y, p = log["score"], router.predict_proba(log)
    error = neg_expected_calibration_error_scorer(router, log, y)
    assert error == -expected_calibration_error(y, p)
    assert error < 0
    assert soft_roc_auc_scorer(router, log, y) == soft_roc_auc_score(y, p)
    assert repr(soft_roc_auc_scorer) == "soft_roc_auc_scorer"


@pytest.mark.parametrize("name", ["neg_expected_calibration_error", "soft_roc_auc"])
def test_onboarding_knows_the_scorers_by_name(name):
    log = make_evaluations(n_models=5, n_queries=40, random_state=0).evaluations
    new = log["model"] == "model-0"
    router = KMeansRouter(3, random_state=0).fit(log[~new], log["score"][~new])
    value = make_onboarding_scorer(10, name)(router, log[new], log["score"][new])
    assert np.isfinite(value)
