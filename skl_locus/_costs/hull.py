"""Upper convex hulls of (cost, value) points, and the weights of cost at their corners.

A model of a query, or an operating point of a router, has a cost and a value. For any
weight of cost, what maximises ``value - weight * cost`` is a corner of the upper convex
hull; the slope from one corner to the next is the weight at which the choice changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

MAX_POINTS = 500
"""Number of weights tried at most where they are not given."""


@dataclass(frozen=True)
class HullSteps:
    """Steps along hulls, each to the next dearer and better corner.

    Parameters
    ----------
    groups : ndarray of shape (n_steps,)
        Group of each step, ascending; the steps of a group are in their order.
    turns : ndarray of shape (n_steps,)
        Place of each step in its group, from 0.
    to : ndarray of shape (n_steps,)
        Point that each step leads to.
    prices, gains : ndarray of shape (n_steps,)
        What each step adds in cost and in value, both positive.
    slopes : ndarray of shape (n_steps,)
        Gain for a unit of cost, never rising within a group.
    """

    groups: np.ndarray
    turns: np.ndarray
    to: np.ndarray
    prices: np.ndarray
    gains: np.ndarray
    slopes: np.ndarray


def hull_corners(
    costs: np.ndarray, values: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Find the corners of the non-decreasing upper convex hull of groups of points.

    Parameters
    ----------
    costs, values : ndarray of shape (n_points,), float64
        Finite.
    groups : ndarray of shape (n_points,), integer
        Group of each point, ascending.

    Returns
    -------
    ndarray of shape (n_corners,)
        Positions of the corners, by group; within a group from the cheapest point to
        the cheapest one of the best value, both rising. Of equal points the first one
        is taken; points on the line between two corners are none.
    """
    corners = _by_cost(costs, values, groups)
    best_so_far = pd.Series(values[corners]).groupby(groups[corners]).cummax()
    # In the order of costs, a point that does not raise the best value so far is
    # dominated: another one is as good and costs no more.
    raises = np.diff(best_so_far.to_numpy(), prepend=np.nan) != 0
    corners = corners[raises | _is_first(groups[corners])]
    while True:
        above = _above_chord(costs[corners], values[corners], groups[corners])
        if above.all():
            return corners
        corners = corners[above]


def hull_steps(
    costs: np.ndarray, values: np.ndarray, groups: np.ndarray, corners: np.ndarray
) -> HullSteps:
    """Return the steps between corners, as of `hull_corners`.

    Parameters
    ----------
    costs, values, groups : ndarray of shape (n_points,)
        The points.
    corners : ndarray of shape (n_corners,)
        Their corners.

    Returns
    -------
    HullSteps
        One less in each group than it has corners.
    """
    first = _is_first(groups[corners])
    starts = np.flatnonzero(first)
    places = np.arange(len(corners)) - np.repeat(
        starts, np.diff(starts, append=len(corners))
    )
    prices = np.diff(costs[corners], prepend=np.nan)[~first]
    gains = np.diff(values[corners], prepend=np.nan)[~first]
    # Slopes fall although they are rounded: a corner stays only if its two products
    # in `_above_chord` differ, and rounding, of quotients as of products, never
    # changes the order of two numbers, at most it makes them equal.
    return HullSteps(
        groups=groups[corners][~first],
        turns=places[~first] - 1,
        to=corners[~first],
        prices=prices,
        gains=gains,
        slopes=gains / prices,
    )


def breakpoint_weights(
    costs: np.ndarray,
    values: np.ndarray,
    groups: np.ndarray,
    max_points: int = MAX_POINTS,
) -> np.ndarray:
    """Return weights of cost that give every choice there is, in ascending order.

    Parameters
    ----------
    costs, values : ndarray of shape (n_points,), float64
        Cost and value of models.
    groups : ndarray of shape (n_points,), integer
        Query of each point, ascending.
    max_points : int, default=500
        Number of weights at most.

    Returns
    -------
    ndarray of shape (n_weights,)
        0, one weight between each two neighbours of those at which the choice of
        some query changes, and one beyond all; of more than ``max_points`` weights,
        that many at equal quantiles.
    """
    corners = hull_corners(costs, values, groups)
    slopes = hull_steps(costs, values, groups, corners).slopes
    changes = np.unique(np.concatenate([[0.0], slopes]))
    # At a change two models are equally good, and rounding would decide between them:
    # weights lie between the changes.
    between = changes[:-1] + np.diff(changes) / 2
    beyond = 2 * changes[-1] if changes[-1] else 1.0
    weights = np.concatenate([[0.0], between, [beyond]])
    if len(weights) <= max_points:
        return weights
    return weights[np.linspace(0, len(weights) - 1, max_points).round().astype(int)]


def _by_cost(costs: np.ndarray, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Order points by group, then by cost, then the best value first."""
    starts = np.flatnonzero(_is_first(groups))
    sizes = np.diff(starts, append=len(groups))
    if not len(sizes) or (sizes != sizes[0]).any():
        return np.lexsort((-values, costs, groups))
    # Many short sorts take a tenth of the time of a long one.
    shape = len(sizes), sizes[0]
    order = np.lexsort((-values.reshape(shape), costs.reshape(shape)), axis=1)
    return (starts[:, None] + order).ravel()


def _is_first(groups: np.ndarray) -> np.ndarray:
    """Return which points are the first of their group, given points by group."""
    return np.append(True, groups[1:] != groups[:-1])[: len(groups)]


def _above_chord(
    costs: np.ndarray, values: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Return which points lie above the chord of their neighbours, or are at an end.

    A point on or below the chord of any two others is no corner. So all such points
    can be dropped at once, for all groups together, until none is left; a stack, as
    hulls are usually computed with, would go through the points one by one.
    """
    above = np.ones(len(costs), dtype=bool)
    prices, gains = np.diff(costs), np.diff(values)
    inner = groups[2:] == groups[:-2]
    # The slope before a corner is larger than the one after it. Slopes are compared by
    # products, since from one group to the next a price may be zero or negative.
    falls = gains[:-1] * prices[1:] > gains[1:] * prices[:-1]
    above[1:-1] = falls | ~inner
    return above
