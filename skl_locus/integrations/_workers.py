"""Threads that compute decisions, with a limit on how many wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any


class Workers:
    """A few threads, and a bounded number of tasks that run or wait.

    Parameters
    ----------
    n_threads : int
        Number of threads.
    max_waiting : int
        Number of tasks that run or wait, at most.
    """

    def __init__(self, n_threads: int, max_waiting: int) -> None:
        self._n_threads = n_threads
        self._max_waiting = max_waiting
        self._start()

    def submit(self, task: Callable[..., Any], *args: Any) -> Future | None:
        """Run a task in a thread; return None if too many wait already."""
        if self._process != os.getpid():
            # A server has forked this process; threads do not survive that.
            self._start()
        if not self._places.acquire(blocking=False):
            return None
        places = self._places
        try:
            future = self._threads.submit(task, *args)
        except BaseException:
            places.release()
            raise
        future.add_done_callback(lambda _: places.release())
        return future

    def close(self) -> None:
        """Finish what was submitted, and end the threads."""
        self._threads.shutdown()

    def _start(self) -> None:
        self._process = os.getpid()
        self._places = BoundedSemaphore(self._max_waiting)
        self._threads = ThreadPoolExecutor(self._n_threads, "skl-locus")
