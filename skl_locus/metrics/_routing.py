"""How good the models are that a router chooses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._tables import factorize_labels
from skl_locus.metrics._validation import (
    check_finite_column,
    check_length,
    check_scores,
)


def routing_accuracy_score(
    y_true: ArrayLike, y_score: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute the mean score of the models chosen, one for each query.

    ``mean over queries q of y[q, argmax over m in M(q) of s[q, m]]``, where M(q)
    are the models with a row for the query: in a partial log the choice is among
    the models observed. With 0/1 scores this is the share of queries that the
    chosen model answers correctly. Rows are in long form, one per evaluation.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; the largest of a
        query decides. Of equal ones, the smallest model label in sorted order
        is chosen, so that the order of the rows never matters.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Routing accuracy in [0, 1], higher is better.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true`` or has
        missing or infinite values, or if ``y_true`` lies outside [0, 1].

    Notes
    -----
    Both the evaluation scores and the decision scores of repeated
    (query, model) rows are averaged before the choice.

    Examples
    --------
    On the first query the better model is chosen, on the second the worse one:

    >>> from skl_locus.metrics import routing_accuracy_score
    >>> routing_accuracy_score(
    ...     [1, 0, 0, 1],
    ...     [0.9, 0.4, 0.6, 0.5],
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ... )
    0.5
    """
    scores = check_scores(y_true)
    decisions = check_finite_column(y_score, "y_score", len(scores))
    query_codes = _query_codes(queries, len(scores))
    model_codes = _model_codes(models, len(scores))
    pairs = pd.DataFrame({"query": query_codes, "model": model_codes})
    pairs["score"] = scores
    pairs["decision"] = decisions.astype(np.float64)
    chosen = _chosen_rows(_combine_repeated(pairs))
    # An exactly rounded sum does not depend on the order of the queries.
    return math.fsum(chosen["score"].tolist()) / len(chosen)


def _combine_repeated(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of each (query, model) pair."""
    keys = ["query", "model"]
    if not pairs.duplicated(keys).any():
        return pairs
    ordered = pairs.sort_values([*keys, "score", "decision"])
    decisions = ordered.groupby(keys)["decision"]
    combined = ordered.groupby(keys).mean()
    # Rounding must not part a mean of equal decisions from those of other models.
    combined["decision"] = combined["decision"].clip(decisions.min(), decisions.max())
    return combined.reset_index()


def _chosen_rows(pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep for each query its largest decision, or the first model of several."""
    ordered = pairs.sort_values(
        ["query", "decision", "model"], ascending=[True, False, True]
    )
    return ordered.drop_duplicates("query")


def _model_codes(models: Any, n_rows: int) -> np.ndarray:
    labels = np.asarray(models)
    if labels.ndim != 1:
        raise ValueError(f"models must have one label per row; got {labels.shape}.")
    check_length(len(labels), "models", n_rows)
    return factorize_labels(labels, "models")[0]


def _query_codes(queries: Any, n_rows: int) -> np.ndarray:
    identities = np.asarray(queries)
    if identities.ndim == 0:
        raise ValueError("queries must have one identity per row; got a scalar.")
    check_length(len(identities), "queries", n_rows)
    try:
        codes = pd.factorize(_one_dimensional(identities))[0]
    except TypeError:  # cells hold vectors, which have no hash
        codes = pd.factorize(_hashable_cells(identities))[0]
    if codes.min() < 0:
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
