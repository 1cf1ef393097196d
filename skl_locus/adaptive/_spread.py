"""Queries spread evenly over difficulties, factors and topics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skl_locus._data.queries import QuerySet
from skl_locus.adaptive._responses import ResponseModel

N_TOPICS = 8
"""Principal components of the encodings that queries are spread over."""

MAX_SAMPLE = 4096
"""Queries that the components are learned from."""


def coordinates_of(responses: ResponseModel, queries: QuerySet) -> np.ndarray:
    """Place queries where near ones are answered alike: (n_queries, n_coordinates).

    Difficulty and factors have the scale of their effect on standardised scores.
    Topics together have that of difficulty.
    """
    theta = responses.center
    p = np.clip(responses.expected(theta), 0, 1)
    slope = np.sqrt(np.mean(p * (1 - p)))
    difficulty = slope * (responses.easiness - responses.easiness.mean())
    factors = responses.factors * np.sqrt(responses.variances[1:])
    topics = _principal_components(queries)
    total = topics.var(axis=0).sum()
    topics *= difficulty.std() / np.sqrt(total) if total > 0 else 0
    return np.column_stack([difficulty, factors, topics])


def tree_order(coordinates: np.ndarray) -> np.ndarray:
    """Order queries so that neighbours are near: the leaves of a k-d tree.

    Each node is split at the median of the coordinate in which it is widest, so that
    equally long stretches of the order are cells with equally many queries.
    """
    order = np.empty(len(coordinates), dtype=np.intp)
    # A stack instead of recursion: thousands of leaves are no deeper than thirteen
    # levels, but equal coordinates must not make it deeper either.
    stack = [(np.arange(len(coordinates)), 0)]
    while stack:
        rows, start = stack.pop()
        if len(rows) <= 2:
            order[start : start + len(rows)] = rows
            continue
        own = coordinates[rows]
        widest = int(own.var(axis=0).argmax())
        rows = rows[np.argsort(own[:, widest], kind="stable")]
        middle = len(rows) // 2
        stack.append((rows[:middle], start))
        stack.append((rows[middle:], start + middle))
    return order


@dataclass(frozen=True)
class SpreadOrder:
    """A random order of queries in which those up to any place are spread evenly.

    Every query has the same probability of being among the first k, for each k, as in
    simple random sampling, but the first k are from k different cells of a tree.

    Parameters
    ----------
    leaves : ndarray of shape (n_queries,)
        Queries in the order of the tree.
    order : ndarray of shape (n_queries,)
        Queries as they are visited.
    """

    leaves: np.ndarray
    order: np.ndarray

    @classmethod
    def of(
        cls, responses: ResponseModel, queries: QuerySet, rng: np.random.Generator
    ) -> SpreadOrder:
        """Build the tree and draw the order."""
        leaves = tree_order(coordinates_of(responses, queries))
        n = len(leaves)
        # Bit reversal (van der Corput's sequence) visits halves, then quarters and so
        # on; the random start makes all queries equally likely.
        bits = max(1, int(n - 1).bit_length())
        places = (np.arange(n) + rng.integers(n)) % n
        cells = places * 2**bits // n
        reversed_cells = np.zeros(n, dtype=np.int64)
        for bit in range(bits):
            reversed_cells |= ((cells >> bit) & 1) << (bits - 1 - bit)
        return cls(leaves, leaves[np.argsort(reversed_cells, kind="stable")])

    def cell_of(self, query: int, size: int) -> np.ndarray:
        """Return a query and its neighbours in the tree: (size,)."""
        place = int(np.flatnonzero(self.leaves == query)[0])
        start = place // size * size
        return self.leaves[start : start + size]


def central_rows(responses: ResponseModel, queries: QuerySet, n: int) -> np.ndarray:
    """Return the most central query of each of n equally large cells: (n,)."""
    coordinates = coordinates_of(responses, queries)
    cells = np.array_split(tree_order(coordinates), n)
    rows = []
    for cell in cells:
        own = coordinates[cell]
        squares = np.square(own - own.mean(axis=0)).sum(axis=1)
        rows.append(cell[squares.argmin()])
    return np.array(rows)


def _principal_components(queries: QuerySet) -> np.ndarray:
    vectors = queries.vectors().astype(np.float64)
    sample = vectors[:MAX_SAMPLE]  # in the order of digests: at random
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    axes = axes[:, ::-1][:, :N_TOPICS]
    # An axis and its opposite are equally good: fix the sign.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return (vectors - mean) @ axes
