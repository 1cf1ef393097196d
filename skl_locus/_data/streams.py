"""Tables that come in parts, as Arrow record batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 16_384
"""Rows of a batch: 25 MB of vectors with 384 numbers, enough for full speed."""

PAGE_BYTES = 2**20
"""Bytes that are read of a column at a time."""


@dataclass(frozen=True)
class Part:
    """Some rows of a stream.

    Parameters
    ----------
    name : str
        File, or number of the batch, for messages.
    rows : pyarrow RecordBatch
        The rows.
    """

    name: str
    rows: Any


def arrow() -> Any:
    """Return the module pyarrow, or say how to install it."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Streams need pyarrow: pip install 'skl-locus[scale]'.", name="pyarrow"
        ) from error
    return pa


def is_stored(source: Any) -> bool:
    """Return whether a source can be read again and again: a dataset or a path."""
    if isinstance(source, (str, Path)):
        return True
    # Without an import: who passes a dataset has imported its module.
    return type(source).__module__.split(".")[0] == "pyarrow" and hasattr(
        source, "get_fragments"
    )


def is_table(source: Any) -> bool:
    """Return whether a source is one table: a dataframe, or rows of Arrow."""
    if isinstance(nw.from_native(source, pass_through=True), nw.DataFrame):
        return True
    # Without an import, as above: narwhals knows no record batches.
    return type(source).__name__ == "RecordBatch"


def is_stream(source: Any) -> bool:
    """Return whether a source comes in parts: is stored, or is tables one by one."""
    if is_stored(source) or isinstance(source, Iterator):
        return True
    several = isinstance(source, (list, tuple)) and len(source) > 0
    return several and is_table(source[0])


def as_dataset(source: Any) -> Any:
    """Return a dataset as it is, and one of the parquet files at a path."""
    if not isinstance(source, (str, Path)):
        return source
    arrow()
    from pyarrow import dataset

    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {str(path)!r}.")
    found = dataset.dataset(path, format="parquet", partitioning="hive")
    if not found.files:
        raise FileNotFoundError(f"The folder {str(path)!r} has no parquet files.")
    return found


def read_parts(
    source: Any, columns: list[str] | None = None, n_rows: int = BATCH_ROWS
) -> Iterator[Part]:
    """Read a source part by part, with the memory of few batches.

    Parameters
    ----------
    source : path, pyarrow Dataset, dataframe, or iterable of dataframes or batches
        Files are read in the order of their names.
    columns : list of str, default=None
        Columns to read; None for all.
    n_rows : int, default=16384
        Largest number of rows of a part.

    Yields
    ------
    Part
        Rows with the columns of the first part.

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If the columns of a part differ from those of the first, naming it.
    TypeError
        If the source is none of these.
    """
    if is_stored(source):
        parts = _of_dataset(as_dataset(source), columns, n_rows)
    else:
        parts = _of_frames(_frames(source), columns, n_rows)
    return _with_same_columns(parts)


def count_rows(source: Any) -> int | None:
    """Count the rows of a source where that needs no reading; None elsewhere."""
    if is_stored(source):
        try:
            return as_dataset(source).count_rows()
        except (OSError, ValueError):
            return None  # whoever reads the part will name it
    return len(source) if hasattr(source, "column_names") else None


def source_identity(source: Any) -> dict[str, Any] | None:
    """Describe a source that is stored, for runs that are continued; None for others.

    Folders may have been moved meanwhile: files count by their names alone.
    """
    if not is_stored(source):
        return None
    files = getattr(as_dataset(source), "files", [])
    return {"files": [Path(f).name for f in files], "n_rows": count_rows(source)}


def to_batch(frame: Any) -> Any:
    """Return a dataframe of any library as one Arrow record batch."""
    pa = arrow()
    if isinstance(frame, pa.RecordBatch):
        return frame
    if not isinstance(frame, pa.Table):
        found = nw.from_native(frame, pass_through=True)
        if not isinstance(found, nw.DataFrame):
            raise TypeError(
                f"A part of the stream is a {type(frame).__name__}; pass dataframes or "
                "Arrow record batches (of a lazy frame of polars: its "
                "collect_batches())."
            )
        frame = found.to_arrow()
    batches = frame.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    return pa.RecordBatch.from_pylist([], schema=frame.schema)


def vectors_of(rows: Any, column: str, name: str) -> np.ndarray | None:
    """Return a column of vectors as a matrix without a copy; None for other columns.

    Parameters
    ----------
    rows : pyarrow RecordBatch
        Rows.
    column : str
        Column of lists of numbers.
    name : str
        Name of the part, for messages.
    """
    pa = arrow()
    cells = rows.column(column)
    fixed = pa.types.is_fixed_size_list(cells.type)
    if not fixed and not _is_list(cells.type):
        return None
    if cells.null_count:
        raise ValueError(f"Part {name}: the column {column!r} has missing vectors.")
    numbers = cells.flatten()
    length = cells.type.list_size if fixed else _common_length(cells, column, name)
    values = numbers.to_numpy(zero_copy_only=False)
    return values.reshape(len(cells), length)


def vector_column(matrix: np.ndarray) -> Any:
    """Return a matrix as an Arrow array of vectors of fixed length."""
    pa = arrow()
    flat = np.ascontiguousarray(matrix).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), matrix.shape[1])


def _of_dataset(found: Any, columns: list[str] | None, n_rows: int) -> Iterator[Part]:
    schema = found.schema
    fragments = sorted(found.get_fragments(), key=lambda f: str(getattr(f, "path", "")))
    for number, fragment in enumerate(fragments):
        name = str(getattr(fragment, "path", f"fragment {number}"))
        begin = partial(_batches, fragment, schema, columns or schema.names, n_rows)
        for rows in _read(name, begin):
            if len(rows):
                yield Part(name, rows)


def _batches(fragment: Any, schema: Any, wanted: list[str], n_rows: int) -> Any:
    from pyarrow import dataset

    known = dataset.get_partition_keys(fragment.partition_expression)
    # Columns that a file lacks would be read as missing values without a word.
    stored = fragment.physical_schema
    for column in wanted:
        if column in known:
            continue
        if stored.get_field_index(column) < 0:
            raise ValueError(
                f"it has no column {column!r}, which other parts have or which is "
                f"asked for; it has {', '.join(map(repr, stored.names))}."
            )
        field = schema.field(column) if column in schema.names else None
        if field is not None and not _same_type(stored.field(column).type, field.type):
            raise ValueError(
                f"its column {column!r} is of type {stored.field(column).type}, "
                f"elsewhere {field.type}."
            )
    if isinstance(fragment, dataset.ParquetFileFragment):
        return _parquet_batches(fragment, schema, wanted, known, n_rows)
    return fragment.to_batches(
        schema=schema,
        columns=wanted,
        batch_size=n_rows,
        batch_readahead=1,
        fragment_readahead=1,
    )


def _parquet_batches(
    fragment: Any, schema: Any, wanted: list[str], known: dict[str, Any], n_rows: int
) -> Iterator[Any]:
    """Read a parquet file batch by batch, as fast as the batches are asked for.

    Arrow's scanner reads up to a gigabyte ahead of a reader that computes something.
    """
    from pyarrow import parquet

    stored = [name for name in wanted if name not in known]
    groups = [group.id for group in fragment.row_groups]
    with (
        fragment.open() as source,
        parquet.ParquetFile(source, pre_buffer=False, buffer_size=PAGE_BYTES) as file,
    ):
        # Without a buffer, Arrow reads the column of a row group at once, which may be
        # a million rows; with threads, it reads ahead.
        for rows in file.iter_batches(n_rows, groups, stored, use_threads=False):
            yield _with_partition(rows, schema, wanted, known)


def _with_partition(
    rows: Any, schema: Any, wanted: list[str], known: dict[str, Any]
) -> Any:
    """Return rows of a file with the types of all files and the columns of its path."""
    pa = arrow()
    arrays = []
    for name in wanted:
        kind = schema.field(name).type if name in schema.names else None
        if name in known:
            arrays.append(pa.array([known[name]] * len(rows), type=kind))
            continue
        column = rows.column(name)
        is_cast = kind is not None and column.type != kind
        arrays.append(column.cast(kind) if is_cast else column)
    return pa.RecordBatch.from_arrays(arrays, names=wanted)


def _read(name: str, begin: Any) -> Iterator[Any]:
    """Yield the batches of a file; an error names it."""
    try:
        yield from begin()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"Part {name} is missing: {error}") from error
    except OSError as error:
        raise OSError(f"Part {name} cannot be read: {error}") from error
    except ValueError as error:  # pyarrow's own errors are such, too
        if type(error).__module__.startswith("pyarrow"):
            raise OSError(f"Part {name} cannot be read: {error}") from error
        raise ValueError(f"Part {name}: {error}") from error


def _frames(source: Any) -> Iterable[Any]:
    pa = arrow()
    if isinstance(source, (pa.Table, pa.RecordBatch)):
        return [source]
    if isinstance(nw.from_native(source, pass_through=True), nw.DataFrame):
        return [source]
    if isinstance(source, Iterable) and not isinstance(source, (bytes, dict)):
        return source
    raise TypeError(
        f"batches is a {type(source).__name__}; pass a path, a pyarrow Dataset, a "
        "dataframe, or an iterable of dataframes or Arrow record batches."
    )


def _of_frames(
    frames: Iterable[Any], columns: list[str] | None, n_rows: int
) -> Iterator[Part]:
    for number, frame in enumerate(frames):
        rows, name = to_batch(frame), f"number {number}"
        if columns is not None:
            missing = [c for c in columns if c not in rows.schema.names]
            if missing:
                raise ValueError(
                    f"Part {name}: it has no column {missing[0]!r}; it has "
                    f"{', '.join(map(repr, rows.schema.names))}."
                )
            rows = rows.select(columns)
        for start in range(0, len(rows), n_rows):
            yield Part(name, rows.slice(start, n_rows))


def _with_same_columns(parts: Iterator[Part]) -> Iterator[Part]:
    first: pa.Schema | None = None
    for part in parts:
        schema = part.rows.schema
        if first is None:
            first = schema
        elif not schema.equals(first):
            _check_schema(part.name, schema, first)
        yield part


def _check_schema(name: str, schema: Any, first: Any) -> None:
    gone = [c for c in first.names if c not in schema.names]
    new = [c for c in schema.names if c not in first.names]
    if gone or new:
        raise ValueError(
            f"Part {name}: its columns are not those of the first part "
            f"(missing: {gone}, new: {new})."
        )
    for column in first.names:
        there, here = first.field(column).type, schema.field(column).type
        if not _same_type(here, there):
            raise ValueError(
                f"Part {name}: its column {column!r} is of type {here}, in the first "
                f"part {there}."
            )


def _same_type(one: Any, other: Any) -> bool:
    return _plain_type(one).equals(_plain_type(other))


def _plain_type(kind: Any) -> Any:
    """Return the type of the values, in whatever form Arrow holds them."""
    pa = arrow()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if _is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return kind


def _is_list(kind: Any) -> bool:
    types = arrow().types
    return types.is_list(kind) or types.is_large_list(kind)


def _common_length(cells: Any, column: str, name: str) -> int:
    lengths = np.diff(cells.offsets.to_numpy())
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        raise ValueError(
            f"Part {name}: the column {column!r} has vectors of length {lengths[0]} "
            f"and of length {lengths[row]} (row {row})."
        )
    return int(lengths[0]) if len(lengths) else 0
