"""Samples logged by the lm-evaluation-harness."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    files_in,
    folder_of,
    json_lines,
    json_object,
    newest,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_mapping,
    required_number,
    required_text,
    text_of_messages,
)

METRICS = ("acc", "exact_match", "acc_norm", "pass@1", "prompt_level_strict_acc", "f1")
"""Metrics in the order of preference, where none is named."""

FILTERS = ("none", "strict-match", "flexible-extract")
"""Filters in the order of preference, where none is named."""

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[\d.:-]+\d")
"""Time of a run, in the name of its files."""

_NAME = re.compile(rf"samples_(?P<task>.+?)(_{TIME.pattern})?\.jsonl")

Choice = str | Mapping[str, str] | None


def read_lm_eval(
    folder: str | os.PathLike,
    *,
    metric: Choice = None,
    filter: Choice = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read what ``lm_eval --log_samples`` writes.

    The files are ``<model>/samples_<task>_<time>.jsonl``; of several runs of a model
    on a task, the newest is read.

    Parameters
    ----------
    folder : str or path-like
        The output folder, with one folder per model. A model is called like its
        folder, where the harness writes ``org__name`` for ``org/name``.
    metric : str or mapping of tasks to str, default=None
        The metric that is the score. `None` takes the first of acc, exact_match,
        acc_norm, pass@1, prompt_level_strict_acc and f1 that a task has, else its only
        metric; a task without either is an error.
    filter : str or mapping of tasks to str, default=None
        The filter of the answers. `None` takes the first of none, strict-match and
        flexible-extract that a task has, else its only filter.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or line is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical), query, query_id
        ("task/doc_id"), score and, where answers are text, response (after the
        filter). The query is the text of the document's first request; models may
        have seen it in different chat templates, and that of the first model by name
        is taken for all. ``attrs["skipped"]`` counts what was left out, by reason.

    Raises
    ------
    LogFormatError
        If a file or line cannot be used, with the file and the line; also if models
        have different documents under one id, or a task has different metrics or
        filters, as after a change of version.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_lm_eval
    >>> sample = {
    ...     "doc_id": 0, "arguments": [["7 * 8 =", " 56"]], "filter": "none",
    ...     "metrics": ["acc"], "acc": 1.0,
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "org__small", "samples_sums.jsonl")
    ...     path.parent.mkdir()
    ...     _ = path.write_text(json.dumps(sample))
    ...     read_lm_eval(folder)
            model    query query_id  score  task
    0  org__small  7 * 8 =   sums/0    1.0  sums
    """
    folder = folder_of(folder)
    log = LogBuilder(folder, errors=errors, scale=scale)
    reader = _Reader(log, metric, filter)
    for path, task in _newest_runs(files_in(folder, "samples_*.jsonl"), log):
        with log.record_errors(path):
            reader.read(path, path.parent.name, task)
    return log.frame()


@dataclass(frozen=True)
class _Sample:
    line: int
    filter: str
    doc_id: str
    fingerprint: str | None
    text: str
    metrics: Mapping[str, Any]
    response: str | None


class _Reader:
    """Reader of one file after another that checks each against those before."""

    def __init__(self, log: LogBuilder, metric: Choice, filter: Choice) -> None:
        self._log = log
        self._metric = metric
        self._filter = filter
        self._choices: dict[str, tuple[str, str]] = {}
        self._documents: dict[str, _Sample] = {}

    def read(self, path: Path, model: str, task: str) -> None:
        """Add the evaluations of one model on one task."""
        samples = []
        for line, raw in json_lines(path):
            with self._log.record_errors(path, line):
                samples.append(_sample_of(json_object(raw), line))
        if not samples:
            raise RecordError("it has no samples")
        metric, filter = self._choose(task, samples)
        for sample in samples:
            if sample.filter != filter:
                self._log.skip("other filter")
                continue
            with self._log.record_errors(path, sample.line):
                self._add(sample, model, task, metric)

    def _choose(self, task: str, samples: list[_Sample]) -> tuple[str, str]:
        filters = dict.fromkeys(sample.filter for sample in samples)
        filter = _chosen("filter", self._filter, task, filters, FILTERS)
        metrics = next(s.metrics for s in samples if s.filter == filter)
        metric = _chosen("metric", self._metric, task, metrics, METRICS)
        first = self._choices.setdefault(task, (metric, filter))
        if first != (metric, filter):
            raise RecordError(
                f"task {task!r} is scored by {metric!r} with the filter {filter!r} "
                f"here, but by {first[0]!r} with {first[1]!r} in the files before; "
                "name both by metric= and filter="
            )
        return metric, filter

    def _add(self, sample: _Sample, model: str, task: str, metric: str) -> None:
        # Documents are numbered within their task.
        query_id = f"{task}/{sample.doc_id}"
        score = required_number(sample.metrics.get(metric), metric)
        # The first model's text stands for all: chat templates make the texts of one
        # document differ, while its fingerprint is the same.
        first = self._documents.setdefault(query_id, sample)
        if first.fingerprint != sample.fingerprint:
            raise RecordError(
                f"the document {query_id!r} is another than in the files before; are "
                "these two versions of the task?"
            )
        self._log.add(
            model=model,
            query=first.text,
            query_id=query_id,
            score=score,
            task=task,
            response=sample.response,
        )


def _newest_runs(files: list[Path], log: LogBuilder) -> Iterable[tuple[Path, str]]:
    """Return the newest file of each model and task, in the order of both."""
    runs: dict[tuple[Path, str], Path] = {}
    for path in newest(files, TIME):
        match = _NAME.fullmatch(path.name)
        task = match["task"] if match else path.stem
        if runs.setdefault((path.parent, task), path) is not path:
            log.skip("older run")
    return [(path, task) for (_, task), path in sorted(runs.items())]


def _sample_of(record: Mapping[str, Any], line: int) -> _Sample:
    return _Sample(
        line=line,
        filter=str(record.get("filter", "none")),
        doc_id=required_text(record.get("doc_id"), "doc_id"),
        fingerprint=_fingerprint(record),
        text=_first_request(record.get("arguments")),
        metrics=_metrics_of(record),
        response=_response(record.get("filtered_resps")),
    )


def _fingerprint(record: Mapping[str, Any]) -> str | None:
    if "doc_hash" in record:
        return str(record["doc_hash"])
    document = record.get("doc")
    return None if document is None else json.dumps(document, sort_keys=True)


def _first_request(arguments: Any) -> str:
    """Return the text of the first request, in the forms of old and new versions."""
    if isinstance(arguments, Mapping) and arguments:
        request = as_mapping(next(iter(arguments.values())), "arguments")
        return text_of_messages(request.get("arg_0"), "arguments")
    if isinstance(arguments, list) and arguments:
        request = arguments[0]
        text = request[0] if isinstance(request, list) and request else request
        return text_of_messages(text, "arguments")
    raise RecordError(f"'arguments' is {arguments!r:.60}, without a request")


def _metrics_of(record: Mapping[str, Any]) -> dict[str, Any]:
    # Old versions do not list the metrics of a sample.
    names = record.get("metrics", [name for name in record if name in METRICS])
    if not isinstance(names, list) or not names:
        raise RecordError("the sample names no metrics")
    return {str(name): record.get(str(name)) for name in names}


def _response(answers: Any) -> str | None:
    # The text lies in lists, more or less deep by version and kind of task.
    while isinstance(answers, list) and answers:
        answers = answers[0]
    return answers if isinstance(answers, str) else None


def _chosen(
    what: str,
    wanted: Choice,
    task: str,
    available: Iterable[str],
    order: tuple[str, ...],
) -> str:
    available = list(available)
    name = wanted.get(task) if isinstance(wanted, Mapping) else wanted
    if name is None:
        name = next((n for n in order if n in available), None)
    if name is None and len(available) == 1:
        return available[0]
    if name in available:
        return name
    choices = ", ".join(map(repr, available))
    raise RecordError(f"task {task!r} has the {what}s {choices}; name one by {what}=")
