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
    """

    def __init__(
        self,
        max_entries: int,
        time_to_live: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max_entries
        self._time_to_live = time_to_live
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[Value, float]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, None if there is none or it is too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, time_set = entry
            if self._is_over(time_set):
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def set(self, key: Hashable, value: Value) -> None:
        """Set the value of a key, and forget another one if there are too many."""
        with self._lock:
            self._entries[key] = value, self._clock()
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def _is_over(self, time_set: float) -> bool:
        if self._time_to_live is None:
            return False
        return self._clock() - time_set > self._time_to_live
