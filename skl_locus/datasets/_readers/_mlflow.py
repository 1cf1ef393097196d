"""Evaluation tables of MLflow: one row per query, one column per metric."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    as_pandas,
    decode,
    file_or_folder,
    files_in,
    frame_rows,
    json_document,
    open_file,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_text,
    score_or_none,
    text_of_messages,
)

TABLE = "eval_results_table.json"
"""Artifact of a run that holds the table."""

SCORE, ASSESSMENT = "/score", "/value"
"""Endings of the columns of metrics: of ``mlflow.evaluate``, of traces."""

QUERIES = ("inputs", "input", "question", "query", "prompt", "request")
"""Columns that are taken for the query, if a table has just one of them."""

ANSWERS = ("outputs", "output", "prediction", "predictions", "response")
"""Columns that are taken for the response."""

VERDICTS = {"yes": 1.0, "no": 0.0}
"""Scores of the words that MLflow's judges answer with."""

RUN_OF_TRACE = "mlflow.sourceRun"
"""Metadata of a trace that names its run."""

MILLISECONDS = 1000
"""Milliseconds in a second: traces have the former, tables the latter."""

Row = tuple[int, dict[str, Any]]


def read_mlflow(
    path: str | os.PathLike | pd.DataFrame,
    *,
    metric: str | None = None,
    query_col: str | None = None,
    model: str | None = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read evaluation tables of MLflow.

    These are the artifact ``eval_results_table.json`` of ``mlflow.evaluate`` and the
    table of traces of ``mlflow.genai.evaluate``, which MLflow keeps in its store and
    returns as a frame (``result_df``, or ``mlflow.search_traces``).

    Parameters
    ----------
    path : str, path-like or DataFrame
        An ``eval_results_table.json``, a folder such as a store of files, whose tables
        are all read, or a frame of traces.
    metric : str, default=None
        The metric whose value is the score: "exact_match/v1" of the column
        "exact_match/v1/score", "correctness" of the column "correctness/value". `None`
        if there is only one. The words yes and no count 1 and 0.
    query_col : str, default=None
        The column of the query. `None` takes "inputs", "input", "question", "query",
        "prompt" or "request", if there is one of them. The only text of an object is
        the text of the query, and so are the messages of a chat; other objects are
        written as JSON.
    model : str, default=None
        The name of the model of the table. `None` takes the name of the run: in a store
        of files that of MLflow, else the folder above ``artifacts``, and for traces the
        id of the run.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed table or row is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical), query, score and, where the table has
        them, tokens (those that `token_count` finds in the response), latency (seconds)
        and response. The text identifies a query. Two runs of one name are repetitions,
        with a warning. ``attrs["skipped"]`` counts what was left out, by reason.

    Raises
    ------
    LogFormatError
        If a table or row cannot be used, with the file and the number of the row.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_mlflow
    >>> table = {
    ...     "columns": ["inputs", "outputs", "exact_match/v1/score"],
    ...     "data": [["7 * 8?", "56", 1]],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "small", "artifacts", "eval_results_table.json")
    ...     path.parent.mkdir(parents=True)
    ...     _ = path.write_text(json.dumps(table))
    ...     read_mlflow(folder)
       model   query  score response
    0  small  7 * 8?    1.0       56
    """
    frame = as_pandas(path)
    source = "the frame" if frame is not None else os.fspath(path)
    log = LogBuilder(source, errors=errors, scale=scale)
    if frame is not None:
        with log.record_errors(source):
            columns, rows = frame_rows(frame, source)
            table = _Table(columns, metric, query_col)
            table.add_to(log, source, rows, model)
        return log.frame()
    runs: dict[str, Path] = {}
    for file in files_in(file_or_folder(path), TABLE):
        with log.record_errors(file):
            name = model or _run_of(file)
            if runs.setdefault(name, file) != file:
                log.warn_ambiguous(
                    f"several runs are called {name!r}, and count as repetitions of "
                    "one model; rename them if they are of different models"
                )
            columns, rows = _rows_of(json_document(file))
            _Table(columns, metric, query_col).add_to(log, file, rows, name)
    return log.frame()


def is_mlflow_table(document: Any) -> bool:
    """Whether a JSON document is a table of ``mlflow.evaluate``."""
    return (
        isinstance(document, Mapping)
        and isinstance(document.get("columns"), list)
        and isinstance(document.get("data"), list)
        and any(str(name).endswith(SCORE) for name in document["columns"])
    )


class _Table:
    """Columns of a table that hold the query, the score and the rest."""

    def __init__(
        self, columns: list[str], metric: str | None, query_col: str | None
    ) -> None:
        self._columns = columns
        self._ending = ASSESSMENT if "trace_id" in columns else SCORE
        self._metric = metric
        self._query = query_col or self._only_of(QUERIES, "query", "query_col")
        if self._query not in columns:
            raise RecordError(f"there is no column {self._query!r} in {columns!r:.200}")

    def add_to(
        self,
        log: LogBuilder,
        source: str | os.PathLike,
        rows: Iterable[Row],
        model: str | None,
    ) -> None:
        """Add the evaluations of the rows."""
        rows = list(rows)
        scored = self._score_column(rows)
        answers = [name for name in ANSWERS if name in self._columns]
        for number, row in rows:
            with log.record_errors(source, record=number):
                log.add(
                    model=model or _run_of_trace(row),
                    query=_text_of_inputs(row[self._query], self._query),
                    score=_score(row[scored], scored),
                    tokens=number_or_none(row.get("token_count"), "token_count"),
                    latency=self._latency(row),
                    response=_text_or_none(row[answers[0]]) if answers else None,
                )

    def _score_column(self, rows: list[Row]) -> str:
        expected = {name for _, row in rows for name in _expectations(row)}
        found = [
            name.removesuffix(self._ending)
            for name in map(str, self._columns)
            if name.endswith(self._ending)
        ]
        metrics = [name for name in found if name not in expected]
        wanted = self._metric
        if wanted is None and len(metrics) == 1:
            wanted = metrics[0]
        if wanted not in metrics:
            names = ", ".join(map(repr, metrics)) or "no metric"
            raise RecordError(f"the table has {names}; name one by metric=")
        return f"{wanted}{self._ending}"

    def _only_of(self, names: Iterable[str], what: str, parameter: str) -> str:
        found = [name for name in names if name in self._columns]
        if len(found) != 1:
            raise RecordError(
                f"the column of the {what} is not known, of {self._columns!r:.200}; "
                f"name it by {parameter}="
            )
        return found[0]

    def _latency(self, row: Mapping[str, Any]) -> float | None:
        if self._ending == SCORE:
            return number_or_none(row.get("latency"), "latency")
        time = number_or_none(row.get("execution_duration"), "execution_duration")
        return None if time is None else time / MILLISECONDS


def _rows_of(document: Any) -> tuple[list[str], list[Row]]:
    table = as_mapping(document, "the file")
    columns = as_list(table.get("columns"), "'columns'")
    if not all(isinstance(name, str) for name in columns):
        raise RecordError(f"'columns' is {columns!r:.60}, not a list of texts")
    if len(set(columns)) != len(columns):
        raise RecordError("two columns have one name")
    rows = []
    for number, cells in enumerate(as_list(table.get("data"), "'data'"), start=1):
        if len(as_list(cells, f"row {number}")) != len(columns):
            raise RecordError(f"row {number} has not {len(columns)} cells")
        rows.append((number, dict(zip(columns, cells, strict=True))))
    return columns, rows


def _run_of(table: Path) -> str:
    """Return the name of the run that a table is an artifact of."""
    run = table.absolute().parent.parent
    named = run / "tags" / "mlflow.runName"
    if named.is_file():
        with open_file(named) as file:
            return required_text(decode(file.read()).strip(), "the name of the run")
    return run.name


def _run_of_trace(row: Mapping[str, Any]) -> str:
    metadata = row.get("trace_metadata")
    run = metadata.get(RUN_OF_TRACE) if isinstance(metadata, Mapping) else None
    if not isinstance(run, str) or not run:
        raise RecordError("the trace does not name its run; name the model by model=")
    return run


def _expectations(row: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of assessments that are the right answers, not a score."""
    assessments = row.get("assessments")
    for one in assessments if isinstance(assessments, list) else []:
        if isinstance(one, Mapping) and "expectation" in one:
            yield str(one.get("assessment_name"))


def _text_of_inputs(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return text_of_messages(value, name)
    if isinstance(value.get("messages"), list):
        return text_of_messages(value["messages"], name)
    if len(value) == 1:
        (only,) = value.values()
        if isinstance(only, str):
            return required_text(only, name)
    if not value:
        raise RecordError(f"{name!r} is empty")
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _score(value: Any, name: str) -> float | None:
    if isinstance(value, str) and value.strip().lower() in VERDICTS:
        return VERDICTS[value.strip().lower()]
    return score_or_none(value, name)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
