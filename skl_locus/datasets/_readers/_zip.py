"""JSON documents in zip archives, read in memory and within limits of size."""

from __future__ import annotations

import sys
import zipfile
import zlib
from copy import copy
from pathlib import Path
from typing import Any

from skl_locus.datasets._readers._files import (
    parse_json,
    require_file,
    require_inside,
)
from skl_locus.datasets._readers._values import RecordError

MEMBER_FRACTION = 16
"""A single member may have this fraction of the limit: it is held in memory."""

ZSTANDARD = 93
"""Compression method that ``zipfile`` has a name for from Python 3.14 on only."""

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, ZSTANDARD)
"""Methods that can stop at a number of decompressed bytes."""

DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,  # a position before the file
    ValueError,
    OverflowError,
    RuntimeError,  # encryption, and versions of zip that are not known
)
"""Errors of the standard library for damaged archives and for files of other kinds."""


def members_of(path: Path, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by name, once all are known to be harmless.

    A name that occurs twice stands for its last member: Inspect appends.
    """
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except FileNotFoundError:
        raise
    except DAMAGES as error:
        raise RecordError(f"not a readable zip archive ({error})") from None
    for member in listed:
        _check_member(member, max_bytes)
    total = sum(member.file_size for member in listed)
    if total > max_bytes:
        raise RecordError(
            f"the archive has {total} bytes after decompression, more than "
            f"max_bytes={max_bytes}"
        )
    return {member.filename: member for member in listed}


def _check_member(member: zipfile.ZipInfo, max_bytes: int) -> None:
    name = member.filename
    require_inside(name)
    if member.compress_type not in COMPRESSIONS:
        raise RecordError(
            f"{name!r} is compressed in a way that cannot be limited (zip compression "
            f"{member.compress_type}); convert the log to json by 'inspect log'"
        )
    if member.file_size > max_bytes / MEMBER_FRACTION:
        raise RecordError(
            f"{name!r} has {member.file_size} bytes after decompression, more than a "
            f"sixteenth of max_bytes={max_bytes}"
        )


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    """Return the JSON document of a member; no more is read than its listed size."""
    try:
        if member.compress_type == ZSTANDARD:
            return parse_json(_zstandard_content(archive, member))
        # The listed size was checked, but may be too small: without it as a limit,
        # ``read`` would decompress all that there is.
        with archive.open(member) as file:
            return parse_json(file.read(member.file_size))
    except RecordError as error:
        raise RecordError(f"{member.filename!r}: {error}", error.line) from None
    except DAMAGES as error:
        raise RecordError(f"{member.filename!r} is damaged ({error})") from None


def _zstandard_content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # ``zipfile`` stops after the first Zstandard frame, also where it knows the
    # method, but Inspect begins another frame every 200 MiB, and ``ZstdFile`` reads
    # them all. So ``zipfile`` only hands out the compressed bytes here.
    zstd = _zstandard_module()
    with archive.open(_as_stored(member)) as raw, zstd.ZstdFile(raw) as file:
        try:
            content = file.read(member.file_size)
        except zstd.ZstdError as error:
            raise zipfile.BadZipFile(str(error)) from None
    if zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile("bad CRC-32")
    return content


def _as_stored(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Describe a member as if its compressed bytes were its content."""
    stored = copy(member)
    stored.compress_type = zipfile.ZIP_STORED
    stored.file_size = member.compress_size
    del stored.CRC  # that of the decompressed content, which is not checked here
    return stored


def _zstandard_module() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise RecordError(
            "compressed by Zstandard, which needs backports.zstd; install it by "
            "\"pip install 'skl-locus[inspect]'\", or convert the log to json by "
            "'inspect log'"
        ) from None
    return zstd
