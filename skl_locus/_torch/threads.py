"""Parallel map over threads that compute with one thread each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")


def parallel_map(
    work: Callable[[Task], Result], tasks: Sequence[Task], device: torch.device
) -> list[Result]:
    """Do independent tasks; on a CPU in as many threads as torch may use.

    Threads with a task each wait for one another once, at the end; threads among which
    torch divides every operator wait after each of them.

    Parameters
    ----------
    work : callable
        Maps a task to its result.
    tasks : sequence
        Tasks of about the same size.
    device : torch.device
        Where the work is done.

    Returns
    -------
    list
        Results in the order of the tasks.
    """
    n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1 or len(tasks) < n_threads:
        return [work(task) for task in tasks]
    # Threads started here would each divide their operators among as many again.
    controller = ThreadpoolController()

    def begin() -> None:
        # torch sets the limit of a new thread when first asked: ours comes after.
        torch.get_num_threads()
        controller.limit(limits=1, user_api="openmp")

    with ThreadPoolExecutor(n_threads, initializer=begin) as threads:
        return list(threads.map(work, tasks))
