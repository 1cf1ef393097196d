"""Columns of any dataframe library, as pandas or numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from skl_locus._data.codes import UnhashableValueError, encode_text, factorize

TEXT_TYPES = (nw.String, nw.Categorical, nw.Enum)
"""Types of columns that are read without an object for each row."""


def as_frame(X: Any) -> nw.DataFrame | None:
    """Return ``X`` as a narwhals frame, or None where it is no dataframe."""
    if isinstance(X, (np.ndarray, list)):
        return None  # at once: narwhals takes a tenth of a small request to see it
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

    Raises
    ------
    ValueError
        If a label is missing or has no hash, or if equal labels are of several kinds:
        1, 1.0 and True are equal in Python, and would become one label unnoticed.
    """
    codes, labels = factorize(values, column)
    _check_kinds(values, codes, labels, column)
    return _in_label_order(codes, labels)


def merge_labels(labels: np.ndarray) -> tuple[np.ndarray, list]:
    """Code labels of several tables by the sorted distinct ones, equal ones as one.

    A label that is 1 in one table may be 1.0 in another, in which a column of whole
    numbers once had a gap.
    """
    return _in_label_order(*factorize(labels, "model"))


def _in_label_order(codes: np.ndarray, labels: list) -> tuple[np.ndarray, list]:
    order = _sorted_order(labels)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[codes], [labels[i] for i in order]


def factorize_texts(values: Any, column: str) -> tuple[np.ndarray, list[str]]:
    """Code a column of texts: (codes of the rows, distinct texts)."""
    try:
        codes, texts = factorize(values, column)
    except UnhashableValueError:  # a cell that cannot be hashed is no text
        codes, texts = np.arange(len(values)), list(values)
    strange = [code for code, text in enumerate(texts) if not isinstance(text, str)]
    if strange:
        row = int(np.argmax(np.isin(codes, strange)))
        raise ValueError(
            f"The column {column!r} mixes text with "
            f"{type(texts[codes[row]]).__name__} (row {row}); use one kind of query."
        )
    return codes, texts


def first_cell(values: Any) -> Any:
    """Return the first cell of a column, None if it has none."""
    first = values.iloc[:1] if isinstance(values, pd.Series) else values[:1]
    return next(iter(first), None)


def is_text(values: Any) -> bool:
    """Return whether a query column holds text, by its first cell."""
    return isinstance(first_cell(values), str)


def is_sequence(values: Any) -> bool:
    """Return whether something is one-dimensional and in order, and no bare string."""
    # A mapping, such as a table's columns by name, would be taken for its names.
    if isinstance(values, (str, bytes, Mapping, set, frozenset)):
        return False
    if not hasattr(values, "__len__"):
        return False
    return getattr(values, "ndim", 1) == 1


def object_cells(values: Any) -> np.ndarray:
    """Return a sequence as a 1-D object array of its items."""
    if hasattr(values, "to_pylist"):
        # Scalars of Arrow are no strings, and have a length and items like vectors.
        values = values.to_pylist()
    cells = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        cells[i] = value
    return cells


def numeric_columns(frame: nw.DataFrame, skip: Iterable[str]) -> list[str]:
    """Name the numeric columns of a frame, less those to skip."""
    skipped = set(skip)
    return [
        name
        for name, dtype in frame.schema.items()
        if name not in skipped and (dtype.is_numeric() or dtype == nw.Boolean)
    ]


def read_amounts(frame: nw.DataFrame, name: str) -> np.ndarray:
    """Return a column of costs or lengths as float64, NaN where there is none.

    Parameters
    ----------
    frame : narwhals DataFrame of n_rows rows
        The table.
    name : str
        Column of numbers.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Finite amounts of at least 0, or NaN.

    Raises
    ------
    ValueError
        If a value is no number, negative or infinite.
    """
    values = read_column(frame, name)
    try:
        amounts = np.asarray(pd.to_numeric(pd.Series(values)), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"The column {name!r} is not numeric: {error}.") from error
    wrong = (amounts < 0) | np.isinf(amounts)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"The column {name!r} has the value {amounts[row]:g} in row {row}; amounts "
            "must be finite and not negative."
        )
    return amounts


def matrix_of(frame: nw.DataFrame, columns: list[str]) -> np.ndarray:
    """Return numeric columns as a float32 matrix of shape (n_rows, n_columns)."""
    return np.column_stack([_as_float32(frame.get_column(name)) for name in columns])


def model_groups(X: Any, model_col: str = "model") -> tuple[np.ndarray, list]:
    """Group the rows of a table by model: codes of the rows, sorted labels."""
    frame = as_frame(X)
    if frame is None:
        raise TypeError(
            f"Models are read from the column {model_col!r}; pass a dataframe."
        )
    return factorize_labels(read_column(frame, model_col), model_col)


def _as_float32(column: nw.Series) -> np.ndarray:
    if column.dtype == nw.Boolean:
        # A missing truth value of pandas is an object, a missing number is NaN.
        column = column.cast(nw.Float32)
    return np.asarray(column.to_numpy(), dtype=np.float32)


def _check_kinds(values: Any, codes: np.ndarray, labels: list, column: str) -> None:
    """Raise where equal labels are of several kinds."""
    # Text equals nothing but text: only labels that are numbers need a look at rows.
    numbers = [code for code, label in enumerate(labels) if _is_number(label)]
    if not numbers or isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        return
    cells = np.asarray(values)
    if cells.dtype.kind not in "fO":
        return
    if cells.dtype.kind == "f":
        # Numbers of one type are equal where their bits are, but for the two zeros.
        numbers = [code for code in numbers if labels[code] == 0]
    for row in np.flatnonzero(np.isin(codes, numbers)):
        label, cell = labels[codes[row]], cells[row]
        if _kind(cell) != _kind(label):
            raise ValueError(
                f"The column {column!r} has the labels {_shown(label)} and "
                f"{_shown(cell)} (row {row}), which are equal and would become one; "
                "write each label in one way."
            )


def _is_number(label: Any) -> bool:
    return isinstance(label, (Number, np.bool_))


def _shown(label: Any) -> str:
    """Return a label as Python writes it, whatever library it comes from."""
    return repr(label.item() if isinstance(label, np.generic) else label)


def _kind(label: Any) -> tuple[str, bool]:
    """Return the type of a number, and whether it is the negative zero."""
    if isinstance(label, np.generic):
        label = label.item()
    is_negative_zero = isinstance(label, float) and repr(label) == "-0.0"
    return type(label).__name__, is_negative_zero


def _sorted_order(labels: list) -> list[int]:
    try:
        return sorted(range(len(labels)), key=labels.__getitem__)
    except TypeError:  # labels of several types have an order of their own
        return sorted(
            range(len(labels)),
            key=lambda i: (type(labels[i]).__name__, str(labels[i])),
        )
