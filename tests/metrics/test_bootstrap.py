"""The two-way bootstrap against resampling one by one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus._utils import bootstrap as bootstrap_module
from skl_locus.metrics import two_way_bootstrap


def brute_force(totals, counts, n_resamples, seed):
    """Resample draws and queries one by one."""
    rng = np.random.RandomState(seed)
    n_draws, n_queries = totals.shape
    means = []
    for _ in range(n_resamples):
        draws = rng.randint(n_draws, size=n_draws)
        queries = rng.randint(n_queries, size=n_queries)
        cells = np.ix_(draws, queries)
        means.append(totals[cells].sum() / counts[cells].sum())
    return np.array(means)


def random_totals(seed, shape=(3, 20)):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 4, shape)
    return counts * rng.random(shape), counts


def test_the_bootstrap_is_the_brute_force_one():
    totals, counts = random_totals(0)
    result = two_way_bootstrap(totals, counts, n_resamples=200, random_state=5)
    means = brute_force(totals, counts, 200, 5)
    assert result.estimate == pytest.approx(totals.sum() / counts.sum())
    assert result.standard_error == pytest.approx(means.std(ddof=1))
    expected = np.percentile(means, [2.5, 97.5])
    assert_allclose([result.low, result.high], expected)
    assert np.isnan(result.p_value)


def test_differences_are_paired():
    totals, counts = random_totals(0)
    other, _ = random_totals(1)
    options = {"n_resamples": 200, "confidence": 0.8, "random_state": 5}
    result = two_way_bootstrap(
        totals, counts, reference=other, reference_counts=counts, **options
    )
    differences = brute_force(totals, counts, 200, 5) - brute_force(
        other, counts, 200, 5
    )
    expected = np.percentile(differences, [10, 90])
    assert_allclose([result.low, result.high], expected)
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    assert result.p_value == pytest.approx(min(1, 2 * (1 + tail) / 201))
    raised = two_way_bootstrap(totals + 0.1, reference=totals, **options)
    assert_allclose(raised[:4], [0.1, 0, 0.1, 0.1], atol=1e-12)


def test_p_values_by_hand():
    better = np.ones((1, 30)), np.zeros((1, 30))
    options = {"n_resamples": 99, "random_state": 0}
    result = two_way_bootstrap(better[0], reference=better[1], **options)
    assert result.p_value == pytest.approx(2 / 100)
    result = two_way_bootstrap(better[1], reference=better[0], **options)
    assert result.p_value == pytest.approx(2 / 100)
    result = two_way_bootstrap(better[0], reference=better[0], **options)
    assert result.p_value == 1


def test_leading_axes_and_chunks_change_nothing(monkeypatch):
    stacked = np.stack([random_totals(seed)[0] for seed in range(4)]).reshape(
        2, 2, 3, 20
    )
    options = {"n_resamples": 50, "random_state": 1}
    together = two_way_bootstrap(stacked, reference=stacked[0, 0], **options)
    assert together.estimate.shape == together.p_value.shape == (2, 2)
    alone = two_way_bootstrap(stacked[1, 0], reference=stacked[0, 0], **options)
    for one, many in zip(alone, together, strict=True):
        assert one == pytest.approx(many[1, 0])
    monkeypatch.setattr(bootstrap_module, "CHUNK_WEIGHTS", 7 * 20)
    chunked = two_way_bootstrap(stacked, reference=stacked[0, 0], **options)
    assert_allclose(chunked, together)


def test_one_draw_may_be_one_dimensional():
    totals = random_totals(2, (20,))[0]
    options = {"n_resamples": 20, "random_state": 0}
    flat = two_way_bootstrap(totals, **options)
    assert_array_equal(flat, two_way_bootstrap(totals[None], **options))
    assert flat.estimate.shape == ()


def test_queries_without_rows_have_no_part():
    totals = np.array([[1.0, 0.0, 9.0]])
    counts = np.array([[1, 1, 0]])
    result = two_way_bootstrap(totals, counts, random_state=0)
    assert result.estimate == 0.5
    assert result.high <= 1
    difference = two_way_bootstrap(
        totals, counts, reference=[[0, 0, 0]], reference_counts=[[0, 1, 1]]
    )
    assert difference.estimate == 0  # only the middle query has both
    nothing = two_way_bootstrap(totals, np.zeros(3))
    assert np.isnan(nothing).all()


def test_draws_and_queries_both_widen_the_interval():
    rng = np.random.default_rng(0)
    by_draw = np.tile(rng.random((5, 1)), 40)
    by_query = np.tile(rng.random(40), (5, 1))
    errors = [
        two_way_bootstrap(values, random_state=0).standard_error
        for values in (by_draw, by_query, by_draw + by_query)
    ]
    assert min(errors[:2]) > 0.02
    assert errors[2] == pytest.approx(np.hypot(*errors[:2]), rel=0.1)


def test_bad_arguments_of_the_bootstrap_are_named():
    with pytest.raises(ValueError, match="n_resamples must be an integer"):
        two_way_bootstrap([[1.0]], n_resamples=1)
    with pytest.raises(ValueError, match="confidence must be in"):
        two_way_bootstrap([[1.0]], confidence=95)
    with pytest.raises(ValueError, match="reference has the shape"):
        two_way_bootstrap([[1.0, 2.0]], reference=[[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="counts must not be negative"):
        two_way_bootstrap([[1.0]], [[-1]])
    with pytest.raises(ValueError, match="totals has NaN or infinite"):
        two_way_bootstrap([[np.nan]])
    with pytest.raises(ValueError, match="totals is empty"):
        two_way_bootstrap(np.empty((1, 0)))
