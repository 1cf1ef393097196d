"""Runs of HELM: statistics of each instance."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import files_in, folder_of, json_document
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_text,
    sum_or_none,
)

METRICS = (
    "exact_match",
    "quasi_exact_match",
    "prefix_exact_match",
    "quasi_prefix_exact_match",
    "math_equiv_chain_of_thought",
    "final_number_exact_match",
    "f1_score",
)
"""Metrics in the order of preference, where none is named."""

ANSWER_TOKENS = ("num_output_tokens", "num_completion_tokens")
"""Names of the number of tokens of an answer, in new and in old versions."""

_MODEL_ARGUMENTS = ("model=", "model_deployment=")

Stats = dict[str, list[float]]


def read_helm(
    folder: str | os.PathLike,
    *,
    metric: str | Mapping[str, str] | None = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read the runs that ``helm-run`` writes.

    A run is a folder with ``run_spec.json``, ``instances.json`` and
    ``per_instance_stats.json``. Perturbed instances are left out and counted. The
    statistics of several train trials of an instance are averaged.

    Parameters
    ----------
    folder : str or path-like
        A run, or a folder with runs below it.
    metric : str or mapping of tasks to str, default=None
        The metric that is the score. `None` takes the first of exact_match,
        quasi_exact_match, prefix_exact_match, quasi_prefix_exact_match,
        math_equiv_chain_of_thought, final_number_exact_match and f1_score that a task
        has; a task without any is an error.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed run or instance is an error, or is left out and counted.
        Instances without the metric count as missing a score.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical; the task is the name of the run
        without the model), query (the text of the instance's input), query_id
        ("task/instance id"), score and, where the run has them, tokens (of prompt and
        answer) and latency (seconds). ``attrs["skipped"]`` counts what was left out,
        by reason.

    Raises
    ------
    LogFormatError
        If a run or instance cannot be used, with the file; also if models have
        different instances under one id or a task has different metrics, as after a
        change of version.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_helm
    >>> run = {
    ...     "run_spec": {"name": "sums:n=2,model=org_small",
    ...                  "adapter_spec": {"model": "org/small"}},
    ...     "instances": [{"id": "id1", "input": {"text": "7 * 8?"}}],
    ...     "per_instance_stats": [
    ...         {"instance_id": "id1", "train_trial_index": 0, "stats": [
    ...             {"name": {"name": "exact_match", "split": "test"}, "mean": 1.0}]},
    ...     ],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, content in run.items():
    ...         _ = pathlib.Path(folder, f"{name}.json").write_text(json.dumps(content))
    ...     read_helm(folder)
           model   query      query_id  score      task
    0  org/small  7 * 8?  sums:n=2/id1    1.0  sums:n=2
    """
    folder = folder_of(folder)
    log = LogBuilder(folder, errors=errors, scale=scale)
    reader = _Reader(log, metric)
    for path in files_in(folder, "per_instance_stats.json"):
        with log.record_errors(path):
            reader.read(path)
    return log.frame()


class _Reader:
    """Reader of one run after another that checks each against those before."""

    def __init__(self, log: LogBuilder, metric: str | Mapping[str, str] | None) -> None:
        self._log = log
        self._metric = metric
        self._choices: dict[str, str] = {}

    def read(self, path: Path) -> None:
        """Add the evaluations of one run."""
        model, task = _about(_sibling(path, "run_spec.json"))
        texts = self._texts(_sibling(path, "instances.json"))
        stats = self._stats(path)
        metric = self._choose(task, stats.values())
        for instance, values in stats.items():
            with self._log.record_errors(path):
                if instance not in texts:
                    raise RecordError(f"instance {instance!r} is not in instances.json")
                self._log.add(
                    model=model,
                    task=task,
                    query=texts[instance],
                    query_id=f"{task}/{instance}",
                    score=_mean(values, metric),
                    tokens=_tokens(values),
                    latency=_mean(values, "inference_runtime"),
                )

    def _texts(self, path: Path) -> dict[str, str]:
        """Return the texts of the instances that are not perturbed, by id."""
        texts: dict[str, str] = {}
        for instance in _records(path):
            with self._log.record_errors(path):
                instance = as_mapping(instance, "the instance")
                if not instance.get("perturbation"):
                    name = required_text(instance.get("id"), "id")
                    texts[name] = _text(instance.get("input"))
        return texts

    def _stats(self, path: Path) -> dict[str, Stats]:
        """Return the values of all trials, by instance and metric."""
        stats: dict[str, Stats] = {}
        for entry in _records(path):
            with self._log.record_errors(path):
                entry = as_mapping(entry, "the entry")
                if entry.get("perturbation"):
                    self._log.skip("perturbed instance")
                    continue
                name = required_text(entry.get("instance_id"), "instance_id")
                values = _values(entry)
                for metric, value in values:
                    stats.setdefault(name, {}).setdefault(metric, []).append(value)
        return stats

    def _choose(self, task: str, stats: Iterable[Stats]) -> str:
        available = sorted({metric for values in stats for metric in values})
        wanted = self._metric
        metric = wanted.get(task) if isinstance(wanted, Mapping) else wanted
        if metric is None:
            metric = next((name for name in METRICS if name in available), None)
        if metric is None or metric not in available:
            raise RecordError(
                f"task {task!r} has the metrics {', '.join(map(repr, available))}; "
                "name one by metric="
            )
        # Scores of two metrics are not comparable, so one task has one metric.
        first = self._choices.setdefault(task, metric)
        if first != metric:
            raise RecordError(
                f"task {task!r} is scored by {metric!r} here, but by {first!r} in the "
                "runs before; name one by metric="
            )
        return metric


def _sibling(path: Path, name: str) -> Path:
    sibling = path.with_name(name)
    if not sibling.is_file():
        raise RecordError(f"there is no {name} beside it")
    return sibling


def _document(path: Path) -> Any:
    try:
        return json_document(path)
    except RecordError as error:
        raise RecordError(f"{path.name}: {error}", error.line) from None


def _records(path: Path) -> list:
    return as_list(_document(path), path.name)


def _about(path: Path) -> tuple[str, str]:
    """Return the model and the task of a run."""
    spec = as_mapping(_document(path), path.name)
    adapter = as_mapping(spec.get("adapter_spec"), "'adapter_spec'")
    model = adapter.get("model") or adapter.get("model_deployment")
    return (
        required_text(model, "model"),
        _task(required_text(spec.get("name"), "name")),
    )


def _task(run: str) -> str:
    """Return the name of a run without the model.

    A name is "scenario:argument=value,...", and the model is one of the arguments:
    without it, the runs of all models on one scenario have one name.
    """
    scenario, _, arguments = run.partition(":")
    kept = [
        part for part in arguments.split(",") if not part.startswith(_MODEL_ARGUMENTS)
    ]
    return ":".join(filter(None, (scenario, ",".join(kept))))


def _text(content: Any) -> str:
    # Old versions have the text itself in the place of an object.
    text = content.get("text") if isinstance(content, Mapping) else content
    return required_text(text, "input")


def _values(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the metrics of an entry that have a value.

    A list, so that a malformed statistic leaves out the entry as a whole.
    """
    values = []
    for stat in as_list(entry.get("stats"), "'stats'"):
        stat = as_mapping(stat, "the statistic")
        name = as_mapping(stat.get("name"), "'name'")
        metric = required_text(name.get("name"), "name")
        value = number_or_none(stat.get("mean"), metric)
        if value is not None and not name.get("perturbation"):
            values.append((metric, value))
    return values


def _mean(values: Stats, name: str) -> float | None:
    found = values.get(name)
    return math.fsum(found) / len(found) if found else None


def _tokens(values: Stats) -> float | None:
    answers = (_mean(values, name) for name in ANSWER_TOKENS)
    answer = next((number for number in answers if number is not None), None)
    return sum_or_none(_mean(values, "num_prompt_tokens"), answer)
