"""Turns of small computations: threads do them one after another."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Any

import numpy as np

SMALL = 2_048
"""Numbers in the result of a request up to which threads take turns: a millisecond of
work."""

_turn = RLock()


def turn_of(queries: Any, n_columns: int) -> AbstractContextManager:
    """Return a context in which a small request for encoded queries waits its turn.

    A small request is dozens of calls of numpy, of a few microseconds each, and many
    of them give the interpreter's lock up. Another thread takes it, and the first waits
    until that one's next call gives it back: of eight threads each call costs a change
    of threads, and together they were half as fast as one. Taking turns of whole
    requests they change seldom. Large ones, which spend their time without the lock,
    run at the same time, and so do texts, which are encoded first.

    Parameters
    ----------
    queries : object
        What a user gave; an array of shape (n_queries, n_features) is encoded.
    n_columns : int
        Numbers in the result for each query.
    """
    is_encoded = isinstance(queries, np.ndarray) and queries.ndim == 2
    if is_encoded and len(queries) * n_columns <= SMALL:
        return _turn
    return nullcontext()


def _forget() -> None:
    """Start anew in a forked process: the thread whose turn it was is not there."""
    global _turn
    _turn = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
