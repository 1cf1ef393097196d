"""Distinct queries: their identities, texts and vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from skl_locus._data.codes import compact, factorize, first_rows
from skl_locus._data.columns import (
    CARRIED_COLUMNS,
    as_frame,
    factorize_texts,
    is_text,
    matrix_of,
    numeric_columns,
    read_column,
)

KEY_BYTES = 16
"""Length of a query key; 16 bytes make an accidental collision unthinkable."""


@dataclass(frozen=True)
class UniqueQueries:
    """The distinct queries of a table, in the order of their keys.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Query of each row.
    keys : ndarray of shape (n_queries,)
        Digests of the identities, ascending.
    value_rows : ndarray of shape (n_queries,)
        Row of ``texts`` or ``vectors`` that belongs to each query.
    texts : list of str or None
        Distinct texts.
    vectors : ndarray of shape (n_vectors, n_features) or None
        Distinct vectors.
    """

    codes: np.ndarray
    keys: np.ndarray
    value_rows: np.ndarray
    texts: list[str] | None = None
    vectors: np.ndarray | None = None


def distinct_queries(
    queries: Any, ids: Any | None, *, query_col: str, query_id_col: str
) -> UniqueQueries:
    """Find the distinct queries of a column of texts or vectors.

    Parameters
    ----------
    queries : Series or ndarray of shape (n_rows,)
        Texts, or cells holding 1-D vectors of one length.
    ids : Series or ndarray of shape (n_rows,) or None
        Identities of the queries; without them a text or a vector is its own.
    query_col, query_id_col : str
        Names for messages.

    Returns
    -------
    UniqueQueries
        The distinct queries in canonical order.

    Raises
    ------
    ValueError
        If a cell is missing, numeric, of another length or not finite, or if
        one id stands beside two different queries.
    """
    if is_text(queries):
        codes, texts = factorize_texts(queries, query_col)
        value_keys = [text_key(text) for text in texts]
        values: dict[str, Any] = {"texts": texts}
    else:
        codes, vectors = _distinct_vectors(queries, query_col)
        value_keys = [vector_key(vector) for vector in vectors]
        values = {"vectors": vectors}
    if ids is None:
        return _in_key_order(codes, value_keys, np.arange(len(value_keys)), values)
    return _identified(codes, values, ids, query_id_col)


def distinct_rows(
    encodings: np.ndarray, ids: Any | None = None, *, query_id_col: str = "query_id"
) -> UniqueQueries:
    """Find the distinct queries among the rows of a matrix of encodings."""
    digests = [vector_key(row) for row in np.ascontiguousarray(encodings)]
    keys, first, inverse = np.unique(
        np.array(digests, dtype=f"S{KEY_BYTES}"), return_index=True, return_inverse=True
    )
    codes, vectors = inverse.astype(np.int32), encodings[first]
    if ids is None:
        rows = np.arange(len(keys), dtype=np.int32)
        return UniqueQueries(codes, keys, rows, vectors=vectors)
    return _identified(codes, {"vectors": vectors}, ids, query_id_col)


def text_key(text: Any) -> bytes:
    """Digest the identity of a query given as text or as an id."""
    if isinstance(text, float) and text.is_integer():
        text = int(text)
    return _digest(str(text).encode("utf-8", "surrogatepass"))


def vector_key(vector: np.ndarray) -> bytes:
    """Digest the identity of a query given as a float32 vector."""
    # Adding zero turns -0.0 into 0.0: equal vectors must have equal bytes.
    return _digest(b"\0" + (vector + np.float32(0)).tobytes())


def query_groups(
    X: Any,
    query_col: str = "query",
    query_id_col: str = "query_id",
    model_col: str = "model",
) -> tuple[np.ndarray, int]:
    """Group the rows of a table by query, for splitting.

    Parameters
    ----------
    X : dataframe or array-like of shape (n_rows, n_features)
        Evaluations, or encodings of queries.
    query_col, query_id_col, model_col : str
        Columns that hold the query, its identity and the model.

    Returns
    -------
    codes : ndarray of shape (n_rows,), int32
        Group of each row: the same text where there is text, else the same id,
        else the same vector. Independent of the order of the rows.
    n_groups : int
        Number of groups.
    """
    queries = _grouping_queries(X, query_col, query_id_col, model_col)
    return queries.codes, len(queries.keys)


def _grouping_queries(
    X: Any, query_col: str, query_id_col: str, model_col: str
) -> UniqueQueries:
    frame = as_frame(X)
    if frame is None:
        return distinct_rows(check_array(X, dtype=np.float32, input_name="X"))
    names = {"query_col": query_col, "query_id_col": query_id_col}
    has_id = query_id_col in frame.columns
    if query_col in frame.columns:
        values = read_column(frame, query_col)
        if is_text(values) or not has_id:
            return distinct_queries(values, None, **names)
    if has_id:
        codes, labels = factorize(read_column(frame, query_id_col), query_id_col)
        keys = [text_key(label) for label in labels]
        return _in_key_order(codes, keys, np.arange(len(keys)), {})
    columns = numeric_columns(frame, (model_col, *CARRIED_COLUMNS))
    if not columns:
        raise ValueError(
            f"No query can be read: the table has neither {query_col!r} nor "
            f"{query_id_col!r} nor numeric columns."
        )
    return distinct_rows(check_array(matrix_of(frame, columns), input_name="X"))


def _distinct_vectors(
    values: Any, column: str
) -> tuple[np.ndarray, np.ndarray | list[np.ndarray]]:
    cells = list(values)
    if not cells:
        return np.empty(0, dtype=np.int32), np.empty((0, 0), dtype=np.float32)
    # Rows of one query usually share one array: look at each object once.
    identities = np.fromiter(map(id, cells), dtype=np.int64, count=len(cells))
    object_codes, objects = pd.factorize(identities)
    first = first_rows(object_codes, len(objects))
    length = None
    keys = []
    vectors: dict[bytes, np.ndarray] = {}
    for row in first:
        vector = _as_vector(cells[row], row, column, length)
        length = len(vector)
        key = vector_key(vector)
        keys.append(key)
        vectors.setdefault(key, vector)
    codes, _ = pd.factorize(np.array(keys, dtype=f"S{KEY_BYTES}"))
    return codes.astype(np.int32)[object_codes], list(vectors.values())


def _as_vector(cell: Any, row: int, column: str, length: int | None) -> np.ndarray:
    where = f"The column {column!r}, row {row},"
    if cell is None or np.ndim(cell) != 1 or isinstance(cell, (str, bytes)):
        raise ValueError(
            f"{where} holds {cell!r:.60}, which is neither text nor a 1-D vector. "
            "Give texts, or one vector per cell; numeric encodings in columns of "
            "their own need no query column."
        )
    try:
        vector = np.asarray(cell, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} holds a vector that is not numeric.") from error
    if length is not None and len(vector) != length:
        raise ValueError(
            f"{where} holds a vector of length {len(vector)} where the rows before "
            f"have length {length}; encode all queries with one encoder."
        )
    if not np.isfinite(vector).all() or not len(vector):
        raise ValueError(f"{where} holds a vector that is empty or has NaN or inf.")
    return vector


def _identified(
    value_codes: np.ndarray, values: dict, ids: Any, column: str
) -> UniqueQueries:
    label_codes, labels = factorize(ids, column)
    # 7 and "7" are one id: what is an int in one table is often text in another.
    same, keys = pd.factorize(np.array([text_key(i) for i in labels], f"S{KEY_BYTES}"))
    codes = same.astype(np.int32)[label_codes]
    if len(codes) != len(value_codes):
        raise ValueError(f"The column {column!r} has another length than the queries.")
    first = first_rows(codes, len(keys))
    value_rows = value_codes[first]
    clash = np.flatnonzero(value_rows[codes] != value_codes)
    if len(clash):
        row = int(clash[0])
        raise ValueError(
            f"{column!r} {labels[label_codes[row]]!r} stands beside two different "
            f"queries (rows {int(first[codes[row]])} and {row}); an id must name one "
            "query."
        )
    return _in_key_order(codes, list(keys), value_rows, values)


def _in_key_order(
    codes: np.ndarray, keys: list[bytes], value_rows: np.ndarray, values: dict
) -> UniqueQueries:
    distinct, position = np.unique(
        np.array(keys, dtype=f"S{KEY_BYTES}"), return_inverse=True
    )
    sorted_rows = np.empty(len(distinct), dtype=np.int32)
    sorted_rows[position] = value_rows
    # The values follow the order of the keys too: what is computed from them then
    # never depends on the order of the table.
    new_rows, order = pd.factorize(sorted_rows)
    return UniqueQueries(
        codes=position.astype(np.int32)[codes],
        keys=distinct,
        value_rows=new_rows.astype(np.int32),
        **{name: _in_order(value, order) for name, value in values.items()},
    )


def _in_order(values: Any, order: np.ndarray) -> Any:
    if isinstance(values, np.ndarray):
        return values[order]
    chosen = [values[i] for i in order]
    # Vectors are gathered once, here: each copy of them may be a hundred megabytes.
    return np.stack(chosen) if isinstance(chosen[0], np.ndarray) else chosen


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()


@dataclass(frozen=True)
class QuerySet:
    """Distinct queries with their encodings.

    Parameters
    ----------
    keys : ndarray of shape (n_queries,)
        Digests of the queries' identities, ascending.
    rows : ndarray of shape (n_queries,), int32
        Row of ``encodings`` that belongs to each query.
    encodings : ndarray of shape (n_vectors, n_features), float32
        Distinct vectors; queries with equal vectors share a row.
    """

    keys: np.ndarray
    rows: np.ndarray
    encodings: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def n_features(self) -> int:
        """Length of an encoding."""
        return self.encodings.shape[1]

    def vectors(self, codes: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return encodings of shape (n_codes, n_features)."""
        return self.encodings[self.rows[codes]]

    def take(self, codes: np.ndarray) -> QuerySet:
        """Keep the given queries, which must be ascending, and their vectors."""
        used, rows = compact(self.rows[codes], len(self.encodings))
        encodings = self.encodings
        if len(used) < len(encodings):
            encodings = encodings[used]
        return QuerySet(self.keys[codes], rows, encodings)

    def union(self, other: QuerySet) -> tuple[QuerySet, np.ndarray, np.ndarray]:
        """Merge two sets; known queries keep the vector that is stored.

        Returns
        -------
        merged : QuerySet
            Queries of both.
        own, others : ndarray
            Position in ``merged`` of each query of either set.
        """
        known = np.isin(other.keys, self.keys, assume_unique=True)
        new = other.take(np.flatnonzero(~known))
        keys = np.concatenate([self.keys, new.keys])
        rows = np.concatenate([self.rows, new.rows + len(self.encodings)])
        encodings = self.encodings
        if len(new):
            encodings = np.concatenate([encodings, new.encodings])
        order = np.argsort(keys, kind="stable")
        merged = QuerySet(keys[order], rows[order].astype(np.int32), encodings)
        own = np.searchsorted(merged.keys, self.keys)
        others = np.searchsorted(merged.keys, other.keys)
        return merged, own, others
