"""Lazy greedy selection within a budget.

Models are positions in canonical order; wherever several would do equally well, the
first of them is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skl_locus.portfolio._kernel import Kernel, batches, in_threads
from skl_locus.portfolio._space import ALL


def buy_greedily(
    kernel: Kernel,
    sums: np.ndarray,
    cost: np.ndarray,
    budget: float,
    required: np.ndarray,
    allowed: np.ndarray,
    *,
    per_cost: bool,
) -> np.ndarray:
    """Buy the best model that is still affordable, again and again (eqs. 15, 16).

    Parameters
    ----------
    kernel : Kernel
        Similarities.
    sums : ndarray of shape (n_models,)
        Sum of each model's similarities.
    cost : ndarray of shape (n_models,)
        Cost of each model, positive.
    budget : float
        What all chosen models may cost together.
    required : ndarray
        Models that are bought first; they must be affordable.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen.
    per_cost : bool
        Whether the best model is the one with the largest gain per cost, or with the
        largest gain.

    Returns
    -------
    ndarray of shape (n_chosen,)
        Models in the order of choice. Models that add nothing are not bought.
    """
    gains = LazyGains(kernel, sums)
    price = cost if per_cost else np.ones_like(cost)
    chosen = required.tolist()
    for model in chosen:
        gains.add(model)
    while True:
        free = allowed & (total_cost(cost, chosen) + cost <= budget)
        free[chosen] = False
        best = gains.best_buy(price, free)
        if best is None:
            return np.array(chosen)
        gains.add(best)
        chosen.append(best)


def total_cost(cost: np.ndarray, chosen: Sequence[int] | np.ndarray) -> float:
    """Add up the cost of chosen models, one after the other."""
    return float(np.cumsum([0.0, *cost[chosen]])[-1])


class LazyGains:
    """What each model would add to the coverage, brought up to date when it matters.

    A gain can only fall as models are chosen (coverage is submodular), so an old gain
    is an upper bound, and a model whose bound is below another's true gain need not be
    looked at (Minoux, 1978, "Accelerated greedy algorithms for maximizing submodular
    set functions"). Bringing a gain up to date takes only the models whose best
    similarity has grown since.

    Parameters
    ----------
    kernel : Kernel
        Similarities.
    sums : ndarray of shape (n_models,)
        Sum of each model's similarities: its gain while nothing is chosen.
    """

    FIRST_BATCH = 64
    """Gains brought up to date at first; twice as many at each further look."""

    OVERHEAD = 64
    """Gains that take as long to compute as it takes to gather the points of models."""

    def __init__(self, kernel: Kernel, sums: np.ndarray):
        self._kernel = kernel
        self._gains = sums.copy()
        self._n_known = np.zeros(kernel.n_models, dtype=np.int64)
        self._negligible = kernel.step * kernel.n_models  # what rounding amounts to
        self._best: np.ndarray = np.zeros(kernel.n_models, dtype=kernel.dtype)
        # What each choice has overwritten in `best`: a few numbers per model in all,
        # where a copy of `best` for each choice would take n_chosen.
        self._overwritten: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, model: int) -> None:
        """Choose a model."""
        similarities = self._kernel.block(np.array([model]), ALL)[0]
        grown = np.flatnonzero(similarities > self._best)
        self._overwritten.append((grown, self._best[grown]))
        self._best[grown] = similarities[grown]

    def best_buy(self, price: np.ndarray, free: np.ndarray) -> int | None:
        """Return the free model with the largest gain per price.

        Parameters
        ----------
        price : ndarray of shape (n_models,)
            Prices, positive.
        free : ndarray of shape (n_models,), bool
            Models to choose among.

        Returns
        -------
        int or None
            The model; None if no free model adds anything.
        """
        models = np.flatnonzero(free & (self._gains > 0))
        batch = self.FIRST_BATCH
        while len(models):
            values = self._gains[models] / price[models]
            is_known = self._n_known[models] == len(self._overwritten)
            best_known = values[is_known].max(initial=0.0)
            unsure = np.flatnonzero(~is_known & (values >= best_known))
            if len(unsure) == 0:
                return int(models[values.argmax()]) if best_known > 0 else None
            most_promising = unsure[np.argsort(-values[unsure], kind="stable")[:batch]]
            self._bring_up_to_date(models[most_promising])
            batch *= 2
        return None

    def _bring_up_to_date(self, models: np.ndarray) -> None:
        n_chosen = len(self._overwritten)
        n_known = self._n_known[models]
        best_then = self._best.copy()
        from_scratch = np.zeros(len(models), dtype=bool)
        # Back in time, choice by choice, `best_then` becomes what `best` was when the
        # gains of a group were computed. Since then they have lost K between the two.
        for known in reversed(range(n_known.min(), n_chosen)):
            rows, values = self._overwritten[known]
            best_then[rows] = values
            group = n_known == known
            grown = np.flatnonzero(self._best > best_then)
            if self._pays(len(grown), int(np.count_nonzero(group))):
                lost = self._between(models[group], grown, best_then, self._best)
                self._gains[models[group]] -= lost
            else:
                from_scratch |= group
        if from_scratch.any():
            self._gains[models[from_scratch]] = self._between(
                models[from_scratch],
                np.arange(self._kernel.n_models),
                self._best,
                np.ones_like(self._best),
            )
        self._n_known[models] = n_chosen
        # Equals of chosen models gain what rounding leaves, and must not be bought.
        self._gains[models[self._gains[models] <= self._negligible]] = 0

    def _pays(self, n_grown: int, n_gains: int) -> bool:
        """Return whether losses are quicker to compute than gains from scratch.

        For 4,000 models, gains from scratch alone take 1.3 to 2.2 times as many
        similarities, and losses alone up to three times as long, for many small groups.
        """
        return n_grown * (n_gains + self.OVERHEAD) < self._kernel.n_models * n_gains

    def _between(
        self, models: np.ndarray, rows: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        """Return the sum over rows of K, clipped to [low, high], above low."""
        low, high = low[rows], high[rows]

        def over(columns: slice) -> np.ndarray:
            total = np.empty(len(models))
            for part in batches(len(models)):
                block = self._kernel.block(models[part], rows[columns])
                np.maximum(block, low[columns], out=block)
                np.minimum(block, high[columns], out=block)
                total[part] = block.sum(axis=1, dtype=np.float64)
            return total

        parts = in_threads(over, batches(len(rows)))
        return sum(parts, np.zeros(len(models))) - low.sum(dtype=np.float64)
