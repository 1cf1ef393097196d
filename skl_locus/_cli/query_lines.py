"""Queries in files and on standard input, one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skl_locus._cli.logs import read_table, read_vectors
from skl_locus.exceptions import LogFormatError

LINES, JSONL, NPY, TABLE = FORMATS = ("lines", "jsonl", "npy", "table")
"""Formats of queries."""

BY_ENDING = {
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".npy": NPY,
    **dict.fromkeys((".csv", ".tsv", ".parquet", ".pq"), TABLE),
}
"""Formats by the ending of the file; all others have one query per line."""

STANDARD_INPUT = Path("-")
"""The name of standard input."""


@dataclass(frozen=True)
class Query:
    """A query with its place.

    Parameters
    ----------
    line : int
        Line of the file, or row of the matrix, from 1.
    value : str or sequence of float
        The text or the vector.
    name : object, default=None
        Its id, which is returned with the result.
    incumbent : object, default=None
        The model that answers its session already.
    """

    line: int
    value: Any
    name: Any = None
    incumbent: Any = None


def read_queries(path: Path, format: str | None, texts: bool) -> Iterator[Query]:
    """Read queries one by one.

    Parameters
    ----------
    path : Path
        A file, or "-" for standard input.
    format : str or None
        One of `FORMATS`; None takes that of the ending.
    texts : bool
        Whether the queries are texts; vectors otherwise.

    Yields
    ------
    Query
        In the order of the file.

    Raises
    ------
    LogFormatError
        If a line cannot be used, or there is none.
    """
    format = format or BY_ENDING.get(path.suffix, LINES)
    if format == NPY:
        vectors = read_vectors(path)
        yield from (Query(row, vector) for row, vector in enumerate(vectors, start=1))
        return
    if format == TABLE:
        yield from _of_table(path)
        return
    place = "standard input" if path == STANDARD_INPUT else path
    number = 0
    for number, line in _lines(path, place):
        if format == JSONL:
            yield _from_object(line, number, place)
        elif texts:
            yield Query(number, line)
        else:
            yield Query(number, _vector(line, number, place))
    if number == 0:
        raise LogFormatError("there are no queries in it", place)


def _of_table(path: Path) -> Iterator[Query]:
    table = read_table(path)
    if "query" not in table or not len(table):
        raise LogFormatError("it has no column query, or no rows", path)
    nothing = [None] * len(table)
    columns = (table.get(name, nothing) for name in ("query", "query_id", "incumbent"))
    for row, (value, name, own) in enumerate(zip(*columns, strict=True), start=1):
        # An empty cell, or in other tables than csv files a missing value.
        is_label = own is not None and own == own and own != ""
        yield Query(row, value, name, own if is_label else None)


def _lines(path: Path, place: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; empty ones may only be at the end."""
    empty = None
    for number, line in enumerate(_decoded(path, place), start=1):
        if not line.strip():
            empty = empty or number
        elif empty is not None:
            # Left out, it would shift the results against the queries.
            raise LogFormatError("the line is empty", place, empty)
        else:
            yield number, line


def _decoded(path: Path, place: str | Path) -> Iterator[str]:
    if path == STANDARD_INPUT:
        yield from _decoded_lines(sys.stdin.buffer, place)
        return
    with open(path, "rb") as file:
        yield from _decoded_lines(file, place)


def _decoded_lines(lines: Iterable[bytes], place: str | Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        # Editors of Windows mark UTF-8 by three bytes at the start.
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            yield line.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise LogFormatError("the line is not UTF-8", place, number) from error


def _from_object(line: str, number: int, place: str | Path) -> Query:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise LogFormatError(f"the line is not JSON ({error})", place, number) from (
            error
        )
    if not isinstance(record, dict) or not {"query", "messages"} & record.keys():
        raise LogFormatError(
            'the line is not an object with the key "query" or "messages"',
            place,
            number,
        )
    value = record["query"] if "query" in record else _text_of(record, number, place)
    if not isinstance(value, (str, list)):
        raise LogFormatError(
            f"the query is {value!r:.60}, neither a text nor a list of numbers",
            place,
            number,
        )
    return Query(number, value, record.get("id"), record.get("incumbent"))


def _text_of(request: dict, number: int, place: str | Path) -> str:
    from skl_locus.integrations import text_of_request

    text = text_of_request(request)
    if text is None:
        raise LogFormatError("the messages have no text", place, number)
    return text


def _vector(line: str, number: int, place: str | Path) -> list[float]:
    """Return the numbers of a line, in JSON or separated by commas or spaces."""
    try:
        return [float(part) for part in line.strip(" \t[]").replace(",", " ").split()]
    except ValueError as error:
        raise LogFormatError(
            "the line is not a vector of numbers, and the router takes no texts: it "
            "was fitted on vectors",
            place,
            number,
        ) from error
