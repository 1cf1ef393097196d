"""Concentration of routing on few models, by hand and by its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from skl_locus.metrics import choice_entropy_score, most_chosen_share

METRICS = [most_chosen_share, choice_entropy_score]


def complete(n_queries, n_models):
    query, model = np.indices((n_queries, n_models)).reshape(2, -1)
    return {"queries": query, "models": [f"m{i}" for i in model]}


def test_by_hand():
    # Of six queries three go to m0, two to m1 and one to m2; nothing to m3.
    chosen = [0, 0, 0, 1, 1, 2]
    decisions = np.zeros((6, 4))
    decisions[np.arange(6), chosen] = 1
    arguments = np.zeros(24), decisions.ravel()
    assert most_chosen_share(*arguments, **complete(6, 4)) == 0.5
    shares = np.array([3, 2, 1]) / 6
    expected = -(shares * np.log(shares)).sum() / np.log(4)
    found = choice_entropy_score(*arguments, **complete(6, 4))
    assert found == pytest.approx(expected)
    assert expected == pytest.approx(0.7296, abs=1e-4)


@given(seed=st.integers(0, 1000), n_models=st.integers(2, 6))
def test_bounds_and_another_formula(seed, n_models):
    rng = np.random.default_rng(seed)
    decisions = rng.integers(3, size=(12, n_models)).astype(float)
    arguments = rng.random(12 * n_models), decisions.ravel()
    share = most_chosen_share(*arguments, **complete(12, n_models))
    found = choice_entropy_score(*arguments, **complete(12, n_models))
    counts = np.bincount(decisions.argmax(axis=1), minlength=n_models)
    assert share == counts.max() / 12
    assert 1 / n_models <= share <= 1
    assert found == pytest.approx(entropy(counts, base=n_models))
    assert 0 <= found <= 1


def test_the_extremes():
    even = np.eye(4).ravel()
    assert most_chosen_share(even, even, **complete(4, 4)) == 0.25
    assert choice_entropy_score(even, even, **complete(4, 4)) == 1
    equal = np.ones(16)
    assert most_chosen_share(equal, equal, **complete(4, 4)) == 1
    assert choice_entropy_score(equal, equal, **complete(4, 4)) == 0
    one = {"queries": ["a", "b"], "models": ["m", "m"]}
    assert most_chosen_share([0, 1], [0, 1], **one) == 1
    assert choice_entropy_score([0, 1], [0, 1], **one) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_in_a_partial_log_the_choice_is_among_observed_models(metric):
    log = {"queries": ["a", "a", "b"], "models": ["m", "n", "m"]}
    # Query b cannot go to n, the better one on a.
    expected = {most_chosen_share: 0.5, choice_entropy_score: 1.0}[metric]
    assert metric([0, 0, 0], [0.1, 0.9, 0.2], **log) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_bad_input_is_named(metric):
    log = complete(2, 2)
    with pytest.raises(ValueError, match="y_true"):
        metric([0, 1, 2, 0], np.zeros(4), **log)
    with pytest.raises(ValueError, match="y_score"):
        metric(np.zeros(4), [0, 1, np.nan, 0], **log)
    with pytest.raises(ValueError, match="empty"):
        metric([], [], queries=[], models=[])
