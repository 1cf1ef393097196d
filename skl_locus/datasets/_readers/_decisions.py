"""Decisions of a routing service, as it has logged them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus._data.columns import object_cells
from skl_locus._data.feedback import with_feedback
from skl_locus._utils.user_warnings import warn_user
from skl_locus.datasets._readers._files import (
    json_lines,
    json_object,
    require_file,
)
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

TEXTS = ("request_id", "session", "digest")
NUMBERS = ("duration", "probability", "trust", "cost")
ENDINGS = ("reached", "declined", "router_version")

COLUMNS = (
    *("time", "request_id", "session", "digest"),
    *("model", "probability", "alternatives"),
    *("trust", "cost", "reached", "declined"),
    *("duration", "router_version"),
)
"""Columns of the table, in this order."""

ROTATED_LOG = re.compile(r"(\.jsonl)\.\d+$")
"""The end of the name of such a part of a log."""

ROTATED = re.compile(r"\.(\d+)")
"""What is appended to the name of a log when a new one is begun."""


def read_decisions(
    path: str | os.PathLike,
    *,
    scores: Any = None,
    errors: str = "skip",
) -> pd.DataFrame:
    """Read the decision log of a routing service, and join what came of it.

    Parameters
    ----------
    path : str or path-like
        A file of :class:`skl_locus.integrations.DecisionLog`, which is read together
        with its older parts (``.1``, ``.2``, ...), or a folder of such files.
    scores : mapping, Series or dataframe, default=None
        Score in [0, 1] by request_id, or a table with the columns request_id and score,
        and perhaps query, the text. Decisions without a score are left out then, as are
        declined ones, and of several decisions on one request (retries) all but the
        last.
    errors : {"raise", "skip"}, default="skip"
        Whether a line that is no decision is an error, or is left out, counted and
        warned of. A line that a kill has cut is one.

    Returns
    -------
    DataFrame
        One row per decision, in the order of time, with the columns time (UTC),
        request_id, session, digest, model (the chosen one; None where the service
        declined), probability, alternatives (list of pairs of label and P), trust,
        cost, reached, declined, duration (seconds) and router_version. With ``scores``,
        also score and query: the text if it is in the table of scores, and else the
        digest, by which queries can be told apart but not encoded.
        ``attrs["skipped"]`` is the number of lines left out.

    Raises
    ------
    LogFormatError
        If there is no log, or if a line is no decision and ``errors="raise"``.
    ValueError
        If scores cannot be joined.

    Notes
    -----
    With scores and texts, the table is a log of evaluations: `read_long` takes it, and
    :func:`~skl_locus.inspection.drift_test` the rows of a model. Remember that models
    were evaluated only on queries that were routed to them: means of models cannot be
    compared with one another, and a router that is trained on such a log alone learns
    nothing of the models that it does not choose.

    Examples
    --------
    >>> import os, tempfile
    >>> from datetime import UTC, datetime
    >>> from skl_locus.datasets import read_decisions
    >>> from skl_locus.integrations import Decision, DecisionLog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "decisions.jsonl")
    ...     with DecisionLog(path) as log:
    ...         for name in ("first", "second"):
    ...             log.observe(
    ...                 Decision(datetime.now(UTC), 0.002, name, chosen="small")
    ...             )
    ...     read_decisions(path, scores={"second": 1.0})[["request_id", "score"]]
      request_id  score
    0     second    1.0
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors must be 'raise' or 'skip', got {errors!r}.")
    records: list[dict[str, Any]] = []
    n_skipped = 0
    for file in _parts_of(Path(path)):
        for line, raw in json_lines(file):
            try:
                records.append(_decision(json_object(raw)))
            except RecordError as error:
                if errors == "raise":
                    raise LogFormatError(str(error), file, line) from None
                n_skipped += 1
    if n_skipped:
        warn_user(
            f"{n_skipped} lines of {path} are no decisions and were left out.",
            SkippedRecordsWarning,
        )
    table = _table(records)
    if scores is not None:
        table = with_feedback(table, scores)
        if "query" not in table.columns:
            table["query"] = table["digest"]
    table.attrs["skipped"] = n_skipped
    return table


def _parts_of(path: Path) -> list[Path]:
    """Return the files of a log, the oldest ones first."""
    if path.is_dir():
        # A log that was just rotated may have older parts alone.
        names = {ROTATED_LOG.sub(r"\1", part.name) for part in path.glob("*.jsonl*")}
        logs = [path / name for name in sorted(names) if name.endswith(".jsonl")]
        if not logs:
            raise LogFormatError("there is no *.jsonl in it", path)
        return [part for log in logs for part in _parts_of(log)]
    older = sorted(_rotated(path), reverse=True)
    if path.exists() or not older:
        require_file(path)
        return [*(part for _, part in older), path]
    return [part for _, part in older]


def _rotated(path: Path) -> Iterator[tuple[int, Path]]:
    for part in path.parent.glob(f"{path.name}.*"):
        number = ROTATED.fullmatch(part.name.removeprefix(path.name))
        if number and part.is_file():
            yield int(number[1]), part


def _decision(record: dict[str, Any]) -> dict[str, Any]:
    """Return one row of the table."""
    row: dict[str, Any] = {"time": _time(record.get("time"))}
    if "chosen" not in record:
        raise RecordError("'chosen' is missing")
    row["model"] = _label(record["chosen"])
    for name in TEXTS:
        value = record.get(name)
        row[name] = None if value is None else _text(value)
    for name in NUMBERS:
        value = record.get(name)
        row[name] = None if value is None else _number(value, name)
    row["alternatives"] = _alternatives(record.get("alternatives"))
    return row | {name: record.get(name) for name in ENDINGS}


def _text(value: Any) -> str:
    # Half characters, which clients may send, are in no column of texts.
    return str(value).encode(errors="backslashreplace").decode()


def _number(value: Any, name: str) -> float:
    # Python reads NaN and 1e999 as JSON, but a log is not written with them.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise RecordError(f"{name!r} is {value!r:.60}, not a finite number")
    return float(value)


def _time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise RecordError(f"'time' is {value!r:.60}, not a time in ISO 8601") from None
    if time.tzinfo is None:
        raise RecordError(f"'time' is {value!r:.60}, without a time zone")
    return time


def _alternatives(value: Any) -> list[tuple[Any, Any]]:
    pairs = value or []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in pairs
    ):
        raise RecordError(f"'alternatives' is {value!r:.60}, not a list of pairs")
    return [(_label(label), probability) for label, probability in pairs]


def _label(value: Any) -> Any:
    """Return a label; JSON has lists in place of tuples."""
    if isinstance(value, list):
        return tuple(map(_label, value))
    if isinstance(value, dict):
        raise RecordError(f"the label {value!r:.60} is an object")
    return value


def _table(records: list[dict[str, Any]]) -> pd.DataFrame:
    others = [name for name in COLUMNS if name != "model"]
    table = pd.DataFrame(records, columns=others)
    table["time"] = pd.to_datetime(table["time"], utc=True)
    # Numbers among the labels stay numbers, which pandas would make floats of.
    labels = object_cells([record["model"] for record in records])
    table["model"] = pd.Series(labels, table.index, dtype=object)
    numbers = list(NUMBERS)
    table[numbers] = table[numbers].astype(float)
    table = table[list(COLUMNS)]
    return table.sort_values("time", kind="stable", ignore_index=True)
