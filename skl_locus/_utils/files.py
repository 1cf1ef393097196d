"""Files that appear whole or not at all, and files that are no links or pipes."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

DRAFT_ENDING = ".draft"
"""Ending of the names of files that are still being written."""

STALE_AFTER = 3600
"""Seconds after which a draft is taken for one whose writer was killed."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of another one at the end, in one step.

    The bytes go to a draft in the same folder, which is flushed to the disk and then
    renamed. Whoever is killed, or runs out of space, leaves the old file as it was;
    whoever has the old file open or mapped keeps it. A link at the path is replaced,
    and what it leads to is left alone.

    Parameters
    ----------
    path : Path
        Place of the file.

    Yields
    ------
    BinaryIO
        The draft.
    """
    _remove_stale_drafts(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}{DRAFT_ENDING}")
    try:
        with os.fdopen(_create(draft), "wb") as file:
            _keep_mode(path, file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    _sync_folder(path.parent)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises
    ------
    OSError
        If there is none, or if it is a folder or a pipe, which could block for ever.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file.")
    return os.fdopen(descriptor, "rb")


def _create(path: Path) -> int:
    # Only a new file, so that nobody can plant a link for us to write through; with
    # the mode of any new file, which `tempfile` would restrict to its owner.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)


def _keep_mode(path: Path, draft: BinaryIO) -> None:
    """Give a draft the permissions of the file that it will replace."""
    if not hasattr(os, "fchmod"):  # not on this system
        return
    with suppress(FileNotFoundError):
        old = os.lstat(path)
        if stat.S_ISREG(old.st_mode):
            os.fchmod(draft.fileno(), stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    # The new name is in the folder; it would be lost with the power otherwise.
    # Some systems do not open folders, and some file systems do not sync them.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_stale_drafts(path: Path) -> None:
    """Delete what killed writers of the same file have left."""
    stale = time.time() - STALE_AFTER
    prefix = f".{path.name}."
    with suppress(OSError):  # a folder that cannot be listed may still be written to
        for entry in os.scandir(path.parent):
            if entry.name.startswith(prefix) and entry.name.endswith(DRAFT_ENDING):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < stale:
                        os.unlink(entry.path)
