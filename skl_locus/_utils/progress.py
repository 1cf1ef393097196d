"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    name: str, total: int, shown: bool, *, unit: str = "text"
) -> Iterator[None]:
    """Show a bar from the beginning of some work to its end.

    Parameters
    ----------
    name : str
        What is done.
    total : int
        How many units of it.
    shown : bool
        False for no bar.
    unit : str, default="text"
        What is counted.
    """
    if not shown:
        yield
        return
    # Only who wants a bar waits for its import.
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=name, unit=unit) as bar:
        yield
        bar.update(total)


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
    from tqdm.auto import tqdm

    bar = tqdm(total=total, desc=name, unit=unit, unit_scale=True)

    def advance(n_done: int | None) -> None:
        if n_done is None:
            bar.close()
        else:
            bar.update(n_done)

    return advance
