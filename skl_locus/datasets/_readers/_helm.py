"""Runs of HELM: statistics of each instance."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._files import files_in, folder_of, json_document
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    required_text,
    score_or_none,
    sum_or_none,
    text_of_messages,
    with_choices,
)

MAIN_METRICS = {
    "exact_match": (
        "alghafa arabic_exams arabic_mmlu aratrust blimp clear ehrshot enem_challenge "
        "ewok head_qa hellaswag indicxnli indonli infinite_bench_en_mc madinah_qa "
        "med_mcqa medbullets medhallu mmlu mmlu_clinical_afr n2c2_ct_matching "
        "openbookqa pubmed_qa race_based_med thai_exam truthful_qa tweetsentbr "
        "winogrande_afr xcopa_id xcopa_ta xcopa_th xcopa_vi xnli_th xnli_vi"
    ),
    "quasi_exact_match": (
        "babi_qa banking77 boolq casehold civil_comments cti_to_mitre "
        "entity_data_imputation entity_matching imdb legal_support legalbench lsat_qa "
        "raft synthetic_reasoning wikifact"
    ),
    "f1_score": "narrative_qa natural_qa_closedbook natural_qa_openbook_longans quac",
    "squad_f1_score": "indicqa tydiqa xquad_th xquad_vi",
    "f1_set_match": "synthetic_reasoning_natural",
    "exact_match_indicator": "dyck_language",
    "math_equiv": "math_regular",
    "math_equiv_chain_of_thought": "math_chain_of_thought",
    "chain_of_thought_correctness": "gpqa mmlu_pro",
    "ifeval_strict_accuracy": "ifeval",
    "omni_math_accuracy": "omni_math",
    "wildbench_score_rescaled": "wildbench",
    "bleu_4": "wmt_14",
    "rouge_2": (
        "billsum_legal_summarization eurlexsum_legal_summarization "
        "multilexsum_legal_summarization summarization_cnndm summarization_xsum"
    ),
    "pass": "code_humaneval",
    "test_avg": "code_apps",
    "float_equiv": "conv_fin_qa_calc",
    "program_accuracy": "fin_qa",
    "annotation_financebench_label_correct_answer": "financebench",
    "execution_accuracy": "bird_sql spider",
    "air_score": "air_bench_2024",
    "ruler_string_match_part": "ruler_hotpotqa ruler_squad",
    "openai_mrcr_accuracy": "openai_mrcr",
}
"""HELM's main metrics and the groups of scenarios that they are of.

From the schemas of HELM 0.5; only groups on which all its leaderboards agree, and only
metrics of which more is better.
"""

BOOKKEEPING = re.compile(
    r"num_\w+|training_\w+|inference_\w+|finish_reason_\w+|batch_size|"
    r"prompt_truncated|max_prob|logprob|predicted_index|estimated_num_tokens_cost"
)
"""Statistics of instances that are no quality of the answer."""

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

    A run is a folder with ``run_spec.json``, ``per_instance_stats.json`` and the texts
    in ``scenario_state.json`` or, after ``helm-summarize``, in ``instances.json``.
    Perturbed instances are left out and counted. The statistics of several train
    trials of an instance are averaged. Of several runs of a model on a task, as in
    several suites, the one with the most instances is read, with a warning.

    Parameters
    ----------
    folder : str or path-like
        A run, or a folder with runs below it.
    metric : str or mapping of tasks to str, default=None
        The metric that is the score. `None` takes HELM's main metric of the scenario:
        the one that ``schema.json`` beside the runs names, which ``helm-summarize``
        writes, else that of HELM's own leaderboards. For scenarios that these do not
        have, it takes the only metric of quality. It is an error if this does not
        give one metric, or if the instances do not have it.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed run or instance is an error, or is left out and counted.
        Instances without the metric count as missing a score.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical; the task is the name of the run
        without the model), query (the text of the instance's input, with the choices
        if the model had to choose one), query_id ("task/instance id"), score and, where
        the run has them, tokens (of prompt and answer) and latency (seconds).
        ``attrs["skipped"]`` counts what was left out, by reason.

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
    for run in _distinct_runs(_runs_in(folder, log), log):
        with log.record_errors(run.path):
            reader.read(run)
    return log.frame()


@dataclass(frozen=True)
class _Run:
    """What ``run_spec.json`` says about a run, and where its statistics are."""

    path: Path
    model: str
    task: str
    groups: tuple[str, ...]
    has_choices: bool


class _Reader:
    """Reader of one run after another that checks each against those before."""

    def __init__(self, log: LogBuilder, metric: str | Mapping[str, str] | None) -> None:
        self._log = log
        self._metric = metric
        self._choices: dict[str, str] = {}

    def read(self, run: _Run) -> None:
        """Add the evaluations of one run."""
        texts = self._texts(run)
        stats = self._stats(run.path)
        metric = self._choose(run, stats.values())
        for instance, values in stats.items():
            with self._log.record_errors(run.path):
                if instance not in texts:
                    raise RecordError(f"there is no text of instance {instance!r}")
                self._log.add(
                    model=run.model,
                    task=run.task,
                    query=texts[instance],
                    query_id=f"{run.task}/{instance}",
                    score=_mean(values, metric),
                    tokens=_tokens(values),
                    latency=_mean(values, "inference_runtime"),
                )

    def _texts(self, run: _Run) -> dict[str, str]:
        """Return the texts of the instances that are not perturbed, by id."""
        texts: dict[str, str] = {}
        path, instances = _instances_beside(run.path)
        for instance in instances:
            with self._log.record_errors(path):
                instance = as_mapping(instance, "the instance")
                if not instance.get("perturbation"):
                    name = required_text(instance.get("id"), "id")
                    texts[name] = _text(instance, run.has_choices)
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

    def _choose(self, run: _Run, stats: Iterable[Stats]) -> str:
        task = run.task
        available = sorted({metric for values in stats for metric in values})
        wanted = self._metric
        metric = wanted.get(task) if isinstance(wanted, Mapping) else wanted
        if metric is None:
            metric = _main_metric(run, available)
        elif metric not in available:
            raise RecordError(f"task {task!r} {_one_of(available)}")
        # Scores of two metrics are not comparable, so one task has one metric.
        first = self._choices.setdefault(task, metric)
        if first != metric:
            raise RecordError(
                f"task {task!r} is scored by {metric!r} here, but by {first!r} in the "
                "runs before; name one by metric="
            )
        return metric


def _main_metric(run: _Run, available: list[str]) -> str:
    """Return HELM's main metric of a run, or the only one that there is.

    There is no order of preference: a metric that does not fit the scenario, such as
    the exact match of a summary, would silently be 0.
    """
    main = _mains_in_schema(run) or _mains_known(run)
    found = [metric for metric in main if metric in available]
    if main and len(found) != 1:
        names = " or ".join(map(repr, sorted(main)))
        raise RecordError(
            f"HELM's main metric of task {run.task!r} is {names}; it "
            f"{_one_of(available)}"
        )
    if main:
        return found[0]
    qualities = [name for name in available if not BOOKKEEPING.fullmatch(name)]
    if len(qualities) != 1:
        raise RecordError(f"task {run.task!r} {_one_of(available)}")
    return qualities[0]


def _one_of(available: list[str]) -> str:
    qualities = [name for name in available if not BOOKKEEPING.fullmatch(name)]
    names = ", ".join(map(repr, qualities or available))
    return f"has the metrics {names}; name one by metric="


def _mains_in_schema(run: _Run) -> set[str]:
    """Return the main metrics by ``schema.json`` in the folder of the suite."""
    path = run.path.parent.parent / "schema.json"
    if not path.is_file():
        return set()
    schema = as_mapping(_document(path), path.name)
    mains = set()
    for group in as_list(schema.get("run_groups") or [], "'run_groups'"):
        group = as_mapping(group, "the group")
        environment = as_mapping(group.get("environment") or {}, "'environment'")
        main = environment.get("main_name")
        if group.get("name") in run.groups and isinstance(main, str):
            mains.add(main)
    for metric in as_list(schema.get("metrics") or [], "'metrics'"):
        metric = as_mapping(metric, "the metric")
        if metric.get("name") in mains and metric.get("lower_is_better"):
            raise RecordError(
                f"less is better in the main metric of task {run.task!r}, "
                f"{metric['name']!r}; name one by metric=, and its scale=(worst, best)"
            )
    return mains


def _mains_known(run: _Run) -> set[str]:
    known = _metric_of_group()
    return {known[group] for group in run.groups if group in known}


@cache
def _metric_of_group() -> dict[str, str]:
    return {
        group: metric
        for metric, groups in MAIN_METRICS.items()
        for group in groups.split()
    }


def _runs_in(folder: Path, log: LogBuilder) -> Iterator[_Run]:
    for path in files_in(folder, "per_instance_stats.json"):
        with log.record_errors(path):
            yield _about(path)


def _distinct_runs(runs: Iterable[_Run], log: LogBuilder) -> Iterator[_Run]:
    """Yield one run of each model and task, the one with the most instances."""
    groups: dict[tuple[str, str], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.model, run.task].append(run)
    for (model, task), several in groups.items():
        # The last one counts, since later suites have later names.
        chosen = max(reversed(several), key=_n_instances)
        if len(several) > 1:
            log.skip("other run", len(several) - 1)
            log.warn_ambiguous(
                f"there are {len(several)} runs of {model!r} on {task!r}, of which "
                f"{chosen.path.parent} is read; pass the folder of one suite"
            )
        yield chosen


def _n_instances(run: _Run) -> int:
    """Return the number of instances of a run, 0 if it cannot be read."""
    try:
        entries = _records(run.path)
    except RecordError:
        return 0
    return len({str(e.get("instance_id")) for e in entries if isinstance(e, dict)})


def _instances_beside(path: Path) -> tuple[Path, list]:
    """Return the instances of a run and their file; only some versions write each."""
    instances, state = map(path.with_name, ("instances.json", "scenario_state.json"))
    if instances.is_file():
        return instances, _records(instances)
    if not state.is_file():
        raise RecordError("neither instances.json nor scenario_state.json is beside it")
    content = as_mapping(_document(state), state.name)
    requests = as_list(content.get("request_states"), "'request_states'")
    # One request for each trial, and for each choice that is rated on its own.
    return state, [as_mapping(r, "the request").get("instance") for r in requests]


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


def _about(path: Path) -> _Run:
    """Return the run that a file of statistics is of."""
    spec_path = _sibling(path, "run_spec.json")
    spec = as_mapping(_document(spec_path), spec_path.name)
    adapter = as_mapping(spec.get("adapter_spec"), "'adapter_spec'")
    model = required_text(
        adapter.get("model") or adapter.get("model_deployment"), "model"
    )
    name = required_text(spec.get("name"), "name")
    groups = as_list(spec.get("groups") or [name.partition(":")[0]], "'groups'")
    return _Run(
        path=path,
        model=model,
        task=_task(name),
        groups=tuple(str(group) for group in groups),
        has_choices=str(adapter.get("method")).startswith("multiple_choice"),
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


def _text(instance: Mapping[str, Any], has_choices: bool) -> str:
    """Return the text of an instance, with its choices if there are any."""
    content = instance.get("input")
    # Old versions have the text itself in the place of an object.
    if isinstance(content, Mapping):
        text = content.get("text") or content.get("messages")
    else:
        text = content
    question = text_of_messages(text, "input")
    references = as_list(instance.get("references") or [], "'references'")
    choices = [_text_of_reference(reference) for reference in references]
    return with_choices(question, choices) if has_choices and choices else question


def _text_of_reference(reference: Any) -> str:
    output = as_mapping(reference, "the reference").get("output")
    text = output.get("text") if isinstance(output, Mapping) else output
    return text if isinstance(text, str) else ""


def _values(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the metrics of an entry that have a value.

    A list, so that a malformed statistic leaves out the entry as a whole.
    """
    values = []
    for stat in as_list(entry.get("stats"), "'stats'"):
        stat = as_mapping(stat, "the statistic")
        name = as_mapping(stat.get("name"), "'name'")
        metric = required_text(name.get("name"), "name")
        value = score_or_none(stat.get("mean"), metric)
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
