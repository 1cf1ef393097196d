"""Distinct queries: their texts or vectors, and the digests that identify them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.utils import check_array

from skl_locus._data.codes import compact, distinct_objects, factorize, first_rows
from skl_locus._data.columns import (
    as_frame,
    factorize_texts,
    is_text,
    model_groups,
    read_column,
)
from skl_locus._data.encodings import UNUSABLE, first_unusable
from skl_locus._data.media import holds_media, media_queries
from skl_locus._data.schema import Columns

KEY_BYTES = 16
"""Length of a query key; 16 bytes make an accidental collision unthinkable."""

COMPARED_BYTES = 16_000_000
"""Bytes of neighbouring rows that are compared at a time."""

COPIED_BYTES = 200_000
"""Bytes of rows that are copied or compared at a time where they should stay in the
cache of a core."""


@dataclass(frozen=True)
class DistinctValues:
    """The distinct texts or vectors of a column, not yet identified.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Value of each row.
    texts : list of str or None
        Distinct texts.
    vectors : ndarray of shape (n_values, n_features), float32, or None
        Distinct vectors.
    known_keys : ndarray of shape (n_values,) or None
        Digests of the values, where somebody has computed them.
    """

    codes: np.ndarray
    texts: list[str] | None = None
    vectors: np.ndarray | None = None
    known_keys: np.ndarray | None = None

    @property
    def n_values(self) -> int:
        """Number of distinct values."""
        values = self.vectors if self.texts is None else self.texts
        assert values is not None
        return len(values)

    @cached_property
    def keys(self) -> np.ndarray:
        """Digests of the values, computed when they are first asked for."""
        if self.known_keys is not None:
            return self.known_keys
        if self.texts is not None:
            return text_keys(self.texts)
        assert self.vectors is not None
        return vector_keys(self.vectors)

    def take(self, values: np.ndarray, codes: np.ndarray) -> DistinctValues:
        """Keep some values, in the order given, with new codes of the rows."""
        computed = self.__dict__.get("keys", self.known_keys)
        return DistinctValues(
            codes,
            None if self.texts is None else [self.texts[i] for i in values],
            None if self.vectors is None else self.vectors[values],
            None if computed is None else computed[values],
        )

    def of_rows(self, rows: np.ndarray) -> DistinctValues:
        """Keep some rows, and the values that they have."""
        used, codes = compact(self.codes[rows], self.n_values)
        return self.take(used, codes)


@dataclass(frozen=True)
class UniqueQueries:
    """The identified queries of a table, in the order of their keys.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Query of each row.
    keys : ndarray of shape (n_queries,)
        Digests of the identities, ascending.
    values : DistinctValues
        Texts or vectors; its "rows" are the queries.
    """

    codes: np.ndarray
    keys: np.ndarray
    values: DistinctValues

    @property
    def value_rows(self) -> np.ndarray:
        """Text or vector of each query: (n_queries,)."""
        return self.values.codes

    @property
    def texts(self) -> list[str] | None:
        """Distinct texts."""
        return self.values.texts

    @property
    def vectors(self) -> np.ndarray | None:
        """Distinct vectors."""
        return self.values.vectors


def distinct_values(cells: Any, column: str) -> DistinctValues:
    """Find the distinct texts or vectors of a column.

    Parameters
    ----------
    cells : Series or ndarray of shape (n_rows,)
        Texts, cells holding 1-D vectors of one length, or media, which are texts from
        here on: names by their content.
    column : str
        Name for messages.

    Returns
    -------
    DistinctValues
        In an order that does not depend on that of the rows.

    Raises
    ------
    ValueError
        If a cell is missing, numeric, of another length or not finite.
    """
    if not is_text(cells):
        if not holds_media(cells):
            return _distinct_cells(cells, column)
        cells = media_queries(cells, column)
    codes, texts = factorize_texts(cells, column)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return DistinctValues(_ranks(order)[codes], [texts[i] for i in order])


def distinct_rows(matrix: np.ndarray) -> DistinctValues:
    """Find the distinct rows of a matrix of encodings, in the order of their bytes."""
    rows = np.ascontiguousarray(matrix, dtype=np.float32)
    if len(rows) < 2 or rows.shape[1] == 0:
        used = min(len(rows), 1)
        codes = np.zeros(len(rows), dtype=np.int32)
        return DistinctValues(codes, vectors=rows[:used] + np.float32(0))
    order, is_first = _in_byte_order(rows)
    codes = np.empty(len(rows), dtype=np.int32)
    codes[order] = np.cumsum(is_first, dtype=np.int32) - 1
    return DistinctValues(codes, vectors=_copied(rows, order[is_first]))


def identify(
    values: DistinctValues, ids: Any | None = None, query_id_col: str = "query_id"
) -> UniqueQueries:
    """Identify the queries of a column's values.

    Parameters
    ----------
    values : DistinctValues of n_rows rows
        Texts or vectors.
    ids : Series or ndarray of shape (n_rows,) or None
        Identities of the queries; without them a text or a vector is its own.
    query_id_col : str
        Name of the column of ids, for messages.

    Returns
    -------
    UniqueQueries
        The distinct queries in canonical order.

    Raises
    ------
    ValueError
        If one id stands beside two different queries.
    """
    if ids is None:
        return _in_key_order(
            values.codes, values.keys, np.arange(values.n_values), values
        )
    names, codes, value_rows = _queries_of_ids(values, ids, query_id_col)
    return _in_key_order(codes, text_keys(names), value_rows, values)


def check_ids(values: DistinctValues, ids: Any | None, query_id_col: str) -> None:
    """Raise if one id stands beside two different queries, without identifying any."""
    if ids is not None:
        _queries_of_ids(values, ids, query_id_col)


def distinct_queries(
    queries: Any, ids: Any | None, *, query_col: str, query_id_col: str
) -> UniqueQueries:
    """Find and identify the distinct queries of a column of texts or vectors."""
    return identify(distinct_values(queries, query_col), ids, query_id_col)


def text_keys(texts: Sequence) -> np.ndarray:
    """Digest the identities of queries given as texts or as ids: (n_texts,)."""
    return _as_keys([text_key(text) for text in texts])


def text_key(text: Any) -> bytes:
    """Digest the identity of a query given as text or as an id."""
    return _digest(label_text(text).encode("utf-8", "surrogatepass"))


def vector_keys(vectors: Iterable[np.ndarray]) -> np.ndarray:
    """Digest the identities of queries given as float32 vectors: (n_vectors,)."""
    return _as_keys([vector_key(vector) for vector in vectors])


def vector_key(vector: np.ndarray) -> bytes:
    """Digest the identity of a query given as a float32 vector."""
    # Adding zero turns -0.0 into 0.0: equal vectors must have equal bytes.
    return _digest(b"\0" + (vector + np.float32(0)).tobytes())


def query_groups(X: Any, columns: Columns, y: Any = None) -> tuple[np.ndarray, int]:
    """Group the rows of a table by query, for splitting.

    Parameters
    ----------
    X : dataframe or array-like of shape (n_rows, n_features)
        Evaluations, or encodings of queries.
    columns : Columns
        Names of the columns, and which of them are encodings.
    y : array-like of shape (n_rows,), default=None
        Scores, to be told from encodings.

    Returns
    -------
    codes : ndarray of shape (n_rows,), int32
        Group of each row: the same text where there is text, else the same id,
        else the same vector. Independent of the order of the rows.
    n_groups : int
        Number of groups.

    Raises
    ------
    ValueError
        If there is nothing to group by, or if columns that nobody named as encodings
        give the scores away or make every row a query of its own.
    """
    frame = as_frame(X)
    if frame is None:
        matrix = check_array(X, dtype=np.float32, input_name="X")
        return _groups(identify(distinct_rows(matrix)))
    has_id = columns.query_id in frame.columns
    if columns.query in frame.columns:
        cells = read_column(frame, columns.query)
        if is_text(cells) or not has_id:
            return _groups(identify(distinct_values(cells, columns.query)))
    if has_id:
        column = columns.query_id
        codes, labels = factorize(read_column(frame, column), column)
        keys, position = np.unique(text_keys(labels), return_inverse=True)
        return position.astype(np.int32)[codes], len(keys)
    matrix = check_array(columns.encoding_matrix(frame), input_name="X")
    columns.check_no_target(frame, matrix, y)
    distinct = distinct_rows(matrix)
    if distinct.n_values == len(frame) and columns.guesses_encodings(frame):
        _check_rows_differ_in_query(frame, columns, matrix)
    return _groups(identify(distinct))


def _groups(queries: UniqueQueries) -> tuple[np.ndarray, int]:
    return queries.codes, len(queries.keys)


def _check_rows_differ_in_query(
    frame: nw.DataFrame, columns: Columns, matrix: np.ndarray
) -> None:
    """Raise if rows that are all different are so by what is no part of the query.

    A log of models on the same queries has each encoding several times. Where it does
    not, columns are to blame without which it does: fewer than half as many queries as
    rows, and each put to a model once. Tables of one row per query have no such
    columns, and pass.
    """
    if columns.model not in frame.columns:
        return  # nobody can tell whether each is put to a model once
    models, labels = model_groups(frame, columns.model)
    for suspects in _suspect_columns(matrix, models, len(labels)):
        others = distinct_rows(matrix[:, ~suspects])
        pairs = models * np.int64(others.n_values) + others.codes
        if 2 * others.n_values > len(frame) or len(np.unique(pairs)) < len(frame):
            continue
        names = np.array(columns.encodings(frame), dtype=object)[suspects]
        raise ValueError(
            f"Every row would be a query of its own by the column {names[0]!r}; "
            f"without such columns ({len(names)}) there are {others.n_values} queries, "
            "each put to a model once. Name the columns of the encoding with "
            "encoding_cols=, or drop the others, so that no query is on both sides of "
            "a split."
        )


def _suspect_columns(
    matrix: np.ndarray, models: np.ndarray, n_models: int
) -> Iterator[np.ndarray]:
    """Yield sets of columns that may describe a row or a model: (n_columns,), bool."""
    first = matrix[first_rows(models, n_models)]
    # What is the same in all rows tells no rows apart, and is not to blame.
    varies = (matrix != matrix[0]).any(axis=0)
    of_model = varies & (matrix == first[models]).all(axis=0)
    # If queries come twice, no column of theirs has more values than half of the rows.
    n_values = np.array([len(np.unique(values)) for values in matrix.T])
    of_row = 2 * n_values > len(matrix)
    surely = of_model | of_row
    if surely.all():
        return  # queries of a single number, or all different
    if surely.any():
        yield surely
    # Times in seconds, a day's worth of which are few numbers in float32, are only
    # seen by what remains without them. Sums of random multiples of the bits show it
    # at a small part of the cost of comparing rows; the caller compares them.
    bits = (matrix + np.float32(0)).view(np.uint32).astype(np.uint64)
    random = np.random.default_rng(0)
    factors = random.integers(2**63, size=len(surely), dtype=np.uint64)
    sums = bits[:, ~surely] @ factors[~surely]
    for column in np.flatnonzero(~surely):
        rest = sums - bits[:, column] * factors[column]
        if 2 * len(np.unique(rest)) <= len(matrix):
            yield surely | (np.arange(len(surely)) == column)


def _distinct_cells(cells: Any, column: str) -> DistinctValues:
    """Find the distinct vectors among cells."""
    values = list(cells)
    if not values:
        nothing = np.empty((0, 0), dtype=np.float32)
        return DistinctValues(np.empty(0, dtype=np.int32), vectors=nothing)
    object_codes, rows = distinct_objects(values)
    length = None
    vectors = []
    for row in rows:
        vectors.append(_as_vector(values[row], row, column, length))
        length = len(vectors[-1])
    distinct = distinct_rows(np.stack(vectors))
    return DistinctValues(distinct.codes[object_codes], vectors=distinct.vectors)


def _in_byte_order(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by their bytes; return the order, and which differ from the one before.

    The order of equal rows among each other is arbitrary.
    """
    # Two different rows nearly always differ in the first two numbers, and sorting
    # integers takes a small part of the time of sorting, copying or digesting rows.
    heads = _leading_bytes(rows)
    order = np.argsort(heads)
    heads = heads[order]
    is_first = np.append(True, heads[1:] != heads[:-1])
    later = np.flatnonzero(~is_first)
    if _are_equal(rows, order[later], order[later - 1]):
        return order, is_first
    # Rows with the same beginning follow each other: sorted as a whole, together, they
    # take the same places.
    unclear = np.flatnonzero(~is_first | ~np.append(is_first[1:], True))
    alike = _copied(rows, order[unclear])
    by_bytes = np.argsort(alike.view(f"V{alike.strides[0]}").ravel())
    order[unclear] = order[unclear[by_bytes]]
    is_first[unclear] = _differ_from_previous(alike, by_bytes)
    return order, is_first


def _leading_bytes(rows: np.ndarray) -> np.ndarray:
    """Return the bytes of one or two numbers of each row as an integer: (n_rows,)."""
    # Integers are in the order of bytes if the first byte counts most.
    heads = (rows[:, :2] + np.float32(0)).view(">u4").astype(np.uint64)
    return heads[:, 0] << np.uint64(32) | heads[:, -1]


def _copied(rows: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Copy some rows so that equal vectors have equal bytes."""
    copies = np.empty((len(kept), rows.shape[1]), dtype=np.float32)
    step = max(1, COPIED_BYTES // rows.strides[0])
    for start in range(0, len(kept), step):
        chunk = slice(start, start + step)
        # Adding zero turns -0.0 into 0.0.
        np.add(rows[kept[chunk]], np.float32(0), out=copies[chunk])
    return copies


def _are_equal(rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> bool:
    """Return whether rows at some places all equal those at others."""
    step = max(1, COPIED_BYTES // rows.strides[0])
    return all(
        np.array_equal(rows[some[i : i + step]], rows[others[i : i + step]])
        for i in range(0, len(some), step)
    )


def _differ_from_previous(rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return which rows, sorted, differ from the one before: (n_rows,), bool."""
    differs = np.ones(len(rows), dtype=bool)
    step = max(1, COMPARED_BYTES // rows.strides[0])
    for start in range(1, len(rows), step):
        stop = min(start + step, len(rows))
        later, earlier = rows[order[start:stop]], rows[order[start - 1 : stop - 1]]
        differs[start:stop] = (later != earlier).any(axis=1)
    return differs


def _as_vector(cell: Any, row: int, column: str, length: int | None) -> np.ndarray:
    where = f"The column {column!r}, row {row},"
    if cell is None or np.ndim(cell) != 1 or isinstance(cell, (str, bytes)):
        raise ValueError(
            f"{where} holds {cell!r:.60}, which is no text, image or vector. "
            "Give texts, or one vector per cell; numeric encodings in columns of "
            "their own need no query column."
        )
    try:
        with np.errstate(over="ignore"):  # what overflows is found as infinite
            vector = np.asarray(cell, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} holds a vector that is not numeric.") from error
    if length is not None and len(vector) != length:
        raise ValueError(
            f"{where} holds a vector of length {len(vector)} where the rows before "
            f"have length {length}; encode all queries with one encoder."
        )
    if not len(vector) or first_unusable(vector[None]) is not None:
        raise ValueError(f"{where} holds a vector that is empty or has {UNUSABLE}.")
    return vector


def _queries_of_ids(
    values: DistinctValues, ids: Any, column: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return distinct ids, the id of each row and the value of each id."""
    label_codes, labels = factorize(ids, column)
    # 7 and "7" are one id: what is an int in one table is often text in another.
    same, names = pd.factorize(np.array([*map(label_text, labels)], dtype=object))
    codes = same.astype(np.int32)[label_codes]
    if len(codes) != len(values.codes):
        raise ValueError(f"The column {column!r} has another length than the queries.")
    first = first_rows(codes, len(names))
    value_rows = values.codes[first]
    clash = np.flatnonzero(value_rows[codes] != values.codes)
    if len(clash):
        row = int(clash[0])
        raise ValueError(
            f"{column!r} {labels[label_codes[row]]!r} stands beside two different "
            f"queries (rows {int(first[codes[row]])} and {row}); an id must name one "
            "query."
        )
    return list(names), codes, value_rows


def _in_key_order(
    codes: np.ndarray, keys: np.ndarray, value_rows: np.ndarray, values: DistinctValues
) -> UniqueQueries:
    order = np.argsort(keys)
    # The values follow the order of the keys too: what is computed from them then
    # never depends on the order of the table.
    new_rows, used = pd.factorize(value_rows[order])
    return UniqueQueries(
        _ranks(order)[codes], keys[order], values.take(used, new_rows.astype(np.int32))
    )


def _ranks(order: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the place of each item in an order: (n_items,), int32."""
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def label_text(label: Any) -> str:
    """Return a label or an id as text, 7 and 7.0 alike."""
    # An id may have become a float because another row of its table has none.
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label)


def _as_keys(digests: list[bytes]) -> np.ndarray:
    return np.array(digests, dtype=f"S{KEY_BYTES}")


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
