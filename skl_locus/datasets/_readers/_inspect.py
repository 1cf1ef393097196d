"""Logs of Inspect AI, as zip archives or JSON documents."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import files_in, json_document
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_number,
    required_text,
    text_of_messages,
)
from skl_locus.datasets._readers._zip import MAX_BYTES, members_of, read_member

GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Scores of correct, partially correct, incorrect and missing answers."""

NO_LOGS = ("eval-set.json", "logs.json")
"""JSON files that Inspect keeps beside its logs and that are none themselves."""

_ATTACHMENT = "attachment://"


def read_inspect(
    path: str | os.PathLike,
    *,
    scorer: str | None = None,
    max_bytes: int = MAX_BYTES,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read logs of Inspect AI.

    Epochs of a sample are averaged, and so are several logs of a model on a task.
    Samples without a score, as after an error, are left out and counted.

    Parameters
    ----------
    path : str or path-like
        An ``.eval`` or ``.json`` log, or a folder, whose logs are all read. Newer
        versions of Inspect compress ``.eval`` logs by Zstandard; before Python 3.14,
        reading these needs the extra ``inspect`` of this package.
    scorer : str, default=None
        The scorer whose value is the score; `None` if there is only one. The grades
        C, P, I and N count 1, 0.5, 0 and 0, and numbers as they are.
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
        sample's input, the messages of a chat joined by line breaks), query_id
        ("task/sample id"), score and, where the log has them, cost, tokens (all of
        the evaluated model), latency (seconds) and response (of the first epoch).
        ``attrs["skipped"]`` counts what was left out, by reason.

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
    averages = _Averages()
    for file in _logs_at(Path(path)):
        with log.record_errors(file):
            _read_log(file, log, averages, scorer, max_bytes)
    averages.add_to(log)
    return log.frame()


@dataclass
class _Epochs:
    """The query of a sample, and the values of all its epochs."""

    query: str
    response: str | None
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        return {n: math.fsum(v) / len(v) for n, v in self.values.items()}


class _Averages:
    """Samples of all logs, for means over epochs and logs."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, str], _Epochs] = {}

    def add(self, key: tuple[str, str, str], sample: Mapping, score: float) -> None:
        model = key[0]
        query = _text(sample, sample.get("input"), "input")
        usage = _usage(sample, model)
        epochs = self._samples.setdefault(key, _Epochs(query, _response(sample)))
        if epochs.query != query:
            raise RecordError(
                f"sample {key[2]!r} has another input than before; are these two "
                "versions of the task?"
            )
        for name, value in {"score": score, **usage}.items():
            epochs.add(name, value)

    def add_to(self, log: LogBuilder) -> None:
        for (model, task, sample_id), epochs in self._samples.items():
            with log.record_errors(log.source):
                log.add(
                    model=model,
                    task=task,
                    query_id=f"{task}/{sample_id}",
                    query=epochs.query,
                    response=epochs.response,
                    **epochs.means(),
                )


def _logs_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = files_in(path, "*.eval", "*.json")
    return [file for file in files if file.name not in NO_LOGS]


def _read_log(
    path: Path,
    log: LogBuilder,
    averages: _Averages,
    scorer: str | None,
    max_bytes: int,
) -> None:
    if zipfile.is_zipfile(path):
        header, samples = _archive(path, log, max_bytes)
    elif path.suffix == ".eval":
        raise RecordError("it is not a zip archive, or is truncated")
    else:
        header = as_mapping(json_document(path), "the log")
        samples = iter(as_list(header.get("samples") or [], "'samples'"))
    about = as_mapping(header.get("eval"), "'eval'")
    model = required_text(about.get("model"), "model")
    task = required_text(about.get("task"), "task")
    for sample in samples:
        with log.record_errors(path):
            sample = as_mapping(sample, "the sample")
            sample_id = required_text(sample.get("id"), "id")
            score = _score(sample, scorer)
            if score is None:
                log.skip("missing score")
                continue
            averages.add((model, task, sample_id), sample, score)


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


def _score(sample: Mapping[str, Any], scorer: str | None) -> float | None:
    scores = sample.get("scores")
    if not scores:
        return None
    scores = as_mapping(scores, "'scores'")
    if scorer is None and len(scores) > 1:
        names = ", ".join(map(repr, scores))
        raise RecordError(f"there are the scorers {names}; name one by scorer=")
    name = next(iter(scores)) if scorer is None else scorer
    if name not in scores:
        names = ", ".join(map(repr, scores))
        raise RecordError(f"there is no scorer {name!r}, only {names}")
    value = as_mapping(scores[name], f"the score {name!r}").get("value")
    if isinstance(value, str) and value in GRADES:
        return GRADES[value]
    return required_number(value, name)


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


def _text(sample: Mapping[str, Any], content: Any, name: str) -> str:
    return _attached(sample, text_of_messages(content, name))


def _attached(sample: Mapping[str, Any], text: str) -> str:
    """Return a text with its attachments put back.

    Inspect stores a long passage once, and "attachment://<hash>" wherever it occurs.
    """
    attachments = sample.get("attachments")
    if _ATTACHMENT not in text or not isinstance(attachments, Mapping):
        return text
    for name, content in attachments.items():
        text = text.replace(f"{_ATTACHMENT}{name}", str(content))
    return text
