"""Estimators without arrays and tables, and their arrays: what a file holds.

`Packer` copies an estimator, with a `StoredArray` in place of each array and plain
columns in place of each pandas object; `unpack` puts them back. Between the two, skops
sees only small objects: estimators, dataclasses of this package, and builtin ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property
from inspect import signature
from pathlib import PurePath
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skl_locus._data.query_encoder import QueryEncoder
from skl_locus._data.sentence_models import MissingModel, is_loaded_model
from skl_locus._persistence import tables
from skl_locus._persistence.file_format import is_plain
from skl_locus._persistence.registry import PACKAGE, is_stored_class
from skl_locus._routing.pool import ModelPool

Replace = Callable[[Any], Any]

ARRAY_TYPES = (np.ndarray, np.memmap)
"""Types of arrays that are stored apart; other subclasses of ndarray are skops's."""


@dataclass(frozen=True)
class StoredArray:
    """Stands for an array that is stored apart.

    Parameters
    ----------
    number : int
        Its place among all arrays.
    """

    number: int


@dataclass(frozen=True)
class StoredMapping:
    """Stands for a dict whose keys are not all strings, as JSON needs them.

    Parameters
    ----------
    keys, values : list
        Its items.
    """

    keys: list
    values: list


class Packer:
    """Copy estimators into plain objects, and collect their arrays.

    Parameters
    ----------
    evaluations : bool
        Whether routers keep their evaluations, and encoders the texts they know.

    Attributes
    ----------
    arrays : list of ndarray
        The arrays, each once.
    encoders : list of QueryEncoder
        The fitted encoders that were packed.
    """

    def __init__(self, *, evaluations: bool = True) -> None:
        self.evaluations = evaluations
        self.arrays: list[np.ndarray] = []
        self.encoders: list[QueryEncoder] = []
        # By id, with the original: an id is free again once its object is gone.
        self._packed: dict[int, tuple[Any, Any]] = {}

    def pack(self, value: Any) -> Any:
        """Return a plain copy; what is shared in the original is shared in it."""
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if id(value) not in self._packed:
            self._packed[id(value)] = value, self._pack_new(value)
        return self._packed[id(value)][1]

    def _pack_new(self, value: Any) -> Any:
        if type(value) in ARRAY_TYPES:
            return self._pack_array(value)
        if type(value) is dict:
            return self._pack_dict(value)
        if type(value) in (list, tuple):
            return type(value)(map(self.pack, value))
        if isinstance(value, PurePath):
            return str(value)
        if tables.is_table(value):
            return _with_state(tables.as_stored(value), self.pack)
        if isinstance(value, ModelPool) and not self.evaluations:
            value = value.without_evaluations()
        if _has_plain_state(value):
            return self._pack_object(value)
        return value

    def _pack_array(self, array: np.ndarray) -> Any:
        if is_plain(array):
            self.arrays.append(np.asarray(array))
            return StoredArray(len(self.arrays) - 1)
        if array.dtype == object:
            return _map_cells(array.copy(), self.pack)
        return array

    def _pack_dict(self, mapping: dict) -> Any:
        # Names with two underscores are how skops marks its own entries.
        if all(type(key) is str and key[:2] != "__" for key in mapping):
            return {key: self.pack(value) for key, value in mapping.items()}
        keys, values = list(mapping), list(mapping.values())
        return StoredMapping(self.pack(keys), self.pack(values))

    def _pack_object(self, value: Any) -> Any:
        return _with_state(value, self.pack, self._state_of(value))

    def _state_of(self, value: Any) -> dict[str, Any]:
        state = state_of(value)
        if isinstance(value, QueryEncoder) and hasattr(value, "_known"):
            self.encoders.append(value)
            state["_probes"] = value._probe_vectors()
            if not self.evaluations:
                state["_known"] = value._known.take(np.arange(0))
        if is_loaded_model(state.get("encoder")):
            # A loaded model is no part of any file: a fitted estimator knows it only
            # by its name, and so does one that is not fitted yet.
            state["encoder"] = MissingModel(type(state["encoder"]).__name__)
        return state


def state_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that are stored: no cached properties."""
    state = value.__getstate__() or {}
    cached = [
        name
        for name in state
        if isinstance(getattr(type(value), name, None), cached_property)
    ]
    return {name: part for name, part in state.items() if name not in cached}


def unpack(value: Any, arrays: list[np.ndarray]) -> tuple[Any, list[Any]]:
    """Put arrays and tables back into a plain copy, which is changed.

    Parameters
    ----------
    value : object
        What `Packer.pack` has returned, perhaps stored and loaded since.
    arrays : list of ndarray
        The arrays.

    Returns
    -------
    value : object
        The estimator.
    objects : list
        All objects inside that have attributes, the estimator among them.
    """
    unpacker = _Unpacker(arrays)
    return unpacker.unpack(value), unpacker.objects


class _Unpacker:
    """Put arrays and tables back into plain copies, each of them once."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.objects: list[Any] = []
        self._arrays = arrays
        self._unpacked: dict[int, tuple[Any, Any]] = {}

    def unpack(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if id(value) not in self._unpacked:
            self._unpacked[id(value)] = value, self._unpack_new(value)
        return self._unpacked[id(value)][1]

    def _unpack_new(self, value: Any) -> Any:
        if isinstance(value, StoredArray):
            return self._arrays[value.number]
        if isinstance(value, StoredMapping):
            keys, values = self.unpack(value.keys), self.unpack(value.values)
            return dict(zip(keys, values, strict=True))
        if type(value) is dict:
            for key, part in value.items():
                value[key] = self.unpack(part)
            return value
        if type(value) in (list, tuple):
            return type(value)(map(self.unpack, value))
        if type(value) is np.ndarray and value.dtype == object:
            return _map_cells(value, self.unpack)
        if _has_plain_state(value):
            return self._unpack_object(value)
        self._look_inside(value)
        return value

    def _look_inside(self, value: Any) -> None:
        """Find estimators in what skops has stored whole, such as a masked array."""
        # Before what is inside, which may refer to it.
        self._unpacked[id(value)] = value, value
        for part in _parts_of(value):
            self.unpack(part)

    def _unpack_object(self, value: Any) -> Any:
        for name, part in vars(value).items():
            # Past frozen dataclasses, whose attributes may not be set.
            vars(value)[name] = self.unpack(part)
        if tables.is_stored(value):
            return value.to_pandas()
        if is_stored_class(type(value)):
            _complete(value)
        self.objects.append(value)
        return value


def _has_plain_state(value: Any) -> bool:
    """Return whether the attributes of an object are all there is to it."""
    if is_stored_class(type(value)):
        return True
    return isinstance(value, BaseEstimator) and all(
        _is_usual(type(value), name) for name in ("__getstate__", "__setstate__")
    )


def _is_usual(cls: type, name: str) -> bool:
    """Return whether a method of state is scikit-learn's usual one, or one of ours."""
    method = getattr(cls, name)
    if method is getattr(BaseEstimator, name):
        return True
    return method.__module__.partition(".")[0] == PACKAGE


def _with_state(value: Any, replace: Replace, state: dict | None = None) -> Any:
    """Return an object of the same class that is stored with replaced attributes."""
    state = state_of(value) if state is None else state
    replaced = {name: replace(part) for name, part in state.items()}
    cls: Any = type(value)
    twin = cls.__new__(cls)
    # skops asks an object for its state. The twin answers with what is to be stored,
    # without the class doing to it again what it has done to the original.
    vars(twin)["__getstate__"] = lambda: replaced
    return twin


def _parts_of(value: Any) -> list:
    """Return what an object holds, of whatever kind it is."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if isinstance(value, np.ndarray):
        return list(np.asarray(value).flat) if value.dtype == object else []
    if isinstance(value, type):
        return []
    return list(getattr(value, "__dict__", {}).values())


def _map_cells(array: np.ndarray, function: Replace) -> np.ndarray:
    for index in np.ndindex(array.shape):
        array[index] = function(array[index])
    return array


def _complete(value: Any) -> None:
    """Give an object of an earlier version what it did not have yet, by default."""
    for name, default in _defaults(type(value)):
        # A default may also be the class's own attribute.
        if not hasattr(value, name):
            if default is MISSING:
                raise AttributeError(f"{type(value).__name__} has no {name!r}")
            vars(value)[name] = default


def _defaults(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what each attribute of a new object is, `MISSING` if nobody knows."""
    if is_dataclass(cls):
        for field in fields(cls):
            made = field.default_factory
            yield field.name, field.default if made is MISSING else made()
    elif issubclass(cls, BaseEstimator):
        for parameter in signature(cls).parameters.values():
            known = parameter.default is not parameter.empty
            yield parameter.name, parameter.default if known else MISSING
