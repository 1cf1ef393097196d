"""Tables with one row per evaluation, or with one row per query."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    frame_rows,
    require_columns,
    table_rows,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    is_missing,
    number_or_none,
    required_number,
    required_text,
)


def read_long(
    path: str | os.PathLike,
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
    path : str or path-like
        A csv file with a header, a jsonl file with one object per line, or a parquet
        file. Text must be UTF-8. Parquet needs an engine of pandas, such as pyarrow.
    model_col, query_col, score_col : str
        Names in the file. These columns must be there, and no cell may be empty. A
        query is a text or, in a parquet or jsonl file, a list of numbers.
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
    log = LogBuilder(path, errors=errors, scale=scale)
    columns, rows = table_rows(Path(path), log)
    require_columns(columns, (model_col, query_col, score_col), path)
    names = {
        "query_id": query_id_col,
        "task": task_col,
        "cost": cost_col,
        "tokens": tokens_col,
        "latency": latency_col,
        "response": response_col,
    }
    present = {ours: name for ours, name in names.items() if name in columns}
    for line, row in rows:
        with log.record_errors(path, line):
            log.add(
                model=label(row.get(model_col), model_col),
                query=query_cell(row.get(query_col), query_col),
                score=required_number(row.get(score_col), score_col),
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
        A csv, jsonl or parquet file as in :func:`read_long`, or a frame.
    models : sequence of str, default=None
        The columns that hold the scores of a model, called like the model. `None`
        means all columns but those of the next three parameters.
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
    if isinstance(table, pd.DataFrame):
        source: str | os.PathLike = "the frame"
        log = LogBuilder(source, errors=errors, scale=scale)
        columns, rows = frame_rows(table, source)
    else:
        source = table
        log = LogBuilder(source, errors=errors, scale=scale)
        columns, rows = table_rows(Path(table), log)
    described = (query_col, query_id_col, task_col)
    scored = [name for name in columns if name not in described]
    scored = scored if models is None else list(models)
    require_columns(columns, (query_col, *scored), source)
    names = {"query_id": query_id_col, "task": task_col}
    present = {ours: name for ours, name in names.items() if name in columns}
    for line, row in rows:
        with log.record_errors(source, line):
            add_wide_row(log, row, {name: name for name in scored}, query_col, present)
    return log.frame()


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
        model: number_or_none(row.get(name), name) for name, model in models.items()
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
    return value


def query_cell(value: Any, name: str) -> Any:
    """Return a text, or a vector as an array."""
    if isinstance(value, list | tuple | np.ndarray):
        vector = np.asarray(value)
        if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.number):
            raise RecordError(f"{name!r} is neither a text nor a list of numbers")
        return vector
    return required_text(value, name)


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
