"""RouterBench: one row per prompt, three columns per model."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    Row,
    frame_rows,
    require_columns,
    require_file,
    table_rows,
)
from skl_locus.datasets._readers._values import (
    is_missing,
    number_or_none,
    required_text,
    score_or_none,
)
from skl_locus.exceptions import LogFormatError

RESPONSE = "|model_response"
"""Ending of a column of answers; before it stands the model."""

COST = "|total_cost"
"""Ending of a column of costs; before it stands the model."""

DESCRIBED = ("sample_id", "prompt", "eval_name")
"""Columns about the prompt."""

PICKLES = (".pkl", ".pickle")
"""Endings of files that may run code when they are loaded."""


def read_routerbench(
    path: str | os.PathLike,
    *,
    allow_pickle: bool = False,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read a table of RouterBench.

    It has the columns sample_id, prompt and eval_name and, for each model, a column of
    scores called like the model, ``<model>|total_cost`` and ``<model>|model_response``.
    Columns without one of the latter two are no models. An empty score makes no row.

    Parameters
    ----------
    path : str or path-like
        A csv or parquet file, or a pickle.
    allow_pickle : bool, default=False
        Whether a pickle may be loaded, the form in which RouterBench is published.
        Loading a pickle runs whatever code is in it, with all rights that you have:
        allow it for files only whose origin you trust, or have the file converted to
        parquet elsewhere.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed row is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical, the eval_name), query, query_id
        (the sample_id), score and, where the file has them, cost (of the answer, in
        US dollars) and response. Prompts and answers that are written as a list of
        texts are joined by line breaks. ``attrs["skipped"]`` counts what was left
        out, by reason.

    Raises
    ------
    LogFormatError
        If the file or a row cannot be used, with the file and the line; also if it is
        a pickle and these are not allowed.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from skl_locus.datasets import read_routerbench
    >>> table = pd.DataFrame({
    ...     "sample_id": ["sums.0"], "prompt": ["['7 * 8?']"], "eval_name": ["sums"],
    ...     "small": [0.0], "small|total_cost": [0.001],
    ...     "large": [1.0], "large|total_cost": [0.1],
    ... })
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "routerbench.csv")
    ...     table.to_csv(path, index=False)
    ...     read_routerbench(path)
       model   query query_id  score  task   cost
    0  small  7 * 8?   sums.0    0.0  sums  0.001
    1  large  7 * 8?   sums.0    1.0  sums  0.100
    """
    log = LogBuilder(path, errors=errors, scale=scale)
    columns, rows = _rows_of(Path(path), log, allow_pickle)
    require_columns(columns, DESCRIBED, path)
    models = _models_of(columns, path)
    for line, row in rows:
        with log.record_errors(path, line):
            _add_row(log, row, models)
    return log.frame()


def _rows_of(
    path: Path, log: LogBuilder, allow_pickle: bool
) -> tuple[list[str], Iterable[Row]]:
    if path.suffix.lower() not in PICKLES:
        return table_rows(path, log)
    if not allow_pickle:
        raise LogFormatError(
            "it is a pickle, and loading one runs whatever code is in it; pass "
            "allow_pickle=True if you trust its origin, or a csv or parquet file",
            path,
        )
    return frame_rows(_unpickle(path), path)


def _unpickle(path: Path) -> pd.DataFrame:
    require_file(path)
    try:
        frame = pd.read_pickle(path)
    except Exception as error:  # a damaged pickle can raise anything
        raise LogFormatError(f"not a readable pickle ({error!r:.200})", path) from error
    if not isinstance(frame, pd.DataFrame):
        raise LogFormatError(f"a {type(frame).__name__} is in it, not a frame", path)
    return frame


def _models_of(columns: list[str], path: str | os.PathLike) -> list[str]:
    models = [
        name
        for name in columns
        if name not in DESCRIBED and {name + COST, name + RESPONSE} & set(columns)
    ]
    if not models:
        raise LogFormatError(
            f"no column has another beside it that ends with {COST!r} or {RESPONSE!r}",
            path,
        )
    return models


def _add_row(log: LogBuilder, row: Mapping[str, Any], models: list[str]) -> None:
    """Add the evaluations of one prompt.

    All cells are checked before the first is added: a malformed row is left out whole.
    """
    described: dict[str, Any] = {
        "query": _joined(required_text(row.get("prompt"), "prompt")),
        "query_id": required_text(row.get("sample_id"), "sample_id"),
        "task": required_text(row.get("eval_name"), "eval_name"),
    }
    evaluations = [_evaluation(row, model) for model in models]
    for evaluation in evaluations:
        if evaluation["score"] is not None:
            log.add(**described, **evaluation)


def _evaluation(row: Mapping[str, Any], model: str) -> dict[str, Any]:
    response = row.get(model + RESPONSE)
    return {
        "model": model,
        "score": score_or_none(row.get(model), model),
        "cost": number_or_none(row.get(model + COST), model + COST),
        "response": None if is_missing(response) else _joined(str(response)),
    }


def _joined(text: str) -> str:
    """Return the texts of a list written as Python code, joined; others as they are.

    The published tables have prompts as ``"['...']"``.
    """
    if not text.lstrip().startswith("["):
        return text
    try:
        parts = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if not parts or not all(isinstance(part, str) for part in parts):
        return text
    return "\n".join(parts)
