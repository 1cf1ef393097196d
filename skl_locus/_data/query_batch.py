"""Bare queries, read once for all that is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse

from skl_locus._data.codes import factorize
from skl_locus._data.columns import (
    as_frame,
    is_sequence,
    is_text,
    object_cells,
    read_amounts,
    read_column,
)
from skl_locus._data.encodings import UNUSABLE, first_unusable
from skl_locus._data.media import n_characters
from skl_locus._data.queries import (
    DistinctValues,
    UniqueQueries,
    distinct_rows,
    distinct_values,
    text_keys,
)


@dataclass(frozen=True)
class QueryBatch:
    """Bare queries in whatever form they came, read column by column when needed.

    A router and a model of costs may read different columns of one table, and routes
    need no identities: texts, lengths and digests are computed when they are first
    asked for, and once. Only a router can encode; it returns a batch with vectors.

    Parameters
    ----------
    n_queries : int
        Number of queries.
    query_col : str
        Column of the queries of a table; what bare queries are called in messages.
    frame : narwhals DataFrame or None
        The table, where they came in one.
    cells : Series, ndarray or None
        Texts or vectors, where they came alone; a matrix has one row per query.
    index : pandas Index or None
        Index of the queries, where they have one.
    vectors : ndarray of shape (n_vectors, n_features), float32, or None
        Encodings of the distinct queries, in the order of their codes.
    distinct : dict of str to DistinctValues
        Columns read so far, added to by `column`.
    """

    n_queries: int
    query_col: str
    frame: nw.DataFrame | None = None
    cells: Any = None
    index: pd.Index | None = None
    vectors: np.ndarray | None = None
    distinct: dict[str, DistinctValues] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.n_queries

    @property
    def unique(self) -> DistinctValues:
        """The distinct queries: texts, or vectors as they were given."""
        return self.column(self.query_col)

    @property
    def codes(self) -> np.ndarray:
        """Position of each query among the distinct ones: (n_queries,)."""
        return self.unique.codes

    @property
    def encodings(self) -> np.ndarray:
        """Encodings of the distinct queries, which a router must have made."""
        assert self.vectors is not None
        return self.vectors

    def column(self, name: str) -> DistinctValues:
        """Return the distinct values of a column; bare queries are all there is."""
        name = name if self.frame is not None else self.query_col
        if name not in self.distinct:
            self.distinct[name] = self._read_column(name)
        return self.distinct[name]

    def keys(self, name: str, *, is_id: bool) -> np.ndarray | None:
        """Return digests of a column of ids, texts or vectors; None without it."""
        if not self._has(name, is_id):
            return None
        if is_id:
            assert self.frame is not None
            return id_keys(read_column(self.frame, name), name)
        values = self.column(name)
        return values.keys[values.codes]

    def characters(self, name: str) -> np.ndarray:
        """Return the lengths of the texts of a column; NaN where there are none."""
        values = self.column(name) if self._is_text(name) else None
        if values is None or values.texts is None:
            return np.full(self.n_queries, np.nan)
        lengths = np.array([n_characters(text) for text in values.texts])
        return lengths[values.codes]

    def amounts(self, name: str) -> np.ndarray:
        """Return a column of lengths or costs; NaN where there is none."""
        if self.frame is None or name not in self.frame.columns:
            return np.full(self.n_queries, np.nan)
        return read_amounts(self.frame, name)

    def with_unique(self, unique: DistinctValues) -> QueryBatch:
        """Return the batch with its queries as somebody has read them already."""
        return replace(self, distinct={self.query_col: unique})

    def encoded(self, encode: Callable[[DistinctValues], np.ndarray]) -> QueryBatch:
        """Return the batch with encodings of its distinct queries."""
        return replace(self, vectors=encode(self.unique))

    def take(self, rows: np.ndarray) -> QueryBatch:
        """Keep some queries, with their encodings."""
        unique = self.unique.of_rows(rows)
        used = np.unique(self.codes[rows])
        return replace(
            self,
            n_queries=len(rows),
            frame=None if self.frame is None else self.frame[rows.tolist()],
            cells=None,
            index=None if self.index is None else self.index[rows],
            vectors=None if self.vectors is None else self.vectors[used],
            distinct={self.query_col: unique},
        )

    def _has(self, name: str, is_id: bool) -> bool:
        return not is_id if self.frame is None else name in self.frame.columns

    def _is_text(self, name: str) -> bool:
        """Whether a column holds texts; other columns are never read for lengths."""
        if name in self.distinct or self.frame is None:
            return True
        return name in self.frame.columns and is_text(read_column(self.frame, name))

    def _read_column(self, name: str) -> DistinctValues:
        if self.frame is not None:
            return distinct_values(read_column(self.frame, name), name)
        if getattr(self.cells, "ndim", 1) == 2:
            return distinct_rows(self.cells)
        return distinct_values(self.cells, name)


def read_batch(queries: Any, query_col: str) -> QueryBatch:
    """Read queries in any form that routers take.

    Parameters
    ----------
    queries : list of str, array of shape (n_queries, n_features), Series, dataframe \
            or QueryBatch
        Bare queries; a batch is returned as it is.
    query_col : str
        Column of the queries of a dataframe.

    Returns
    -------
    QueryBatch
        Without vectors, unless it came with them.

    Raises
    ------
    ValueError
        If there is one bare query, or a matrix is not finite.
    TypeError
        If they are sparse.
    """
    if isinstance(queries, QueryBatch):
        return queries
    # Arrays first: what serves one query at a time looks for no dataframe.
    if type(queries) is np.ndarray and queries.ndim > 1:
        return _matrix_batch(queries, query_col)
    index = queries.index if isinstance(queries, (pd.Series, pd.DataFrame)) else None
    frame = as_frame(queries)
    if frame is not None:
        return QueryBatch(len(frame), query_col, frame=frame, index=index)
    if issparse(queries):
        raise TypeError("queries are sparse; pass a dense array (.toarray()).")
    if getattr(queries, "ndim", 1) > 1:
        return _matrix_batch(queries, query_col)
    if isinstance(queries, (Mapping, Set)):
        raise TypeError(
            f"queries is a {type(queries).__name__}, which is no list of queries; pass "
            "a list, or a dataframe with a column of queries."
        )
    if not is_sequence(queries):
        raise ValueError(
            f"queries must be a list of queries, got {queries!r:.60}; wrap a single "
            "one: [query]."
        )
    cells = queries if isinstance(queries, pd.Series) else object_cells(queries)
    if isinstance(next(iter(cells), None), Real):
        raise ValueError(
            "queries is one vector of numbers; wrap a single encoded query: [vector], "
            "shape (1, n_features)."
        )
    return QueryBatch(len(cells), query_col, cells=cells, index=index)


def logged_batch(
    queries: UniqueQueries, frame: nw.DataFrame, query_col: str
) -> QueryBatch:
    """Return the identified queries of a log as a batch that knows their digests.

    Parameters
    ----------
    queries : UniqueQueries
        Read from the log.
    frame : narwhals DataFrame of n_queries rows
        A row of each query, in the order of the keys.
    query_col : str
        Column of the queries; without it the router reads the numeric columns.

    Returns
    -------
    QueryBatch
        Without vectors.
    """
    native = frame.to_native()
    index = native.index if isinstance(native, pd.DataFrame) else None
    batch = QueryBatch(len(frame), query_col, frame=frame, index=index)
    # Numeric columns are read by the router, which knows their names and order.
    if query_col not in frame.columns:
        return batch
    return batch.with_unique(queries.values)


def id_keys(ids: Any, column: str) -> np.ndarray:
    """Digest a column of query ids: (n_rows,)."""
    codes, labels = factorize(ids, column)
    return text_keys(labels)[codes]


def validate_query_matrix(queries: Any) -> np.ndarray:
    """Return bare encoded queries as a finite float32 matrix."""
    matrix = _as_float32(queries)
    if matrix.ndim != 2:
        raise ValueError(
            f"queries must have shape (n_queries, n_features), got {matrix.shape}; "
            "wrap a single query: [query]."
        )
    row = first_unusable(matrix)
    if row is not None:
        raise ValueError(f"queries, row {row}, has {UNUSABLE}.")
    return matrix


def _as_float32(queries: Any) -> np.ndarray:
    if type(queries) is np.ndarray and queries.dtype == np.float32:
        return queries
    with np.errstate(over="ignore"):  # what overflows is found as infinite
        return np.asarray(queries, dtype=np.float32)


def _matrix_batch(queries: Any, query_col: str) -> QueryBatch:
    matrix = validate_query_matrix(queries)
    return QueryBatch(len(matrix), query_col, cells=matrix)
