"""The library whose arrays the large regressions of a block are solved with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

LEAST_WORK = 2**23
"""Multiplications in a product of encodings and coefficients from which a library other
than numpy is used: a processor core takes less than a millisecond for fewer, about what
starting the operations of a step on a device takes."""


class ArrayLibrary(Protocol):
    """What the solver of regressions needs of an array library.

    Arrays are of float64. All else that is done with them, numpy and torch write alike:
    arithmetic, indexing, ``sum`` and ``mean`` along ``axis``, ``clip``.
    """

    def expit(self, x: Any, /) -> Any: ...
    def where(self, condition: Any, x: Any, y: Any, /) -> Any: ...
    def vstack(self, arrays: list, /) -> Any: ...
    def sqrt(self, x: Any, /) -> Any: ...
    def einsum(self, subscripts: str, x: Any, y: Any, /) -> Any: ...
    def zeros_like(self, x: Any, /) -> Any: ...
    def ones_like(self, x: Any, /) -> Any: ...

    def array(self, values: np.ndarray) -> Any:
        """Take an array of numpy; the solver does not write to it."""

    def kept(self, owner: Any, values: np.ndarray) -> Any:
        """Take an array that is asked for again as long as its owner lives."""

    def positions(self, n: int) -> Any:
        """Return the integers from 0 to ``n - 1``."""

    def numpy(self, array: Any) -> np.ndarray:
        """Return an array of numpy."""


@dataclass(frozen=True)
class NumpyArrays:
    """Arrays of numpy, on the processor."""

    expit = staticmethod(expit)
    where = staticmethod(np.where)
    vstack = staticmethod(np.vstack)
    sqrt = staticmethod(np.sqrt)
    einsum = staticmethod(np.einsum)
    zeros_like = staticmethod(np.zeros_like)
    ones_like = staticmethod(np.ones_like)

    def array(self, values: np.ndarray) -> np.ndarray:
        """Return the array itself."""
        return values

    def kept(self, owner: Any, values: np.ndarray) -> np.ndarray:
        """Return the array itself."""
        return values

    def positions(self, n: int) -> np.ndarray:
        """Return the integers from 0 to ``n - 1``."""
        return np.arange(n)

    def numpy(self, array: np.ndarray) -> np.ndarray:
        """Return the array itself."""
        return array


NUMPY = NumpyArrays()

_library: ContextVar[ArrayLibrary] = ContextVar("array_library", default=NUMPY)


@contextmanager
def solving_with(library: ArrayLibrary) -> Iterator[None]:
    """Solve the large regressions of the block with the arrays of a library."""
    token = _library.set(library)
    try:
        yield
    finally:
        _library.reset(token)


def library_for(n_multiplications: int) -> ArrayLibrary:
    """Return the library of the block, or numpy where there is little to compute."""
    return NUMPY if n_multiplications < LEAST_WORK else _library.get()
