"""Progress bars of long steps, and closing lines of fits, on standard error."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any

BAR_AFTER = 2.0
"""Seconds of work after which a step has a bar; shorter steps show nothing."""

REDRAWN_EVERY = 1.0
"""Seconds between two draws of a bar whose unit takes longer."""

_is_shown: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "progress_is_shown", default=False
)
_facts: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "facts_of_fit", default=None
)


class NoBar:
    """Stands for a bar that nobody wants to see."""

    def advance(self, n: int = 1) -> None:
        """Count units that are done."""

    def note(self, **values: str) -> None:
        """Show values behind the bar."""


class Bar(NoBar):
    """A bar that is drawn once its step has run for a while.

    Parameters
    ----------
    name : str
        What is done.
    total : int or None
        How many units of it; None where nobody knows.
    unit : str
        What is counted.
    """

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        # Only who wants a bar waits for its import.
        from tqdm.auto import tqdm

        # With miniters=0 the clock alone decides about drawing: tqdm would otherwise
        # wait for as many units as it saw between two draws before.
        self._bar = tqdm(
            total=total,
            desc=name,
            unit=unit,
            unit_scale=total is None or total > 9999,
            delay=BAR_AFTER,
            miniters=0,
        )
        # Units may be done in several threads, and the bar is redrawn from another one.
        self._lock = Lock()

    def advance(self, n: int = 1) -> None:
        """Count units that are done."""
        with self._lock:
            self._bar.update(n)

    def note(self, **values: str) -> None:
        """Show values behind the bar."""
        # A refresh would draw a bar before its time.
        self._bar.set_postfix(refresh=False, **values)

    def close(self) -> None:
        """Leave the bar as it is."""
        with self._lock:
            self._bar.close()


@contextmanager
def progress_shown(verbose: int) -> Iterator[None]:
    """Show the steps of some work if it is wanted.

    Whoever has a parameter ``verbose`` says so here once, for all that is called, in
    this thread and those of `map_tasks`.
    """
    token = _is_shown.set(bool(verbose))
    try:
        yield
    finally:
        _is_shown.reset(token)


def progress_is_shown() -> bool:
    """Return whether steps show bars here."""
    return _is_shown.get()


@contextmanager
def progress_bar(name: str, total: int, *, unit: str) -> Iterator[NoBar]:
    """Show a step of work that takes long, if `progress_shown` says so.

    Parameters
    ----------
    name : str
        What is done.
    total : int
        How many units of it.
    unit : str
        What is counted.

    Yields
    ------
    NoBar
        To be advanced by the units that are done.
    """
    if not progress_is_shown():
        yield NoBar()
        return
    bar = Bar(name, total, unit)
    # One bar at a time: steps inside of this one are a part of its units.
    with progress_shown(0):
        try:
            with _redrawn(bar):
                yield bar
        finally:
            bar.close()


@contextmanager
def _redrawn(bar: Bar) -> Iterator[None]:
    """Draw a bar again and again, since one unit may take minutes."""
    is_done = Event()

    def redraw() -> None:
        while not is_done.wait(REDRAWN_EVERY):
            bar.advance(0)

    thread = Thread(target=redraw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def counting_bar(
    name: str, total: int | None, shown: bool, *, unit: str = "row"
) -> Callable[[int | None], None]:
    """Show a bar of work whose end may be unknown.

    Parameters
    ----------
    name : str
        What is done.
    total : int or None
        How many units of it; None where nobody knows.
    shown : bool
        False for no bar.
    unit : str, default="row"
        What is counted.

    Returns
    -------
    callable
        To be called with the number of units done, and with None at the end.
    """
    if not shown:
        return lambda n_done: None
    bar = Bar(name, total, unit)

    def advance(n_done: int | None) -> None:
        if n_done is None:
            bar.close()
        else:
            bar.advance(n_done)

    return advance


@contextmanager
def reported_fit(estimator: Any) -> Iterator[None]:
    """Show the steps of a fit and, in a line at its end, what was learned.

    Nothing is shown unless the estimator has a parameter ``verbose`` above 0. A fit
    that fails has no line, and one that is a part of another has none of its own.
    """
    if is_reported():
        yield
        return
    verbose = getattr(estimator, "verbose", 0)
    facts: list[str] | None = [] if verbose else None
    token = _facts.set(facts)
    started = perf_counter()
    try:
        with progress_shown(verbose):
            yield
    finally:
        _facts.reset(token)
    if facts is not None:
        facts.append(f"{perf_counter() - started:.1f} s")
        _write_line(f"{type(estimator).__name__}: {'; '.join(facts)}")


def is_reported() -> bool:
    """Return whether a line will say what was learned."""
    return _facts.get() is not None


def learned(fact: str) -> None:
    """Add a fact to the closing line of the fit, if there is one."""
    facts = _facts.get()
    if facts is not None:
        facts.append(fact)


def _write_line(text: str) -> None:
    from tqdm.auto import tqdm

    # It goes around the bars of other work that may be on the screen.
    tqdm.write(text, file=sys.stderr)
