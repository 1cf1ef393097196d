"""A map with a bounded number of entries, the least recently used of which go."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedMap(Generic[Value]):
    """A map for many threads that forgets what was not used for longest.

    Parameters
    ----------
    max_entries : int
        Number of entries; 0 keeps none.
    time_to_live : float, default=None
        Seconds after which an entry is forgotten that nobody has set again.
    clock : callable, default=time.monotonic
        Time in seconds.
    max_weight : int, default=None
        Sum of the weights of the entries; None for any.
    """

    def __init__(
        self,
        max_entries: int,
        time_to_live: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_weight: int | None = None,
    ) -> None:
        self._max_entries = max_entries
        self._max_weight = max_weight
        self._time_to_live = time_to_live
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[Value, float, int]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, None if there is none or it is too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, time_set, _ = entry
            if self._is_over(time_set):
                self._forget(key)
                return None
            self._entries.move_to_end(key)
            return value

    def set(self, key: Hashable, value: Value, weight: int = 0) -> None:
        """Set the value of a key, and forget other ones if there are too many."""
        with self._lock:
            self._forget(key)
            self._entries[key] = value, self._clock(), weight
            self._weight += weight
            while self._is_too_large():
                self._forget(next(iter(self._entries)))

    def _forget(self, key: Hashable) -> None:
        if key in self._entries:
            self._weight -= self._entries.pop(key)[2]

    def _is_too_large(self) -> bool:
        if len(self._entries) > self._max_entries:
            return True
        return self._max_weight is not None and self._weight > self._max_weight

    def _is_over(self, time_set: float) -> bool:
        if self._time_to_live is None:
            return False
        return self._clock() - time_set > self._time_to_live
