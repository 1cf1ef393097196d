"""Threads of torch: few for small steps, and one each for independent tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")


class Compute(Protocol):
    """Applies a function to tasks; the results are in the order of the tasks."""

    def __call__(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> list[Result]:
        """Return ``[work(task) for task in tasks]``, computed in any order."""


SMALL_STEP = 2**19
"""Numbers in the largest tensor of a training step up to which its operators are not
divided: those of LOCUS with its default parameters and its largest contexts."""


def one_after_another(
    work: Callable[[Task], Result], tasks: Sequence[Task]
) -> list[Result]:
    """Do tasks in the thread of the caller."""
    return [work(task) for task in tasks]


@contextmanager
def threads_for_step(
    n_numbers: int, device: torch.device, n_parts: int = 1
) -> Iterator[Compute]:
    """Train with one thread for each part of a small step.

    Threads among which torch divides every operator wait for one another after each of
    them, in a loop that keeps a processor busy. If other processes have taken one of
    them, each of the thousand operations of a step waits for its turn: beside a busy
    process, small steps in two such threads took 13 to 60 times as long as in one.
    Threads that have a part of the step each wait for one another once.

    Parameters
    ----------
    n_numbers : int
        Numbers in the largest tensor of a step. Up to ``SMALL_STEP``, operators are not
        divided.
    device : torch.device
        Where the training is done.
    n_parts : int, default=1
        Parts of a step that are independent.

    Yields
    ------
    callable
        Computes the parts of a step.
    """
    if device.type != "cpu" or n_numbers > SMALL_STEP:
        yield one_after_another
        return
    # Also tells torch its number of threads, which would replace a limit set before.
    n_threads = min(n_parts, torch.get_num_threads())
    with ThreadpoolController().limit(limits=1, user_api="openmp"):
        if n_threads == 1:
            yield one_after_another
            return
        with _undivided_threads(n_threads) as compute:
            yield compute


@contextmanager
def _undivided_threads(n_threads: int) -> Iterator[Compute]:
    """Start threads in which torch does not divide operators among others."""
    controller = ThreadpoolController()

    def begin() -> None:
        # torch sets the limit of a new thread when first asked: ours comes after.
        torch.get_num_threads()
        controller.limit(limits=1, user_api="openmp")

    def compute(work: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
        return list(threads.map(work, tasks))

    with ThreadPoolExecutor(n_threads, initializer=begin) as threads:
        yield compute


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
    with _undivided_threads(n_threads) as compute:
        return compute(work, tasks)
