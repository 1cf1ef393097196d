"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Iterator
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
