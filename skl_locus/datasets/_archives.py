"""Tar archives, unpacked beside themselves and within limits of size."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tarfile import TarInfo
from typing import Any

from skl_locus.datasets._download import disk_errors, fcntl, file_lock
from skl_locus.datasets._readers._files import require_inside
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import LogFormatError

CHECKSUM_LETTERS = 12
"""Letters of an archive's checksum in the name of its folder: enough to be unique."""

DAMAGES = (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
"""Errors of tarfile for damaged archives and for files of other kinds."""

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""Errors of the disk; all others come from names that an archive must not have."""

COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
"""First bytes of compressed archives, and what opens these."""

MAX_HEADER = 2**20
"""Most bytes of one header: tarfile holds them in memory, whatever their number."""


def unpack(archive: Path, sha256: str, *, suffix: str, max_bytes: int) -> Path:
    """Return a folder with the files of a tar archive, unpacked at the first call.

    Parameters
    ----------
    archive : Path
        The archive, perhaps compressed.
    sha256 : str
        Its checksum, part of the name of the folder, so that a new version of the
        archive is unpacked into a new folder.
    suffix : str
        Ending of the files to unpack; all others are left out.
    max_bytes : int
        Size that the files may have together.

    Returns
    -------
    Path
        The folder. It appears only once it is complete.

    Raises
    ------
    LogFormatError
        If the archive is damaged or too large, or a member would leave the folder.
    """
    folder = archive.with_name(f"{archive.name}-{sha256[:CHECKSUM_LETTERS]}")
    if folder.is_dir():
        return folder
    with disk_errors(folder), file_lock(archive):
        if folder.is_dir():  # another process has been faster
            return folder
        _remove_left_drafts(archive)
        draft = archive.with_name(f"{_draft_prefix(archive)}{secrets.token_hex(8)}")
        # With the mode of any new folder: others who share the data home read it.
        draft.mkdir()
        try:
            _unpack_into(draft, archive, suffix, max_bytes)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return folder


def _draft_prefix(archive: Path) -> str:
    return f".unpacking-{archive.name}-"


def _remove_left_drafts(archive: Path) -> None:
    """Delete what killed processes have left; whoever calls this has the lock."""
    if fcntl is None:
        return  # without locks, a draft may be somebody's who is still at work
    # A longer rest would be that of an archive whose name begins like this one's.
    name = re.compile(re.escape(_draft_prefix(archive)) + r"\w+")
    for path in archive.parent.iterdir():
        if name.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _unpack_into(folder: Path, archive: Path, suffix: str, max_bytes: int) -> None:
    with (
        _named(archive),
        _decompressed(archive) as file,
        tarfile.open(fileobj=file, mode="r:") as tar,
    ):
        # The safe filter came with Python 3.11.4. On a release before it, only
        # `_wanted` decides, which lets nothing but regular files inside through.
        tar.extraction_filter = getattr(
            tarfile, "data_filter", lambda member, _: member
        )
        mode = folder.stat().st_mode & 0o666
        tar.extractall(folder, _wanted(tar, suffix, max_bytes, mode))


@contextmanager
def _decompressed(archive: Path) -> Iterator[Any]:
    with archive.open("rb") as raw:
        begin = raw.read(len(COMPRESSIONS[-1][0]))
        raw.seek(0)
        for magic, opened in COMPRESSIONS:
            if begin.startswith(magic):
                with opened(raw) as file:
                    yield _SmallReads(file)
                return
        yield _SmallReads(raw)


class _SmallReads:
    """A file of which nobody reads much at once.

    tarfile copies members in small pieces, but reads each header in one.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise RecordError(f"a header has more than {MAX_HEADER} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _wanted(
    tar: tarfile.TarFile, suffix: str, max_bytes: int, mode: int
) -> Iterator[TarInfo]:
    """Yield the files to unpack, until they would be too large together.

    Sizes are counted while unpacking, since a first pass for them alone would
    decompress the whole archive.
    """
    left = max_bytes
    for member in tar:
        # The safe filter would cut the slash off an absolute path and accept it.
        require_inside(member.name)
        if not member.isfile() or not member.name.endswith(suffix):
            continue  # also links, which the files after them could follow
        left -= member.size
        if left < 0:
            raise RecordError(
                f"its files have more than max_bytes={max_bytes} bytes; pass more "
                "if you trust its origin"
            )
        member.mode = mode  # whoever may read the folder may read its files
        yield member


@contextmanager
def _named(archive: Path) -> Iterator[None]:
    """Name the archive in all errors about it."""
    try:
        yield
    except DAMAGES as error:
        problem = f"not a readable tar archive ({error})"
        raise LogFormatError(problem, archive) from error
    except RecordError as error:
        raise LogFormatError(str(error), archive) from error
    except OSError as error:
        if error.errno in DISK:
            raise
        problem = f"a member cannot be unpacked ({error.strerror or error})"
        raise LogFormatError(problem, archive) from error
    except ValueError as error:  # such as a NUL in a name
        problem = f"a member cannot be unpacked ({error})"
        raise LogFormatError(problem, archive) from error
