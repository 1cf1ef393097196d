"""Columns of any dataframe, and the distinct models and queries in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.utils import check_array

from skl_locus._codes import encode_text, factorize, first_rows

KEY_BYTES = 16
"""Length of a query key; 16 bytes make an accidental collision unthinkable."""

TEXT_TYPES = (nw.String, nw.Categorical, nw.Enum)
"""Types of columns that are read without an object for each row."""

CARRIED_COLUMNS = (
    "score",
    "task",
    "cost",
    "tokens",
    "input_tokens",
    "output_tokens",
    "latency",
)
"""Numeric columns of an evaluation log that describe a row, not its query."""


@dataclass(frozen=True)
class DistinctQueries:
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


def as_frame(X: Any) -> nw.DataFrame | None:
    """Return ``X`` as a narwhals frame, or None where it is no dataframe."""
    if isinstance(X, (np.ndarray, list)):
        return None  # at once: narwhals takes a tenth of a small request to tell
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(
            "X is a lazy frame; collect it first (X.collect()) and pass the result."
        )
    return frame if isinstance(frame, nw.DataFrame) else None


def read_column(frame: nw.DataFrame, name: str) -> pd.Series | np.ndarray:
    """Return one column as a pandas Series or an ndarray."""
    if name not in frame.columns:
        raise ValueError(
            f"The column {name!r} is missing; the table has "
            f"{', '.join(map(repr, frame.columns)) or 'no columns'}."
        )
    series = frame.get_column(name)
    if frame.implementation.is_pandas_like():
        return series.to_native()
    if series.dtype in TEXT_TYPES:
        return encode_text(series)
    if frame.implementation.is_pyarrow():
        return series.to_pandas()
    return series.to_numpy()


def factorize_labels(values: Any, column: str) -> tuple[np.ndarray, list]:
    """Code a column by its distinct labels, sorted.

    Parameters
    ----------
    values : Series or ndarray of shape (n_rows,)
        Labels; only values that occur count, whatever the categories say.
    column : str
        Name for messages.

    Returns
    -------
    codes : ndarray of shape (n_rows,), int32
        Position of each row's label in ``labels``.
    labels : list
        Distinct labels as plain Python objects, sorted.
    """
    codes, labels = factorize(values, column)
    order = _sorted_order(labels)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[codes], [labels[i] for i in order]


def factorize_texts(values: Any, column: str) -> tuple[np.ndarray, list[str]]:
    """Code a column of texts: (codes of the rows, distinct texts)."""
    try:
        codes, texts = factorize(values, column)
    except TypeError:  # a cell that cannot be hashed is no text
        codes, texts = np.arange(len(values)), list(values)
    strange = [code for code, text in enumerate(texts) if not isinstance(text, str)]
    if strange:
        row = int(np.argmax(np.isin(codes, strange)))
        raise ValueError(
            f"The column {column!r} mixes text with "
            f"{type(texts[codes[row]]).__name__} (row {row}); use one kind of query."
        )
    return codes, texts


def is_text(values: Any) -> bool:
    """Tell whether a query column holds text, by its first cell."""
    first = values.iloc[:1] if isinstance(values, pd.Series) else values[:1]
    return isinstance(next(iter(first), None), str)


def is_sequence(values: Any) -> bool:
    """Tell whether something is one-dimensional and no bare string."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        return False
    return getattr(values, "ndim", 1) == 1


def object_cells(values: Any) -> np.ndarray:
    """Return a sequence as a 1-D object array of its items."""
    cells = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        cells[i] = value
    return cells


def distinct_queries(
    queries: Any, ids: Any | None, *, query_col: str, query_id_col: str
) -> DistinctQueries:
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
    DistinctQueries
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
) -> DistinctQueries:
    """Find the distinct queries among the rows of a matrix of encodings."""
    digests = [vector_key(row) for row in np.ascontiguousarray(encodings)]
    keys, first, inverse = np.unique(
        np.array(digests, dtype=f"S{KEY_BYTES}"), return_index=True, return_inverse=True
    )
    codes, vectors = inverse.astype(np.int32), encodings[first]
    if ids is None:
        rows = np.arange(len(keys), dtype=np.int32)
        return DistinctQueries(codes, keys, rows, vectors=vectors)
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


def numeric_columns(frame: nw.DataFrame, skip: Iterable[str]) -> list[str]:
    """Name the numeric columns of a frame, less those to skip."""
    skipped = set(skip)
    return [
        name
        for name, dtype in frame.schema.items()
        if name not in skipped and (dtype.is_numeric() or dtype == nw.Boolean)
    ]


def matrix_of(frame: nw.DataFrame, columns: list[str]) -> np.ndarray:
    """Return numeric columns as a float32 matrix of shape (n_rows, n_columns)."""
    return np.column_stack(
        [np.asarray(frame.get_column(c).to_numpy(), dtype=np.float32) for c in columns]
    )


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


def model_groups(X: Any, model_col: str = "model") -> tuple[np.ndarray, list]:
    """Group the rows of a table by model: codes of the rows, sorted labels."""
    frame = as_frame(X)
    if frame is None:
        raise TypeError(
            f"Models are read from the column {model_col!r}; pass a dataframe."
        )
    return factorize_labels(read_column(frame, model_col), model_col)


def _grouping_queries(
    X: Any, query_col: str, query_id_col: str, model_col: str
) -> DistinctQueries:
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


def _sorted_order(labels: list) -> list[int]:
    try:
        return sorted(range(len(labels)), key=labels.__getitem__)
    except TypeError:  # labels of several types have an order of their own
        return sorted(
            range(len(labels)),
            key=lambda i: (type(labels[i]).__name__, str(labels[i])),
        )


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
) -> DistinctQueries:
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
) -> DistinctQueries:
    distinct, position = np.unique(
        np.array(keys, dtype=f"S{KEY_BYTES}"), return_inverse=True
    )
    sorted_rows = np.empty(len(distinct), dtype=np.int32)
    sorted_rows[position] = value_rows
    # The values follow the order of the keys too: what is computed from them then
    # never depends on the order of the table.
    new_rows, order = pd.factorize(sorted_rows)
    return DistinctQueries(
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
