"""JSON documents in zip archives: nothing explodes, nothing is extracted to disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from skl_locus.datasets._readers._files import parse_json, require_inside
from skl_locus.datasets._readers._values import RecordError

MAX_BYTES = 2**32
"""Largest archive to be read, in bytes after decompression."""

MEMBER_FRACTION = 16
"""A single member may have this fraction of the limit: it is held in memory."""

ZSTANDARD = 93
"""Compression that the zip format has and zipfile, before Python 3.14, has not."""

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, ZSTANDARD)
"""Ways of compression whose result can be limited in size."""

LOCAL_HEADER = struct.Struct("<4s22x2H")
"""What precedes a member: signature, then lengths of its name and its extra field."""

ENCRYPTED = 1
"""Flag of a member that needs a password."""

SIGNATURE = b"PK\3\4"
"""Beginning of a local header."""

DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,  # a position before the file; also what pyarrow raises
    ValueError,
    OverflowError,
    RuntimeError,  # encryption, and versions of zip that are not known
)
"""What zipfile and pyarrow raise on archives that are damaged or of another kind."""


def members_of(path: Path, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return what the directory of an archive lists, once it is known to be harmless.

    A name that is there twice means its last member: Inspect appends.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except FileNotFoundError:
        raise
    except DAMAGES as error:
        raise RecordError(f"not a readable zip archive ({error})") from None
    for member in listed:
        _refuse_unknown(member)
        if member.file_size > max_bytes / MEMBER_FRACTION:
            raise RecordError(
                f"{member.filename!r} has {member.file_size} bytes after "
                f"decompression, more than a sixteenth of max_bytes={max_bytes}"
            )
    total = sum(member.file_size for member in listed)
    if total > max_bytes:
        raise RecordError(
            f"the archive has {total} bytes after decompression, more than "
            f"max_bytes={max_bytes}"
        )
    return {member.filename: member for member in listed}


def _refuse_unknown(member: zipfile.ZipInfo) -> None:
    """Refuse paths that lead elsewhere, and what cannot be decompressed in parts."""
    name = member.filename
    require_inside(name)
    if member.compress_type not in COMPRESSIONS:
        raise RecordError(
            f"{name!r} is compressed in a way that cannot be limited (zip compression "
            f"{member.compress_type}); convert the log to json by 'inspect log'"
        )


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    """Return the JSON document in a member, as long as it is listed to be."""
    try:
        if member.compress_type == ZSTANDARD:
            return parse_json(_zstandard_bytes(archive, member))
        # Without a size, a member that is larger than listed would be decompressed
        # whole.
        with archive.open(member) as file:
            return parse_json(file.read(member.file_size))
    except RecordError as error:
        raise RecordError(f"{member.filename!r}: {error}", error.line) from None
    except DAMAGES as error:
        raise RecordError(f"{member.filename!r} is damaged ({error})") from None


def _zstandard_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        from pyarrow import CompressedInputStream
    except ImportError:
        raise RecordError(
            "compressed by Zstandard, which needs pyarrow; install it, or convert the "
            "log to json by 'inspect log'"
        ) from None
    if member.flag_bits & ENCRYPTED:
        raise RecordError("encrypted")
    with open(str(archive.filename), "rb") as file:
        raw = io.BytesIO(_compressed_bytes(file, member))
    content = CompressedInputStream(raw, "zstd").read(member.file_size)
    if zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile("bad CRC-32")
    return content


def _compressed_bytes(file: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER.size)
    signature, *lengths = LOCAL_HEADER.unpack(header)
    if signature != SIGNATURE:
        raise zipfile.BadZipFile("bad local header")
    file.seek(sum(lengths), io.SEEK_CUR)
    return file.read(member.compress_size)
