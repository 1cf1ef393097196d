"""Details of lighteval: the samples of a task, one parquet file per run."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale, largest_run
from skl_locus.datasets._readers._files import file_or_folder, files_in, table_rows
from skl_locus.datasets._readers._values import (
    RecordError,
    as_mapping,
    is_missing,
    required_text,
    score_or_none,
)

COLUMNS = ("doc", "metric", "model_response")
"""Columns of the files, each an object per sample."""

PATTERN = "details_*.parquet"
"""Names of the files."""

DETAILS = "details"
"""Folder of all models, each with a folder per run that is named by its time."""

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}[.\d]*")
"""Time of a run in the names of its folder and files."""

Choice = str | Mapping[str, str] | None


def read_lighteval(
    path: str | os.PathLike,
    *,
    metric: Choice = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read the details of lighteval.

    These are the files ``details/<model>/<time>/details_<task>_<time>.parquet`` that
    ``--save-details`` writes; pandas needs pyarrow to read them. Of several runs of a
    model on a task, the one with the most samples is read, and the newest of these,
    with a warning.

    Parameters
    ----------
    path : str or path-like
        A file of details, or a folder with runs.
    metric : str or mapping of tasks to str, default=None
        The metric whose value is the score; `None` if a task has only one. Metrics of
        the whole corpus have no value per sample, and are an error.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or sample is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical, the folders between ``details`` and the
        time), query (the query of the document, without examples), query_id
        ("task/id"), score, task (categorical, with the number of examples, as in
        "gsm8k|0") and, where the files have them, tokens (of prompt and answers) and
        response (the first one). ``attrs["skipped"]`` counts what was left out, by
        reason.

    Raises
    ------
    LogFormatError
        If a file or sample cannot be used, with the file and the number of the sample;
        also if a document has another text than in another file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from skl_locus.datasets import read_lighteval
    >>> details = pd.DataFrame({
    ...     "doc": [{"query": "7 * 8 =", "id": "0", "task_name": "sums|0"}],
    ...     "metric": [{"acc": 1}],
    ...     "model_response": [{"text": ["56"]}],
    ... })
    >>> time = "2026-01-01T12-00-00.000000"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "details", "org", "small", time)
    ...     path.mkdir(parents=True)
    ...     details.to_parquet(path / f"details_sums|0_{time}.parquet")
    ...     read_lighteval(folder)
           model    query  query_id  score    task response
    0  org/small  7 * 8 =  sums|0/0    1.0  sums|0       56
    """
    place = file_or_folder(path)
    log = LogBuilder(path, errors=errors, scale=scale)
    runs: dict[tuple[str, str], list[tuple[int, str, list]]] = defaultdict(list)
    for file in files_in(place, PATTERN):
        with log.record_errors(file):
            for task, rows in _rows_by_task(file, log).items():
                runs[_model_of(file), task].append((len(rows), str(file), rows))
    reader = _Reader(log, metric)
    for about, several in sorted(runs.items()):
        # Paths are in the order of time, which is in the names of files.
        _, file_name, rows = largest_run(several, lambda run: run[:2], about, log)
        reader.add(*about, Path(file_name), rows)
    return log.frame()


def _rows_by_task(path: Path, log: LogBuilder) -> dict[str, list]:
    columns, rows = table_rows(path, log)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise RecordError(f"the column {missing[0]!r} is missing")
    tasks: dict[str, list] = defaultdict(list)
    for number, row in rows:
        with log.record_errors(path, record=number):
            document = as_mapping(row["doc"], "'doc'")
            task = required_text(document.get("task_name"), "task_name")
            tasks[task].append((number, row))
    return tasks


def _model_of(path: Path) -> str:
    """Return the folders of the model, which has two if its name has a slash."""
    parts = path.absolute().parts[:-1]
    if parts and TIME.fullmatch(parts[-1]):
        parts = parts[:-1]
    above = [place for place, part in enumerate(parts[:-1]) if part == DETAILS]
    return "/".join(parts[above[-1] + 1 :] if above else parts[-1:])


class _Reader:
    """Reader of the samples of all models, by one metric per task."""

    def __init__(self, log: LogBuilder, metric: Choice) -> None:
        self._log = log
        self._metric = metric
        self._metrics: dict[str, str] = {}

    def add(self, model: str, task: str, path: Path, rows: list) -> None:
        """Add the evaluations of one model on one task."""
        for number, row in rows:
            with self._log.record_errors(path, record=number):
                document = as_mapping(row["doc"], "'doc'")
                answer = as_mapping(row["model_response"], "'model_response'")
                number_of_document = required_text(document.get("id"), "id")
                self._log.add(
                    model=model,
                    query=required_text(document.get("query"), "query"),
                    query_id=f"{task}/{number_of_document}",
                    score=self._score(row["metric"], task),
                    task=task,
                    tokens=_n_tokens(answer),
                    response=_first_text(answer.get("text")),
                )

    def _score(self, value: Any, task: str) -> float | None:
        values = as_mapping(value, "'metric'")
        # Columns of parquet files give each object the keys of all.
        there = [name for name, one in values.items() if not is_missing(one)]
        wanted = self._metric
        name = wanted.get(task) if isinstance(wanted, Mapping) else wanted
        if name is None and len(there) == 1:
            name = there[0]
        if name is None or name not in values:
            if not there and name is None:
                return None
            names = ", ".join(map(repr, values))
            raise RecordError(
                f"task {task!r} has the metrics {names}; name one by metric="
            )
        first = self._metrics.setdefault(task, name)
        if first != name:
            raise RecordError(
                f"task {task!r} is scored by {name!r} here, but by {first!r} before; "
                "name one by metric="
            )
        return score_or_none(values[name], name)


def _n_tokens(answer: Mapping[str, Any]) -> float | None:
    """Return the tokens of prompt and answers, None if they were not kept."""
    prompt = _listed(answer.get("input_tokens"))
    answers = [_listed(one) for one in _listed(answer.get("output_tokens"))]
    counted = len(prompt) + sum(map(len, answers))
    return float(counted) if prompt and any(answers) else None


def _first_text(texts: Any) -> str | None:
    first = next(iter(_listed(texts)), None)
    return first if isinstance(first, str) else None


def _listed(values: Any) -> list:
    if isinstance(values, np.ndarray):
        return list(values)
    return values if isinstance(values, list) else []
