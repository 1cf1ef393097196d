"""Independent work in the threads that BLAS may use, with one thread of BLAS each."""

from __future__ import annotations

import contextvars
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from skl_locus._utils.progress import progress_bar

Task = TypeVar("Task")
Result = TypeVar("Result")

SMALL = 2**22
"""Numbers in the largest matrix of a computation up to which BLAS does not divide it: a
decomposition takes a second then, of thousands of steps of which each would wait."""

MIN_NUMBERS = 32_768
"""Results of a thread at least: a few milliseconds of work, where starting a thread
takes a tenth of one."""

_dividing = Lock()
_n_free: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "n_free_threads", default=None
)


def map_rows(
    work: Callable[[slice], Result], n_rows: int, n_columns: int
) -> list[Result]:
    """Compute parts of a matrix from their rows, at the same time if it is large.

    BLAS divides each product among its threads and waits for all of them after each:
    the passes between products run in one thread, and if another process has taken a
    processor, every product waits for it. Here each thread does all that belongs to
    its rows, products included, and they wait for one another once.

    The limit of one BLAS thread each holds for the whole process while it lasts. Of
    several requests at the same time, one is divided.

    Parameters
    ----------
    work : callable
        Maps a slice of rows to its result.
    n_rows, n_columns : int
        Shape of the matrix.

    Returns
    -------
    list
        Results in the order of the rows.
    """
    n_parts = min(n_rows, n_rows * n_columns // MIN_NUMBERS)
    if n_parts < 2:
        return [work(slice(0, n_rows))]
    with _one_thread_each() as n_threads:
        n_parts = min(n_parts, n_threads)
        bounds = [n_rows * i // n_parts for i in range(n_parts + 1)]
        parts = [slice(*pair) for pair in pairwise(bounds)]
        if n_parts < 2:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(n_parts - 1) as threads:
            own, *others = (_in_own_thread(work, part) for part in parts)
            futures = [threads.submit(other) for other in others]
            return [own(), *(future.result() for future in futures)]


def map_tasks(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    name: str = "compute",
    unit: str = "task",
) -> list[Result]:
    """Do independent tasks, each in one thread, as many at a time as BLAS may use.

    Parameters
    ----------
    work : callable
        Maps a task to its result.
    tasks : iterable
        Tasks of more than a few milliseconds.
    name, unit : str, default="compute", "task"
        What is done and what the tasks are, for a progress bar.

    Returns
    -------
    list
        Results in the order of the tasks.
    """
    tasks = list(tasks)
    with (
        _one_thread_each() as n_threads,
        progress_bar(name, len(tasks), unit=unit) as bar,
    ):

        def counted(task: Task) -> Result:
            result = work(task)
            bar.advance()
            return result

        n_threads = min(n_threads, len(tasks))
        if n_threads < 2:
            return [counted(task) for task in tasks]
        with ThreadPoolExecutor(n_threads, initializer=_undivided) as threads:
            futures = [threads.submit(_in_own_thread(counted, task)) for task in tasks]
            return [future.result() for future in futures]


@contextmanager
def undivided_if_small(n_numbers: int) -> Iterator[None]:
    """Let BLAS work in one thread on matrices of up to ``SMALL`` numbers.

    Its threads wait for one another after every step, in a loop that keeps a processor
    busy; where another process has taken one, eigenvectors of 768 features took 20
    times as long in two threads as in one.
    """
    if n_numbers > SMALL:
        yield
        return
    with _one_thread_each():
        yield


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Limit BLAS to one thread; yield how many threads its caller may start instead.

    One, where the caller is such a thread itself, or where others have the limit.
    """
    n_threads = _n_free.get()
    if n_threads is not None:
        yield n_threads
        return
    if not _dividing.acquire(blocking=False):
        yield 1
        return
    try:
        controller = _blas()
        n_threads = _n_threads(controller)
        token = _n_free.set(n_threads)
        try:
            with controller.limit(limits=1):
                yield n_threads
        finally:
            _n_free.reset(token)
    finally:
        _dividing.release()


def _in_own_thread(work: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
    """Prepare a task that has the caller's context and starts no threads itself."""
    # Settings such as numpy.errstate belong to the thread that asks.
    context = contextvars.copy_context()
    context.run(_n_free.set, 1)
    return functools.partial(context.run, work, task)


def _undivided() -> None:
    """Let OpenMP work in one thread where it is called from this one."""
    ThreadpoolController().limit(limits=1, user_api="openmp")


@functools.cache
def _blas() -> ThreadpoolController:
    """Find the BLAS libraries, once: each search takes about a millisecond."""
    return ThreadpoolController().select(user_api="blas")


def _n_threads(controller: ThreadpoolController) -> int:
    """Return how many threads BLAS may use; 1 where it cannot be asked."""
    libraries = controller.lib_controllers
    return min((library.num_threads for library in libraries), default=1)


def _forget() -> None:
    """Start anew in a forked process: the thread that held the lock is not there."""
    global _dividing
    _dividing = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
