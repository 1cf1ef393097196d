"""Layout of a saved file: a readable header, the objects, and aligned arrays.

A file is four parts, one after the other, each padded to a multiple of `ALIGNMENT`::

    first line   format version, length and SHA-256 of the header
    header       JSON: what is inside, and the length and SHA-256 of what follows
    objects      the estimator without its arrays, as skops stores it
    arrays       plain bytes, one array after the other

The first line vouches for the header and the header for everything else, so no byte
can change, or be missing, without being noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from skl_locus._utils.files import open_regular
from skl_locus.exceptions import SavedFileError

FORMAT_VERSION = 1
"""Version of the layout; raised when older code could misread it."""

ALIGNMENT = 64
"""Bytes that arrays are aligned to, as numpy's own files are: a cache line."""

FIRST_LINE = re.compile(rb"skl-locus file (\d{3}) (\d{12}) ([0-9a-f]{64})\n")
"""Format version, bytes of the header and their SHA-256."""

FIRST_LINE_BYTES = 2 * ALIGNMENT
"""Length of the first line with its padding."""

MAX_HEADER_BYTES = 2**28
"""Longest header that is read: room for millions of labels, and no more memory."""

MAX_DIMENSIONS = 32
"""Dimensions that an array can have in every version of numpy."""

PLAIN_DTYPE = re.compile(r"[<>|][biufcSUmM][1-9]\d*(\[\w+\])?")
"""Names of numpy dtypes that are plain bytes: no objects, no records."""

OTHER_KINDS = {
    b"\x80": "a pickle; load it with pickle or joblib, if you trust its origin",
    b"PK": "a zip archive, perhaps of skops.io; load it with skops.io.load",
    b"\x78": "perhaps compressed by joblib; load it with joblib, if you trust it",
}
"""What files of other tools begin with, and what to do with them."""


def is_plain(array: np.ndarray) -> bool:
    """Return whether an array is stored as it is in memory, without objects."""
    return PLAIN_DTYPE.fullmatch(array.dtype.str) is not None


def write_parts(
    file: BinaryIO, header: dict[str, Any], objects: bytes, arrays: Sequence[np.ndarray]
) -> None:
    """Write a whole file.

    Parameters
    ----------
    file : BinaryIO
        Open for writing, empty.
    header : dict
        What is inside, for JSON.
    objects : bytes
        The estimator without its arrays.
    arrays : sequence of ndarray
        The arrays, plain ones (`is_plain`).
    """
    objects = _padded(objects)
    layout = {
        "objects": {"bytes": len(objects), "sha256": _sha256(objects)},
        "arrays": [_described(array) for array in arrays],
    }
    # For people first: what is inside on lines of its own, the long layout on one.
    readable = json.dumps(header, indent=1).removesuffix("\n}")
    whole = f'{readable},\n "layout": {json.dumps(layout)}\n}}\n'
    text = _padded(whole.encode(), b" ")
    line = f"skl-locus file {FORMAT_VERSION:03d} {len(text):012d} {_sha256(text)}\n"
    file.write(line.encode().ljust(FIRST_LINE_BYTES, b" "))
    file.write(text)
    file.write(objects)
    for array in arrays:
        file.write(_bytes_of(array))
        file.write(bytes(-array.nbytes % ALIGNMENT))


class SavedFile:
    """A saved file that is open for reading; its header has been checked.

    Parameters
    ----------
    path : path-like
        The file.

    Attributes
    ----------
    version : int
        Version of the format.
    contents : dict
        What is inside, as it was passed to `write_parts`.
    size : int
        Bytes of the file.
    checksum : str
        SHA-256 of the header, which has the checksums of everything else.

    Raises
    ------
    SavedFileError
        If it is no saved file, damaged, or of a newer format.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._file = open_regular(self.path)
        try:
            header = self._read_header()
            self._locate_parts(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SavedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read_objects(self) -> bytes:
        """Return the estimator without its arrays, checked."""
        self._file.seek(self._objects_start)
        objects = self._file.read(self._layout["objects"]["bytes"])
        self._require_digest(objects, self._layout["objects"], "the objects")
        return objects

    def read_arrays(self, *, verify: bool) -> list[np.ndarray]:
        """Read all arrays into memory."""
        arrays = []
        for number, (place, shape, dtype, order) in enumerate(self._places):
            array = np.empty(shape, dtype, order)
            self._file.seek(place)
            if self._file.readinto(_bytes_of(array)) != array.nbytes:
                raise self.damaged("it ends too early")
            self._check_array(array, number, verify)
            arrays.append(array)
        return arrays

    def map_arrays(self, *, verify: bool) -> list[np.ndarray]:
        """Map all arrays, read-only; they keep the file, whatever takes its name."""
        whole = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        arrays = []
        for number, (place, shape, dtype, order) in enumerate(self._places):
            # An array beyond the end would kill the process at its first use; that
            # all lie inside is known from `_locate_parts`.
            array = np.ndarray(shape, dtype, whole, place, order=order)
            self._check_array(array, number, verify)
            arrays.append(array)
        return arrays

    def damaged(self, problem: str) -> SavedFileError:
        """Return the error for a file that is not as it was written."""
        return SavedFileError(
            f"the file is damaged ({problem}); restore it, or save the estimator again",
            self.path,
        )

    def _read_header(self) -> dict[str, Any]:
        line = self._file.read(FIRST_LINE_BYTES)
        match = FIRST_LINE.match(line)
        if match is None:
            raise self._not_ours(line)
        self.version, n_bytes = int(match[1]), int(match[2])
        self.checksum = match[3].decode()
        if self.version != FORMAT_VERSION:
            raise SavedFileError(
                f"the file has format {self.version}; this version of skl-locus reads "
                f"format {FORMAT_VERSION}. Upgrade skl-locus to load it",
                self.path,
            )
        if line[match.end() :].strip(b" ") or len(line) < FIRST_LINE_BYTES:
            raise self.damaged("its first line has been changed")
        if n_bytes > MAX_HEADER_BYTES:
            raise self.damaged(f"a header of {n_bytes} bytes")
        text = self._file.read(n_bytes)
        self._require_digest(text, {"sha256": self.checksum}, "the header")
        self._objects_start = FIRST_LINE_BYTES + n_bytes
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.damaged(f"its header: {error}") from error

    def _not_ours(self, line: bytes) -> SavedFileError:
        if line.startswith(b"skl-locus file"):
            return self.damaged("its first line has been changed")
        kinds = [kind for start, kind in OTHER_KINDS.items() if line.startswith(start)]
        what = f": it is {kinds[0]}" if kinds else ""
        return SavedFileError(f"not a file of skl_locus.save{what}", self.path)

    def _locate_parts(self, header: dict[str, Any]) -> None:
        """Find the place of each array, all of them inside the file."""
        self.size = os.fstat(self._file.fileno()).st_size
        self._places = []
        try:
            self._layout, self.contents = header.pop("layout"), header
            place = self._objects_start + _count(self._layout["objects"]["bytes"])
            for entry in self._layout["arrays"]:
                dtype = _plain_dtype(entry["dtype"])
                shape = _possible_shape(entry["shape"], dtype)
                if entry["order"] not in ("C", "F"):
                    raise ValueError(f"an array in the order {entry['order']!r}")
                self._places.append((place, shape, dtype, entry["order"]))
                # Python's integers do not overflow, whatever the header claims.
                place = _aligned(place + math.prod(shape) * dtype.itemsize)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self.damaged(f"its header: {error}") from error
        if place != self.size:
            raise self.damaged(f"{self.size} bytes instead of {place}")

    def _check_array(self, array: np.ndarray, number: int, verify: bool) -> None:
        if verify:
            entry = self._layout["arrays"][number]
            self._require_digest(_bytes_of(array), entry, f"array {number}")

    def _require_digest(self, data: Any, entry: dict[str, Any], what: str) -> None:
        if _sha256(data) != entry.get("sha256"):
            raise self.damaged(f"the checksum of {what} is another one")


def _described(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "order": _order_of(array),
        "sha256": _sha256(_bytes_of(array)),
    }


def _order_of(array: np.ndarray) -> str:
    # Products of arrays in another order may differ in their last bits.
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array in the order in which they are stored."""
    if _order_of(array) == "F":
        array = array.T
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _padded(data: bytes, by: bytes = b"\0") -> bytes:
    return data.ljust(_aligned(len(data)), by)


def _aligned(n_bytes: int) -> int:
    return n_bytes + -n_bytes % ALIGNMENT


def _plain_dtype(name: Any) -> np.dtype:
    if not isinstance(name, str) or PLAIN_DTYPE.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no dtype of plain bytes")
    return np.dtype(name)


def _possible_shape(sizes: Any, dtype: np.dtype) -> tuple[int, ...]:
    shape = tuple(_count(size) for size in sizes)
    # numpy multiplies the sizes other than 0 too, where the array has no elements.
    n_bytes = math.prod(max(size, 1) for size in shape) * dtype.itemsize
    if len(shape) > MAX_DIMENSIONS or n_bytes > sys.maxsize:
        raise ValueError("an array of a shape that none can have")
    return shape


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no length")
    return number
