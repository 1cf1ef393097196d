"""Reviews of EvalScope: the scores of samples, one file per model and subset."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale, largest_run
from skl_locus.datasets._readers._chats import text_of_prompt
from skl_locus.datasets._readers._files import (
    file_or_folder,
    files_in,
    json_lines,
    json_object,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_text,
    score_or_none,
)
from skl_locus.exceptions import LogFormatError

REVIEWS, PREDICTIONS = "reviews", "predictions"
"""Folders of a run; each has a folder per model with files of the same names."""

RECORD_KEYS = frozenset({"index", "sample_score"})
"""Keys of every review, by which its file is known."""

USABLE = ("success", "fallback", "degraded")
"""States of a score that EvalScope averages; the others have no score."""

GENERATED = "generate"
"""Source of a message that the model wrote itself."""

OLD_TURN = "**User**: \n"
"""Begin of the input in versions that kept it as one text."""

Choice = str | Mapping[str, str] | None


def read_evalscope(
    path: str | os.PathLike,
    *,
    metric: Choice = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read the reviews of EvalScope.

    These are the files ``reviews/<model>/<benchmark>_<subset>.jsonl`` of its native
    backend, from version 1.0 on. Samples without a usable score, as after a judge that
    failed, are left out and counted, as EvalScope does. Of several runs of a model on
    a subset, the one with the most samples is read, and the newest of these, with a
    warning.

    Parameters
    ----------
    path : str or path-like
        A file of reviews, or a folder with runs.
    metric : str or mapping of tasks to str, default=None
        The metric whose value is the score. `None` takes the metric that EvalScope
        names as the main one of the sample, or the only one.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or review is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical, the name of the folder), query (the
        messages up to the model's first answer, joined by line breaks), query_id
        ("task/number of the question"), score, task (categorical, benchmark and
        subset, as in the file's name) and, where the files have them, tokens and
        latency (seconds, both from the folder ``predictions``) and response.
        Repetitions of a question are several rows. ``attrs["skipped"]`` counts what
        was left out, by reason.

    Raises
    ------
    LogFormatError
        If a file or review cannot be used, with the file and the line; also if a
        question has another text than in another file.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_evalscope
    >>> review = {
    ...     "index": 0,
    ...     "messages": [{"role": "user", "content": "7 * 8?"}],
    ...     "sample_score": {"score": {"value": {"acc": 1.0}}, "group_id": 0},
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "reviews", "small", "sums_test.jsonl")
    ...     path.parent.mkdir(parents=True)
    ...     _ = path.write_text(json.dumps(review))
    ...     read_evalscope(folder)
       model   query     query_id  score       task
    0  small  7 * 8?  sums_test/0    1.0  sums_test
    """
    place = file_or_folder(path)
    log = LogBuilder(path, errors=errors, scale=scale)
    reader = _Reader(log, metric)
    for file in _newest_runs(_files_at(place), log):
        with log.record_errors(file):
            reader.read(file)
    return log.frame()


def _files_at(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found = [file for file in files_in(place, "*.jsonl") if is_review_file(file)]
    if not found:
        raise LogFormatError(f"there is no {REVIEWS}/<model>/*.jsonl in it", place)
    return found


def is_review_file(path: Path) -> bool:
    """Whether a file lies where EvalScope writes reviews."""
    return path.suffix == ".jsonl" and path.absolute().parts[-3:-2] == (REVIEWS,)


def _newest_runs(files: list[Path], log: LogBuilder) -> list[Path]:
    """Return a file for each model and subset: the largest, the newest of these."""
    runs: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in files:
        runs[file.absolute().parent.name, file.stem].append(file)
    # The folders of runs are named by their time.
    return [
        largest_run(several, lambda file: (_n_lines(file), str(file)), about, log)
        for about, several in sorted(runs.items())
    ]


def _n_lines(path: Path) -> int:
    return sum(1 for _ in json_lines(path))


@dataclass
class _Usage:
    tokens: float | None = None
    latency: float | None = None


class _Reader:
    """Reader of the reviews of all models, by one metric per task."""

    def __init__(self, log: LogBuilder, metric: Choice) -> None:
        self._log = log
        self._metric = metric
        self._metrics: dict[str, str] = {}

    def read(self, path: Path) -> None:
        """Add the evaluations of one model on one subset."""
        model, task = path.absolute().parent.name, path.stem
        usages = self._usages(path)
        for line, raw in json_lines(path):
            with self._log.record_errors(path, line):
                review = json_object(raw)
                index = required_text(review.get("index"), "index")
                usage = usages.get(index, _Usage())
                sample = as_mapping(review.get("sample_score"), "'sample_score'")
                # Repetitions of a sample have numbers of their own and one group.
                group = sample.get("group_id")
                question = index if group is None else required_text(group, "group_id")
                self._log.add(
                    model=model,
                    query=_question(review),
                    query_id=f"{task}/{question}",
                    score=self._score(sample, task),
                    task=task,
                    tokens=usage.tokens,
                    latency=usage.latency,
                    response=_response(sample),
                )

    def _score(self, sample: Mapping[str, Any], task: str) -> float | None:
        score = as_mapping(sample.get("score"), "'score'")
        values = as_mapping(score.get("value"), "'value'")
        if score.get("status", USABLE[0]) not in USABLE or not values:
            return None
        metric = self._chosen(values, score.get("main_score_name"), task)
        return score_or_none(values[metric], metric)

    def _chosen(self, values: Mapping[str, Any], main: Any, task: str) -> str:
        wanted = self._metric
        name = wanted.get(task) if isinstance(wanted, Mapping) else wanted
        if name is None:
            name = main if isinstance(main, str) and main in values else None
        if name is None and len(values) == 1:
            name = next(iter(values))
        if name is None or name not in values:
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
        return name

    def _usages(self, path: Path) -> dict[str, _Usage]:
        """Return tokens and seconds by sample, from the predictions of the same run."""
        own = path.absolute()
        predictions = own.parents[2] / PREDICTIONS / own.parent.name / own.name
        usages: dict[str, _Usage] = {}
        if not is_review_file(path) or not predictions.is_file():
            return usages
        for line, raw in json_lines(predictions):
            with self._log.record_errors(predictions, line):
                prediction = json_object(raw)
                index = required_text(prediction.get("index"), "index")
                usages[index] = _usage(prediction.get("model_output"))
        return usages


def _question(review: Mapping[str, Any]) -> str:
    text = review.get("input")
    if isinstance(text, str):
        return required_text(text.removeprefix(OLD_TURN), "input")
    messages = as_list(review.get("messages"), "'messages'")
    return text_of_prompt(_before_answer(messages), "messages")


def _before_answer(messages: list) -> list:
    """Return the messages before the first one that the model wrote.

    Examples in the prompt can have answers, too, but these were not generated.
    """
    for place, message in enumerate(messages):
        if isinstance(message, Mapping) and message.get("source") == GENERATED:
            return messages[:place]
    return messages


def _response(sample: Mapping[str, Any]) -> str | None:
    answer = as_mapping(sample.get("score"), "'score'").get("prediction")
    return answer if isinstance(answer, str) else None


def _usage(output: Any) -> _Usage:
    if output is None:
        return _Usage()
    output = as_mapping(output, "'model_output'")
    used = as_mapping(output.get("usage") or {}, "'usage'")
    return _Usage(
        tokens=number_or_none(used.get("total_tokens"), "total_tokens"),
        latency=number_or_none(output.get("time"), "time"),
    )
