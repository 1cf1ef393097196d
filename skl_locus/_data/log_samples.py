"""Bounded samples of logs that are read once, in whatever order they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.queries import label_text
from skl_locus._data.streams import arrow

MIN_PENDING = 65_536
"""Rows that are collected at least before those beyond the limit are dropped."""

ODD = np.uint64(0x9E3779B97F4A7C15)
"""Odd number near 2**64 divided by the golden ratio, whose multiples are spread evenly;
it is the increment of splitmix64."""

LARGEST = np.iinfo(np.uint64).max


class BoundedSample:
    """At most a number of evaluations of each model, those with the smallest hashes.

    The hash of a pair of model and query, with the seed, is all that decides: a sample
    does not depend on the order of the rows, nor on their division into parts, and rows
    of one pair are kept together.

    Parameters
    ----------
    limit : int
        Largest number of distinct queries of a model.
    seed : int
        Other seeds choose other queries.
    """

    def __init__(self, limit: int, seed: int) -> None:
        self.limit = limit
        self.seed = seed
        self.n_dropped = 0
        self._codes: dict[Any, int] = {}
        # Hash of the last pair that is kept of each model: larger ones are not added.
        self._limits = np.empty(0, np.uint64)
        self._models = np.empty(0, np.int64)
        self._hashes = np.empty(0, np.uint64)
        self._rows: list[Any] = []
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_pending = 0

    def add(
        self, labels: list, codes: np.ndarray, queries: np.ndarray, rows: Any
    ) -> None:
        """Add rows of a log.

        Parameters
        ----------
        labels : list
            Models of the rows.
        codes : ndarray of shape (n_rows,)
            Position of each row's model among the labels.
        queries : ndarray of shape (n_rows,), uint64
            Hashes of the queries.
        rows : pyarrow Table of n_rows rows
            What is kept of them.
        """
        models = self._numbers_of(labels)[codes]
        hashes = pair_hashes(hash_labels(labels)[codes], queries, self.seed)
        kept = hashes <= self._limits[models]
        self.n_dropped += int(np.count_nonzero(~kept))
        self._pending.append((models[kept], hashes[kept]))
        self._rows.append(rows.filter(arrow().array(kept)))
        self._n_pending += len(self._pending[-1][0])
        # Sorting again only once the rows have doubled keeps the work linear.
        if self._n_pending > max(MIN_PENDING, len(self._models)):
            self._drop_beyond_limit()

    def rows(self) -> Any:
        """Return the rows of the sample as a pyarrow Table, in the order they came."""
        self._drop_beyond_limit()
        return self._rows[0]

    def _numbers_of(self, labels: list) -> np.ndarray:
        numbers = [self._codes.setdefault(x, len(self._codes)) for x in labels]
        n_new = len(self._codes) - len(self._limits)
        self._limits = np.append(self._limits, np.full(n_new, LARGEST, np.uint64))
        return np.array(numbers, dtype=np.int64)

    def _drop_beyond_limit(self) -> None:
        parts = [(self._models, self._hashes), *self._pending]
        models, hashes = map(np.concatenate, zip(*parts, strict=True))
        ranks = _ranks_in_model(models, hashes)
        kept = ranks < self.limit
        last = ranks == self.limit - 1
        self._limits[models[last]] = hashes[last]
        table = arrow().concat_tables(self._rows)
        if not kept.all():
            table = table.filter(arrow().array(kept)).combine_chunks()
        self.n_dropped += int(np.count_nonzero(~kept))
        self._models, self._hashes = models[kept], hashes[kept]
        self._rows, self._pending, self._n_pending = [table], [], 0


def pair_hashes(models: np.ndarray, queries: np.ndarray, seed: int) -> np.ndarray:
    """Hash pairs of a model and a query by their hashes: (n_pairs,), uint64."""
    # In integers of Python, whose product does not overflow with a warning.
    offset = np.uint64(seed * int(ODD) % 2**64)
    return _mixed(_mixed(models + offset) ^ queries)


def hash_labels(labels: list) -> np.ndarray:
    """Hash labels or ids, 7 and "7" alike: (n_labels,), uint64."""
    texts = np.array([*map(label_text, labels)], dtype=object)
    return pd.util.hash_array(texts, categorize=False)


def hash_keys(keys: np.ndarray) -> np.ndarray:
    """Return the first bytes of digests of queries as numbers: (n_queries,), uint64."""
    wide = np.ascontiguousarray(keys.astype("S8"))
    return wide.view(np.uint64)


def hash_vectors(matrix: np.ndarray) -> np.ndarray:
    """Hash the rows of a matrix by their bits: (n_rows,), uint64."""
    bits = np.ascontiguousarray(matrix, dtype=np.float32).view(np.uint32)
    factors = _mixed(np.arange(bits.shape[1], dtype=np.uint64)) | np.uint64(1)
    hashes = np.zeros(len(bits), dtype=np.uint64)
    # Column by column: the products of a whole part would take twice its memory.
    for column, factor in enumerate(factors):
        hashes += bits[:, column] * factor
    return _mixed(hashes)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread numbers over 64 bits, as splitmix64 does (Steele et al., 2014)."""
    values = values + ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _ranks_in_model(models: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return how many smaller hashes the model of each row has: (n_rows,).

    Rows of one pair have one hash, and one rank.
    """
    order = np.lexsort((hashes, models))
    models, hashes = models[order], hashes[order]
    new_model = np.append(True, models[1:] != models[:-1])[: len(models)]
    new_pair = new_model | np.append(True, hashes[1:] != hashes[:-1])[: len(models)]
    counts = np.cumsum(new_pair)
    starts = np.maximum.accumulate(np.where(new_model, counts, 0))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = counts - starts
    return ranks
