"""A log of decisions: one line of JSON for each, written in the background."""

from __future__ import annotations

import json
import math
import os
import queue
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

from skl_locus.integrations._decision import Decision

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_BYTES = 100_000_000
"""Size at which a log is rotated by default: about 250,000 decisions."""

BACKUPS = 5
"""Rotated logs that are kept by default."""

MAX_WAITING = 10_000
"""Decisions that may wait for a slow disk; more are dropped and counted."""

LINES_AT_ONCE = 500
"""Lines that are written by one call of the operating system, at most."""


class DecisionLog:
    """A log of decisions in a file of JSON lines, an observer of a service.

    Parameters
    ----------
    path : str or path-like
        The file; its folder must exist. A file that is there is continued.
    max_bytes : int, default=100_000_000
        Size from which a new file is begun: ``log.jsonl`` becomes ``log.jsonl.1``,
        that one ``log.jsonl.2`` and so on. None for one file without an end.
    backups : int, default=5
        Number of old files that are kept.
    max_waiting : int, default=10_000
        Number of decisions that may wait to be written. If the disk cannot follow, more
        are dropped, so that no request waits for a log.

    Attributes
    ----------
    n_dropped : int
        Decisions that were not written: no room to wait, or an error of the disk. The
        first one is warned of.

    Notes
    -----
    A line has the attributes of `Decision`; ``alternatives`` is a list of pairs of
    label and P, best first, and the time is in ISO 8601. There is no text in it, but a
    digest of it: who can guess a text can tell that it was asked.

    One thread writes. Whole lines are handed over to the operating system at a time: a
    kill, or a full disk, may cut the last line only, and the next one begins on a line
    of its own. What waits is written when the log is closed and when the interpreter
    ends, but not after a kill. Files that are renamed by others (logrotate) are begun
    anew. Processes may share a file; with a file for each, named by its process id for
    instance, it is known who decided. :func:`skl_locus.datasets.read_decisions` reads
    many.

    Examples
    --------
    >>> import os, tempfile
    >>> from datetime import UTC, datetime
    >>> from skl_locus.datasets import read_decisions
    >>> from skl_locus.integrations import Decision, DecisionLog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "decisions.jsonl")
    ...     with DecisionLog(path) as log:
    ...         log.observe(
    ...             Decision(datetime.now(UTC), 0.002, chosen="small", probability=0.9)
    ...         )
    ...     read_decisions(path)[["model", "probability"]]
       model  probability
    0  small          0.9
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        max_bytes: int | None = MAX_BYTES,
        backups: int = BACKUPS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, or None, got {max_bytes}.")
        if backups < 0:
            raise ValueError(f"backups must be at least 0, got {backups}.")
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be at least 1, got {max_waiting}.")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.backups = backups
        self.max_waiting = max_waiting
        self._lock = Lock()
        self._start()

    @property
    def n_dropped(self) -> int:
        """Number of decisions that were not written."""
        return self._writer.n_dropped

    def observe(self, decision: Decision) -> None:
        """Have a decision written, without waiting for it.

        Parameters
        ----------
        decision : Decision
            The decision.
        """
        self._own_writer().put(decision)

    def flush(self) -> None:
        """Wait until all decisions observed so far are in the file."""
        self._own_writer().flush()

    def close(self) -> None:
        """Write what waits and close the file; later decisions are dropped."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _own_writer(self) -> _Writer:
        # A forked process has the queue but not the thread that writes from it, and the
        # decisions in it are the parent's to write.
        if self._writer.process != os.getpid():
            self._lock = Lock()
            self._start()
        return self._writer

    def _start(self) -> None:
        with self._lock:
            file = _RotatedFile(self.path, self.max_bytes, self.backups)
            self._writer = _Writer(file, self.max_waiting)
            # Not a method of this object, which would keep it alive for ever.
            self._finalizer = weakref.finalize(self, self._writer.close)


class _Writer:
    """A thread that writes decisions to a file, and the queue before it."""

    def __init__(self, file: _RotatedFile, max_waiting: int) -> None:
        self.process = os.getpid()
        self.n_dropped = 0
        self._file = file
        self._waiting: queue.Queue[Decision | None] = queue.Queue(max_waiting)
        self._lock = Lock()
        self._is_closed = False
        # A daemon, so that an interpreter that ends does not wait for it; `close` is
        # called then, and waits for what is to be written.
        self._thread = Thread(
            target=self._run, name="skl_locus decision log", daemon=True
        )
        self._thread.start()

    def put(self, decision: Decision) -> None:
        with self._lock:
            if self._is_closed:
                self._drop(1, "it is closed")
                return
            try:
                self._waiting.put_nowait(decision)
            except queue.Full:
                self._drop(1, "the disk is too slow")

    def flush(self) -> None:
        self._waiting.join()

    def close(self) -> None:
        if self.process != os.getpid():
            return
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._waiting.put(None)
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        while True:
            taken = self._take()
            decisions = [decision for decision in taken if decision is not None]
            try:
                self._write(decisions)
            except Exception as error:
                # Whatever it is, the thread must live on for the decisions to come.
                with self._lock:
                    self._drop(len(decisions), f"{type(error).__name__}: {error}")
            for _ in taken:
                self._waiting.task_done()
            if len(decisions) < len(taken):
                return

    def _take(self) -> list[Decision | None]:
        """Wait for a decision, and return all that have come by then."""
        taken = [self._waiting.get()]
        while taken[-1] is not None and len(taken) < LINES_AT_ONCE:
            try:
                taken.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return taken

    def _write(self, decisions: list[Decision]) -> None:
        if decisions:
            self._file.write([decision_line(decision) for decision in decisions])

    def _drop(self, number: int, reason: str) -> None:
        if not self.n_dropped:
            warnings.warn(
                f"Decisions are not written to {self._file.path}: {reason}. This is "
                "said once; `n_dropped` counts them.",
                RuntimeWarning,
                stacklevel=2,
            )
        self.n_dropped += number


class _RotatedFile:
    """A file of lines that is renamed when it is large, and begun anew."""

    def __init__(self, path: Path, max_bytes: int | None, backups: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._is_cut = False
        self._file: int | None = None
        self._open()

    def write(self, lines: list[bytes]) -> None:
        """Append whole lines."""
        self._follow_renaming()
        start = 0
        for end in range(1, len(lines) + 1):
            # As many lines as the file has room for go out together.
            together = sum(map(len, lines[start:end]))
            is_last = end == len(lines)
            if is_last or not self._has_room(together + len(lines[end])):
                self._append(b"".join(lines[start:end]))
                start = end

    def close(self) -> None:
        if self._file is not None:
            # Forgotten first: the number of a closed file is soon that of another one.
            file, self._file = self._file, None
            os.close(file)

    def _has_room(self, n_bytes: int) -> bool:
        return self._max_bytes is None or self._size + n_bytes <= self._max_bytes

    def _append(self, data: bytes) -> None:
        if self._size and not self._has_room(len(data)):
            self._rotate()
        if self._is_cut:
            data = b"\n" + data
        # Until all is written, the end of the file is a part of a line.
        self._is_cut = True
        rest = memoryview(data)
        while rest:
            written = os.write(self._opened(), rest)
            self._size += written
            rest = rest[written:]
        self._is_cut = False

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._size = os.fstat(self._file).st_size
        self._is_cut = False
        if self._size:
            os.lseek(self._file, -1, os.SEEK_END)
            self._is_cut = os.read(self._file, 1) != b"\n"

    def _opened(self) -> int:
        """Return the open file, which an error may have closed."""
        if self._file is None:
            self._open()
        assert self._file is not None
        return self._file

    def _follow_renaming(self) -> None:
        """Open the file anew if somebody else has renamed or removed it."""
        if not self._is_in_place():
            self.close()
            self._open()
        # Another process may write to the same file.
        self._size = os.fstat(self._opened()).st_size

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._opened()))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        with _alone(self._opened()):
            # Unless another process has done it in the meantime.
            if self._is_in_place():
                self._rename()
        self.close()
        self._open()

    def _rename(self) -> None:
        # The oldest one first: a kill in between leaves a gap, and overwrites nothing.
        for number in range(self._backups, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                os.replace(older, self._numbered(number))
        if not self._backups:
            self.path.unlink()

    def _numbered(self, number: int) -> Path:
        if not number:
            return self.path
        return self.path.with_name(f"{self.path.name}.{number}")


@contextmanager
def _alone(file: int) -> Iterator[None]:
    """Keep other processes that write to the same log from rotating it."""
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def decision_line(decision: Decision) -> bytes:
    """Return a decision as a line of JSON."""
    record = {part.name: getattr(decision, part.name) for part in fields(decision)}
    # Labels that are no texts could not be keys of JSON.
    record["alternatives"] = list(record["alternatives"].items())
    return (json.dumps(_plain(record), allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if hasattr(value, "item"):
        value = value.item()  # a number of numpy
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value)
