"""Threads of torch: few for small steps, and one each for independent tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")


SMALL_STEP = 2**19
"""Numbers in the largest tensor of a training step up to which it runs in one thread:
twice those of LOCUS with its default parameters."""


@contextmanager
def threads_for_step(n_numbers: int, device: torch.device) -> Iterator[None]:
    """Train in one thread where steps are small; in as many as torch may use elsewhere.

    Threads wait for one another after every operation, in a loop that keeps a processor
    busy. If other processes have taken one of them, each of the thousand operations of
    a step waits for its turn: beside a busy process, small steps in two threads took 13
    to 60 times as long as in one. Alone they are a little faster in two.

    Parameters
    ----------
    n_numbers : int
        Numbers in the largest tensor of a step.
    device : torch.device
        Where the training is done.
    """
    if device.type != "cpu" or n_numbers > SMALL_STEP:
        yield
        return
    # torch sets the limit of a new thread when first asked: ours comes after.
    torch.get_num_threads()
    with ThreadpoolController().limit(limits=1, user_api="openmp"):
        yield


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
