"""Spend a budget on a batch of queries: which model answers which query."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class BudgetAssignment:
    """A model for each query, and how far from the best possible the choice may be.

    Parameters
    ----------
    columns : ndarray of shape (n_queries,)
        Chosen columns.
    value, cost : float
        Sums over the queries of what was maximised, and of the costs.
    bound : float
        No assignment within the budget has a larger value.
    cost_weight : float
        Value of a unit of cost where the money ran out; 0 where it did not.
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


@dataclass(frozen=True)
class Steps:
    """Steps from a cheaper to a better model, the most worthwhile first.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_steps,)
        Query of each step, and the column that it leads to.
    gains, prices : ndarray of shape (n_steps,)
        What the step adds in value and in cost, both positive.
    slopes : ndarray of shape (n_steps,)
        Gain for a unit of cost, falling; the steps of one query are in their order.
    """

    rows: np.ndarray
    columns: np.ndarray
    gains: np.ndarray
    prices: np.ndarray
    slopes: np.ndarray


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
    Assignment
        Within the budget. Its gap is smaller than the largest gain of a single step.

    Raises
    ------
    ValueError
        If the cheapest models cost more than the budget.

    Notes
    -----
    Ties of a query go to the first column; of queries between which nothing decides,
    the first ones are served.
    """
    rows = np.arange(len(values))
    cheapest = np.lexsort((-values, costs), axis=1)[:, 0]
    least = math.fsum(costs[rows, cheapest])
    if least > budget:
        raise ValueError(
            f"budget={budget!r} is below {least:g}, what the cheapest models cost "
            f"for these {len(values)} queries; raise it."
        )
    steps = _hull_steps(values, costs, cheapest)
    n_taken = int(np.searchsorted(np.cumsum(steps.prices), budget - least, "right"))
    columns = _up_to(cheapest, steps, n_taken)
    while math.fsum(costs[rows, columns]) > budget:  # prices are rounded
        n_taken -= 1
        columns = _up_to(cheapest, steps, n_taken)
    weight = float(steps.slopes[n_taken]) if n_taken < len(steps.rows) else 0.0
    _spend_the_rest(columns, costs, steps, n_taken, budget)
    # Weakly dual for any weight, so that the bound holds whatever is rounded.
    dual = (values - weight * costs).max(axis=1)
    return BudgetAssignment(
        columns,
        value=math.fsum(values[rows, columns]),
        cost=math.fsum(costs[rows, columns]),
        bound=math.fsum([*dual.tolist(), weight * budget]),
        cost_weight=weight,
    )


def _hull_steps(values: np.ndarray, costs: np.ndarray, start: np.ndarray) -> Steps:
    """List the steps up the convex hulls, all queries side by side."""
    rows = np.arange(len(values))
    chosen, steepest = start, np.full(len(values), np.inf)
    turns: list[tuple[np.ndarray, ...]] = []
    while True:
        gains = values - values[rows, chosen][:, None]
        prices = costs - costs[rows, chosen][:, None]
        slopes = np.zeros(values.shape)
        np.divide(gains, prices, out=slopes, where=(gains > 0) & (prices > 0))
        best = slopes.max(axis=1)
        moving = np.flatnonzero(best > 0)
        if not len(moving):
            return _by_slope(turns)
        # Of points on one line the farthest is the next corner of the hull.
        following = np.where(slopes == best[:, None], prices, -np.inf).argmax(axis=1)
        # Slopes fall from corner to corner, except where they are rounded.
        steepest = np.minimum(steepest, best)
        to = following[moving]
        turns.append(
            (moving, to, gains[moving, to], prices[moving, to], steepest[moving])
        )
        chosen = np.where(best > 0, following, chosen)


def _by_slope(turns: list[tuple[np.ndarray, ...]]) -> Steps:
    """Order steps by falling slope; of equal ones by turn, price and query."""
    nothing = (np.empty(0, dtype=np.intp),) * 2 + (np.empty(0),) * 3
    parts = zip(nothing, *turns, strict=True)
    rows, columns, gains, prices, slopes = map(np.concatenate, parts)
    turn = np.repeat(np.arange(len(turns)), [len(own[0]) for own in turns])
    order = np.lexsort((rows, prices, turn, -slopes))
    return Steps(
        rows[order], columns[order], gains[order], prices[order], slopes[order]
    )


def _up_to(start: np.ndarray, steps: Steps, n_taken: int) -> np.ndarray:
    """Return the columns after the first steps; of one query the last step counts."""
    columns = start.copy()
    columns[steps.rows[:n_taken]] = steps.columns[:n_taken]
    return columns


def _spend_the_rest(
    columns: np.ndarray, costs: np.ndarray, steps: Steps, first: int, budget: float
) -> None:
    """Take later steps where they fit, none of a query that has missed one."""
    spent = costs[np.arange(len(columns)), columns].tolist()
    # Fractions, since a rounded sum could break the budget by the last bit.
    left = Fraction(budget) - sum(map(Fraction, spent))
    missed: set[int] = set()
    for row, column in zip(
        steps.rows[first:].tolist(), steps.columns[first:].tolist(), strict=True
    ):
        if row in missed:
            continue
        price = Fraction(costs[row, column]) - Fraction(costs[row, columns[row]])
        if price <= left:
            columns[row] = column
            left -= price
        else:
            missed.add(row)
