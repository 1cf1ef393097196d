"""Parallel work of libraries in a process that was forked from a busy one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

_is_forked = False


def survives_fork(function: Function) -> Function:
    """Make a function that uses OpenMP work in a process forked after such work.

    OpenMP of GNU keeps a team of threads for each thread that has computed in
    parallel. A fork copies the memory of the team but not its threads, and the next
    parallel operation waits for them for ever. A new thread begins with no team: in a
    forked process, the function runs in one.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not _is_forked:
            return function(*args, **kwargs)
        return _in_new_thread(lambda: function(*args, **kwargs))

    return cast(Function, run)


def is_forked() -> bool:
    """Return whether this process was forked after the package was loaded."""
    return _is_forked


def _in_new_thread(work: Callable[[], Result]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _mark_forked() -> None:
    global _is_forked
    _is_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_forked)
