"""Tables with one row per evaluation, or with one row per query."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    Row,
    as_pandas,
    frame_rows,
    require_columns,
    table_rows,
    tables_at,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    is_missing,
    number_or_none,
    required_score,
    required_text,
    score_or_none,
)
from skl_locus.exceptions import LogFormatError

NAMELESS = re.compile(r"\s*|Unnamed: \d+|__index_level_\d+__")
"""Names that pandas gives, on writing and reading, to an index without a name."""

FRAME = "the frame"
"""What messages call a table that is no file."""


def read_long(
    path: str | os.PathLike | pd.DataFrame,
    *,
    model_col: str = "model",
    query_col: str = "query",
    query_id_col: str = "query_id",
    score_col: str = "score",
    task_col: str = "task",
    cost_col: str = "cost",
    tokens_col: str = "tokens",
    latency_col: str = "latency",
    response_col: str = "response",
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read a table with one row per evaluation.

    Columns are renamed to the names that estimators expect; those without a
    parameter here are left out. Repeated rows are kept: estimators combine them as
    their ``duplicates`` says.

    Parameters
    ----------
    path : str, path-like or DataFrame
        A csv or tsv file with a header, a jsonl file with one object per line, a json
        file with a list of objects (or with columns, as pandas writes it by default),
        or a parquet file; a folder, whose tables are all read; or a frame of pandas,
        polars or pyarrow. Text must be UTF-8. Files of text may be compressed
        (``.gz``). Parquet needs an engine of pandas, such as pyarrow.
    model_col, query_col, score_col : str
        Names in the file. These columns must be there, and no cell may be empty. A
        query is a text or, in a parquet or json file, a list of numbers. A score is a
        number or a truth value.
    query_id_col, task_col, cost_col, tokens_col, latency_col, response_col : str
        Names in the file. A column that is not there is not in the result; query ids
        must not be empty, the other cells may be.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1]: a number to divide by, the pair (worst, best), or
        a mapping of tasks to either; tasks that it does not name are left as they
        are. Scores outside [0, 1] are an error otherwise.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed row is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical), query, query_id, score, task
        (categorical), cost, tokens, latency and response, as far as the file has
        them. ``attrs["skipped"]`` counts what was left out, by reason.

    Raises
    ------
    LogFormatError
        If the file or a row of it cannot be used, with the file and the line.

    Examples
    --------
    >>> import os, tempfile
    >>> from skl_locus.datasets import read_long
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.csv")
    ...     with open(path, "w") as file:
    ...         print("llm", "query", "points", sep=",", file=file)
    ...         print("small", "7 * 8?", 4, sep=",", file=file)
    ...         print("large", "7 * 8?", 10, sep=",", file=file)
    ...     read_long(path, model_col="llm", score_col="points", scale=10)
       model   query  score
    0  small  7 * 8?    0.4
    1  large  7 * 8?    1.0
    """
    frame = as_pandas(path)
    log = LogBuilder(path if frame is None else FRAME, errors=errors, scale=scale)
    names = {
        "query_id": query_id_col,
        "task": task_col,
        "cost": cost_col,
        "tokens": tokens_col,
        "latency": latency_col,
        "response": response_col,
    }
    for place, columns, rows in _tables(path, frame, log):
        require_columns(columns, (model_col, query_col, score_col), place)
        present = {ours: name for ours, name in names.items() if name in columns}
        for line, row in rows:
            with log.record_errors(place, line):
                log.add(
                    model=label(row.get(model_col), model_col),
                    query=query_cell(row.get(query_col), query_col),
                    score=required_score(row.get(score_col), score_col),
                    **optional_cells(row, present),
                )
    return log.frame()


def read_wide(
    table: str | os.PathLike | pd.DataFrame,
    *,
    models: Sequence[str] | None = None,
    query_col: str = "query",
    query_id_col: str = "query_id",
    task_col: str = "task",
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read a table with one row per query and one column per model.

    An empty cell means that the model was not evaluated on the query, and makes no
    row of the result.

    Parameters
    ----------
    table : str, path-like or DataFrame
        A file, a folder or a frame, as in :func:`read_long`.
    models : sequence of str, default=None
        The columns that hold the scores of a model, called like the model. `None`
        means all columns but those of the next three parameters. A column without a
        name that counts the rows is an index that pandas has written, and no model.
    query_col : str, default="query"
        The column with the queries.
    query_id_col, task_col : str
        The columns with their ids and tasks; they need not be there.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed row is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical), query, query_id, score and task
        (categorical), as far as the table has them. ``attrs["skipped"]`` counts what
        was left out, by reason.

    Raises
    ------
    LogFormatError
        If the table or a row of it cannot be used, with the file and the line.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.datasets import read_wide
    >>> table = pd.DataFrame(
    ...     {"query": ["7 * 8?", "Who?"], "small": [0, 1], "large": [1, None]}
    ... )
    >>> read_wide(table)
       model   query  score
    0  small  7 * 8?    0.0
    1  large  7 * 8?    1.0
    2  small    Who?    1.0
    """
    frame = as_pandas(table)
    log = LogBuilder(table if frame is None else FRAME, errors=errors, scale=scale)
    described = (query_col, query_id_col, task_col)
    names = {"query_id": query_id_col, "task": task_col}
    for place, columns, rows in _tables(table, frame, log):
        scored = [name for name in columns if name not in described]
        if models is None:
            rows = _without_index(scored, rows, place, log)
            scored = [name for name in scored if not _is_nameless(name)]
        else:
            scored = list(models)
        require_columns(columns, (query_col, *scored), place)
        present = {ours: name for ours, name in names.items() if name in columns}
        for line, row in rows:
            with log.record_errors(place, line):
                add_wide_row(
                    log, row, {name: name for name in scored}, query_col, present
                )
    return log.frame()


def _tables(
    source: Any, frame: pd.DataFrame | None, log: LogBuilder
) -> Iterator[tuple[str | os.PathLike, list[str], Iterable[Row]]]:
    """Yield the place, the columns and the rows of each table."""
    if frame is not None:
        yield FRAME, *frame_rows(frame, FRAME)
        return
    for path in tables_at(Path(source)):
        yield path, *table_rows(path, log)


def _is_nameless(column: Any) -> bool:
    return isinstance(column, str) and NAMELESS.fullmatch(column) is not None


def _without_index(
    columns: list[str], rows: Iterable[Row], place: str | os.PathLike, log: LogBuilder
) -> Iterable[Row]:
    """Yield the rows once their nameless columns are known to be indices.

    A nameless column with other content could be the scores of a model.
    """
    nameless = [name for name in columns if _is_nameless(name)]
    if not nameless:
        yield from rows
        return
    log.note(f"left out the index {nameless[0]!r}, a column without a name")
    before = dict.fromkeys(nameless, -np.inf)
    for line, row in rows:
        for name in nameless:
            number = _whole_number(row.get(name))
            if number is None or number <= before[name]:
                raise LogFormatError(
                    f"the column {name!r} has no name and does not count the rows (it "
                    f"has {row.get(name)!r:.60}); name it, or pass models=",
                    place,
                    line,
                )
            before[name] = number
        yield line, row


def _whole_number(value: Any) -> int | None:
    try:
        return int(value) if not isinstance(value, bool | float) else None
    except (TypeError, ValueError):
        return None


def add_wide_row(
    log: LogBuilder,
    row: Mapping[str, Any],
    models: Mapping[str, str],
    query_col: str,
    present: Mapping[str, str],
) -> None:
    """Add the evaluations of one query.

    All cells are checked before the first is added: a malformed row is left out whole.
    """
    query = query_cell(row.get(query_col), query_col)
    optional = optional_cells(row, present)
    scores = {
        model: score_or_none(row.get(name), name) for name, model in models.items()
    }
    for model, score in scores.items():
        if score is not None:
            log.add(model=model, query=query, score=score, **optional)


def label(value: Any, name: str) -> Any:
    """Return a label: a text, or a number in formats that have them."""
    if isinstance(value, str):
        return required_text(value, name)
    if is_missing(value):
        raise RecordError(f"{name!r} has no value")
    if isinstance(value, bool):
        raise RecordError(f"{name!r} is {value!r}, not a label")
    return value


def query_cell(value: Any, name: str) -> Any:
    """Return a text, or a vector as an array."""
    if not isinstance(value, list | tuple | np.ndarray):
        return required_text(value, name)
    problem = RecordError(f"{name!r} is neither a text nor a list of numbers")
    try:
        vector = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise problem from None
    numbers = np.issubdtype(vector.dtype, np.number)
    if vector.ndim != 1 or not vector.size or not numbers:
        raise problem
    if not np.isfinite(vector).all():
        raise RecordError(f"{name!r} has numbers that are not finite")
    return vector


def optional_cells(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the optional cells of a row under the names of the long table."""
    return {
        ours: _optional_cell(ours, row.get(name), name) for ours, name in names.items()
    }


def _optional_cell(ours: str, value: Any, name: str) -> Any:
    if ours in ("cost", "tokens", "latency"):
        return number_or_none(value, name)
    if ours == "query_id":
        return label(value, name)
    if ours == "task":
        return None if is_missing(value) or value == "" else value
    return None if is_missing(value) else value
