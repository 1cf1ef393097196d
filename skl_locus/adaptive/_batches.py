"""Batches of queries: greedy, within a budget, without near-duplicates."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from skl_locus._data.queries import QuerySet

NEAR = 0.1
"""Queries are near-duplicates if the squared distance of their encodings is below this
share of the mean between two queries. Of sentence encodings, the cosine is then above
0.9."""


class Criterion(Protocol):
    """What queries are chosen by."""

    def gains(self) -> np.ndarray:
        """Return the gain of each query."""

    def take(self, query: int) -> None:
        """Take a query into the batch."""


class Batch:
    """Queries that are being gathered.

    Parameters
    ----------
    is_free : ndarray of shape (n_queries,), bool
        Queries that may be asked.
    queries : QuerySet
        Their encodings.
    costs : ndarray of shape (n_queries,)
        Cost of each.
    budget : float
        Most that the batch may cost together.
    """

    def __init__(
        self, is_free: np.ndarray, queries: QuerySet, costs: np.ndarray, budget: float
    ) -> None:
        self.chosen: list[int] = []
        self._is_free = is_free.copy()
        self._is_near = np.zeros(len(is_free), dtype=bool)
        self._queries = queries
        self._costs = costs
        self._left = budget
        self._squares = np.einsum("ij,ij->i", queries.encodings, queries.encodings)
        self._reach = NEAR * _mean_squared_distance(queries.encodings)

    def add_in_order(self, n: int, order: np.ndarray) -> None:
        """Add the first queries of an order that are free and affordable."""
        for query in order[self._is_free[order]]:
            if n == 0:
                return
            if self._costs[query] <= self._left:
                self._add(int(query))
                n -= 1

    def add_best(self, n: int, criterion: Criterion) -> None:
        """Add those with the largest gains per cost, one after the other."""
        for query in self.chosen:
            criterion.take(query)
        for _ in range(n):
            candidates = self._candidates()
            if not candidates.any():
                return
            rates = np.where(candidates, criterion.gains() / self._costs, -np.inf)
            query = int(rates.argmax())
            criterion.take(query)
            self._add(query)

    def _candidates(self) -> np.ndarray:
        affordable = self._is_free & (self._costs <= self._left)
        # Near-duplicates only if nothing else is left.
        distinct = affordable & ~self._is_near
        return distinct if distinct.any() else affordable

    def _add(self, query: int) -> None:
        self.chosen.append(query)
        self._is_free[query] = False
        self._left -= self._costs[query]
        encodings = self._queries.encodings
        own = encodings[self._queries.rows[query]]
        # The squared distance is expanded: no copy of all encodings is made.
        distances = self._squares - 2 * (encodings @ own) + own @ own
        self._is_near |= (distances <= self._reach)[self._queries.rows]


def _mean_squared_distance(encodings: np.ndarray) -> float:
    """Return the mean squared distance between two encodings: twice the variance."""
    return 2 * float(encodings.var(axis=0, dtype=np.float64).sum())
