"""Files as records with their line numbers, without pickles."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import narwhals as nw
import pandas as pd
from tqdm.auto import tqdm

from skl_locus.datasets._readers._builder import LogBuilder
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import LogFormatError

MAX_CELL = 2**30
"""Longest cell of a csv file, in characters; prompts and answers can be long."""

MAX_BYTES = 2**32
"""Largest compressed file or archive to be read, in bytes after decompression."""

MAX_VALUES_PER_BYTE = 16
"""Values of a parquet file per byte: a score takes a bit unless all are equal."""

ALWAYS_READ = 1_000_000
"""Values of a parquet file that are read however few bytes they take."""

COMPRESSED = ".gz"
"""Ending of compressed files."""

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
"""Endings of tables; those of text files may have `COMPRESSED` behind them."""

BROKEN_GZIP = (gzip.BadGzipFile, zlib.error, EOFError)
"""Errors of the standard library for damaged gzip files."""

Row = tuple[int, dict[str, Any]]


def folder_of(path: str | os.PathLike) -> Path:
    """Return a folder that exists."""
    folder = Path(path)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder.")
    return folder


def file_or_folder(path: str | os.PathLike) -> Path:
    """Return a regular file or a folder that exists."""
    place = Path(path)
    if not place.is_dir():
        if not place.exists():
            raise NotADirectoryError(f"{place} is neither a folder nor a file.")
        require_file(place)
    return place


def files_in(folder: Path, *patterns: str) -> list[Path]:
    """Return the files below a folder that match, sorted by path, at least one.

    A file is returned as it is, whatever it is called.
    """
    if folder.is_file():
        return [folder]
    files = {path for pattern in patterns for path in folder.rglob(pattern)}
    found = sorted(path for path in files if path.is_file())
    if not found:
        raise LogFormatError(f"there is no {' or '.join(patterns)} in it", folder)
    return found


def newest(files: Iterable[Path], time: re.Pattern) -> list[Path]:
    """Return files, newest first: by the time in the name, then by the name."""

    def age(path: Path) -> tuple[str, str]:
        # Digits only: writers differ in what they put between them.
        match = time.search(path.name)
        return (re.sub(r"\D", "", match[0]) if match else "", path.name)

    return sorted(files, key=age, reverse=True)


def require_inside(name: str) -> None:
    """Check that the path of a member of an archive does not lead out of it."""
    # A backslash is a separator only for programs on Windows, which read archives too.
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts:
        raise RecordError(f"the archive has a member outside of it, {name!r}")


def decode(raw: bytes) -> str:
    """Return UTF-8 as text, without its byte order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordError(f"byte 0x{raw[error.start]:02x} is not UTF-8", line) from None


def parse_json(raw: bytes) -> Any:
    """Return a JSON document; an error names the line."""
    text = decode(raw)
    if not text.strip():
        raise RecordError("it is empty")
    try:
        return json.loads(text, object_pairs_hook=_distinct_pairs)
    except json.JSONDecodeError as error:
        problem = f"not a complete JSON document ({error.msg})"
        raise RecordError(problem, error.lineno) from None
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not a usable JSON document ({error})") from None


def _distinct_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; the parser alone would take the last of two equal keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise RecordError(f"an object has the key {repeated!r} twice")
    return found


def require_file(path: Path) -> None:
    """Check that a path is a regular file: a pipe or device could block for ever."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise LogFormatError("it is a folder, not a file", path)
    if not stat.S_ISREG(mode):
        raise LogFormatError("it is a pipe or a device, not a regular file", path)


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes] | _Bounded]:
    """Open a regular file for reading; one that ends with .gz is decompressed."""
    require_file(path)
    with path.open("rb") as raw:
        if path.suffix.lower() != COMPRESSED:
            yield raw
            return
        try:
            with gzip.open(raw) as file:
                yield _Bounded(file)
        except BROKEN_GZIP as error:
            raise RecordError(f"not a readable gzip file ({error})") from None


class _Bounded:
    """A decompressed file that ends with an error once it is too large."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._left = MAX_BYTES

    def read(self) -> bytes:
        return self._counted(self._file.read(self._left + 1))

    def __iter__(self) -> Iterator[bytes]:
        while line := self._counted(self._file.readline(self._left + 1)):
            yield line

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise RecordError(f"more than {MAX_BYTES} bytes after decompression")
        return content


def json_document(path: Path) -> Any:
    """Read a JSON file."""
    with open_file(path) as file:
        return parse_json(file.read())


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    with open_file(path) as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield number, raw


def json_object(raw: bytes) -> dict[str, Any]:
    """Parse one line as a JSON object."""
    try:
        record = parse_json(raw)
    except RecordError as error:  # its line is that of the document, always 1
        raise RecordError(str(error)) from None
    if not isinstance(record, dict):
        raise RecordError(f"the line is {record!r:.60}, not a JSON object")
    return record


def csv_rows(
    path: Path,
    log: LogBuilder,
    *,
    needed: Iterable[str] = (),
    separator: str = ",",
    verbose: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a csv file, each with the line that it ends on.

    A row that is not UTF-8, or longer or shorter than the header, is malformed.
    """
    _allow_long_cells()
    # Bytes are decoded line by line here: a text file would raise at the first one
    # that is not UTF-8, without its line, and end the whole file.
    with (
        log.record_errors(path),  # of compressed files that are damaged
        open_file(path) as file,
        _progress(path, verbose) as bar,
    ):
        lines = _Utf8Lines(file, bar)
        reader = csv.reader(lines, strict=True, delimiter=separator)
        header = _header(path, reader, lines)
        require_columns(header, needed, path)
        while True:
            row, before = None, reader.line_num
            with log.record_errors(path):
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    # A quote that is not closed swallows the lines up to the next
                    # quote, or all that follow.
                    lost = max(1, reader.line_num - before)
                    raise RecordError(str(error), reader.line_num, lost) from None
                lines.check()
                if row and len(row) != len(header):
                    problem = f"{len(row)} cells under a header of {len(header)}"
                    raise RecordError(problem, reader.line_num)
                if row:
                    yield reader.line_num, dict(zip(header, row, strict=True))


def table_rows(path: Path, log: LogBuilder) -> tuple[list[str], Iterable[Row]]:
    """Return the columns and the rows of a csv, tsv, json, jsonl or parquet file."""
    suffix = table_suffix(path)
    if suffix in (".csv", ".tsv"):
        rows = csv_rows(path, log, separator="\t" if suffix == ".tsv" else ",")
        first = next(rows, None)
        if first is None:
            raise LogFormatError("it has no rows", path)
        return list(first[1]), _chain(first, rows)
    if suffix in (".jsonl", ".ndjson"):
        return _columns_of(list(_json_rows(path, log)))
    if suffix == ".json":
        return _columns_of(list(_json_records(path, log)))
    if suffix in (".parquet", ".pq"):
        return frame_rows(_read_parquet(path), path)
    raise LogFormatError(
        f"the ending {path.suffix!r} is not one of .csv, .tsv, .jsonl, .json (these "
        "also with .gz) and .parquet",
        path,
    )


def table_suffix(path: Path) -> str:
    """Return the ending that says which kind of table a file is."""
    name = path.name.lower()
    plain = Path(name.removesuffix(COMPRESSED)).suffix
    return Path(name).suffix if plain in (".parquet", ".pq") else plain


def tables_at(path: Path) -> list[Path]:
    """Return a file, or the tables below a folder."""
    if not path.is_dir():
        return [path]
    found = [file for file in files_in(path, "*") if table_suffix(file) in TABLES]
    if not found:
        raise LogFormatError(f"there is no table in it ({', '.join(TABLES)})", path)
    return found


def as_pandas(table: Any) -> pd.DataFrame | None:
    """Return a frame of any library as one of pandas, and None for all else."""
    if isinstance(table, pd.DataFrame):
        return table
    frame = nw.from_native(table, pass_through=True, eager_only=True)
    return frame.to_pandas() if isinstance(frame, nw.DataFrame) else None


def frame_rows(
    frame: pd.DataFrame, source: str | os.PathLike
) -> tuple[list[str], Iterable[Row]]:
    """Return the columns and the rows of a frame, counted from 1."""
    columns = list(frame.columns)
    _require_distinct(columns, source)
    cells = zip(*(frame[name].tolist() for name in columns), strict=True)
    return columns, (
        (number, dict(zip(columns, row, strict=True)))
        for number, row in enumerate(cells, start=1)
    )


def require_columns(
    columns: Iterable[str], needed: Iterable[str], path: str | os.PathLike
) -> None:
    """Check that a table has columns; the error names those that it has."""
    columns = list(columns)
    missing = [name for name in needed if name not in columns]
    if missing:
        raise LogFormatError(
            f"the column {missing[0]!r} is missing; it has "
            f"{', '.join(map(repr, columns[:20]))}",
            path,
        )


class _Utf8Lines:
    """Lines of a file as text; one that is not UTF-8 is an error of the next `check`.

    An error in ``__next__`` would end the csv reader; so the line is decoded with
    replacements, and the row that it is part of fails afterwards.
    """

    def __init__(self, file: Iterable[bytes], bar: Any) -> None:
        self._file = enumerate(file, start=1)
        self._bar = bar
        self._problem: RecordError | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, raw = next(self._file)
        self._bar.update(len(raw))
        try:
            return raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{raw[error.start]:02x} is not UTF-8"
            self._problem = self._problem or RecordError(byte, number)
            return raw.decode("utf-8", errors="replace")

    def check(self) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem


def _header(path: Path, reader: Iterator[list[str]], lines: _Utf8Lines) -> list[str]:
    try:
        header = next(reader, [])
        lines.check()
    except (csv.Error, RecordError) as error:
        raise LogFormatError(str(error), path, 1) from None
    if not header:
        raise LogFormatError("it is empty", path)
    _require_distinct(header, path)
    return header


def _require_distinct(columns: list, path: str | os.PathLike) -> None:
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise LogFormatError(f"two columns are called {repeated[0]!r}", path)


def _allow_long_cells() -> None:
    # The limit belongs to the csv module. It is only ever raised, since lowering it
    # again would break a reader in another thread.
    if csv.field_size_limit() < MAX_CELL:
        csv.field_size_limit(MAX_CELL)


def _progress(path: Path, verbose: bool) -> AbstractContextManager:
    return tqdm(
        total=path.stat().st_size,
        desc=path.name,
        unit="B",
        unit_scale=True,
        disable=not verbose,
    )


def _json_rows(path: Path, log: LogBuilder) -> Iterator[Row]:
    with log.record_errors(path):
        for number, raw in json_lines(path):
            with log.record_errors(path, number):
                yield number, json_object(raw)


def _json_records(path: Path, log: LogBuilder) -> Iterator[Row]:
    """Yield the rows of a JSON document, in the two forms that pandas writes."""
    try:
        document = json_document(path)
    except RecordError as error:
        raise LogFormatError(str(error), path, error.line) from None
    if isinstance(document, dict):
        document = _rows_of_columns(document, path)
    if not isinstance(document, list):
        raise LogFormatError("it is neither a list of objects nor columns", path)
    for number, record in enumerate(document, start=1):
        with log.record_errors(path, number):
            if not isinstance(record, dict):
                raise RecordError(f"the row is {record!r:.60}, not an object")
            yield number, record


def _rows_of_columns(columns: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the rows of columns that are objects with the same keys."""
    cells = list(columns.values())
    if not cells or not all(isinstance(column, dict) for column in cells):
        raise LogFormatError("it is neither a list of objects nor columns", path)
    labels = list(cells[0])
    if any(list(column) != labels for column in cells):
        raise LogFormatError("its columns have different rows", path)
    return [{name: columns[name][label] for name in columns} for label in labels]


def _columns_of(records: list[Row]) -> tuple[list[str], list[Row]]:
    columns = dict.fromkeys(key for _, record in records for key in record)
    return list(columns), records


def _chain(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _read_parquet(path: Path) -> pd.DataFrame:
    require_file(path)
    try:
        _check_parquet_size(path)
        # As objects, for texts that are not UTF-8 to be found here.
        return pd.read_parquet(path).astype(object)
    except (ImportError, LogFormatError):
        raise
    except Exception as error:  # whatever the engine raises on a damaged file
        problem = f"not a readable parquet file ({str(error).splitlines()[0]:.200})"
        raise LogFormatError(problem, path) from error


def _check_parquet_size(path: Path) -> None:
    """Refuse a file that would unfold to far more values than it has bytes."""
    try:
        from pyarrow import parquet
    except ImportError:
        return  # another engine, which does not give the numbers
    metadata = parquet.read_metadata(path)
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    values = sum(
        group.column(place).num_values
        for group in groups
        for place in range(group.num_columns)
    )
    if values > max(ALWAYS_READ, MAX_VALUES_PER_BYTE * path.stat().st_size):
        raise LogFormatError(
            f"its {path.stat().st_size} bytes unfold to {values} values; if you trust "
            "its origin, load it yourself and pass the frame",
            path,
        )
