"""Evaluations of models that are added from a log in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.forgetting import forget
from skl_locus._data.schema import Columns
from skl_locus._data.stored_logs import BlockReader, EvaluationLog


def read_added(
    estimator: Any,
    log: EvaluationLog,
    columns: Columns,
    limit: int,
    time_col: str | None,
    on_cut: Callable[[EvaluationSet], None],
) -> EvaluationSet:
    """Read a log block by block, and keep a bounded number of evaluations of a model.

    Parameters
    ----------
    estimator : router
        Fitted.
    log : EvaluationLog
        Evaluations of the models.
    columns : Columns
        Names of its columns.
    limit : int
        Evaluations of a model, at most: the newest, and of those without a time the
        ones with the smallest hashes.
    time_col : str or None
        Column of the times.
    on_cut : callable
        Is passed all evaluations of the models of a block that have more of them.

    Returns
    -------
    EvaluationSet
        What is kept. If no model has more than ``limit``, it is what is read from one
        table.
    """
    reader = BlockReader(estimator, log.queries, columns, time_col)
    merged = _MergedSets(estimator.duplicates)
    also = [] if time_col is None else [time_col]
    for block in log.blocks(columns, also):
        evaluations = reader.read(block)
        kept, cut = forget(evaluations, limit, None, log.random_state)
        if cut:
            on_cut(evaluations.only_models(cut))
        # A table of known queries is shared by all blocks: only those that are used
        # may become known to the router.
        merged.add(kept.take(np.arange(len(kept))))
    return merged.joined()


class _MergedSets:
    """Sets of evaluations that are merged as they come."""

    def __init__(self, duplicates: str) -> None:
        self._duplicates = duplicates
        self._sets: list[EvaluationSet] = []

    def add(self, evaluations: EvaluationSet) -> None:
        """Add the evaluations of other models."""
        self._sets.append(evaluations)
        # Merging sets of about one size copies an evaluation a logarithmic number of
        # times, and the queries that blocks share are held few times.
        while len(self._sets) > 1 and len(self._sets[-1]) >= len(self._sets[-2]):
            self._merge_last()

    def joined(self) -> EvaluationSet:
        """Return all of them as one set."""
        if not self._sets:
            raise ValueError("The log is empty (0 rows); pass at least one row.")
        while len(self._sets) > 1:
            self._merge_last()
        return self._sets[0]

    def _merge_last(self) -> None:
        later = self._sets.pop()
        self._sets[-1] = self._sets[-1].union(later, self._duplicates)
