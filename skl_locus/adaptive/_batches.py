"""Batches of queries: greedy, within a budget, without near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skl_locus._data.queries import QuerySet
from skl_locus.adaptive._spread import SpreadOrder

NEAR = 0.1
"""Queries are near-duplicates if the squared distance of their encodings is below this
share of the mean between two queries. Of sentence encodings, the cosine is then above
0.9."""


CELL_SIZE = 4
"""Queries in a cell, alike in difficulty, factors and topic, of which the best is
taken."""


class Criterion(Protocol):
    """What queries are chosen by."""

    def gains(self) -> np.ndarray:
        """Return the gain of each query."""

    def take(self, query: int) -> None:
        """Take a query into the batch."""


@dataclass(frozen=True)
class NearDuplicates:
    """Which queries nearly repeat each other, by their encodings.

    Parameters
    ----------
    queries : QuerySet
        The queries.
    squares : ndarray of shape (n_vectors,)
        Squared lengths of the encodings.
    reach : float
        Squared distance of near-duplicates.
    """

    queries: QuerySet
    squares: np.ndarray
    reach: float

    @classmethod
    def of(cls, queries: QuerySet) -> NearDuplicates:
        """Measure how far apart queries are in the mean: twice the variance."""
        encodings = queries.encodings
        squares = np.einsum("ij,ij->i", encodings, encodings)
        spread = encodings.var(axis=0, dtype=np.float64).sum()
        return cls(queries, squares, NEAR * 2 * float(spread))

    def mask_of(self, query: int) -> np.ndarray:
        """Return which queries nearly repeat one: (n_queries,), bool."""
        encodings, rows = self.queries.encodings, self.queries.rows
        own = encodings[rows[query]]
        # The squared distance is expanded: no copy of all encodings is made.
        distances = self.squares - 2 * (encodings @ own) + own @ own
        return (distances <= self.reach)[rows]


class Batch:
    """Queries that are being gathered.

    Parameters
    ----------
    is_free : ndarray of shape (n_queries,), bool
        Queries that may be asked.
    near : NearDuplicates
        Of the queries.
    costs : ndarray of shape (n_queries,)
        Cost of each.
    budget : float
        Most that the batch may cost together.
    """

    def __init__(
        self,
        is_free: np.ndarray,
        near: NearDuplicates,
        costs: np.ndarray,
        budget: float,
    ) -> None:
        self.chosen: list[int] = []
        self._is_free = is_free.copy()
        self._is_near = np.zeros(len(is_free), dtype=bool)
        self._near = near
        self._costs = costs
        self._left = budget

    def add_in_order(self, n: int, order: np.ndarray) -> None:
        """Add the first queries of an order that are free and affordable."""
        for query in order[self._is_free[order]]:
            if n == 0:
                return
            if self._costs[query] <= self._left:
                self._add(int(query))
                n -= 1

    def add_best(
        self, n: int, criterion: Criterion, spread: SpreadOrder | None = None
    ) -> None:
        """Add those with the largest gains per cost, one after the other.

        Each is the best of all, or, with ``spread``, of the next cell of that order.
        """
        for query in self.chosen:
            criterion.take(query)
        for _ in range(n):
            candidates = self._candidates()
            if not candidates.any():
                return
            if spread is not None:
                candidates = _within_cell(candidates, spread)
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
        self._is_near |= self._near.mask_of(query)


def _within_cell(candidates: np.ndarray, spread: SpreadOrder) -> np.ndarray:
    """Keep the candidates in the cell of the first one in an order."""
    leader = spread.order[candidates[spread.order].argmax()]
    is_inside = np.zeros(len(candidates), dtype=bool)
    is_inside[spread.cell_of(leader, CELL_SIZE)] = True
    return candidates & is_inside
