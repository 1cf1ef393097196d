"""Pandas objects as plain columns, which need no pyarrow and no version of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class StoredColumn:
    """A column or a level of an index.

    Parameters
    ----------
    values : ndarray
        Its values; for categories, their codes.
    dtype : str
        Name of the dtype: "numpy" for that of ``values``, "category", or one of
        pandas's own, which is made again from ``values``.
    categories : StoredColumn or None
        The categories.
    ordered : bool
        Whether they are ordered.
    """

    values: np.ndarray
    dtype: str
    categories: StoredColumn | None = None
    ordered: bool = False

    @classmethod
    def of(cls, values: Any) -> StoredColumn:
        """Take the values of a Series or of an Index with one level."""
        dtype = values.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            categorical = pd.Categorical(values)
            categories = cls.of(categorical.categories)
            return cls(categorical.codes, "category", categories, bool(dtype.ordered))
        if isinstance(dtype, pd.DatetimeTZDtype):
            moments = pd.DatetimeIndex(values).tz_convert("UTC").tz_localize(None)
            return cls(moments.to_numpy(), str(dtype))
        if isinstance(dtype, np.dtype):
            return cls(values.to_numpy(), "numpy")
        return cls(_objects(values), str(dtype))

    def to_array(self) -> Any:
        """Return the values as a numpy or a pandas array."""
        if self.dtype == "numpy":
            return self.values
        if self.categories is not None:
            categories = pd.Index(self.categories.to_array())
            return pd.Categorical.from_codes(
                self.values, categories=categories, ordered=self.ordered
            )
        if self.values.dtype.kind == "M":
            zone = pd.DatetimeTZDtype.construct_from_string(self.dtype).tz
            return pd.DatetimeIndex(self.values, tz="UTC").tz_convert(zone).array
        try:
            return pd.array(self.values, dtype=self.dtype)
        except (TypeError, ImportError, ValueError):
            # The dtype may need a package, or a version of pandas, that is not here.
            return self.values


@dataclass(frozen=True)
class StoredIndex:
    """An index.

    Parameters
    ----------
    levels : list of StoredColumn
        One column, or several of a MultiIndex.
    names : list
        Their names.
    steps : tuple of int or None
        Start, stop and step of a RangeIndex, which has no levels.
    is_multi : bool
        Whether it is a MultiIndex.
    """

    levels: list[StoredColumn]
    names: list
    steps: tuple[int, int, int] | None = None
    is_multi: bool = False

    @classmethod
    def of(cls, index: pd.Index) -> StoredIndex:
        """Take an index apart."""
        names = list(index.names)
        if isinstance(index, pd.RangeIndex):
            return cls([], names, (index.start, index.stop, index.step))
        if not isinstance(index, pd.MultiIndex):
            return cls([StoredColumn.of(index)], names)
        levels = [index.get_level_values(i) for i in range(index.nlevels)]
        return cls(list(map(StoredColumn.of, levels)), names, is_multi=True)

    def to_pandas(self) -> pd.Index:
        """Put the index together."""
        if self.steps is not None:
            return pd.RangeIndex(*self.steps, name=self.names[0])
        arrays = [level.to_array() for level in self.levels]
        if self.is_multi:
            return pd.MultiIndex.from_arrays(arrays, names=self.names)
        # Labels as they are, also tuples.
        return _index(arrays[0], self.names[0])


@dataclass(frozen=True)
class StoredSeries:
    """A Series.

    Parameters
    ----------
    column : StoredColumn
        Its values.
    index : Index
        Its index, which is taken apart in its turn.
    name : object
        Its name.
    """

    column: StoredColumn
    index: pd.Index
    name: Any

    @classmethod
    def of(cls, series: pd.Series) -> StoredSeries:
        """Take a Series apart."""
        return cls(StoredColumn.of(series), series.index, series.name)

    def to_pandas(self) -> pd.Series:
        """Put the Series together."""
        return _series(self.column, self.index).rename(self.name)


@dataclass(frozen=True)
class StoredFrame:
    """A DataFrame.

    Parameters
    ----------
    columns : list of StoredColumn
        Its columns.
    header, index : Index
        Names of the columns and of the rows, which are taken apart in their turn.
    attrs : dict
        Its ``attrs``.
    """

    columns: list[StoredColumn]
    header: pd.Index
    index: pd.Index
    attrs: dict

    @classmethod
    def of(cls, frame: pd.DataFrame) -> StoredFrame:
        """Take a frame apart."""
        columns = [StoredColumn.of(frame.iloc[:, i]) for i in range(frame.shape[1])]
        return cls(columns, frame.columns, frame.index, dict(frame.attrs))

    def to_pandas(self) -> pd.DataFrame:
        """Put the frame together."""
        # By position, since two columns may have one name.
        columns = {
            i: _series(column, self.index) for i, column in enumerate(self.columns)
        }
        frame = pd.DataFrame(columns, index=self.index)
        frame.columns = self.header
        frame.attrs.update(self.attrs)
        return frame


@dataclass(frozen=True)
class StoredMoment:
    """A moment or a length of time of pandas, such as a label of a model.

    Parameters
    ----------
    index : Index
        An index with it alone, which is taken apart in its turn.
    """

    index: pd.Index

    @classmethod
    def of(cls, moment: pd.Timestamp | pd.Timedelta) -> StoredMoment:
        """Put a moment into an index."""
        return cls(pd.Index([moment]))

    def to_pandas(self) -> pd.Timestamp | pd.Timedelta:
        """Take the moment out."""
        return self.index[0]


KINDS: dict[Any, Any] = {
    pd.Index: StoredIndex,
    pd.Series: StoredSeries,
    pd.DataFrame: StoredFrame,
    (pd.Timestamp, pd.Timedelta): StoredMoment,
}
"""What stands for objects of each kind in a file."""


def is_table(value: Any) -> bool:
    """Return whether a value is of pandas, or a frame or column of another library."""
    if any(isinstance(value, kind) for kind in KINDS):
        return True
    native = nw.from_native(value, pass_through=True, allow_series=True)
    return isinstance(native, (nw.DataFrame, nw.Series))


def as_stored(value: Any) -> Any:
    """Take a table apart; one of another library becomes one of pandas."""
    for kind, stored in KINDS.items():
        if isinstance(value, kind):
            return stored.of(value)
    native = nw.from_native(value, allow_series=True)
    if isinstance(native, nw.Series):
        return StoredSeries.of(pd.Series(native.to_list(), name=native.name))
    lists = {name: native[name].to_list() for name in native.columns}
    return StoredFrame.of(pd.DataFrame(lists))


def is_stored(value: Any) -> bool:
    """Return whether a value stands for a table."""
    return isinstance(value, tuple(KINDS.values()))


def _objects(values: Any) -> np.ndarray:
    """Return cells as Python objects, with None for what is missing."""
    cells = values.astype(object).to_numpy(copy=True)
    cells[pd.isna(cells)] = None
    return cells


def _series(column: StoredColumn, index: pd.Index) -> pd.Series:
    values = column.to_array()
    # Without its dtype, pandas would make text of an array of objects.
    return pd.Series(values, index, dtype=values.dtype)


def _index(values: Any, name: Any) -> pd.Index:
    if isinstance(values, np.ndarray) and values.dtype == object:
        return pd.Index(values, dtype=object, name=name, tupleize_cols=False)
    return pd.Index(values, name=name)
