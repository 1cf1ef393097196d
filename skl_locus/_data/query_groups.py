"""Models that were evaluated on the same queries, whose work can be shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from skl_locus._data.evaluations import EvaluationSet


@dataclass(frozen=True)
class QueryGroup:
    """Models that were evaluated on the same queries.

    Parameters
    ----------
    columns : ndarray of shape (n_models,)
        Where the models are among those asked for.
    rows : ndarray of shape (n_queries,)
        Rows of the encodings that belong to the queries.
    scores : ndarray of shape (n_queries, n_models), float32
        The models' scores.
    """

    columns: np.ndarray
    rows: np.ndarray
    scores: np.ndarray


def group_by_queries(
    models: Iterable, evaluations: EvaluationSet
) -> tuple[QueryGroup, ...]:
    """Group models by the set of queries that they were evaluated on."""
    sharing: dict[bytes, list[int]] = {}
    order = evaluations.index_of(models)
    for column, code in enumerate(order):
        rows = slice(*evaluations.offsets[code : code + 2])
        sharing.setdefault(evaluations.query_codes[rows].tobytes(), []).append(column)
    return tuple(
        _evaluated(np.array(columns), order, evaluations)
        for columns in sharing.values()
    )


def _evaluated(
    columns: np.ndarray, order: np.ndarray, evaluations: EvaluationSet
) -> QueryGroup:
    rows = [slice(*evaluations.offsets[code : code + 2]) for code in order[columns]]
    scores = np.column_stack([evaluations.scores[some] for some in rows])
    shared = evaluations.queries.rows[evaluations.query_codes[rows[0]]]
    return QueryGroup(columns, shared, scores)
