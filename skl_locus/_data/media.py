"""Queries that are no texts: images, clips and other data, known by their content."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from skl_locus._data.codes import distinct_objects
from skl_locus._data.columns import first_cell

DIGEST_BYTES = 16
"""Length of a digest; 16 bytes make an accidental collision unthinkable."""

ORIENTATION = 0x0112
"""Number of the EXIF tag that says how an image is to be turned."""

BYTES = (bytes, bytearray, memoryview)
"""Kinds of data that are the content of a file, and no vectors of small integers."""


class UnreadableImageError(ValueError):
    """Error that names the row of an image that Pillow does not read."""


class MediaQuery(str):
    """The name of a query that is no text, made of its content, which it holds.

    Whatever identifies, sorts, stores or shows texts does so with these names: equal
    content has one name, wherever it came from. Encoders alone look at the content.

    Parameters
    ----------
    name : str
        Kind and digest of the content.
    content : PIL image, path, bytes or ndarray
        What is encoded.
    place : str
        Where it was read, for messages.
    """

    __slots__ = ("content", "place")
    content: Any
    place: str

    def __new__(cls, name: str, content: Any, place: str) -> MediaQuery:
        """Make the name."""
        query = super().__new__(cls, name)
        query.content, query.place = content, place
        return query

    def __reduce__(self) -> tuple:
        """Pickle the name alone: neither content nor paths leave the process."""
        return str, (str(self),)


def holds_media(cells: Any) -> bool:
    """Return whether a column holds media, by its first cell."""
    return _is_media(first_cell(cells))


def media_queries(cells: Any, column: str) -> np.ndarray:
    """Name the media of a column by their content.

    Parameters
    ----------
    cells : Series or ndarray of shape (n_rows,)
        PIL images, paths of files, bytes, or arrays of two or more dimensions.
    column : str
        Name for messages.

    Returns
    -------
    ndarray of shape (n_rows,)
        A `MediaQuery` for each row; rows of equal content share one.

    Raises
    ------
    ValueError
        If a cell is of another kind, or a file cannot be read.
    """
    values = list(cells)
    codes, rows = distinct_objects(values)
    known: dict[str, MediaQuery] = {}
    queries = np.empty(len(rows), dtype=object)
    for code, row in enumerate(rows):
        query = _query_of(values[row], f"row {row} of the column {column!r}")
        queries[code] = known.setdefault(query, query)
    return queries[codes]


def has_media(queries: Sequence[str]) -> bool:
    """Return whether distinct queries are media; they are all of one kind."""
    return len(queries) > 0 and isinstance(queries[0], MediaQuery)


def kind_of(queries: Sequence[str]) -> str:
    """Return what distinct queries are, for messages."""
    return kind_name(has_media(queries))


def kind_name(are_media: bool) -> str:
    """Return what media, or texts, are called in messages."""
    return "images or other media" if are_media else "text"


def n_characters(query: str) -> float:
    """Return the length of a text, NaN for media."""
    return np.nan if isinstance(query, MediaQuery) else float(len(query))


def contents_of(queries: Sequence[str]) -> list:
    """Return what a transformer reads: texts, or media as they were given."""
    return [q.content if isinstance(q, MediaQuery) else q for q in queries]


def images_of(queries: Sequence[str]) -> list:
    """Return what a sentence-transformers model reads: texts, or images in RGB."""
    return [_image_of(q) if isinstance(q, MediaQuery) else q for q in queries]


def _query_of(cell: Any, place: str) -> MediaQuery:
    if not _is_media(cell):
        raise ValueError(
            f"{place} holds {type(cell).__name__} where the first row holds an image "
            "or another object to encode; use one kind of query."
        )
    if isinstance(cell, np.ndarray):
        return MediaQuery(_array_name(cell), cell, place)
    if isinstance(cell, (*BYTES, PathLike)):
        return MediaQuery(_named("bytes", _bytes_of(cell, place)), cell, place)
    return MediaQuery(_named("image", *_parts_of(cell, place)), cell, place)


def _parts_of(image: Any, place: str) -> Iterator[bytes]:
    """Yield what makes an image the one that it is."""
    with _naming_damage(place):
        pixels = image.tobytes()
        turned = image.getexif().get(ORIENTATION, 1)
    yield f"{image.mode} {image.size}".encode()
    yield pixels
    if turned != 1:
        yield f"turned {turned}".encode()
    if image.mode in ("P", "PA"):
        # The pixels are numbers of colours, which are a part of the image.
        yield bytes(image.getpalette() or ())
        yield repr(image.info.get("transparency")).encode()


def _is_media(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return cell.ndim > 1  # a vector is an encoding
    return isinstance(cell, (*BYTES, PathLike)) or _is_image(cell)


def _is_image(cell: Any) -> bool:
    """Return whether something is an image of Pillow, which is not imported for it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(cell, pillow.Image)


def _array_name(array: np.ndarray) -> str:
    if array.dtype.hasobject:
        raise ValueError("An array of objects is no query; give numbers.")
    shape = f"{array.dtype.str} {array.shape}".encode()
    parts = [shape, np.ascontiguousarray(array).tobytes()]
    if isinstance(array, np.ma.MaskedArray):
        parts.append(np.ma.getmaskarray(array).tobytes())
    return _named("array", *parts)


def _named(kind: str, *parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return f"{kind}:{digest.hexdigest()}"


def _bytes_of(cell: bytes | bytearray | memoryview | PathLike, place: str) -> bytes:
    if isinstance(cell, BYTES):
        return bytes(cell)
    try:
        return Path(fspath(cell)).read_bytes()
    except OSError as error:
        raise ValueError(f"{place}: {fspath(cell)!r} cannot be read: {error}") from None


def _image_of(query: MediaQuery) -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(
            "Images are opened with Pillow; install it with pip install "
            "'skl-locus[images]'."
        ) from error
    content = query.content
    if isinstance(content, np.ndarray):
        return Image.fromarray(content).convert("RGB")
    # Cameras store pixels as they lie on the sensor, and beside them how to turn them.
    if _is_image(content):
        return ImageOps.exif_transpose(content).convert("RGB")
    data = BytesIO(_bytes_of(content, query.place))
    with _naming_damage(query.place), Image.open(data) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


@contextmanager
def _naming_damage(place: str) -> Iterator[None]:
    """Name the row of an image that Pillow does not read, whatever it raises then."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of damaged files also SyntaxError, struct.error, ...
        raise UnreadableImageError(
            f"{place} holds no image that Pillow reads ({type(error).__name__}: "
            f"{error!s:.100})."
        ) from error
