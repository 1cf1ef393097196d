"""Models and queries of a router's rows, without encoding them."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.utils import check_array

from skl_locus._data.columns import as_frame, model_groups, read_column
from skl_locus._data.evaluations import label_array
from skl_locus._data.queries import (
    DistinctValues,
    UniqueQueries,
    distinct_rows,
    distinct_values,
    identify,
    query_groups,
)
from skl_locus._data.schema import Columns


def model_labels(router: Any, rows: Any) -> np.ndarray:
    """Return the model label of each row: (n_rows,), object."""
    codes, labels = model_groups(rows, router.model_col)
    return label_array(labels)[codes]


def query_identities(router: Any, rows: Any) -> pd.Series | np.ndarray:
    """Return what tells the rows' queries apart: ids, else codes of text or vector."""
    frame = as_frame(rows)
    if frame is None:
        return distinct_rows(check_array(rows, dtype=np.float32)).codes
    columns = Columns.of(router)
    if columns.query_id in frame.columns:
        return read_column(frame, columns.query_id)
    return _distinct_in(frame, columns).codes


def query_codes(router: Any, rows: Any) -> tuple[np.ndarray, int]:
    """Group the rows by query: the same text, else the same id or vector.

    Parameters
    ----------
    router : estimator
        Has the names of the columns as parameters.
    rows : dataframe or array-like with n_rows rows
        Rows as the router sees them.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Query of each row, in an order that does not depend on the rows' order.
    n_queries : int
        Number of queries.
    """
    columns, frame = Columns.of(router), as_frame(rows)
    if frame is None:
        return query_groups(rows, columns)
    if not {columns.query, columns.query_id} & set(frame.columns):
        # What the router reads as encodings was settled when it was fitted.
        frame = frame.select(columns.encodings(frame))
    return query_groups(frame, columns)


def identify_rows(router: Any, rows: Any) -> UniqueQueries:
    """Identify the rows' queries as the router does, without encoding them.

    Parameters
    ----------
    router : estimator
        A router of this package.
    rows : dataframe with n_rows rows
        Rows as the router sees them.

    Returns
    -------
    UniqueQueries
        Its keys are those that the queries have in the evaluations that the router
        keeps.
    """
    frame = as_frame(rows)
    if frame is None:
        raise TypeError("Queries of several models are in a table; pass a dataframe.")
    columns = Columns.of(router)
    distinct = _distinct_in(frame, columns)
    return identify(distinct, columns.ids(frame), columns.query_id)


def _distinct_in(frame: nw.DataFrame, columns: Columns) -> DistinctValues:
    if columns.query in frame.columns:
        return distinct_values(read_column(frame, columns.query), columns.query)
    return distinct_rows(columns.encoding_matrix(frame))
