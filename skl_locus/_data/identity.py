"""Models and queries of a router's rows, without encoding them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import (
    CARRIED_COLUMNS,
    as_frame,
    matrix_of,
    model_groups,
    numeric_columns,
    read_column,
)
from skl_locus._data.evaluations import label_array
from skl_locus._data.queries import distinct_queries, distinct_rows, query_groups


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


def _encoding_columns(router: Any, frame: Any) -> list[str]:
    chosen = getattr(router, "encoding_cols", None)
    if chosen is not None:
        return list(chosen)
    own = (router.model_col, getattr(router, "score_col", "score"))
    return numeric_columns(frame, (*CARRIED_COLUMNS, *own))
