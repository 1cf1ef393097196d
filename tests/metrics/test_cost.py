"""Curves of cost and quality and their scores, on curves drawn by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog

from skl_locus._costs.hull import MAX_POINTS
from skl_locus.metrics import (
    aiq_score,
    apgr_score,
    cost_quality_curve,
    cost_save_score,
    cpt_score,
    non_decreasing_hull,
    perf_gain_score,
    routing_accuracy_score,
)

few_examples = settings(max_examples=60)
# The third point falls, the fifth is under the line of its neighbours, two cost 5.
COSTS = [1.0, 2.0, 3.0, 4.0, 4.5, 5.0, 5.0, 6.0]
QUALITIES = [0.2, 0.6, 0.5, 0.7, 0.72, 0.6, 0.8, 0.7]
GAP = {"weak_quality": 0.4, "strong_quality": 0.8}
points = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9])),
    min_size=1,
    max_size=12,
)

# The hull


def test_hull_by_hand():
    costs, qualities = non_decreasing_hull(COSTS, QUALITIES)
    assert_array_equal(costs, [1, 2, 5])
    assert_array_equal(qualities, [0.2, 0.6, 0.8])


@pytest.mark.parametrize(
    ("costs", "qualities", "expected"),
    [
        ([3.0], [0.5], ([3.0], [0.5])),
        ([2.0, 2.0, 2.0], [0.1, 0.5, 0.3], ([2.0], [0.5])),
        ([1.0, 2.0, 3.0], [0.9, 0.5, 0.1], ([1.0], [0.9])),
        ([1.0, 2.0, 3.0], [0.25, 0.5, 0.75], ([1.0, 3.0], [0.25, 0.75])),
        ([2.0, 1.0], [0.5, 0.5], ([1.0], [0.5])),
    ],
)
def test_hull_of_degenerate_points(costs, qualities, expected):
    vertices = non_decreasing_hull(costs, qualities)
    assert_allclose(vertices, expected)


def best_mixture(costs, qualities, budget):
    """Solve for the best mixture of operating points within a budget."""
    n = len(costs)
    result = linprog(
        -np.array(qualities),
        A_ub=[costs],
        b_ub=[budget],
        A_eq=[np.ones(n)],
        b_eq=[1],
        bounds=[(0, 1)] * n,
    )
    return -result.fun


@few_examples
@given(drawn=points, where=st.floats(0, 1))
def test_the_hull_is_the_best_mixture_within_a_budget(drawn, where):
    costs, qualities = map(np.array, zip(*drawn, strict=True))
    budget = costs.min() + where * np.ptp(costs)
    height = np.interp(budget, *non_decreasing_hull(costs, qualities))
    assert height == pytest.approx(best_mixture(costs, qualities, budget), abs=1e-7)


@few_examples
@given(drawn=points, data=st.data())
def test_the_order_of_points_never_matters(drawn, data):
    shuffled = data.draw(st.permutations(drawn))

    def values(rows):
        costs, qualities = map(list, zip(*rows, strict=True))
        single = {"best_single_quality": 0.3, "best_single_cost": 2.0}
        reached = cpt_score(costs, qualities, 0.5, **GAP, strong_cost=3)
        return (
            *(vertices.tolist() for vertices in non_decreasing_hull(costs, qualities)),
            aiq_score(costs, qualities, cost_range=(0, 8)),
            apgr_score(costs, qualities, **GAP, strong_cost=3),
            np.nan_to_num(reached, nan=9),
            np.nan_to_num(cost_save_score(costs, qualities, **single), nan=9),
        )

    assert values(drawn) == values(shuffled)


# AIQ


def test_aiq_by_hand():
    # Trapezoids 1-2 and 2-5, then flat to 6, the dearest point.
    area = (0.2 + 0.6) / 2 + 3 * (0.6 + 0.8) / 2 + 0.8
    assert aiq_score(COSTS, QUALITIES) == pytest.approx(area / 5)


def test_aiq_beyond_the_curve():
    # To the left, half the way to the origin; to the right, flat.
    left = (0.1 + 0.2) / 2 * 0.5
    assert aiq_score(COSTS, QUALITIES, cost_range=(0.5, 1)) == pytest.approx(2 * left)
    assert aiq_score(COSTS, QUALITIES, cost_range=(6, 9)) == pytest.approx(0.8)


def test_aiq_of_one_cost_is_the_best_quality_there():
    assert aiq_score([3.0], [0.5]) == 0.5
    assert aiq_score([2.0, 2.0], [0.1, 0.5]) == 0.5
    assert aiq_score([0.0], [0.5]) == 0.5


@pytest.mark.parametrize("bad", [(2, 1), (-1, 1), (0, np.inf)])
def test_a_bad_range_is_named(bad):
    with pytest.raises(ValueError, match="cost_range must be"):
        aiq_score(COSTS, QUALITIES, cost_range=bad)


# RouteLLM


def test_apgr_by_hand():
    # Recovered: 0 at share 0, 0.75 at 0.5, 1 at share 1.
    assert apgr_score([0, 0.5, 1], [0.4, 0.7, 0.8], **GAP) == pytest.approx(0.625)


def test_apgr_of_a_coin_is_one_half_and_of_the_weak_model_zero():
    assert apgr_score([0, 1], [0.4, 0.8], **GAP) == pytest.approx(0.5)
    assert apgr_score([0], [0.4], **GAP) == 0


def test_apgr_falls_where_quality_falls_and_rises_above_one():
    falling = apgr_score([0, 0.5, 1], [0.4, 0.8, 0.4], **GAP)
    assert falling == pytest.approx(0.5)
    pool = apgr_score([0.0, 0.25], [0.4, 1.2], **GAP)
    assert pool == pytest.approx(0.25 + 0.75 * 2)


def test_apgr_in_money_is_that_in_shares():
    in_money = apgr_score([2, 4, 6], [0.4, 0.7, 0.8], **GAP, weak_cost=2, strong_cost=6)
    assert in_money == pytest.approx(0.625)


def test_cpt_by_hand():
    curve = [0, 0.5, 1], [0.4, 0.7, 0.8]
    assert cpt_score(*curve, 0.75, **GAP) == pytest.approx(0.5)
    assert cpt_score(*curve, 0.375, **GAP) == pytest.approx(0.25)
    assert cpt_score(*curve, 0.875, **GAP) == pytest.approx(0.75)
    assert cpt_score(*curve, 0, **GAP) == 0


def test_cpt_is_the_first_crossing_of_a_curve_that_falls_again():
    curve = [0, 0.2, 0.4, 1], [0.4, 0.8, 0.4, 0.8]
    assert cpt_score(*curve, 0.5, **GAP) == pytest.approx(0.1)


def test_cpt_is_nan_where_the_curve_never_gets_there():
    assert np.isnan(cpt_score([0, 1], [0.4, 0.7], 0.8, **GAP))
    assert np.isnan(cpt_score([0.5], [0.8], 1.2, **GAP))


def test_of_points_of_one_cost_the_best_counts():
    assert cpt_score([1, 1, 1], [0.4, 0.8, 0.6], 1, **GAP) == 1
    assert apgr_score([0, 0], [0.4, 0.8], **GAP) == 1


def test_the_gap_must_be_one():
    with pytest.raises(ValueError, match="The strong model must be better and dearer"):
        apgr_score([0], [0.4], weak_quality=0.5, strong_quality=0.5)
    with pytest.raises(ValueError, match="The strong model must be better and dearer"):
        cpt_score([0], [0.4], 0.5, **GAP, weak_cost=1)
    with pytest.raises(ValueError, match="p must be a finite number"):
        cpt_score([0], [0.4], np.nan, **GAP)


# LLMRouterBench


def test_gain_and_saving_by_hand():
    assert perf_gain_score(QUALITIES, best_single_quality=0.5) == pytest.approx(0.6)
    assert perf_gain_score([0.4], best_single_quality=0.5) == pytest.approx(-0.2)
    single = {"best_single_quality": 0.6}
    saved = cost_save_score(COSTS, QUALITIES, **single, best_single_cost=5.0)
    assert saved == pytest.approx(1 - 2 / 5)
    dearer = cost_save_score(COSTS, QUALITIES, **single, best_single_cost=1.0)
    assert dearer == pytest.approx(-1)


def test_nothing_is_saved_where_no_point_is_as_good():
    single = {"best_single_quality": 0.9, "best_single_cost": 5.0}
    assert np.isnan(cost_save_score(COSTS, QUALITIES, **single))


def test_bad_points_are_named():
    with pytest.raises(ValueError, match="costs has 2 points, but qualities has 1"):
        non_decreasing_hull([1, 2], [0.5])
    with pytest.raises(ValueError, match="costs must not be negative"):
        aiq_score([-1], [0.5])
    with pytest.raises(ValueError, match="qualities has the value nan in row 0"):
        aiq_score([1], [np.nan])
    with pytest.raises(ValueError, match="best_single_quality must be above 0"):
        perf_gain_score([0.5], best_single_quality=0)
    with pytest.raises(ValueError, match="best_single_cost must be above 0"):
        cost_save_score([1], [0.5], best_single_quality=0.5, best_single_cost=-1)


# The curve

LOG = {
    "y_true": [1, 1, 0, 0, 1, 0.5],
    "y_score": [0.7, 0.8, 0.8, 0.1, 0.9, 0.4],
    "queries": ["q1", "q1", "q1", "q2", "q2", "q2"],
    "models": ["a", "b", "c", "a", "b", "c"],
}
PRICES = {"a": 1.0, "b": 3.0, "c": 2.0, "unused": 9.0}


def curve_of(costs=PRICES, **options):
    return cost_quality_curve(costs=costs, **LOG, **options)


def test_curve_by_hand():
    # q1: "b" and "c" tie at 0; "c" is cheaper for any weight, "a" from 0.1 on.
    # q2: "b", and "a" from 0.4 on; "c" is never best.
    curve = curve_of()
    assert curve.columns.tolist() == ["weight", "cost", "quality"]
    assert_allclose(curve["cost"], [3, 2.5, 2, 1])
    assert_allclose(curve["quality"], [1, 0.5, 1, 0.5])
    assert_allclose(curve["weight"], [0, 0.05, 0.25, 0.8])


def test_given_weights_are_taken_in_ascending_order():
    curve = curve_of(weights=[10, 0, 0.2])
    assert_array_equal(curve["weight"], [0, 0.2, 10])
    assert_allclose(curve["cost"], [3, 2, 1])


def test_costs_may_be_of_models_or_of_rows():
    rows = [PRICES[model] for model in LOG["models"]]
    pd.testing.assert_frame_equal(curve_of(rows), curve_of())
    pd.testing.assert_frame_equal(curve_of(pd.Series(rows)), curve_of())


def test_equal_costs_leave_one_point():
    curve = curve_of(dict.fromkeys("abc", 2.0))
    assert_allclose(curve, [[0, 2, 1]])


def test_bad_costs_and_weights_are_named():
    with pytest.raises(ValueError, match="costs has no entry for the model 'c'"):
        curve_of({"a": 1, "b": 2})
    with pytest.raises(ValueError, match="costs has -1 for the model 'b'"):
        curve_of({**PRICES, "b": -1})
    with pytest.raises(ValueError, match="costs must not be negative"):
        curve_of([1, 1, -1, 1, 1, 1])
    with pytest.raises(ValueError, match="costs has 3 rows, but models has 6; pass a"):
        curve_of([1, 2, 3])
    with pytest.raises(ValueError, match="weights must not be negative"):
        curve_of(weights=[-1])
    with pytest.raises(ValueError, match="costs has the value nan in row 1"):
        curve_of([1, np.nan, 1, 1, 1, 1])


def random_log(n_queries, n_models, seed, n_levels=5):
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(rng.random(n_queries * n_models) < 0.8)
    return {
        "y_true": rng.random(len(kept)).round(1),
        "y_score": rng.integers(0, n_levels, len(kept)) / n_levels,
        "costs": rng.integers(0, 4, len(kept)) / 4.0,
        "queries": kept // n_models,
        "models": kept % n_models,
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_has_every_operating_point_of_a_dense_grid(seed):
    log = random_log(4, 5, seed)
    curve = cost_quality_curve(**log)
    dense = cost_quality_curve(**log, weights=np.linspace(0.0013, 6, 3000))
    found = set(map(tuple, curve[["cost", "quality"]].round(9).to_numpy()))
    assert set(map(tuple, dense[["cost", "quality"]].round(9).to_numpy())) <= found
    again = cost_quality_curve(**log, weights=curve["weight"])
    pd.testing.assert_frame_equal(again, curve)


@few_examples
@given(seed=st.integers(0, 200))
def test_curves_begin_at_routing_accuracy_and_get_cheaper(seed):
    log = random_log(6, 4, seed)
    curve = cost_quality_curve(**log)
    costs = log.pop("costs")
    assert curve["quality"].iloc[0] == routing_accuracy_score(**log)
    assert (curve["cost"].diff().dropna() <= 1e-12).all()
    cheapest = pd.Series(costs).groupby(log["queries"]).min().mean()
    assert curve["cost"].iloc[-1] == pytest.approx(cheapest)


@few_examples
@given(seed=st.integers(0, 200))
def test_the_curve_changes_no_bit_when_rows_are_shuffled(seed):
    log = random_log(6, 4, seed)
    order = np.random.default_rng(seed).permutation(len(log["models"]))
    shuffled = {name: column[order] for name, column in log.items()}
    pd.testing.assert_frame_equal(
        cost_quality_curve(**shuffled), cost_quality_curve(**log), check_exact=True
    )


def test_long_curves_are_thinned_and_keep_their_ends():
    rng = np.random.default_rng(0)
    log = random_log(900, 6, 0)
    n = len(log["models"])
    log |= {"y_score": rng.random(n), "costs": rng.random(n)}
    curve = cost_quality_curve(**log)
    assert MAX_POINTS * 0.9 < len(curve) <= MAX_POINTS
    cheapest = pd.Series(log["costs"]).groupby(log["queries"]).min().mean()
    assert curve["cost"].iloc[-1] == pytest.approx(cheapest)
    assert curve["weight"].iloc[0] == 0
