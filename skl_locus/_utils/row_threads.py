"""Rows of large products, divided among the threads that BLAS may use."""

from __future__ import annotations

import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

MIN_NUMBERS = 32_768
"""Results of a thread at least: a few milliseconds of work, where starting a thread
takes a tenth of one."""

_dividing = Lock()


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
    if n_parts < 2 or not _dividing.acquire(blocking=False):
        return [work(slice(0, n_rows))]
    try:
        return _divided(work, n_rows, n_parts)
    finally:
        _dividing.release()


def _divided(
    work: Callable[[slice], Result], n_rows: int, n_parts: int
) -> list[Result]:
    controller = _blas()
    n_parts = min(n_parts, _n_threads(controller))
    bounds = [n_rows * i // n_parts for i in range(n_parts + 1)]
    parts = [slice(*pair) for pair in pairwise(bounds)]
    if n_parts < 2:
        return [work(part) for part in parts]
    with controller.limit(limits=1), ThreadPoolExecutor(n_parts - 1) as threads:
        # Settings such as numpy.errstate belong to the thread that asks.
        others = [
            threads.submit(contextvars.copy_context().run, work, part)
            for part in parts[1:]
        ]
        return [work(parts[0]), *(other.result() for other in others)]


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
