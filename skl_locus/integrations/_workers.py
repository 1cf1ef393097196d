"""Threads that compute decisions, with a limit on how many wait."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import BoundedSemaphore, Lock, Thread
from typing import Any

PATIENCE = 5.0
"""Seconds that closing waits for tasks under way; what hangs is left behind."""

Task = tuple[Future, Callable[..., Any], tuple]


class Workers:
    """A few threads, and a bounded number of tasks that run or wait.

    Unlike those of ``concurrent.futures``, the threads do not keep the interpreter
    from ending while a task hangs.

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
        """Run a task in a thread; return None if that would not be soon.

        That is so where too many tasks wait already, where all threads are at tasks
        that were given up, and after the end.
        """
        if self._process != os.getpid():
            # A server has forked this process; threads do not survive that.
            self._start()
        if len(self._overdue) >= self._n_threads:
            return None
        places = self._places
        if not places.acquire(blocking=False):
            return None
        future: Future = Future()
        future.add_done_callback(lambda _: places.release())
        # Under the lock, so that no task comes behind the end of the queue.
        with self._lock:
            if self._is_closed:
                future.cancel()
                return None
            self._tasks.put((future, task, args))
        return future

    def give_up(self, future: Future) -> None:
        """Wait for a task no longer: it does not run, or its thread is overdue."""
        if not future.cancel():
            self._overdue.add(future)
            future.add_done_callback(self._overdue.discard)

    def close(self) -> None:
        """Finish what was submitted, and end the threads."""
        if self._process == os.getpid():
            self._end()

    def _start(self) -> None:
        self._process = os.getpid()
        self._places = BoundedSemaphore(self._max_waiting)
        self._overdue: set[Future] = set()
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = Lock()
        self._is_closed = False
        self._threads = [
            Thread(target=_work, args=(self._tasks,), name="skl-locus", daemon=True)
            for _ in range(self._n_threads)
        ]
        for thread in self._threads:
            thread.start()
        _open.add(self)
        # Threads of workers that nobody has any more would wait for ever.
        weakref.finalize(self, _end_of, self._tasks, self._n_threads).atexit = False

    def _end(self) -> None:
        with self._lock:
            self._is_closed = True
        _end_of(self._tasks, self._n_threads)
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


_open: weakref.WeakSet[Workers] = weakref.WeakSet()
"""Workers to close at the end of the interpreter, since a thread that is in the middle
of a computation then can make the process crash."""


@atexit.register
def _close_all() -> None:
    for workers in list(_open):
        workers.close()


def _end_of(tasks: SimpleQueue[Task | None], n_threads: int) -> None:
    for _ in range(n_threads):
        tasks.put(None)


def _work(tasks: SimpleQueue[Task | None]) -> None:
    while (entry := tasks.get()) is not None:
        future, task, args = entry
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = task(*args)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        # The last task would stay in memory until the next one comes.
        del entry, future, task, args
