"""Upper convex hulls of groups of points, against definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus._costs.hull import breakpoint_weights, hull_corners, hull_steps


def draw(seed, *, steps, n_groups=6):
    """Draw groups of 1 to 8 points on a grid, or anywhere for no steps."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 9, n_groups))
    points = rng.random((2, len(groups)))
    if steps:
        points = np.round(points * steps) / steps
    return *points, groups


def is_corner(point, costs, values):
    """Test by definition, with exact integers in place of floats."""
    others = [i for i in range(len(costs)) if i != point]
    for i in others:
        same = (costs[i], values[i]) == (costs[point], values[point])
        if same and i < point:
            return False
        if not same and costs[i] <= costs[point] and values[i] >= values[point]:
            return False
    left = [i for i in others if costs[i] < costs[point]]
    right = [i for i in others if costs[i] > costs[point] and values[i] > values[point]]
    # Strictly above the chord of any two points around it.
    return all(
        (values[point] - values[i]) * (costs[j] - costs[point])
        > (values[j] - values[point]) * (costs[point] - costs[i])
        for i in left
        for j in right
    )


@EXAMPLES
@given(SEEDS)
def test_corners_by_definition(seed):
    costs, values, groups = draw(seed, steps=6)
    # On whole numbers nothing is rounded.
    costs, values = np.round(costs * 6), np.round(values * 6)
    corners = hull_corners(costs, values, groups)
    expected = []
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        found = [
            own[i] for i in range(len(own)) if is_corner(i, costs[own], values[own])
        ]
        expected += sorted(found, key=lambda i: costs[i])
    assert corners.tolist() == expected


@EXAMPLES
@given(SEEDS, st.sampled_from([0, 7, 10]))
def test_groups_do_not_touch_each_other(seed, steps):
    costs, values, groups = draw(seed, steps=steps)
    parts = []
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        alone = np.zeros(len(own), dtype=int)
        parts.append(own[hull_corners(costs[own], values[own], alone)])
    assert_array_equal(hull_corners(costs, values, groups), np.concatenate(parts))


@EXAMPLES
@given(SEEDS)
def test_equal_sizes_are_sorted_as_others_are(seed):
    rng = np.random.default_rng(seed)
    costs, values = rng.integers(0, 4, (2, 30)) / 4
    whole, short = np.repeat(np.arange(6), 5), slice(29)
    even = hull_corners(costs, values, whole)
    uneven = hull_corners(costs[short], values[short], whole[short])
    assert_array_equal(even[even < 25], uneven[uneven < 25])


@EXAMPLES
@given(SEEDS, st.sampled_from([0, 7, 10]))
def test_slopes_never_rise_although_they_are_rounded(seed, steps):
    costs, values, groups = draw(seed, steps=steps)
    corners = hull_corners(costs, values, groups)
    taken = hull_steps(costs, values, groups, corners)
    assert (taken.prices > 0).all()
    assert (taken.gains > 0).all()
    for group in np.unique(groups):
        own = taken.groups == group
        assert (np.diff(taken.slopes[own]) <= 0).all()
        assert_array_equal(taken.turns[own], np.arange(own.sum()))
        assert_array_equal(taken.to[own], corners[groups[corners] == group][1:])


@EXAMPLES
@given(SEEDS)
def test_for_any_weight_a_corner_is_best(seed):
    costs, values, groups = draw(seed, steps=10)
    corners = hull_corners(costs, values, groups)
    for weight in (0.0, *np.random.default_rng(seed).exponential(size=5)):
        worth = values - weight * costs
        for group in np.unique(groups):
            best = worth[corners[groups[corners] == group]].max()
            assert_allclose(best, worth[groups == group].max())


@EXAMPLES
@given(SEEDS)
def test_weights_give_every_choice_there_is(seed):
    costs, values, groups = draw(seed, steps=0, n_groups=3)

    def choice(weight):
        worth = values - weight * costs
        own = (np.flatnonzero(groups == group) for group in range(3))
        return tuple(rows[worth[rows].argmax()] for rows in own)

    chosen = [choice(weight) for weight in breakpoint_weights(costs, values, groups)]
    assert len(set(chosen[1:])) == len(chosen) - 1  # 0 may choose as the next one
    for weight in np.random.default_rng(seed).exponential(size=20):
        assert choice(weight) in chosen


def test_many_corners_in_one_group():
    # Each pass can drop but one of the points: the worst case.
    costs = np.arange(300.0)
    values = np.sqrt(costs)
    assert_array_equal(hull_corners(costs, values, np.zeros(300, int)), np.arange(300))
    costs, values = np.append(costs, 300.0), np.append(values, 1e6)
    corners = hull_corners(costs, values, np.zeros(301, int))
    assert corners.tolist() == [0, 300]


@pytest.mark.parametrize("n_points", [0, 1, 2])
def test_hardly_any_points(n_points):
    costs, groups = np.zeros(n_points), np.zeros(n_points, dtype=int)
    assert hull_corners(costs, costs, groups).tolist() == [0][:n_points]
    assert breakpoint_weights(costs, costs, groups).tolist() == [0.0, 1.0]
