"""Samples logged by the lm-evaluation-harness."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._chats import text_of_prompt
from skl_locus.datasets._readers._files import (
    Row,
    file_or_folder,
    json_document,
    json_lines,
    json_object,
    newest,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_mapping,
    required_score,
    required_text,
)
from skl_locus.exceptions import LogFormatError

METRICS = ("acc", "exact_match", "acc_norm", "pass@1", "prompt_level_strict_acc", "f1")
"""Metrics in the order of preference, where none is named."""

FILTERS = ("none", "strict-match", "flexible-extract")
"""Filters in the order of preference, where none is named."""

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[\d.:-]+\d")
"""Time of a run, in the name of its files."""

SAMPLES = ("samples_*.jsonl", "samples_*.jsonl.gz")
"""Names of files of samples, since the middle of 2024."""

AGGREGATED = "results"
"""Begin of the name of a file of results, unless ``--output_path`` names it."""

MODEL_ARGUMENTS = ("peft", "delta", "pretrained", "model", "path", "engine")
"""Arguments that name the model, in the order in which the harness looks for them."""

_NAME = re.compile(rf"samples_(?P<task>.+?)(_{TIME.pattern})?\.jsonl(\.gz)?")

_NOT_IN_FOLDERS = re.compile(r"[\"<>:/|\\?*\[\]]+")

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

    The files are ``<model>/samples_<task>_<time>.jsonl``, perhaps compressed
    (``.gz``). Of several runs of a model on a task, the one with the most documents is
    read, and the newest of these; a warning says so where a newer one is smaller, as
    after ``--limit``. Before the middle of 2024, the files were
    ``<arguments of the model>_<task>.jsonl`` beside one file of results; these are
    read, too.

    Parameters
    ----------
    folder : str or path-like
        The output folder, with one folder per model, or one file of samples. A model
        is called like its folder, where the harness writes ``org__name`` for
        ``org/name``. If ``--output_path`` was a file, there are no such folders: the
        models are called in the same way, by the files of results beside the samples.
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
        ("task/doc_id"), score and, where the model writes text, response (after the
        filter). The query is the text of the document's first request; that of a chat
        is the text of its turns up to the last one of the user. Models may have seen
        it in different chat templates, and that of the first model by name is taken
        for all. ``attrs["skipped"]`` counts what was left out, by reason.

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
    folder = file_or_folder(folder)
    log = LogBuilder(folder, errors=errors, scale=scale)
    reader = _Reader(log, metric, filter)
    for run in _largest_runs(_runs_in(folder, log), log):
        with log.record_errors(run.path):
            reader.read(run)
    return log.frame()


@dataclass(frozen=True)
class _Results:
    """What a file of results says about the samples of its run."""

    stem: str
    model: str | None
    filters: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Run:
    """A file of samples, with the names of the filters where it may lack them."""

    path: Path
    model: str
    task: str
    filters: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sample:
    line: int
    filter: str | None
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

    def read(self, run: _Run) -> None:
        """Add the evaluations of one model on one task."""
        samples = []
        for line, record in _records(run.path, self._log):
            with self._log.record_errors(run.path, line):
                samples.append(_sample_of(record, line))
        if not samples:
            raise RecordError("it has no samples")
        samples = _with_filters(samples, run.filters)
        metric, filter = self._choose(run.task, samples)
        for sample in samples:
            if sample.filter != filter:
                self._log.skip("other filter")
                continue
            with self._log.record_errors(run.path, sample.line):
                self._add(sample, run.model, run.task, metric)

    def _choose(self, task: str, samples: list[_Sample]) -> tuple[str, str]:
        filters = dict.fromkeys(str(sample.filter) for sample in samples)
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
        score = required_score(sample.metrics.get(metric), metric)
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


def _runs_in(folder: Path, log: LogBuilder) -> list[_Run]:
    """Return all runs below a folder, with the names of models and tasks."""
    files = [folder]
    if folder.is_dir():
        files = [path for pattern in SAMPLES for path in folder.rglob(pattern)]
    if not files:
        return _old_runs_in(folder, log)
    runs, results = [], _ResultsBeside()
    for path in sorted(files):
        with log.record_errors(path):
            match = _NAME.fullmatch(path.name)
            task = match["task"] if match else path.stem
            model, filters = results.about(path)
            runs.append(_Run(path, model, task, filters.get(task, ())))
    return runs


class _ResultsBeside:
    """Files of results beside files of samples."""

    def __init__(self) -> None:
        self._found: dict[Path, dict[str, _Results]] = {}

    def about(self, path: Path) -> tuple[str, Mapping[str, tuple[str, ...]]]:
        """Return the model that a file of samples is of, and the filters by task.

        With ``--output_path out/x.json``, all models write into one folder, and the
        file of results with the same time in its name says which it was. Folders that
        are of one model alone keep their name, which the user may have given them.
        """
        folder = path.parent
        if folder not in self._found:
            self._found[folder] = _results_in(folder)
        found = self._found[folder]
        time = TIME.search(path.name)
        own = found.get(time[0]) if time else None
        named = any(results.stem != AGGREGATED for results in found.values())
        if not named and len({results.model for results in found.values()}) <= 1:
            return folder.name, own.filters if own else {}
        if own is None or own.model is None:
            raise RecordError(
                "the folder has samples of several models, and no readable file of "
                "results with the same time in its name says whose these are"
            )
        return own.model, own.filters


def _results_in(folder: Path) -> dict[str, _Results]:
    """Return the results in a folder by the time in the names of their files."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        time = TIME.search(path.name)
        # Some versions made a folder of an output path that ends with .json.
        if time is not None and path.is_file():
            stem = path.name[: time.start()].rstrip("_")
            found[time[0]] = _results_of(path, stem)
    return found


def _results_of(path: Path, stem: str) -> _Results:
    try:
        content = as_mapping(json_document(path), "the file")
    except RecordError:  # perhaps nobody needs it
        return _Results(stem, None, {})
    name, scores = content.get("model_name"), content.get("results")
    model = _as_folder(name) if isinstance(name, str) else None
    return _Results(stem, model, _filters_of(scores))


def _filters_of(results: Any) -> dict[str, tuple[str, ...]]:
    """Return the filters of each task in their order: keys are "metric,filter"."""
    if not isinstance(results, Mapping):
        return {}
    return {
        task: tuple(dict.fromkeys(key.split(",")[1] for key in scores if "," in key))
        for task, scores in results.items()
        if isinstance(scores, Mapping)
    }


def _with_filters(samples: list[_Sample], filters: tuple[str, ...]) -> list[_Sample]:
    """Return samples with the filters that versions before 2025 do not name.

    These wrote all documents for the first filter, then all for the second, and so on.
    """
    times: Counter[str] = Counter()
    named = []
    for sample in samples:
        place = times[sample.doc_id]
        if sample.filter is None:
            times[sample.doc_id] += 1
            name = filters[place] if place < len(filters) else FILTERS[0]
            sample = replace(sample, filter=name)
        named.append(sample)
    n_filters = max(times.values(), default=1)
    if n_filters > max(1, len(filters)):
        raise RecordError(
            f"it has documents {n_filters} times, as for so many filters, but no filter"
            " is named in it, nor in a file of results of the same run"
        )
    return named


def _as_folder(model: str) -> str:
    """Return a model's name as the harness writes it for folders."""
    return _NOT_IN_FOLDERS.sub("__", model)


def _old_runs_in(folder: Path, log: LogBuilder) -> list[_Run]:
    """Return the runs of versions before the middle of 2024.

    The name of a file of samples is what the results beside it say: the arguments of
    the model and the task. Names alone would not tell where the task begins.
    """
    runs = []
    for path in sorted(filter(Path.is_file, folder.rglob("*.json"))):
        with log.record_errors(path):
            results = json_document(path)
            if isinstance(results, dict) and "results" in results:
                runs += _runs_of_results(path.parent, results)
    if not runs:
        raise LogFormatError(
            f"there is no {SAMPLES[0]} in it, nor a file of results beside samples of "
            "an older version",
            folder,
        )
    return runs


def _runs_of_results(folder: Path, content: Mapping[str, Any]) -> list[_Run]:
    config = as_mapping(content.get("config"), "'config'")
    arguments = str(config.get("model_args") or "")
    named = re.sub("/|=", "__", arguments)
    model = _model_in(arguments, folder)
    runs = []
    for task, filters in _filters_of(content.get("results")).items():
        for ending in (".jsonl", ".jsonl.gz"):
            path = folder / f"{named}_{task}{ending}"
            if path.is_file():
                runs.append(_Run(path, model, task, filters))
    return runs


def _model_in(arguments: str, folder: Path) -> str:
    """Return the model that arguments such as "pretrained=org/name,..." name."""
    pairs = dict(part.partition("=")[::2] for part in arguments.split(","))
    name = next((pairs[key] for key in MODEL_ARGUMENTS if pairs.get(key)), folder.name)
    return _as_folder(name)


def _largest_runs(runs: list[_Run], log: LogBuilder) -> Iterable[_Run]:
    """Return the run with the most documents of each model and task, in order."""
    groups: dict[tuple[str, str], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.model, run.task].append(run)
    for (model, task), several in sorted(groups.items()):
        log.skip("older run", len(several) - 1)
        yield several[0] if len(several) == 1 else _largest(several, model, task, log)


def _largest(runs: list[_Run], model: str, task: str, log: LogBuilder) -> _Run:
    of_path = {run.path: run for run in runs}
    by_age = newest(of_path, TIME)
    sizes = {path: _n_documents(path) for path in by_age}
    if len({run.path.parent for run in runs}) > 1:
        log.warn_ambiguous(
            f"{model!r} has runs on {task!r} in several folders, of which one is read; "
            "rename the folders if they are of different models or settings"
        )
    # The first of the largest is the newest of them.
    largest = max(by_age, key=sizes.__getitem__)
    if sizes[largest] > sizes[by_age[0]]:
        log.warn_ambiguous(
            f"the newest run of {model!r} on {task!r} has {sizes[by_age[0]]} documents "
            f"and one before has {sizes[largest]}, which is read ({largest.name}); "
            "delete the files of runs that do not count"
        )
    return of_path[largest]


def _n_documents(path: Path) -> int:
    """Return the number of documents in a file, 0 if it cannot be read."""
    documents = set()
    try:
        for _, raw in json_lines(path):
            documents.add(str(json_object(raw).get("doc_id")))
    except (RecordError, LogFormatError):
        return len(documents)
    return len(documents)


def _records(path: Path, log: LogBuilder) -> Iterator[Row]:
    """Yield the samples of a file with their lines.

    Versions before the middle of 2024 wrote one JSON list, also called ``.jsonl``.
    """
    lines = json_lines(path)
    first = next(lines, None)
    if first is not None and first[1].strip() == b"[":
        yield from _listed(path, log)
        return
    for number, raw in chain([] if first is None else [first], lines):
        with log.record_errors(path, number):
            yield number, json_object(raw)


def _listed(path: Path, log: LogBuilder) -> Iterator[Row]:
    for number, record in enumerate(json_document(path), start=1):
        with log.record_errors(path, number):
            yield number, dict(as_mapping(record, "the sample"))


def _sample_of(record: Mapping[str, Any], line: int) -> _Sample:
    request = _first_request(record.get("arguments"))
    return _Sample(
        line=line,
        filter=str(record["filter"]) if "filter" in record else None,
        doc_id=required_text(record.get("doc_id"), "doc_id"),
        fingerprint=_fingerprint(record),
        text=_text_of(request),
        metrics=_metrics_of(record),
        response=_response(record.get("filtered_resps"), request),
    )


def _fingerprint(record: Mapping[str, Any]) -> str | None:
    if "doc_hash" in record:
        return str(record["doc_hash"])
    document = record.get("doc")
    return None if document is None else json.dumps(document, sort_keys=True)


def _first_request(arguments: Any) -> list:
    """Return the parts of the first request, in the forms of old and new versions."""
    if isinstance(arguments, Mapping) and arguments:
        request = as_mapping(next(iter(arguments.values())), "arguments")
        return [request.get("arg_0"), *list(request.values())[1:]]
    if isinstance(arguments, list) and arguments:
        request = arguments[0]
        return request if isinstance(request, list) and request else [request]
    raise RecordError(f"'arguments' is {arguments!r:.60}, without a request")


def _text_of(request: list) -> str:
    """Return the text of a request, which may be a chat written as JSON."""
    content = request[0]
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], str):
        content = content[0]
    return text_of_prompt(content, "arguments")


def _metrics_of(record: Mapping[str, Any]) -> dict[str, Any]:
    # Old versions do not list the metrics of a sample.
    names = record.get("metrics", [name for name in record if name in METRICS])
    if not isinstance(names, list) or not names:
        raise RecordError("the sample names no metrics")
    return {str(name): record.get(str(name)) for name in names}


def _response(answers: Any, request: list) -> str | None:
    # Beside its text, a request has the continuation to be rated, or settings to write
    # with. Only the latter is answered by a text; else it is a log likelihood.
    if len(request) < 2 or isinstance(request[1], str):
        return None
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
