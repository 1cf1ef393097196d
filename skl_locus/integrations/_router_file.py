"""A router in service, and its file, which may change at any time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

from skl_locus.integrations._judge import Judge

Signature = tuple[int, int, int, int]
"""What changes with every save: times, size and inode of a file. The time of the last
change of its state cannot be set back, as tools that copy set that of its content."""


class RouterFile:
    """The router of a file, loaded again when the file has changed.

    A new router is loaded in a thread of its own and then takes the place of the old
    one by one assignment: requests use either of the two, and none waits. If the new
    file cannot be loaded, the old router stays.

    Parameters
    ----------
    path : path-like
        The file.
    load : callable
        Loads the file and returns a judge.
    check_every : float or None
        Seconds between two looks at the file; None never looks by itself.
    on_failure : callable
        Called with the error if a changed file could not be loaded.
    on_change : callable
        Called after a new router has been put in service.

    Attributes
    ----------
    judge : Judge
        The router in service.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        load: Callable[[], Judge],
        check_every: float | None,
        on_failure: Callable[[Exception], None],
        on_change: Callable[[], None],
    ) -> None:
        self._path = Path(path)
        self._load = load
        self._check_every = check_every
        self._on_failure = on_failure
        self._on_change = on_change
        self._checking = Lock()
        # The signature is read first: a file that is replaced in between then looks
        # changed, and is loaded once more than needed, but never once too seldom.
        self._seen: Signature | None = _signature(self._path)
        self.judge = load()
        self._next_check = time.monotonic() + (check_every or 0.0)

    def check_soon(self) -> None:
        """Look at the file in another thread, if that is due and nobody does."""
        if self._check_every is None or time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + self._check_every
        if not self._checking.locked():
            Thread(target=self.check, name="skl-locus reload", daemon=True).start()

    def check(self) -> bool:
        """Load the file if it has changed; return whether its router is in service.

        Returns
        -------
        bool
            True if a new router was loaded; False if the file is the same, or could
            not be loaded.
        """
        with self._checking:
            try:
                signature = _signature(self._path)
                if signature == self._seen:
                    return False
                self.judge = self._load()
            except OSError as error:
                # The disk may be back at the next look.
                self._on_failure(error)
                return False
            except Exception as error:
                # The same damaged file need not be read again and again.
                self._seen = signature
                self._on_failure(error)
                return False
            self._seen = signature
        self._on_change()
        return True


def _signature(path: Path) -> Signature:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
