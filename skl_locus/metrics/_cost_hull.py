"""Convex hull of operating points, and mean quality over a range of costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid

from skl_locus._costs.hull import hull_corners
from skl_locus._utils.array_checks import check_finite_column


def non_decreasing_hull(
    costs: ArrayLike, qualities: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Find the operating points that no mixture of others is as good as.

    The non-decreasing convex hull of RouterBench (Hu et al., 2024,
    arXiv:2403.12031, section 3): the upper edge of the convex hull of the points,
    from the cheapest point to the cheapest one of the best quality. A router that
    flips a coin between two operating points reaches every point on the line
    between them, and one that costs more for less is never used.

    Parameters
    ----------
    costs : array-like of shape (n_points,)
        Cost of each operating point, not negative, in any order.
    qualities : array-like of shape (n_points,)
        Quality of each operating point.

    Returns
    -------
    hull_costs : ndarray of shape (n_vertices,)
        Costs of the vertices, ascending.
    hull_qualities : ndarray of shape (n_vertices,)
        Their qualities, ascending; the slope from one to the next falls.

    Raises
    ------
    ValueError
        If a column is empty, of another length, not finite, or a cost is negative.

    Examples
    --------
    The third point lies below the line of its neighbours, the last is dominated:

    >>> from skl_locus.metrics import non_decreasing_hull
    >>> costs, qualities = non_decreasing_hull(
    ...     [1.0, 2.0, 3.0, 4.0, 5.0], [0.2, 0.6, 0.6, 0.8, 0.7]
    ... )
    >>> costs.tolist(), qualities.tolist()
    ([1.0, 2.0, 4.0], [0.2, 0.6, 0.8])
    """
    costs, qualities = checked_points(costs, qualities)
    one_group = np.zeros(len(costs), dtype=np.intp)
    vertices = hull_corners(costs, qualities, one_group)
    return costs[vertices], qualities[vertices]


def aiq_score(
    costs: ArrayLike,
    qualities: ArrayLike,
    *,
    cost_range: tuple[float, float] | None = None,
) -> float:
    """Compute the average quality of a router over a range of costs.

    AIQ of RouterBench (Hu et al., 2024, arXiv:2403.12031, section 3): ``1 / (high -
    low) * integral from low to high of hull(c) dc``, with the non-decreasing hull
    of the operating points.

    Parameters
    ----------
    costs : array-like of shape (n_points,)
        Cost of each operating point, not negative.
    qualities : array-like of shape (n_points,)
        Quality of each operating point.
    cost_range : tuple of two floats, default=None
        ``(low, high)``; None takes the least and the largest cost of the points.
        Routers can be compared over one range only: give the same to each.

    Returns
    -------
    float
        Mean quality, higher is better. Over a range of no width, the quality there.

    Raises
    ------
    ValueError
        If the range is not ascending or begins below 0, or a column is empty, of
        another length, not finite, or a cost is negative.

    Notes
    -----
    Beyond the last vertex the hull stays at its quality: money may be left unspent.
    Before the first one it follows the line to the origin, the mixture with not
    answering at all, which costs nothing and is worth nothing.

    Examples
    --------
    >>> from skl_locus.metrics import aiq_score
    >>> aiq_score([1.0, 2.0], [0.4, 0.8])
    0.6...
    >>> aiq_score([1.0, 2.0], [0.4, 0.8], cost_range=(1, 3))
    0.7...
    """
    costs, qualities = checked_points(costs, qualities)
    if cost_range is None:
        cost_range = costs.min(), costs.max()
    low, high = _checked_range(cost_range)
    hull_costs, hull_qualities = non_decreasing_hull(costs, qualities)
    if hull_costs[0] > 0:
        hull_costs = np.concatenate([[0.0], hull_costs])
        hull_qualities = np.concatenate([[0.0], hull_qualities])
    return mean_height(hull_costs, hull_qualities, low, high)


def checked_points(costs: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return costs and qualities as float64 of shape (n_points,), checked."""
    costs = check_finite_column(costs, "costs").astype(np.float64)
    qualities = check_finite_column(qualities, "qualities").astype(np.float64)
    if len(costs) != len(qualities):
        raise ValueError(
            f"costs has {len(costs)} points, but qualities has {len(qualities)}."
        )
    if (costs < 0).any():
        raise ValueError("costs must not be negative.")
    return costs, qualities


def mean_height(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    """Return the mean height of a broken line, flat beyond its ends."""
    if low == high:
        return float(np.interp(low, x, y))
    inside = x[(x > low) & (x < high)]
    grid = np.concatenate([[low], inside, [high]])
    return float(trapezoid(np.interp(grid, x, y), grid) / (high - low))


def _checked_range(cost_range: Any) -> tuple[float, float]:
    low, high = (float(end) for end in cost_range)
    if not 0 <= low <= high or not math.isfinite(high):
        raise ValueError(
            f"cost_range must be (low, high) with 0 <= low <= high, got {cost_range!r}."
        )
    return low, high
