"""State that an estimator has in one process only: locks, caches, warnings given once.

It is kept beside the estimators, so that pickles, copies and clones know nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from skl_locus._utils.user_warnings import warn_user

Kept = TypeVar("Kept")

MAX_NOTICES = 1_000
"""Warnings remembered for an estimator; a service may be asked for any names."""


class _State:
    """The state of one estimator."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.noticed: set[Hashable] = set()
        self.kept: dict[Callable[[], Any], Any] = {}


_states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()
_guard = Lock()


def lock_of(estimator: Any) -> RLock:
    """Return the lock of an estimator, which whoever changes it must hold."""
    return _state_of(estimator).lock


def kept_beside(estimator: Any, make: Callable[[], Kept]) -> Kept:
    """Return what is kept beside an estimator, made by ``make`` at the first request.

    Parameters
    ----------
    estimator : object
        Owner of the object, which is gone with it.
    make : callable
        Class or function without arguments, by which the object is found again.

    Returns
    -------
    object
        The same for all threads of this process.
    """
    state = _state_of(estimator)
    with _guard:
        if make not in state.kept:
            state.kept[make] = make()
        return state.kept[make]


def warn_once(
    estimator: Any, subject: Hashable, message: str, category: type[Warning]
) -> None:
    """Warn of a subject the first time that an estimator meets it in this process."""
    state = _state_of(estimator)
    with _guard:
        if subject in state.noticed or len(state.noticed) >= MAX_NOTICES:
            return
        state.noticed.add(subject)
    warn_user(message, category)


def _state_of(estimator: Any) -> _State:
    with _guard:
        return _states.setdefault(estimator, _State())


def _forget() -> None:
    """Start anew in a forked process.

    Threads that held a lock at the fork are not there to release it.
    """
    global _guard
    _guard = Lock()
    _states.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
