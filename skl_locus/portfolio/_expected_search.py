"""Search for the models whose best value per query is largest on average.

Models are positions in canonical order; wherever several would do equally well, the
cheapest and then the first of them is taken. Values are not negative, and a set of
models is worth the sum over queries of its best value, 0 without models. Values are
such that every sum over queries is exact (`exact_values`), so the order of the queries
never matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import fsum

import numpy as np

from skl_locus.portfolio._kernel import batches
from skl_locus.portfolio._selection import swap_gains, two_best

MANTISSA_BITS = 53
"""Bits of a number in double precision."""

SLACK = 1e-12
"""Relative rounding of sums of prices, by which a first look at them is generous."""


def exact_values(values: np.ndarray) -> np.ndarray:
    """Round values so that sums over queries, and differences of them, are exact.

    Parameters
    ----------
    values : ndarray of shape (n_models, n_queries)
        Finite numbers.

    Returns
    -------
    ndarray of shape (n_models, n_queries)
        Multiples of a power of two that is at most 2**-50 of the largest value times
        the number of queries.
    """
    # All values are below 2**exponent, differences of two below twice that, and a sum
    # over queries has at most so many more bits; one bit is to spare.
    exponent = int(np.frexp(np.abs(values).max())[1])
    sum_bits = int(values.shape[1]).bit_length()
    step = float(np.ldexp(1.0, exponent + sum_bits + 2 - MANTISSA_BITS))
    return np.round(values / step) * step if step > 0 else values


@dataclass(frozen=True)
class Task:
    """What is to be chosen, and under which limit.

    Parameters
    ----------
    values : ndarray of shape (n_models, n_queries)
        Value of each model for each query, at least 0.
    price : ndarray of shape (n_models,)
        Price of each model, positive.
    limit : float
        What all chosen models may cost together.
    required : ndarray
        Models that must be chosen, ascending; they must be affordable.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen.
    """

    values: np.ndarray
    price: np.ndarray
    limit: float
    required: np.ndarray
    allowed: np.ndarray

    @cached_property
    def largest_worth(self) -> float:
        """Worth of all models that may be chosen."""
        return self.worth(np.flatnonzero(self.allowed))

    def best(self, chosen: np.ndarray | list) -> np.ndarray:
        """Return the best value of each query: (n_queries,)."""
        return self.values[chosen].max(axis=0, initial=0.0)

    def worth(self, chosen: np.ndarray | list) -> float:
        """Return the sum over queries of the best value."""
        return float(self.best(chosen).sum())

    def gains(self, chosen: np.ndarray | list) -> np.ndarray:
        """Return what each model would add: (n_models,), 0 if it may not be added."""
        best = self.best(chosen)
        gains = np.zeros(len(self.values))
        free = np.flatnonzero(self.allowed)
        for batch in batches(len(free)):
            above = self.values[free[batch]] - best
            gains[free[batch]] = np.maximum(above, 0, out=above).sum(axis=1)
        gains[chosen] = 0
        return gains

    def total(self, chosen: np.ndarray | list) -> float:
        """Return the total price; the order of the models never matters."""
        return fsum(self.price[chosen])

    def left(self, chosen: np.ndarray | list) -> float:
        """Return what is left of the limit, generously rounded."""
        return self.limit * (1 + SLACK) - self.total(chosen)

    def fits(self, chosen: np.ndarray | list) -> bool:
        """Return whether models are within the limit, without generosity."""
        return self.total(chosen) <= self.limit


@dataclass(frozen=True)
class Found:
    """A set of models and how it was found.

    Parameters
    ----------
    chosen : ndarray of shape (n_chosen,)
        Models, the required ones first, then in the order of their gains.
    path : ndarray of shape (n_chosen,)
        Worth of the first 1, 2, ... of them.
    bound : float
        No set within the limit is worth more.
    n_iter : int
        Number of searches through all exchanges.
    converged : bool
        Whether no exchange was left that helps.
    """

    chosen: np.ndarray
    path: np.ndarray
    bound: float
    n_iter: int
    converged: bool


def search(task: Task, *, per_price: bool, fill: bool, max_iter: int) -> Found:
    """Choose greedily, then exchange models as long as that helps.

    Parameters
    ----------
    task : Task
        What to choose.
    per_price : bool
        Whether the best model is the one with the largest gain per price, or with the
        largest gain.
    fill : bool
        Whether models that add nothing are chosen, too, while they are affordable.
    max_iter : int
        Maximum number of searches through all exchanges.

    Returns
    -------
    Found
        The models.
    """
    start, bound = choose_greedily(task, per_price=per_price, fill=fill)
    chosen, n_iter, converged = exchange(task, start, max_iter)
    ordered = in_order_of_gains(task, chosen)
    path = np.array([task.worth(ordered[: i + 1]) for i in range(len(ordered))])
    bound = min(bound, upper_bound(task, chosen, task.gains(chosen)))
    return Found(ordered, path, bound, n_iter, converged)


def choose_greedily(
    task: Task, *, per_price: bool, fill: bool
) -> tuple[list[int], float]:
    """Add the best affordable model, again and again.

    Returns
    -------
    chosen : list of int
        Models in the order of choice.
    bound : float
        Smallest upper bound on the worth of any set, over the steps.
    """
    price = task.price if per_price else np.ones_like(task.price)
    chosen = task.required.tolist()
    bound = task.largest_worth
    while True:
        # All gains are computed at every step, not only those that lazy evaluation
        # would need, since the bound takes them all.
        gains = task.gains(chosen)
        bound = min(bound, upper_bound(task, chosen, gains))
        # Where all models are equal none adds anything, but one must be chosen.
        free = task.allowed & (fill | (gains > 0) | (not chosen))
        free[chosen] = False
        best = _best_that_fits(task, chosen, free, gains / price)
        if best is None:
            return chosen, bound
        chosen.append(best)


def _best_that_fits(
    task: Task, chosen: list[int], free: np.ndarray, merits: np.ndarray
) -> int | None:
    free = free & (task.price <= task.left(chosen))
    while free.any():
        tied = free & (merits == merits[free].max())
        best = int(np.where(tied, task.price, np.inf).argmin())
        if task.fits([*chosen, best]):
            return best
        free[best] = False
    return None


def upper_bound(task: Task, chosen: np.ndarray | list, gains: np.ndarray) -> float:
    """Bound the worth of every set within the limit.

    The worth is submodular: a set adds to the chosen models at most the sum of what its
    models add alone. The best sum that the limit allows is a knapsack problem, which
    is bounded by buying fractions, largest gain per price first. With equal prices it
    is the sum of the largest gains.
    """
    # Every set contains the required models, so only the rest of the limit is left.
    left = task.left(task.required)
    useful = np.flatnonzero((gains > 0) & (task.price <= left))
    order = useful[np.argsort(-gains[useful] / task.price[useful], kind="stable")]
    spent_before = np.cumsum(task.price[order]) - task.price[order]
    shares = ((left - spent_before) / task.price[order]).clip(0, 1)
    return task.worth(chosen) + float((shares * gains[order]).sum())


def exchange(
    task: Task, start: list[int], max_iter: int
) -> tuple[np.ndarray, int, bool]:
    """Make the best exchange or addition, again and again, as long as it helps.

    Returns
    -------
    chosen : ndarray
        Models, ascending.
    n_iter : int
        Number of searches.
    converged : bool
        Whether the last one found nothing.
    """
    chosen = np.sort(np.array(start, dtype=np.intp))
    for n_iter in range(1, max_iter + 1):
        changed = best_exchange(task, chosen)
        if changed is None:
            return chosen, n_iter, True
        chosen = changed
    return chosen, max_iter, False


def best_exchange(task: Task, chosen: np.ndarray) -> np.ndarray | None:
    """Return the models after the best exchange, ascending; None if none helps."""
    slots = np.flatnonzero(~np.isin(chosen, task.required))
    candidates = np.setdiff1d(np.flatnonzero(task.allowed), chosen)
    best, second, nearest = two_best(task.values[chosen].T)
    # The last slot is empty: a model that enters there is added, and none leaves.
    belongs = (nearest[:, None] == np.append(slots, -1)).astype(np.float64)
    room = task.left(chosen) + np.append(task.price[chosen[slots]], 0.0)
    found, found_gain = None, 0.0
    for batch in batches(len(candidates)):
        coming = candidates[batch]
        gains = swap_gains(task.values[coming], best, second, belongs)
        gains[task.price[coming][:, None] > room] = -np.inf
        while gains.max(initial=-np.inf) > found_gain:
            candidate, slot = np.unravel_index(gains.argmax(), gains.shape)
            changed = _changed(chosen, slots[slot : slot + 1], coming[candidate])
            if task.fits(changed):
                found, found_gain = changed, gains[candidate, slot]
            # What exceeds the limit by rounding alone gives way to the next best.
            gains[candidate, slot] = -np.inf
    return found


def _changed(chosen: np.ndarray, leaves: np.ndarray, comes: int) -> np.ndarray:
    return np.sort(np.append(np.delete(chosen, leaves), comes))


def in_order_of_gains(task: Task, chosen: np.ndarray) -> np.ndarray:
    """Order chosen models: the required ones, then the largest gain first."""
    ordered = task.required.tolist()
    while len(ordered) < len(chosen):
        left = np.setdiff1d(chosen, ordered)
        ordered.append(int(left[task.gains(ordered)[left].argmax()]))
    return np.array(ordered, dtype=np.intp)
