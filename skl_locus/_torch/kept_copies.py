"""Copies of arrays as tensors, kept beside what they were made from."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

Kept = TypeVar("Kept")


class KeptCopies(Generic[Kept]):
    """The latest copy of each owner, gone with it and unknown to it.

    Owners are never changed but replaced, so that a copy is never out of date. They do
    not refer to their copies: no pickle, clone or deep copy has one. A forked process
    begins without any, since it cannot use the device of its parent.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Hashable, Kept]] = {}
        self._guard = Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, owner: Any, place: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return the copy of an owner in a place, made at the first request.

        Parameters
        ----------
        owner : object
            What the copy is made from.
        place : hashable
            Where the copy is; one in another place is replaced.
        make : callable
            Makes the copy.

        Returns
        -------
        object
            The same for all threads of this process.
        """
        # Owners are dataclasses of arrays, which cannot be hashed: they are known by
        # their identity, which is free again once they are gone.
        with self._guard:
            known = self._kept.get(id(owner))
            if known is not None and known[0] == place:
                return known[1]
            if known is None:
                weakref.finalize(owner, self._kept.pop, id(owner), None)
            copy = make()
            self._kept[id(owner)] = place, copy
            return copy

    def _forget(self) -> None:
        self._guard = Lock()
        self._kept.clear()
