"""Builder of the long table from the evaluations that a reader finds."""

from __future__ import annotations

import math
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from skl_locus._utils.user_warnings import warn_user
from skl_locus._utils.validation import shortest
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

ERRORS = ("raise", "skip")
"""Ways to treat a malformed record."""

NUMBERS = ("cost", "tokens", "latency")
"""Optional columns of numbers."""

COLUMNS = ("model", "query", "query_id", "task", *NUMBERS, "response")
"""All columns but the score; only model and query are in every table."""

LABELS = ("model", "query_id", "task")
"""Columns whose cells must be usable as labels."""

MISSING_SCORE = "missing score"
"""Reason to leave out a record that, as its format allows, has no score."""

MALFORMED = "malformed"
"""Reason to leave out a record or file that cannot be used."""

Scale = float | tuple[float, float] | Mapping[str, float | tuple[float, float]] | None

Run = TypeVar("Run")


class LogBuilder:
    """Collector of evaluations that counts the records it leaves out.

    Parameters
    ----------
    source : str or path-like
        File or folder that is read, for error messages.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed record is an error or is counted.
    scale : float, (float, float), mapping or None, default=None
        The best score, or the worst and the best, perhaps by task.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        *,
        errors: str = "raise",
        scale: Scale = None,
    ) -> None:
        if errors not in ERRORS:
            raise ValueError(f"errors must be 'raise' or 'skip', got {errors!r}.")
        _check_scale(scale)
        self.source = os.fspath(source)
        self.skipped: Counter[str] = Counter()
        self._errors = errors
        self._scale = scale
        self._first_error: LogFormatError | None = None
        self._pool: dict[str, str] = {}
        self._text_of_id: dict[Any, Any] = {}
        self._labels: dict[str, dict[Any, type]] = {name: {} for name in LABELS}
        self._notes: dict[str, None] = {}
        # Logs have millions of rows: a list would take four times the memory.
        self._scores = array("d")
        self._columns: dict[str, list] = {}

    def __len__(self) -> int:
        return len(self._scores)

    @contextmanager
    def record_errors(
        self,
        path: str | os.PathLike,
        line: int | None = None,
        *,
        record: int | None = None,
    ) -> Iterator[None]:
        """Raise a malformed record's error with its place, or count the record."""
        try:
            yield
        except RecordError as problem:
            place = "" if record is None else f"record {record}: "
            error = LogFormatError(f"{place}{problem}", path, problem.line or line)
            if self._errors == "raise":
                raise error from problem
            self._first_error = self._first_error or error
            # What was lost by one error can be more than one record.
            self.skipped[MALFORMED] += problem.lost

    def skip(self, reason: str, count: int = 1) -> None:
        """Count records that have no place in the table."""
        self.skipped[reason] += count

    def note(self, remark: str) -> None:
        """Keep a remark for the summary."""
        self._notes.setdefault(remark)

    def warn_ambiguous(self, remark: str) -> None:
        """Warn once that the log could have been read in another way, and how."""
        if remark not in self._notes:
            self.note(remark)
            warn_user(f"{self.source}: {remark}.", AmbiguousLogWarning)

    def add(
        self, *, model: Any, query: Any, score: float | None, **optional: Any
    ) -> None:
        """Add one evaluation, or count it if it has no score."""
        if score is None:
            self.skip(MISSING_SCORE)
            return
        values = {"model": model, "query": query, **optional}
        for name in LABELS:
            self._check_label(name, values.get(name))
        self._check_identity(optional.get("query_id"), query)
        for name in COLUMNS:
            self._append(name, self._pooled(values.get(name)))
        self._scores.append(score)

    def frame(self) -> pd.DataFrame:
        """Return the table, with counts of left out records in its attributes."""
        self._warn()
        if not len(self):
            raise LogFormatError(
                f"there is no evaluation to read{self._left_out()}", self.source
            )
        table = self._table()
        table["score"] = self._unit_scores(table)
        # Plain JSON, since writers of files store the attributes as such.
        table.attrs["skipped"] = dict(self.skipped)
        table.attrs["notes"] = list(self._notes)
        table.attrs["source"] = self.source
        return table

    def _table(self) -> pd.DataFrame:
        columns = {
            name: _column(self._columns[name], name)
            for name in COLUMNS
            if name in self._columns
        }
        table = pd.DataFrame(columns)
        last_identity = "query_id" if "query_id" in columns else "query"
        place = table.columns.get_loc(last_identity) + 1
        table.insert(place, "score", np.array(self._scores))
        return table

    def _append(self, name: str, value: Any) -> None:
        """Append to a column; it is made at its first value, with None before."""
        if name in self._columns:
            self._columns[name].append(value)
        elif value is not None:
            self._columns[name] = [None] * len(self) + [value]

    def _pooled(self, value: Any) -> Any:
        """Return the first object of an equal text: most columns repeat few texts."""
        return self._pool.setdefault(value, value) if isinstance(value, str) else value

    def _check_label(self, name: str, value: Any) -> None:
        """Refuse what cannot be a label, or would become one with another label."""
        if value is None:
            return
        try:
            known = self._labels[name].setdefault(value, type(value))
        except TypeError:
            problem = f"{name!r} is {value!r:.60}, not a label"
            raise RecordError(problem) from None
        if known is not type(value):
            raise RecordError(
                f"{name!r} is {value!r}, a {type(value).__name__}, which equals a "
                f"label before that is a {known.__name__}"
            )
        if isinstance(value, str) and not _is_encodable(value):
            del self._labels[name][value]
            raise RecordError(f"{name!r} is {value!r:.60}, with half of a character")

    def _check_identity(self, query_id: Any, query: Any) -> None:
        if query_id is None or not isinstance(query, str):
            return
        # Estimators identify queries by their ids, so two texts under one id would
        # silently be averaged as one query.
        if self._text_of_id.setdefault(query_id, query) != query:
            raise RecordError(
                f"the query id {query_id!r} stands for another text than before; "
                "are these two versions of one task?"
            )

    def _unit_scores(self, table: pd.DataFrame) -> pd.Series:
        scores = table["score"]
        if isinstance(self._scale, Mapping):
            return self._scaled_by_task(table, self._scale)
        return self._in_unit_interval(_scaled(scores, self._scale), scores, "scores")

    def _scaled_by_task(
        self, table: pd.DataFrame, scale: Mapping[str, Any]
    ) -> pd.Series:
        if "task" not in table:
            raise ValueError("scale is a mapping by task, but the log has no tasks.")
        parts = [
            self._in_unit_interval(
                _scaled(scores, scale.get(task)), scores, f"scores of task {task!r}"
            )
            for task, scores in table.groupby("task", observed=True)["score"]
        ]
        return pd.concat(parts).loc[table.index]

    def _in_unit_interval(
        self, scaled: pd.Series, scores: pd.Series, what: str
    ) -> pd.Series:
        if scaled.min() < 0 or scaled.max() > 1:
            raise LogFormatError(
                f"the {what} range from {shortest(scores.min())} to "
                f"{shortest(scores.max())}, which scale={self._scale!r} does not bring "
                "into [0, 1]; pass scale=(worst, best), or a number to divide by",
                self.source,
            )
        return scaled

    def _warn(self) -> None:
        lost = self.skipped[MALFORMED] + self.skipped[MISSING_SCORE]
        if lost:
            first = f"; the first: {self._first_error}" if self._first_error else ""
            warn_user(
                f"{self.source}: left out {lost} records or files"
                f"{self._left_out()}{first}.",
                SkippedRecordsWarning,
            )
        self.skipped = +self.skipped

    def _left_out(self) -> str:
        counts = ", ".join(f"{n} {reason}" for reason, n in self.skipped.items() if n)
        return f" ({counts})" if counts else ""


def _is_encodable(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _column(values: list, name: str) -> Any:
    if name in NUMBERS:
        return np.array(values, dtype=np.float64)
    # Objects, since a string column would store a repeated text once per row.
    cells = pd.Series(values, dtype=object)
    return cells.astype("category") if name in ("model", "task") else cells


def _scaled(scores: pd.Series, scale: Any) -> pd.Series:
    if scale is None:
        return scores
    worst, best = (0.0, scale) if isinstance(scale, Real) else scale
    return (scores - worst) / (best - worst)


def _check_scale(scale: Any) -> None:
    parts = scale.values() if isinstance(scale, Mapping) else [scale]
    for part in parts:
        if not _is_scale(part):
            raise ValueError(
                "scale must be a positive number, a pair (worst, best) of different "
                f"numbers, or a mapping of tasks to such, got {scale!r}."
            )


def _is_scale(part: Any) -> bool:
    if part is None:
        return True
    if isinstance(part, Real):
        return 0 < float(part) < math.inf
    if not isinstance(part, tuple | list) or len(part) != 2:
        return False
    numbers = all(isinstance(end, Real) and math.isfinite(end) for end in part)
    return numbers and part[0] != part[1]


def largest_run(
    runs: list[Run],
    size_and_time: Callable[[Run], Any],
    about: tuple[str, str],
    log: LogBuilder,
) -> Run:
    """Return the largest of several runs, the newest of these, and say so.

    Parameters
    ----------
    runs : list
        Runs of one model on one task, at least one.
    size_and_time : callable
        What runs are ordered by; not called for a single one.
    about : tuple of str
        The model and the task.
    log : LogBuilder
        Counts the others, and warns.

    Returns
    -------
    object
        One of the runs.
    """
    if len(runs) == 1:
        return runs[0]
    model, task = about
    log.skip("other run", len(runs) - 1)
    log.warn_ambiguous(
        f"{model!r} has {len(runs)} runs on {task!r}, of which the largest "
        "is read, the newest of these; pass the folder of one run to read it"
    )
    return max(runs, key=size_and_time)
