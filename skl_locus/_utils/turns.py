"""Turns of small computations: threads do them one after another."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from threading import RLock

SMALL = 2_048
"""Numbers in the result of a computation up to which threads take turns: a millisecond
of work."""

_turn = RLock()


def turn_for(n_numbers: int) -> AbstractContextManager:
    """Return a context in which a computation waits for its turn if it is small.

    A small computation is dozens of calls of numpy, of a few microseconds each, and
    each gives the interpreter's lock up. Another thread takes it, and the first waits
    until that one's next call gives it back: of eight threads each call costs a change
    of threads, and together they were half as fast as one. Taking turns of a whole
    computation, they change once. Large ones, which spend their time without the lock,
    run at the same time.

    Parameters
    ----------
    n_numbers : int
        Numbers in the result.
    """
    return _turn if n_numbers <= SMALL else nullcontext()


def _forget() -> None:
    """Start anew in a forked process: the thread whose turn it was is not there."""
    global _turn
    _turn = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
