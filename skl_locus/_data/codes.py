"""Columns of any dataframe as integer codes of their distinct values."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd


def encode_text(series: nw.Series) -> pd.Series:
    """Return an Arrow or polars column of text as a pandas categorical.

    Parameters
    ----------
    series : narwhals Series of shape (n_rows,)
        Of type string, categorical or enum. Its rows never become Python objects,
        only the distinct values do.

    Returns
    -------
    Series of shape (n_rows,), category
        The same values.
    """
    if series.implementation.is_pyarrow():
        return _from_arrow(series.to_native())
    return _from_polars(series.cast(nw.Categorical))


class UnhashableValueError(ValueError):
    """Error if a column has values that have no hash, such as lists and dicts."""


def factorize(values: Any, column: str) -> tuple[np.ndarray, list]:
    """Code a column by its distinct values.

    Parameters
    ----------
    values : Series, Index or ndarray of shape (n_rows,)
        Only values that occur count, whatever the categories say.
    column : str
        Name for messages.

    Returns
    -------
    codes : ndarray of shape (n_rows,), int32
        Position of each row's value in ``uniques``.
    uniques : list
        Distinct values as plain Python objects.

    Raises
    ------
    UnhashableValueError
        If values cannot be told apart, such as lists.
    ValueError
        If a value is missing.
    """
    array = getattr(values, "array", values)
    if isinstance(array, pd.Categorical):
        codes, uniques = array.codes, array.categories
    else:
        codes, uniques = _factorized(values, column)
    if len(codes) and codes.min() < 0:
        raise ValueError(
            f"The column {column!r} has a missing value in row "
            f"{int(np.argmin(codes))}; drop or fill such rows."
        )
    used, codes = compact(codes, len(uniques))
    return codes, uniques[used].tolist()


def compact(codes: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """Renumber the codes that occur, in their order.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Codes from 0 on.
    n_codes : int
        Number of codes, whether they occur or not.

    Returns
    -------
    used : ndarray of shape (n_used,)
        Codes that occur, ascending.
    new_codes : ndarray of shape (n_rows,), int32
        Position in ``used`` of each row's code.
    """
    occurs = np.zeros(n_codes, dtype=bool)
    occurs[codes] = True
    if occurs.all():
        return np.arange(n_codes), codes.astype(np.int32)
    return np.flatnonzero(occurs), (np.cumsum(occurs, dtype=np.int32) - 1)[codes]


def first_rows(codes: np.ndarray, n_codes: int) -> np.ndarray:
    """Return the first row of each code: (n_codes,)."""
    first = np.empty(n_codes, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first


def distinct_objects(values: list) -> tuple[np.ndarray, np.ndarray]:
    """Code cells by the objects that they are, and return the first row of each.

    Rows of one query usually share one object, which is then looked at once.
    """
    identities = np.fromiter(map(id, values), dtype=np.int64, count=len(values))
    codes, objects = pd.factorize(identities)
    return codes, first_rows(codes, len(objects))


def find_sorted(ascending: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the positions of values in an ascending array, -1 where absent."""
    if not len(ascending):
        return np.full(len(wanted), -1)
    found = np.searchsorted(ascending, wanted).clip(max=len(ascending) - 1)
    return np.where(ascending[found] == wanted, found, -1)


def _factorized(values: Any, column: str) -> tuple[np.ndarray, Any]:
    try:
        return pd.factorize(values)
    except TypeError as error:
        row, value = _first_unhashable(values)
        raise UnhashableValueError(
            f"The column {column!r} has a {type(value).__name__} in row {row}, "
            f"{value!r:.60}, which cannot be told apart from other values; use text, "
            "numbers or tuples of them."
        ) from error


def _first_unhashable(values: Any) -> tuple[int, Any]:
    for row, value in enumerate(values):
        try:
            hash(value)
        except TypeError:
            return row, value
    raise AssertionError("every value has a hash")


def _from_arrow(column: Any) -> pd.Series:
    encoded = column.dictionary_encode()
    if any(chunk.dictionary.null_count for chunk in encoded.chunks):
        # Dictionaries that have an entry for missing values cannot be joined.
        encoded = encoded.cast(encoded.type.value_type).dictionary_encode()
    # A single chunk would be copied.
    array = encoded.chunk(0) if encoded.num_chunks == 1 else encoded.combine_chunks()
    indices = array.indices
    if indices.null_count:
        indices = indices.cast("int32").fill_null(-1)
    return _categorical(indices.to_numpy(), array.dictionary.to_pandas())


def _from_polars(series: nw.Series) -> pd.Series:
    # The numbers of polars are those of a table that all its columns share.
    codes, _ = pd.factorize(series.to_native().to_physical().to_numpy())
    values = series.unique(maintain_order=True).drop_nulls().cast(nw.String)
    return _categorical(codes, pd.Series(values.to_list(), dtype=object))


def _categorical(codes: np.ndarray, values: pd.Series) -> pd.Series:
    """Make a categorical of codes, -1 for missing; values may be so, or repeat."""
    value_codes, uniques = pd.factorize(values)
    if len(uniques) < len(values):
        # The entry at the end is the one that code -1 takes.
        codes = np.append(value_codes, -1).astype(np.int32)[codes]
    return pd.Series(pd.Categorical.from_codes(codes, uniques), copy=False)
