"""Logs of Inspect AI, as zip archives or JSON documents."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import MISSING_SCORE, LogBuilder, Scale
from skl_locus.datasets._readers._files import (
    MAX_BYTES,
    files_in,
    json_document,
    require_file,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_score,
    required_text,
    score_or_none,
    text_of_messages,
    with_choices,
)
from skl_locus.datasets._readers._variants import Settings, VariantNames
from skl_locus.datasets._readers._zip import members_of, read_member

GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "no": 0.0}
"""Scores of correct, partially correct, incorrect and missing answers, and of words."""

NO_LOGS = ("eval-set.json", "logs.json", "listing.json")
"""JSON files that Inspect keeps beside its logs and that are none themselves."""

UNNAMED_SCORER = "score"
"""Scorer of a log of 2024, whose samples have one score without a name."""

OPERATION = frozenset(
    {
        "adaptive_connections",
        "attempt_timeout",
        "batch",
        "cache",
        "cache_prompt",
        "max_connections",
        "max_retries",
        "seed",
        "timeout",
    }
)
"""Settings of a run that do not make another model of it.

Runs with different seeds are repetitions, like epochs.
"""

MAX_TEXT = 2**24
"""Longest text of a query or response with its attachments, in characters."""

_ATTACHMENT = re.compile(r"attachment://(\w+)")


Choice = str | Mapping[str, str] | None


def read_inspect(
    path: str | os.PathLike,
    *,
    scorer: Choice = None,
    max_bytes: int = MAX_BYTES,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read logs of Inspect AI.

    Epochs of a sample are averaged, and so are several logs of a model on a task with
    the same settings. Samples without a score, as after an error, are left out and
    counted.

    Parameters
    ----------
    path : str or path-like
        An ``.eval`` or ``.json`` log, or a folder, whose logs are all read. Newer
        versions of Inspect compress ``.eval`` logs by Zstandard; before Python 3.14,
        reading these needs the extra ``inspect`` of this package.
    scorer : str or mapping of tasks to str, default=None
        The scorer whose value is the score; `None` if there is only one. A part of a
        value that is an object is named after a slash ("judge/strict"). The grades C,
        P, I and N count 1, 0.5, 0 and 0; yes and true count 1, no and false 0; and
        numbers count as they are. A score that is NaN or null is a missing one.
    max_bytes : int, default=2**32
        Archives that would be larger than this after decompression are refused before
        anything is decompressed, and so are those with a member larger than a
        sixteenth of it. Nothing is ever extracted to disk.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed log or sample is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical), query (the text of the
        sample's input, the messages of a chat joined by line breaks, with the choices
        behind it), query_id ("task/sample id"), score and, where the log has them,
        cost, tokens (all of the evaluated model), latency (seconds) and response (of
        the first epoch). ``attrs["skipped"]`` counts what was left out, by reason.

        Where one model ran on the same samples with different settings (generation
        config, arguments of the model, the task or the solver), there is a model for
        each, named after what differs: "model (reasoning_effort=high)". Where the
        samples of two runs of a task with different arguments are different, the tasks
        are named like this instead.

    Raises
    ------
    LogFormatError
        If a log or sample cannot be used, with the file; also if one sample id has
        different inputs, as after a change of the task.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_inspect
    >>> sample = {"id": 1, "epoch": 1, "input": "7 * 8?"}
    >>> log = {
    ...     "eval": {"model": "org/small", "task": "sums"},
    ...     "samples": [
    ...         {**sample, "scores": {"match": {"value": "C"}}},
    ...         {**sample, "epoch": 2, "scores": {"match": {"value": "I"}}},
    ...     ],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.json")
    ...     _ = path.write_text(json.dumps(log))
    ...     read_inspect(path)
           model   query query_id  score  task
    0  org/small  7 * 8?   sums/1    0.5  sums
    """
    log = LogBuilder(path, errors=errors, scale=scale)
    samples = _Samples()
    for file in _logs_at(Path(path)):
        with log.record_errors(file):
            _read_log(file, log, samples, scorer, max_bytes)
    samples.add_to(log)
    return log.frame()


@dataclass(frozen=True)
class _Run:
    """The model, the task and the settings of a log."""

    model: str
    task: str
    settings: Settings


@dataclass
class _Question:
    """The input of a sample, as it is in all logs.

    The order of the choices is not part of it: it may be drawn anew for each run.
    """

    input: str
    choices: tuple[str, ...]

    def text(self) -> str:
        return with_choices(self.input, self.choices) if self.choices else self.input

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and (
            self.input == other.input and sorted(self.choices) == sorted(other.choices)
        )


@dataclass
class _Epochs:
    """The question of a sample, and the values of all its epochs."""

    question: _Question
    response: str | None
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        return {n: math.fsum(v) / len(v) for n, v in self.values.items()}


class _Samples:
    """Samples of all logs, for means over epochs and logs."""

    def __init__(self) -> None:
        self._runs: dict[_Run, dict[str, _Epochs]] = {}
        self._scorers: dict[str, str] = {}

    def check_scorer(self, task: str, scorer: str) -> None:
        """Check that a task has one scorer: two are not comparable."""
        first = self._scorers.setdefault(task, scorer)
        if first != scorer:
            raise RecordError(
                f"task {task!r} is scored by {scorer!r} here, but by {first!r} before; "
                "name one by scorer="
            )

    def add(self, run: _Run, sample_id: str, sample: Mapping, score: float) -> None:
        question = _question(sample)
        usage = _usage(sample, run.model)
        samples = self._runs.setdefault(run, {})
        epochs = samples.setdefault(sample_id, _Epochs(question, _response(sample)))
        if epochs.question != question:
            raise RecordError(
                f"sample {sample_id!r} has another input than before; are these two "
                "versions of the task?"
            )
        for name, value in {"score": score, **usage}.items():
            epochs.add(name, value)

    def add_to(self, log: LogBuilder) -> None:
        names = self._variant_names()
        if names.remark:
            log.warn_ambiguous(names.remark)
        asked: dict[str, _Question] = {}
        for run, samples in self._runs.items():
            model = names.model(run.model, run.settings)
            task = names.task(run.task, run.settings)
            for sample_id, epochs in samples.items():
                query_id = f"{task}/{sample_id}"
                # The first text stands for all, whatever the order of its choices.
                first = asked.setdefault(query_id, epochs.question)
                same = first == epochs.question
                with log.record_errors(log.source):
                    log.add(
                        model=model,
                        task=task,
                        query_id=query_id,
                        query=(first if same else epochs.question).text(),
                        response=epochs.response,
                        **epochs.means(),
                    )

    def _variant_names(self) -> VariantNames:
        """Return the names of models and tasks that ran with different settings."""
        names = VariantNames()
        for run, samples in self._runs.items():
            questions = {i: epochs.question for i, epochs in samples.items()}
            names.add(run.model, run.task, run.settings, questions)
        return names


def _logs_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = files_in(path, "*.eval", "*.json")
    return [file for file in files if file.name not in NO_LOGS]


def _read_log(
    path: Path, log: LogBuilder, samples: _Samples, scorer: Choice, max_bytes: int
) -> None:
    require_file(path)
    if zipfile.is_zipfile(path):
        header, records = _archive(path, log, max_bytes)
    elif path.suffix == ".eval":
        raise RecordError("it is not a zip archive, or is truncated")
    else:
        header = as_mapping(json_document(path), "the log")
        records = iter(as_list(header.get("samples") or [], "'samples'"))
    run = _run_of(header)
    wanted = scorer.get(run.task) if isinstance(scorer, Mapping) else scorer
    unnamed = _name_of_single_score(header)
    for sample in records:
        with log.record_errors(path):
            sample = as_mapping(sample, "the sample")
            sample_id = required_text(sample.get("id"), "id")
            values = _score_values(sample, unnamed)
            if not values:
                log.skip(MISSING_SCORE)
                continue
            name = _chosen_scorer(values, wanted)
            samples.check_scorer(run.task, name)
            score = _grade(values[name], name)
            if score is None:
                log.skip(MISSING_SCORE)
                continue
            samples.add(run, sample_id, sample, score)


def _run_of(header: Mapping[str, Any]) -> _Run:
    about = as_mapping(header.get("eval"), "'eval'")
    model = required_text(about.get("model"), "model")
    task = required_text(about.get("task"), "task")
    plan = as_mapping(header.get("plan") or {}, "'plan'")
    # What is given to the model as such, and what is given on the command line.
    model_config = as_mapping(
        about.get("model_generate_config") or {}, "'model_generate_config'"
    )
    config = as_mapping(plan.get("config") or {}, "'config'")
    of_model = as_mapping(about.get("model_args") or {}, "'model_args'")
    of_task = as_mapping(about.get("task_args") or {}, "'task_args'")
    of_solver = as_mapping(about.get("solver_args") or {}, "'solver_args'")
    settings = {**of_model, **model_config, **config, "solver": about.get("solver")}
    kept = {name: v for name, v in settings.items() if name not in OPERATION}
    return _Run(model, task, Settings.of({**kept, **of_solver}, of_task))


def _name_of_single_score(header: Mapping[str, Any]) -> str:
    """Return the scorer of a log whose samples have one score without a name."""
    results = header.get("results")
    scorer = results.get("scorer") if isinstance(results, Mapping) else None
    name = scorer.get("name") if isinstance(scorer, Mapping) else None
    return name if isinstance(name, str) else UNNAMED_SCORER


def _archive(
    path: Path, log: LogBuilder, max_bytes: int
) -> tuple[Mapping[str, Any], Iterator[Any]]:
    """Return the header and the samples, which are read one after the other."""
    members = members_of(path, max_bytes)
    # header.json is written at the end: a run that was stopped has only its start.
    header = members.get("header.json") or members.get("_journal/start.json")
    if header is None:
        raise RecordError("the archive has neither header.json nor _journal/start.json")
    samples = [member for name, member in members.items() if _is_sample(name)]
    with zipfile.ZipFile(path) as archive:
        document = as_mapping(read_member(archive, header), header.filename)
    return document, _samples_of(path, samples, log)


def _is_sample(name: str) -> bool:
    return name.startswith("samples/") and name.endswith(".json")


def _samples_of(
    path: Path, members: list[zipfile.ZipInfo], log: LogBuilder
) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        for member in members:
            with log.record_errors(path):
                yield read_member(archive, member)


def _score_values(sample: Mapping[str, Any], unnamed: str) -> dict[str, Any]:
    """Return the values by scorer, those of a value that is an object one by one."""
    scores = sample.get("scores")
    if not scores and sample.get("score") is not None:
        scores = {unnamed: sample["score"]}
    values: dict[str, Any] = {}
    for name, score in as_mapping(scores or {}, "'scores'").items():
        value = as_mapping(score, f"the score {name!r}").get("value")
        if isinstance(value, Mapping):
            values |= {f"{name}/{part}": one for part, one in value.items()}
        else:
            values[name] = value
    return values


def _chosen_scorer(values: Mapping[str, Any], wanted: str | None) -> str:
    names = ", ".join(map(repr, values))
    if wanted is None and len(values) > 1:
        raise RecordError(f"there are the scorers {names}; name one by scorer=")
    if wanted is not None and wanted not in values:
        raise RecordError(f"there is no scorer {wanted!r}, only {names}")
    return next(iter(values)) if wanted is None else wanted


def _grade(value: Any, name: str) -> float | None:
    if isinstance(value, str):
        grade = GRADES.get(value, GRADES.get(value.lower()))
        return required_score(value, name) if grade is None else grade
    return score_or_none(value, name)


def _usage(sample: Mapping[str, Any], model: str) -> dict[str, float | None]:
    usages = as_mapping(sample.get("model_usage") or {}, "'model_usage'")
    usage = as_mapping(usages.get(model) or {}, "'model_usage'")
    return {
        "cost": number_or_none(usage.get("total_cost"), "total_cost"),
        "tokens": number_or_none(usage.get("total_tokens"), "total_tokens"),
        "latency": number_or_none(sample.get("total_time"), "total_time"),
    }


def _response(sample: Mapping[str, Any]) -> str | None:
    output = sample.get("output")
    if not isinstance(output, Mapping):
        return None
    completion = output.get("completion")
    if isinstance(completion, str) and completion:
        return _attached(sample, completion)
    choices = output.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    # The response is a by-product: an odd one does not make the sample malformed.
    try:
        return _text(sample, [choices[0].get("message")], "message")
    except (RecordError, AttributeError):
        return None


def _question(sample: Mapping[str, Any]) -> _Question:
    choices = as_list(sample.get("choices") or [], "'choices'")
    texts = [_attached(sample, required_text(text, "choices")) for text in choices]
    return _Question(_text(sample, sample.get("input"), "input"), tuple(texts))


def _text(sample: Mapping[str, Any], content: Any, name: str) -> str:
    return _attached(sample, text_of_messages(content, name))


def _attached(sample: Mapping[str, Any], text: str) -> str:
    """Return a text with its attachments put back.

    Inspect stores a long passage once, and "attachment://<hash>" wherever it occurs.
    One pass puts them back: an attachment that names attachments, which Inspect does
    not write, could otherwise grow without end.
    """
    attachments = sample.get("attachments")
    if not isinstance(attachments, Mapping) or not _ATTACHMENT.search(text):
        return text
    length = len(text)
    for match in _ATTACHMENT.finditer(text):
        length += len(str(attachments.get(match[1], "")))
        if length > MAX_TEXT:
            raise RecordError(
                f"a text with its attachments has more than {MAX_TEXT} characters"
            )
    return _ATTACHMENT.sub(lambda m: str(attachments.get(m[1], m[0])), text)
