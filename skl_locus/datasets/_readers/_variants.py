"""Names of models and tasks that ran with different settings."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

LONGEST_VALUE = 40
"""Characters of a setting that a name shows; a longer one is named by its digest."""

DIGEST_LETTERS = 8
"""Letters of the digest of a long setting."""

Items = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Settings:
    """Settings of a run, as JSON by name, so that equal ones are equal objects."""

    of_model: Items
    of_task: Items

    @classmethod
    def of(cls, of_model: Mapping[str, Any], of_task: Mapping[str, Any]) -> Settings:
        """Return settings; those without a value are those that are not there."""
        return cls(_items(of_model), _items(of_task))


@dataclass
class _Run:
    settings: Settings
    questions: Mapping[str, Any]

    def shares_questions(self, other: _Run) -> bool:
        """Whether some questions are the same, and none is another under its id."""
        common = self.questions.keys() & other.questions.keys()
        return bool(common) and all(
            self.questions[name] == other.questions[name] for name in common
        )


class VariantNames:
    """Names for the runs of a model on a task that differ in their settings.

    Two runs of one model on the same questions with different settings are two models
    to route between; to average them would be the score of neither. Settings count
    only where they differ within a task: tasks have settings of their own, such as
    the longest answer, which do not make a model another one.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[_Run]] = defaultdict(list)
        self._of_models: dict[str, set[str]] | None = None
        self._of_tasks: dict[str, set[str]] = {}

    def add(
        self,
        model: str,
        task: str,
        settings: Settings,
        questions: Mapping[str, Any],
    ) -> None:
        """Add a run, with its questions by id."""
        self._runs[model, task].append(_Run(settings, questions))

    def model(self, model: str, settings: Settings) -> str:
        """Return the name of a model that ran with these settings."""
        shown = (*settings.of_model, *settings.of_task)
        return _named(model, shown, self._differing()[0].get(model, ()))

    def task(self, task: str, settings: Settings) -> str:
        """Return the name of a task that ran with these settings."""
        return _named(task, settings.of_task, self._differing()[1].get(task, ()))

    @property
    def remark(self) -> str:
        """What was named after its settings, empty if nothing was."""
        of_models, of_tasks = self._differing()
        parts = [
            f"{kind} {name!r} ran with different {', '.join(sorted(names))}"
            for kind, found in (("model", of_models), ("task", of_tasks))
            for name, names in found.items()
        ]
        return f"{'; '.join(parts)}: each is one of its own" if parts else ""

    def _differing(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Return the names of the settings that make models and tasks of their own."""
        if self._of_models is None:
            self._of_models = {}
            for (model, task), runs in self._runs.items():
                for one, other in combinations(runs, 2):
                    self._compare(model, task, one, other)
        return self._of_models, self._of_tasks

    def _compare(self, model: str, task: str, one: _Run, other: _Run) -> None:
        assert self._of_models is not None
        of_task = _differing_names(one.settings.of_task, other.settings.of_task)
        of_model = _differing_names(one.settings.of_model, other.settings.of_model)
        if of_task and not one.shares_questions(other):
            # Such as the subject of an exam: other questions are no other model.
            self._of_tasks.setdefault(task, set()).update(of_task)
            of_task = set()
        if of_model | of_task:
            self._of_models.setdefault(model, set()).update(of_model | of_task)


def _items(settings: Mapping[str, Any]) -> Items:
    return tuple(
        (name, json.dumps(value, sort_keys=True, ensure_ascii=False))
        for name, value in sorted(settings.items())
        if value is not None
    )


def _differing_names(one: Items, other: Items) -> set[str]:
    return {name for name, _ in set(one) ^ set(other)}


def _named(name: str, settings: Items, shown: Iterable[str]) -> str:
    parts = [f"{key}={_short(value)}" for key, value in settings if key in shown]
    return f"{name} ({', '.join(parts)})" if parts else name


def _short(value: str) -> str:
    if len(value) > LONGEST_VALUE:
        digest = hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
        return f"#{digest[:DIGEST_LETTERS]}"
    return value.strip('"')
