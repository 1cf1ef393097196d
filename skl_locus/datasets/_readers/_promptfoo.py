"""Results of promptfoo, as JSON documents or lines."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import LogBuilder, Scale
from skl_locus.datasets._readers._chats import text_of_prompt
from skl_locus.datasets._readers._files import (
    COMPRESSED,
    file_or_folder,
    files_in,
    json_document,
    json_lines,
    json_object,
    table_suffix,
)
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_score,
    required_text,
)
from skl_locus.datasets._readers._variants import Settings, VariantNames
from skl_locus.exceptions import LogFormatError

LINES = (".jsonl", ".ndjson")
"""Endings of files with one result per line."""

FILES = tuple(
    f"*{ending}{packed}" for ending in (".json", *LINES) for packed in ("", COMPRESSED)
)
"""Names of files that are read in a folder."""

RECORD_KEYS = frozenset({"provider", "prompt", "success", "score"})
"""Keys of every result, by which a file of lines is known."""

SCORE, PASS = "score", "pass"
"""Metrics that every test has: its graded score, and whether it passed."""

ERROR = 2
"""Reason of failure for a provider or grader that raised an error."""

NO_ASSERTIONS = "No assertions"
"""Reason that promptfoo gives for the score 1 of a test that checks nothing."""

NOT_OF_MODEL = frozenset(
    {"apiKey", "apiKeyEnvar", "cost", "headers", "inputCost", "outputCost", "seed"}
)
"""Settings of a provider that do not make another model of it, or are secret."""


def read_promptfoo(
    path: str | os.PathLike,
    *,
    metric: str | None = None,
    scale: Scale = None,
    errors: str = "raise",
) -> pd.DataFrame:
    """Read the results of promptfoo.

    Results without a score are left out and counted: those of tests without
    assertions, which promptfoo counts as passed, and of providers or graders that
    raised an error. A result that is in two files, such as a JSON and a JSONL file of
    one evaluation, is read once.

    Parameters
    ----------
    path : str or path-like
        A JSON or JSONL file of results, perhaps compressed by gzip, or a folder, whose
        JSON and JSONL files are all read. The other files that promptfoo writes (csv,
        yaml, html, xml) lack parts of the results, and are not read.
    metric : str, default=None
        "score" is the graded score of a test, the weighted mean of its assertions, and
        "pass" is 1 for a test that passed, else 0. Any other name is that of a named
        score (the `metric` of an assertion), and tests without it are left out and
        counted. `None` means "score", with a warning if some tests that did not pass
        have a score above 0, or passed with one below 1.
    scale : float, (float, float) or mapping, default=None
        How scores get into [0, 1], as in :func:`read_long`.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or result is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical, the label of the provider, else its id),
        query (the prompt with its variables filled in), score and, where the files
        have them, task (categorical, the description of the evaluation), cost, tokens
        (of the model, without graders), latency (seconds, none for answers from the
        cache) and response. The text identifies a query, and repetitions are several
        rows. ``attrs["skipped"]`` counts what was left out, by reason.

        Providers of one name with different settings are a model each, named after
        what differs: "model (temperature=1)". JSONL files do not have the settings;
        there, "model (number=2)" is the second provider of this name.

    Raises
    ------
    LogFormatError
        If a file or result cannot be used, with the file and the number or line of the
        result.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_promptfoo
    >>> result = {
    ...     "provider": {"id": "org:small"}, "prompt": {"raw": "7 * 8?"},
    ...     "success": True, "score": 1, "latencyMs": 250,
    ...     "gradingResult": {"componentResults": [{"score": 1}]},
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "output.json")
    ...     _ = path.write_text(json.dumps({"results": {"results": [result]}}))
    ...     read_promptfoo(path)
           model   query  score  latency
    0  org:small  7 * 8?    1.0     0.25
    """
    place = file_or_folder(path)
    log = LogBuilder(path, errors=errors, scale=scale)
    results = _Results(log, metric)
    for file in files_in(place, *FILES):
        with log.record_errors(file):
            results.read(file)
    results.add_to_log()
    return log.frame()


@dataclass
class _Result:
    """A result, with its place and its provider."""

    path: Path
    line: int | None
    number: int | None
    model: str
    settings: Settings
    values: dict[str, Any]


class _Results:
    """Results of all files, whose models are named once all settings are known."""

    def __init__(self, log: LogBuilder, metric: str | None) -> None:
        self._log = log
        self._metric = metric
        self._results: list[_Result] = []
        self._seen: set[str] = set()
        self._named_scores: dict[str, None] = {}
        self._graded_otherwise = 0

    def read(self, path: Path) -> None:
        """Add the results of a file."""
        lines = table_suffix(path) in LINES
        records, config = (
            self._lines(path) if lines else (_records_of(json_document(path)))
        )
        providers = _Providers(records, config.get("providers"))
        shown: dict[tuple[str, str], tuple[Any, Any]] = {}
        for number, record in records:
            line, place = (number, None) if lines else (None, number)
            with self._log.record_errors(path, line, record=place):
                record = as_mapping(record, "the result")
                if self._is_again(record):
                    self._log.skip("same result again")
                    continue
                model, settings = providers.of(record)
                values = self._values(record)
                values["task"] = _text_or_none(config.get("description"))
                self._note_hidden_variables(record, values["query"], shown)
                self._results.append(
                    _Result(path, line, place, model, settings, values)
                )

    def add_to_log(self) -> None:
        """Add all results, with the names of their models."""
        names = VariantNames()
        for model, settings in {(r.model, r.settings): None for r in self._results}:
            names.add(model, "", settings, {})
        if names.remark:
            self._log.warn_ambiguous(names.remark)
        for result in self._results:
            with self._log.record_errors(
                result.path, result.line, record=result.number
            ):
                model = names.model(result.model, result.settings)
                self._log.add(model=model, **result.values)
        self._explain_metric()

    def _lines(self, path: Path) -> tuple[list[tuple[int, Any]], Mapping[str, Any]]:
        records = []
        for number, raw in json_lines(path):
            with self._log.record_errors(path, number):
                records.append((number, json_object(raw)))
        return records, {}

    def _is_again(self, record: Mapping[str, Any]) -> bool:
        own = record.get("id")
        if not isinstance(own, str):
            return False
        again = own in self._seen
        self._seen.add(own)
        return again

    def _values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        prompt = as_mapping(record.get("prompt"), "'prompt'")
        response = as_mapping(_or_empty(record.get("response")), "'response'")
        return {
            "query": text_of_prompt(prompt.get("raw"), "prompt"),
            "score": self._score(record),
            "response": _text_or_none(response.get("output")),
            **_usage(record, response),
        }

    def _score(self, record: Mapping[str, Any]) -> float | None:
        if not _is_graded(record):
            return None
        if self._metric == PASS:
            return _passed(record)
        if self._metric in (None, SCORE):
            score = required_score(record.get("score"), SCORE)
            passed = _passed(record)
            self._graded_otherwise += 0 <= score <= 1 and score != passed
            return score
        named = as_mapping(_or_empty(record.get("namedScores")), "'namedScores'")
        self._named_scores |= dict.fromkeys(named)
        if self._metric not in named:
            return None
        return required_score(named[self._metric], self._metric)

    def _note_hidden_variables(
        self,
        record: Mapping[str, Any],
        query: str,
        shown: dict[tuple[str, str], tuple[Any, Any]],
    ) -> None:
        """Warn where a prompt is the same for tests that differ in their variables."""
        test, variables = record.get("testIdx"), record.get("vars")
        first = shown.setdefault(
            (str(record.get("promptIdx")), query), (test, variables)
        )
        if first[0] != test and first[1] != variables:
            self._log.warn_ambiguous(
                f"tests with different variables have the same prompt, {query!r:.60}; "
                "they count as repetitions of one query"
            )

    def _explain_metric(self) -> None:
        if self._metric is None and self._graded_otherwise:
            self._log.warn_ambiguous(
                f"{self._graded_otherwise} tests have a graded score that is not 1 "
                "exactly if they passed; the score is read, and metric='pass' reads "
                "which passed (metric='score' confirms the choice)"
            )
        if not self._named_scores or self._metric in self._named_scores:
            return
        names = ", ".join(map(repr, self._named_scores))
        raise LogFormatError(
            f"no test has the metric {self._metric!r}; there are {SCORE!r}, {PASS!r} "
            f"and the named scores {names}",
            self._log.source,
        )


def _records_of(document: Any) -> tuple[list[tuple[int, Any]], Mapping[str, Any]]:
    document = as_mapping(document, "the file")
    results = as_mapping(document.get("results"), "'results'")
    records = as_list(results.get("results"), "'results' in 'results'")
    config = as_mapping(_or_empty(document.get("config")), "'config'")
    return list(enumerate(records, start=1)), config


class _Providers:
    """Providers of an evaluation, also several of one name.

    An evaluation is a table of tests by columns, each of one provider and one prompt.
    A provider that has one prompt in two columns is there twice.
    """

    def __init__(self, records: Iterable[tuple[int, Any]], config: Any) -> None:
        columns: dict[tuple[str, Any], set[int]] = defaultdict(set)
        for _, record in records:
            if isinstance(record, Mapping) and isinstance(record.get("promptIdx"), int):
                columns[_key_of(record)].add(record["promptIdx"])
        self._columns = {key: sorted(places) for key, places in columns.items()}
        self._settings = _settings_by_name(config)

    def of(self, record: Mapping[str, Any]) -> tuple[str, Settings]:
        """Return the name and the settings of the provider of a result."""
        name = _provider_name(record)
        column = record.get("promptIdx")
        columns = self._columns.get(_key_of(record), [0])
        place = columns.index(column) if isinstance(column, int) else 0
        known = self._settings.get(name, [])
        if len(known) == len(columns):
            return name, Settings.of(known[place], {})
        # By number only where there is no other way to tell them apart.
        number = {"number": place + 1} if place else {}
        return name, Settings.of(number, {})


def _key_of(record: Mapping[str, Any]) -> tuple[str, str]:
    prompt = record.get("prompt")
    label = prompt.get("label") if isinstance(prompt, Mapping) else None
    try:
        name = _provider_name(record)
    except RecordError:
        name = ""
    return name, str(record.get("promptId", label))


def _provider_name(record: Mapping[str, Any]) -> str:
    provider = record.get("provider")
    if isinstance(provider, str):
        return required_text(provider, "provider")
    about = as_mapping(provider, "'provider'")
    return required_text(about.get("label") or about.get("id"), "provider")


def _settings_by_name(config: Any) -> dict[str, list[Mapping[str, Any]]]:
    """Return the settings of the providers of each name, in their order."""
    settings: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in config if isinstance(config, list) else [config]:
        if isinstance(entry, str):
            settings[entry].append({})
        elif isinstance(entry, Mapping):
            name = entry.get("label") or entry.get("id")
            own = entry.get("config")
            kept = own if isinstance(own, Mapping) else {}
            if isinstance(name, str):
                settings[name].append(
                    {key: v for key, v in kept.items() if key not in NOT_OF_MODEL}
                )
    return settings


def _is_graded(record: Mapping[str, Any]) -> bool:
    """Whether assertions gave the score, and no error or default."""
    grading = record.get("gradingResult")
    if record.get("failureReason") == ERROR:
        return False
    if not isinstance(grading, Mapping):
        return not record.get("error") and "testCase" not in record
    if grading.get("componentResults"):
        return True
    test = record.get("testCase")
    checked = not isinstance(test, Mapping) or bool(test.get("assert"))
    return checked and grading.get("reason") != NO_ASSERTIONS


def _passed(record: Mapping[str, Any]) -> float:
    passed = record.get("success")
    if not isinstance(passed, bool):
        raise RecordError(f"'success' is {passed!r:.60}, neither true nor false")
    return float(passed)


def _usage(
    record: Mapping[str, Any], response: Mapping[str, Any]
) -> dict[str, float | None]:
    used = as_mapping(_or_empty(response.get("tokenUsage")), "'tokenUsage'")
    # The cost of a result is 0 where the provider did not say one.
    cost = number_or_none(response.get("cost", record.get("cost") or None), "cost")
    latency = number_or_none(record.get("latencyMs"), "latencyMs")
    if response.get("cached") is True:
        latency = None
    return {
        "cost": cost,
        "tokens": number_or_none(used.get("total"), "total"),
        "latency": None if latency is None else latency / 1000,
    }


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
