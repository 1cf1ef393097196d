"""LLMRouterBench: one JSON file per data set, split, model and run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    file_or_folder,
    files_in,
    json_document,
    newest,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_text,
    score_or_none,
    sum_or_none,
)

TIME = re.compile(r"\d{8}_\d{6}(?=\.json$)")
"""Time of a run, at the end of its file name."""


def read_llmrouterbench(
    folder: str | os.PathLike,
    *,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read the results of LLMRouterBench.

    The files are ``<dataset>/<split>/<model>/*.json``. Of the files of one folder that
    are no demo runs, the one with the most records is read, and of these the newest:
    by the time at the end of the name (``20250101_120000.json``), else, before all of
    those with a time, by the name. A warning says so where a newer one is smaller.
    Records whose score is null are left out and counted.

    Parameters
    ----------
    folder : str or path-like
        The folder ``results/bench``, or any folder below which such files are.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or record is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical, the data set), query (the
        origin_query, else the prompt; a query that is not a text is written as JSON),
        score and, where the files have them, cost (US dollars), tokens (of prompt and
        completion) and response (the raw output). There is no query id: records are
        numbered in each file, so that the text is what identifies a query.
        ``attrs["skipped"]`` counts what was left out, by reason.

    Raises
    ------
    LogFormatError
        If a file or record cannot be used, with the file and the number of the record.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_llmrouterbench
    >>> run = {"records": [
    ...     {"origin_query": "7 * 8?", "score": 1.0, "cost": 0.1, "prompt_tokens": 9,
    ...      "completion_tokens": 1},
    ... ]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sums", "test", "small", "20250101_120000.json")
    ...     path.parent.mkdir(parents=True)
    ...     _ = path.write_text(json.dumps(run))
    ...     read_llmrouterbench(folder)
       model   query  score  task  cost  tokens
    0  small  7 * 8?    1.0  sums   0.1    10.0
    """
    folder = file_or_folder(folder)
    log = LogBuilder(folder, errors=errors, scale=scale)
    files = sorted(files_in(folder, "*.json"), key=_folder)
    for _, runs in groupby(files, key=_folder):
        _read_newest(newest(runs, TIME), log)
    return log.frame()


def _folder(path: Path) -> Path:
    return path.parent


def _read_newest(runs: list[Path], log: LogBuilder) -> None:
    """Read the first run that is no demo; a malformed one gives way to the next."""
    waiting = list(runs)
    while waiting:
        path = waiting.pop(0)
        with log.record_errors(path):
            run = as_mapping(json_document(path), "the run")
            if run.get("demo"):
                log.skip("demo run")
                continue
            path, run = _larger(path, run, waiting, log)
            _add_records(log, path, run)
            break
    log.skip("older run", len(waiting))


def _larger(
    path: Path, run: Mapping[str, Any], older: list[Path], log: LogBuilder
) -> tuple[Path, Mapping[str, Any]]:
    """Return an older run that has more records, else the run itself.

    A short run to try something must not replace the whole one before it.
    """
    n_newest = n_most = len(as_list(run.get("records"), "'records'"))
    largest = path
    for other in older:
        n_records = _n_records(other)
        if n_records > n_most:
            largest, n_most = other, n_records
    if largest is path:
        return path, run
    log.warn_ambiguous(
        f"the newest run in {path.parent} has {n_newest} records and one before has "
        f"{n_most}, which is read ({largest.name})"
    )
    return largest, as_mapping(json_document(largest), "the run")


def _n_records(path: Path) -> int:
    """Return the number of records of a run, 0 if it is a demo or malformed."""
    try:
        run = as_mapping(json_document(path), "the run")
        return 0 if run.get("demo") else len(as_list(run.get("records"), "'records'"))
    except RecordError:
        return 0


def _add_records(log: LogBuilder, path: Path, run: Mapping[str, Any]) -> None:
    folder = path.absolute().parent
    model = required_text(run.get("model_name", folder.name), "model_name")
    dataset = run.get("dataset_name", folder.parent.parent.name)
    task = required_text(dataset, "dataset_name")
    for number, record in enumerate(as_list(run.get("records"), "'records'"), start=1):
        with log.record_errors(path, record=number):
            record = as_mapping(record, "the record")
            log.add(
                model=model,
                task=task,
                query=_query_of(record),
                score=score_or_none(record.get("score"), "score"),
                cost=number_or_none(record.get("cost"), "cost"),
                tokens=_tokens_of(record),
                response=_response_of(record),
            )


def _query_of(record: Mapping[str, Any]) -> str:
    query = record.get("origin_query") or record.get("prompt")
    # Some queries are lists of messages: as JSON, equal ones stay equal.
    if isinstance(query, list | dict):
        query = json.dumps(query, ensure_ascii=False)
    return required_text(query, "origin_query")


def _tokens_of(record: Mapping[str, Any]) -> float | None:
    names = ("prompt_tokens", "completion_tokens")
    return sum_or_none(*(number_or_none(record.get(name), name) for name in names))


def _response_of(record: Mapping[str, Any]) -> str | None:
    output = record.get("raw_output")
    return output if isinstance(output, str) else None
