"""Zip archives compressed by Zstandard, written by hand: zipfile cannot."""

import struct
import zlib

EXTRA = b"\x99\x99\x00\x00"


def compressed(content):
    """Compress in two frames, as Inspect does with long ones."""
    from pyarrow import compress

    half = len(content) // 2
    parts = content[:half], content[half:]
    return b"".join(compress(part, "zstd", asbytes=True) for part in parts)


def write_zip(path, contents, *, flags=0, listed=None):
    """Write a zip archive by hand, compressed by Zstandard (method 93)."""
    body, directory = b"", b""
    for name, content in contents.items():
        content, packed = content.encode(), compressed(content.encode())
        size = len(content) if listed is None else listed
        about = (63, flags, 93, 0, 0, zlib.crc32(content), len(packed), size)
        local = struct.pack("<4s5H3I2H", b"PK\3\4", *about, len(name), len(EXTRA))
        directory += struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 63, *about, len(name), 0, 0, 0, 0, 0, len(body)),
        )
        directory += name.encode()
        body += local + name.encode() + EXTRA + packed
    end = (b"PK\5\6", 0, 0, len(contents), len(contents), len(directory), len(body), 0)
    path.write_bytes(body + directory + struct.pack("<4s4H2IH", *end))
    return path
