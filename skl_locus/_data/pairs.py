"""Evaluated (query, model) pairs: what all routing metrics work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import factorize_labels, object_cells
from skl_locus._data.evaluations import positions_of
from skl_locus._utils.array_checks import (
    check_finite_column,
    check_length,
    check_scores,
)
from skl_locus._utils.statistics import group_means, run_means


@dataclass(frozen=True)
class EvaluatedPairs:
    """The evaluated (query, model) pairs, each once, sorted by query and model.

    Parameters
    ----------
    queries : ndarray of shape (n_pairs,)
        Code of each pair's query, ascending.
    models : ndarray of shape (n_pairs,)
        Position of each pair's model in ``labels``, ascending within a query.
    labels : list
        Sorted model labels.
    columns : dict of str to ndarray of shape (n_pairs,), float64
        What is known of the pairs, such as "score" and "decision".
    """

    queries: np.ndarray
    models: np.ndarray
    labels: list
    columns: dict[str, np.ndarray]

    @cached_property
    def starts(self) -> np.ndarray:
        """First pair of each query: (n_queries,)."""
        return np.flatnonzero(np.diff(self.queries, prepend=-1))

    @property
    def sizes(self) -> np.ndarray:
        """Number of models observed for each query: (n_queries,)."""
        return np.diff(self.starts, append=len(self.queries))

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.starts)

    @property
    def scores(self) -> np.ndarray:
        """Evaluation score of each pair: (n_pairs,)."""
        return self.columns["score"]

    def best(self, *keys: np.ndarray) -> np.ndarray:
        """Return each query's pair of largest key: (n_queries,).

        Ties go to the next key, and after the last to the smallest label.
        """
        left = np.ones(len(self.queries), dtype=bool)
        for key in keys:
            values = np.where(left, key, -np.inf)
            largest = np.maximum.reduceat(values, self.starts)
            left &= values == np.repeat(largest, self.sizes)
        candidates = np.flatnonzero(left)
        return candidates[np.diff(self.queries[candidates], prepend=-1) != 0]

    def ranks(self, decisions: np.ndarray) -> np.ndarray:
        """Return each pair's place among its query's, 0 for the best: (n_pairs,)."""
        order = np.lexsort((self.models, -decisions, self.queries))
        ranks = np.empty(len(order), dtype=np.intp)
        ranks[order] = np.arange(len(order)) - np.repeat(self.starts, self.sizes)
        return ranks

    def of_model(self, position: int) -> np.ndarray:
        """Return the pairs of one model, at most one for each query."""
        return np.flatnonzero(self.models == position)


def coded_pairs(
    y_true: Any, *, queries: Any, models: Any, columns: Mapping[str, Any] | None = None
) -> EvaluatedPairs:
    """Check columns in long form and group them by query and model.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    columns : mapping of str to array-like of shape (n_rows,), default=None
        Further numbers by argument name.

    Returns
    -------
    EvaluatedPairs
        With the columns "score" and one for each further column.
    """
    values = {"score": check_scores(y_true)}
    n_rows = len(values["score"])
    for name, column in (columns or {}).items():
        values[name] = check_finite_column(column, name, n_rows).astype(np.float64)
    query_codes = code_queries(queries, n_rows)
    return pair_up(query_codes, *code_models(models, n_rows), values)


def pair_up(
    queries: np.ndarray,
    models: np.ndarray,
    labels: list,
    columns: dict[str, np.ndarray],
) -> EvaluatedPairs:
    """Sort rows by query and model, and average the rows of each pair."""
    # Repeated rows are sorted by their values: sums must not depend on their order.
    order = np.lexsort((*columns.values(), models, queries))
    queries, models = queries[order], models[order]
    starts = pair_starts(queries, models)
    return EvaluatedPairs(
        queries[starts],
        models[starts],
        labels,
        {name: run_means(own[order], starts) for name, own in columns.items()},
    )


def pair_starts(queries: np.ndarray, models: np.ndarray) -> np.ndarray:
    """Return the first row of each pair, given rows sorted by query and model."""
    moved = np.diff(queries, prepend=-1) != 0
    return np.flatnonzero(moved | (np.diff(models, prepend=-1) != 0))


def score_matrix(
    queries: np.ndarray,
    models: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """Return the mean value of each (query, model) pair, NaN where there is none.

    Parameters
    ----------
    queries, models : ndarray of shape (n_rows,)
        Codes of each row, or -1 for rows that are left out.
    values : ndarray of shape (n_rows,)
        Scores, or other numbers.
    shape : (int, int)
        Numbers of queries and of models.

    Returns
    -------
    ndarray of shape (n_queries, n_models), float64
        Means.
    """
    known = (queries >= 0) & (models >= 0)
    pairs = queries[known] * np.int64(shape[1]) + models[known]
    n_pairs = shape[0] * shape[1]
    if np.bincount(pairs, minlength=1).max() > 1:
        means = group_means(values[known].astype(np.float64), pairs, n_pairs)
    else:
        # Almost every log has each pair once, and then nothing need be sorted.
        means = np.full(n_pairs, np.nan)
        means[pairs] = values[known]
    return means.reshape(shape)


def code_models(
    models: Any, n_rows: int, name: str = "models"
) -> tuple[np.ndarray, list]:
    """Code a column of model labels by the sorted labels."""
    # An array of tuples would be a matrix, and one of lists of other lengths an error.
    is_list = isinstance(models, (list, tuple))
    labels = object_cells(models) if is_list else np.asarray(models)
    if labels.ndim != 1:
        raise ValueError(f"{name} must have one label per row; got {labels.shape}.")
    check_length(len(labels), name, n_rows)
    return factorize_labels(labels, name)


def code_queries(queries: Any, n_rows: int | None) -> np.ndarray:
    """Code a column of query identities, in the order of their first rows."""
    identities = np.asarray(queries)
    if identities.ndim == 0:
        raise ValueError("queries must have one identity per row; got a scalar.")
    check_length(len(identities), "queries", n_rows)
    try:
        codes = pd.factorize(_one_dimensional(identities))[0]
    except TypeError:  # cells hold vectors, which have no hash
        codes = pd.factorize(_hashable_cells(identities))[0]
    if len(codes) and codes.min() < 0:
        raise ValueError(f"queries has a missing value in row {int(codes.argmin())}.")
    return codes


def _one_dimensional(identities: np.ndarray) -> np.ndarray:
    if identities.ndim == 1:
        return identities
    return _hashable_cells(identities)


def _hashable_cells(identities: np.ndarray) -> np.ndarray:
    cells = np.empty(len(identities), dtype=object)
    cells[:] = [_hashable(cell) for cell in identities]
    return cells


def _hashable(cell: Any) -> Any:
    if not np.ndim(cell):
        return cell
    vector = np.asarray(cell)
    return tuple(vector) if vector.dtype == object else vector.tobytes()


MIN_COVERAGE = 0.8
"""Share of the queries on which a single model must have been evaluated."""


def best_covered_model(
    pairs: EvaluatedPairs, labels: Iterable, means: np.ndarray, min_coverage: float
) -> int | None:
    """Return the position of the model of largest mean among those covered.

    Parameters
    ----------
    pairs : EvaluatedPairs
        What the model is to be scored on.
    labels, means : sequences of length n_models
        Models with their means in training; sorted labels.
    min_coverage : float
        Share of the queries of ``pairs`` that a model must have been evaluated on.

    Returns
    -------
    int or None
        Position in ``pairs.labels``; None if no model is covered.
    """
    known = positions_of(list(labels), pairs.labels)
    counts = np.bincount(pairs.models, minlength=len(pairs.labels))
    counts = np.where(known < 0, 0, counts[known])
    best = best_covered(means, counts, min_coverage * pairs.n_queries)
    return None if best is None else int(known[best])


def best_covered(means: np.ndarray, counts: np.ndarray, min_count: float) -> int | None:
    """Return where the mean is largest among models evaluated often enough.

    Parameters
    ----------
    means : ndarray of shape (n_models,)
        Means in training; of equal ones the first is taken.
    counts : ndarray of shape (n_models,)
        Number of test queries that each model was evaluated on.
    min_count : float
        Number of test queries that it takes, and one at least.

    Returns
    -------
    int or None
        Position; None if no model is covered.
    """
    covered = counts >= max(1, min_count)
    if not covered.any():
        return None
    return int(np.where(covered, means, -np.inf).argmax())
