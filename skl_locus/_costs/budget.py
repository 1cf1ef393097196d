"""Assignment of models to a batch of queries within a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from skl_locus._costs.hull import hull_corners, hull_steps
from skl_locus._utils.validation import as_float


@dataclass(frozen=True)
class BudgetAssignment:
    """A model for each query, with a bound on the best assignment there is.

    Parameters
    ----------
    columns : ndarray of shape (n_queries,)
        Chosen columns.
    value, cost : float
        Sums over the queries of what was maximised, and of the costs.
    bound : float
        No assignment within the budget has a larger value.
    cost_weight : float
        Value for a unit of cost of the first step that the budget does not pay for; 0
        if it pays for all.
    """

    columns: np.ndarray
    value: float
    cost: float
    bound: float
    cost_weight: float

    @property
    def gap(self) -> float:
        """How much larger than ``value`` the best possible value is at most."""
        return max(0.0, self.bound - self.value)


def assign_within(
    values: np.ndarray, costs: np.ndarray, budget: float
) -> BudgetAssignment:
    """Maximise the sum of values under a limit on the sum of costs.

    One column per row: the multiple-choice knapsack problem. Its Lagrangian dual
    ``min over w >= 0 of sum_q max_m (values - w * costs) + w * budget`` is solved
    exactly: each query moves up the upper convex hull of its (cost, value) points,
    and over all queries the steps are taken by falling slope while money is left. The
    step at which it runs out has the optimal w; later steps are taken where they fit.

    Parameters
    ----------
    values, costs : ndarray of shape (n_queries, n_models)
        What to maximise, such as P(correct), and finite costs of at least 0.
    budget : float
        Limit on the sum of the costs.

    Returns
    -------
    BudgetAssignment
        Within the budget. Its gap is smaller than the largest gain of a single step.

    Raises
    ------
    ValueError
        If the cheapest models cost more than the budget.

    Notes
    -----
    Ties of a query go to the first column; of queries with equal steps, the first ones
    are served.
    """
    budget = as_float(budget, "budget")
    rows = np.arange(len(values))
    start, steps = _steps_by_slope(values, costs)
    least = math.fsum(costs[rows, start])
    if least > budget:
        raise ValueError(
            f"budget={budget!r} is below {least:g}, what the cheapest models cost "
            f"for these {len(values)} queries; raise it."
        )
    n_taken = int(np.searchsorted(np.cumsum(steps.prices), budget - least, "right"))
    columns = _after_steps(start, steps, n_taken)
    # Prices are differences, and rounded: what counts is the sum of the costs.
    while math.fsum(costs[rows, columns]) > budget:
        n_taken -= 1
        columns = _after_steps(start, steps, n_taken)
    weight = float(steps.slopes[n_taken]) if n_taken < len(steps.slopes) else 0.0
    _spend_remainder(columns, costs, steps, n_taken, budget)
    # The dual at any weight is a bound, so that rounding the weight cannot break it.
    dual = (values - weight * costs).max(axis=1)
    return BudgetAssignment(
        columns,
        value=math.fsum(values[rows, columns]),
        cost=math.fsum(costs[rows, columns]),
        bound=math.fsum([*dual.tolist(), weight * budget]),
        cost_weight=weight,
    )


@dataclass(frozen=True)
class _Steps:
    """Steps up the hulls of all queries, the most worthwhile ones first.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_steps,)
        Query of each step, and the column that it leads to.
    prices, slopes : ndarray of shape (n_steps,)
        What the step adds in cost, and its gain for a unit of cost, falling.
    """

    rows: np.ndarray
    columns: np.ndarray
    prices: np.ndarray
    slopes: np.ndarray


def _steps_by_slope(values: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, _Steps]:
    """Return the cheapest column of each query, and the steps from there."""
    n_queries, n_models = values.shape
    points = costs.ravel(), values.ravel(), np.repeat(np.arange(n_queries), n_models)
    corners = hull_corners(*points)
    steps = hull_steps(*points, corners)
    # A query's first corner is its cheapest model, and no step leads there.
    start = np.setdiff1d(corners, steps.to) % n_models
    # Of steps of equal slope, those of a query must stay in their order; the cheapest
    # come first, so that more of them fit, and then the first queries.
    order = np.lexsort((steps.groups, steps.prices, steps.turns, -steps.slopes))
    return start, _Steps(
        rows=steps.groups[order],
        columns=steps.to[order] % n_models,
        prices=steps.prices[order],
        slopes=steps.slopes[order],
    )


def _after_steps(start: np.ndarray, steps: _Steps, n_taken: int) -> np.ndarray:
    """Return the columns after the first steps."""
    columns = start.copy()
    # Of several steps of one query, NumPy keeps the last value assigned: the last step.
    columns[steps.rows[:n_taken]] = steps.columns[:n_taken]
    return columns


def _spend_remainder(
    columns: np.ndarray, costs: np.ndarray, steps: _Steps, first: int, budget: float
) -> None:
    """Take later steps where they fit, in place.

    A query that has missed a step takes none of its later ones: they would lead past
    a corner of its hull, and be dearer than their slope says.
    """
    rows = np.arange(len(columns))
    left = budget - math.fsum(costs[rows, columns])
    taken: list[tuple[int, int]] = []
    missed: set[int] = set()
    remaining = zip(
        steps.rows[first:].tolist(),
        steps.columns[first:].tolist(),
        steps.prices[first:].tolist(),
        strict=True,
    )
    for row, column, price in remaining:
        if row in missed:
            continue
        if price <= left:
            taken.append((row, int(columns[row])))
            columns[row] = column
            left -= price
        else:
            missed.add(row)
    # What is left is rounded at each step, and may promise a little too much.
    while math.fsum(costs[rows, columns]) > budget:
        row, previous = taken.pop()
        columns[row] = previous
