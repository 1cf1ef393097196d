"""References for curves of cost: zero router, QNC, the dial, RouterArena, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus.metrics import (
    aiq_score,
    cost_save_score,
    non_decreasing_hull,
    performance_dial_curve,
    qnc_score,
    router_arena_score,
    zero_router_hull,
)

SCORES = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1.0]])
COSTS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 5.0}
"""Mean scores of a to d: 0.25, 0.5, 1, 0.75."""


def long_form(matrix):
    query, model = np.indices(matrix.shape).reshape(2, -1)
    return {"queries": query, "models": np.array(list("abcd"))[model]}


# The zero router


def test_the_hull_of_single_models_by_hand():
    hull = zero_router_hull(SCORES.ravel(), COSTS, **long_form(SCORES))
    # From a to c the slope is 0.25 and passes through b; d is dominated by c.
    assert hull["model"].tolist() == ["a", "c"]
    assert hull["cost"].tolist() == [1, 4]
    assert hull["quality"].tolist() == [0.25, 1]
    costs = [COSTS[label] for label in long_form(SCORES)["models"]]
    by_row = zero_router_hull(SCORES.ravel(), costs, **long_form(SCORES))
    assert by_row.equals(hull)


@given(seed=st.integers(0, 1000))
def test_the_hull_is_that_of_the_mean_points(seed):
    rng = np.random.default_rng(seed)
    scores, costs = rng.random((2, 5, 4))
    hull = zero_router_hull(scores.ravel(), costs.ravel(), **long_form(scores))
    expected = non_decreasing_hull(costs.mean(axis=0), scores.mean(axis=0))
    assert_allclose(hull["cost"], expected[0])
    assert_allclose(hull["quality"], expected[1])
    assert aiq_score(hull["cost"], hull["quality"]) <= scores.mean(axis=0).max() + 1e-9


def test_models_with_few_queries_are_left_out():
    log = {"queries": ["q", "q", "r", "s", "t"], "models": ["a", "b", "a", "a", "a"]}
    hull = zero_router_hull([0, 1, 0, 1, 0], {"a": 1, "b": 2}, **log)
    assert hull["model"].tolist() == ["a"]
    hull = zero_router_hull([0, 1, 0, 1, 0], {"a": 1, "b": 2}, **log, min_coverage=0.2)
    assert hull["model"].tolist() == ["a", "b"]
    sparse = {"queries": ["q", "r", "s"], "models": ["a", "b", "c"]}
    with pytest.raises(ValueError, match="min_coverage"):
        zero_router_hull([0, 1, 0], [1, 1, 1], **sparse)


def test_bad_costs_of_single_models_are_named():
    with pytest.raises(ValueError, match="negative"):
        zero_router_hull(SCORES.ravel(), -np.ones(16), **long_form(SCORES))
    with pytest.raises(ValueError, match="'b'"):
        zero_router_hull(SCORES.ravel(), {**COSTS, "b": -1.0}, **long_form(SCORES))
    with pytest.raises(ValueError, match="'d'"):
        zero_router_hull(SCORES.ravel(), {"a": 1, "b": 1, "c": 1}, **long_form(SCORES))
    with pytest.raises(ValueError, match=r"min_coverage must be in \[0, 1\]"):
        zero_router_hull(SCORES.ravel(), COSTS, **long_form(SCORES), min_coverage=2)


# QNC


def test_qnc_by_hand():
    single = {"best_single_quality": 0.6, "best_single_cost": 4.0}
    # Half way from (1, 0.4) to (3, 0.8).
    assert qnc_score([3, 1, 4], [0.8, 0.4, 0.7], **single) == pytest.approx(0.5)
    # Cheaper and better at once: the cheapest point is enough.
    assert qnc_score([1, 3], [0.7, 0.8], **single) == 0.25
    assert math.isnan(qnc_score([1, 3], [0.1, 0.5], **single))
    alone = qnc_score([4.0], [0.6], **single)
    assert alone == 1


@given(seed=st.integers(0, 1000))
def test_qnc_is_at_most_what_single_points_cost(seed):
    rng = np.random.default_rng(seed)
    costs, qualities = rng.random((2, 6))
    single = {"best_single_quality": qualities[0], "best_single_cost": costs[0]}
    strict = 1 - cost_save_score(costs, qualities, **single)
    assert 0 <= qnc_score(costs, qualities, **single) <= strict + 1e-12 <= 1 + 1e-9


def test_bad_input_of_qnc_is_named():
    for cost in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="best_single_cost"):
            qnc_score([1], [1], best_single_quality=1, best_single_cost=cost)
    with pytest.raises(ValueError, match="best_single_quality"):
        qnc_score([1], [1], best_single_quality=np.nan, best_single_cost=1)
    with pytest.raises(ValueError, match="negative"):
        qnc_score([-1], [1], best_single_quality=1, best_single_cost=1)


# Avengers-Pro's dial


def test_the_dial_by_hand():
    # Of one query, s~ = 0, 1, 0.5 and c~ = 0, 1, 0.25.
    log = {"queries": ["q"] * 3, "models": ["a", "b", "c"]}
    arguments = [0.1, 0.2, 0.3], [0.2, 0.6, 0.4], {"a": 1.0, "b": 5.0, "c": 2.0}
    alphas = [0.0, 0.3, 0.5, 0.65, 0.9, 1.0]
    curve = performance_dial_curve(*arguments, **log, performance_weights=alphas[::-1])
    assert curve["performance_weight"].tolist() == alphas
    values = np.outer(alphas, [0, 1, 0.5]) + np.outer(
        1 - np.array(alphas), [1, 0, 0.75]
    )
    chosen = values.argmax(axis=1)
    assert_array_equal(chosen, [0, 0, 2, 1, 1, 1])
    assert_array_equal(curve["cost"], np.array([1.0, 5.0, 2.0])[chosen])
    assert_array_equal(curve["quality"], np.array([0.1, 0.2, 0.3])[chosen])


def test_the_dial_goes_from_the_cheapest_to_the_best():
    scores = np.random.default_rng(0).random((20, 4))
    curve = performance_dial_curve(
        scores.ravel(), scores.ravel(), COSTS, **long_form(scores)
    )
    assert len(curve) == 101
    assert curve["cost"].iloc[0] == 1.0
    assert curve["quality"].iloc[-1] == pytest.approx(scores.max(axis=1).mean())
    assert (np.diff(curve["cost"]) >= -1e-12).all()
    assert (np.diff(curve["quality"]) >= -1e-12).all()


def test_the_dial_has_no_units():
    scores = np.random.default_rng(1).random((20, 4))
    curves = [
        performance_dial_curve(
            scores.ravel(), decisions.ravel(), costs, **long_form(scores)
        )
        for decisions, costs in (
            (scores, COSTS),
            (4 * scores - 2, {label: 8 * cost for label, cost in COSTS.items()}),
        )
    ]
    assert_array_equal(curves[0]["quality"], curves[1]["quality"])
    assert_allclose(8 * curves[0]["cost"], curves[1]["cost"])


def test_equal_models_are_taken_in_the_order_of_labels():
    log = {"queries": ["q", "q"], "models": ["b", "a"]}
    curve = performance_dial_curve([0, 1], [0.5, 0.5], [2.0, 2.0], **log)
    assert (curve["quality"] == 1).all()


def test_bad_input_of_the_dial_is_named():
    arguments = SCORES.ravel(), SCORES.ravel()
    log = long_form(SCORES)
    with pytest.raises(ValueError, match="performance_weights"):
        performance_dial_curve(*arguments, COSTS, **log, performance_weights=[1.5])
    with pytest.raises(ValueError, match="negative"):
        performance_dial_curve(*arguments, -np.ones(16), **log)
    with pytest.raises(ValueError, match="costs has 3 rows"):
        performance_dial_curve(*arguments, [1, 2, 3], **log)


# RouterArena


def test_router_arena_by_hand():
    # Half way, in log2, between 200 and 0.0044 dollars: C = 0.5.
    middle = math.sqrt(200 * 0.0044)
    assert router_arena_score(0.8, middle) == pytest.approx(1.1 * 0.8 * 0.5 / 0.58)
    assert router_arena_score(0.8, middle, beta=1.0) == pytest.approx(0.8 / 1.3)
    assert router_arena_score(1.0, 0.0044) == pytest.approx(1.0)
    assert router_arena_score(0.0, 1.0) == router_arena_score(1.0, 200.0) == 0


@given(quality=st.floats(0.01, 1), cost=st.floats(1e-4, 1e3))
def test_router_arena_is_monotone_and_bounded(quality, cost):
    score = router_arena_score(quality, cost)
    assert 0 <= score <= 1 + 1e-12
    assert router_arena_score(quality, cost / 2) >= score
    assert router_arena_score(quality / 2, cost) <= score


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"quality": 1.1}, "quality"),
        ({"quality": math.nan}, "quality"),
        ({"cost": 0.0}, "cost"),
        ({"cost": math.inf}, "cost"),
        ({"beta": 0.0}, "beta"),
    ],
)
def test_bad_input_of_router_arena_is_named(change, name):
    with pytest.raises(ValueError, match=name):
        router_arena_score(**{"quality": 0.5, "cost": 1.0, **change})
