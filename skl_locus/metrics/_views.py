"""What a scorer needs of a fitted estimator: its router, and the rows it sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skl_locus._evaluations import EvaluationSet, label_array
from skl_locus._tables import (
    CARRIED_COLUMNS,
    as_frame,
    distinct_queries,
    distinct_rows,
    matrix_of,
    model_groups,
    numeric_columns,
    query_groups,
    read_column,
)

PASSTHROUGH = (None, "passthrough")
"""Steps of a pipeline that hand the rows on unchanged."""


def router_and_rows(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Peel pipelines and searches off a router, and transform the rows on the way.

    Parameters
    ----------
    estimator : estimator
        A fitted router, a pipeline that ends in one, or a fitted search over
        either.
    X : dataframe or array-like of shape (n_rows, n_features)
        Rows as the estimator takes them.

    Returns
    -------
    router : estimator
        The router inside.
    rows : dataframe or array-like with n_rows rows
        The rows as the router sees them.

    Raises
    ------
    TypeError
        If there is no router inside.
    """
    if hasattr(estimator, "best_estimator_"):
        return router_and_rows(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        return router_and_rows(estimator.steps[-1][1], _transformed(estimator, X))
    if not hasattr(estimator, "routing_scores"):
        raise TypeError(
            f"{type(estimator).__name__} is not a router: it has no routing_scores. "
            "Score a router, a pipeline that ends in one, or a fitted search."
        )
    return estimator, X


def model_labels(router: Any, rows: Any) -> np.ndarray:
    """Return the model label of each row: (n_rows,), object."""
    codes, labels = model_groups(rows, router.model_col)
    return label_array(labels)[codes]


def query_identities(router: Any, rows: Any) -> pd.Series | np.ndarray:
    """Return the identity of each row's query: its id, else its text or vector."""
    frame = as_frame(rows)
    if frame is not None and router.query_id_col in frame.columns:
        return read_column(frame, router.query_id_col)
    return query_codes(router, rows)[0]


def query_codes(router: Any, rows: Any) -> tuple[np.ndarray, int]:
    """Group the rows by query: the same text, else the same id or vector.

    Parameters
    ----------
    router : estimator
        Names the columns.
    rows : dataframe or array-like with n_rows rows
        Rows as the router sees them.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Query of each row, in an order that does not depend on the rows' order.
    n_queries : int
        Number of queries.
    """
    frame = as_frame(rows)
    if frame is None:
        return query_groups(rows)
    if not {router.query_col, router.query_id_col} & set(frame.columns):
        frame = frame.select(_encoding_columns(router, frame))
    return query_groups(frame, router.query_col, router.query_id_col)


def query_keys(router: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Identify the rows' queries as the router does, without encoding them.

    Parameters
    ----------
    router : estimator
        A router of this package.
    rows : dataframe with n_rows rows
        Rows as the router sees them.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Query of each row.
    keys : ndarray of shape (n_queries,)
        Digests of the queries' identities, ascending, as among the keys of the
        evaluations that the router keeps.
    """
    frame = as_frame(rows)
    if frame is None:
        raise TypeError("Queries of several models are in a table; pass a dataframe.")
    id_col = router.query_id_col
    ids = read_column(frame, id_col) if id_col in frame.columns else None
    if router.query_col in frame.columns:
        values = read_column(frame, router.query_col)
        distinct = distinct_queries(
            values, ids, query_col=router.query_col, query_id_col=id_col
        )
    else:
        matrix = matrix_of(frame, router._encoding_columns(frame))
        distinct = distinct_rows(matrix, ids, query_id_col=id_col)
    return distinct.codes, distinct.keys


def kept_evaluations(router: Any) -> EvaluationSet:
    """Return the evaluations that a fitted router keeps."""
    check_is_fitted(router)
    pool = getattr(router, "_pool", None)
    if pool is None:
        raise TypeError(
            f"{type(router).__name__} keeps no evaluations, so that nobody can tell "
            "what it was fitted on; compare routers of skl_locus."
        )
    return pool.evaluations


def check_unseen(router: Any, keys: np.ndarray, name: str) -> None:
    """Refuse a router that knows scores of test queries, given by their keys."""
    seen = np.isin(keys, kept_evaluations(router).queries.keys).sum()
    if seen:
        raise ValueError(
            f"{name} was fitted on evaluations of {seen} of the {len(keys)} test "
            "queries, so that its results are optimistic; split by query (QueryKFold, "
            "QueryShuffleSplit) or pass allow_seen=True."
        )


def _transformed(pipeline: Pipeline, X: Any) -> Any:
    for _, step in pipeline.steps[:-1]:
        if step not in PASSTHROUGH:
            X = step.transform(X)
    return X


def _encoding_columns(router: Any, frame: Any) -> list[str]:
    chosen = getattr(router, "encoding_cols", None)
    if chosen is not None:
        return list(chosen)
    own = (router.model_col, getattr(router, "score_col", "score"))
    return numeric_columns(frame, (*CARRIED_COLUMNS, *own))
