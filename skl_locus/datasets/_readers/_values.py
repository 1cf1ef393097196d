"""Checks and conversions of the values in records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.messages import message_text

MISSING_TEXTS = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})
"""Texts that mean "no number" in a cell of a text file, in lower case."""

TRUTHS = {"true": 1.0, "false": 0.0}
"""Scores of truth values as pandas and JSON write them, in lower case."""


class RecordError(ValueError):
    """Problem of a record; `LogBuilder.record_errors` adds the file and the line.

    Parameters
    ----------
    problem : str
        The problem.
    line : int, default=None
        Line of the file, if known.
    lost : int, default=1
        Number of lines or records that cannot be used for this reason.
    """

    def __init__(self, problem: str, line: int | None = None, lost: int = 1) -> None:
        super().__init__(problem)
        self.line = line
        self.lost = lost


def is_missing(value: Any) -> bool:
    """Whether a cell is empty."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float) and math.isnan(value)


def number_or_none(value: Any, name: str) -> float | None:
    """Return a finite number, or None for an empty cell."""
    if is_missing(value):
        return None
    if isinstance(value, str) and value.strip().lower() in MISSING_TEXTS:
        return None
    number = _as_float(value)
    if not math.isfinite(number):
        raise RecordError(f"{name!r} is {value!r:.60}, not a finite number")
    return number


def _as_float(value: Any) -> float:
    """Return a number, or NaN for all that is none."""
    if isinstance(value, str):
        # Python reads "0_1" as 1, and digits of all scripts, which no log means.
        readable = value.isascii() and "_" not in value
    else:
        readable = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    try:
        return float(value) if readable else math.nan
    except (TypeError, ValueError, OverflowError):
        return math.nan


def score_or_none(value: Any, name: str) -> float | None:
    """Return a score, or None for an empty cell; True is 1 and False is 0."""
    if isinstance(value, bool | np.bool_):
        return float(value)
    if isinstance(value, str) and value.strip().lower() in TRUTHS:
        return TRUTHS[value.strip().lower()]
    return number_or_none(value, name)


def required_number(value: Any, name: str) -> float:
    """Return a finite number; an empty cell is an error."""
    return _required(number_or_none(value, name), name)


def required_score(value: Any, name: str) -> float:
    """Return a score; an empty cell is an error."""
    return _required(score_or_none(value, name), name)


def _required(number: float | None, name: str) -> float:
    if number is None:
        raise RecordError(f"{name!r} has no value")
    return number


def required_text(value: Any, name: str) -> str:
    """Return a text that is not blank; an integer is a label as well."""
    if isinstance(value, str) and value.strip():
        return value
    # JSON writers leave ids as numbers; True is an int in Python, but no label.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RecordError(f"{name!r} is {value!r:.60}, not a text")


def as_mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object of a JSON document."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{name} is {value!r:.60}, not an object")
    return value


def as_list(value: Any, name: str) -> list:
    """Return a list of a JSON document."""
    if not isinstance(value, list):
        raise RecordError(f"{name} is {value!r:.60}, not a list")
    return value


def sum_or_none(*numbers: float | None) -> float | None:
    """Return the sum of the numbers that are not None, None without any."""
    present = [number for number in numbers if number is not None]
    return sum(present) if present else None


def text_of_messages(content: Any, name: str) -> str:
    """Return the text of a request: a text, or the messages of a chat joined."""
    if isinstance(content, list):
        parts = [message_text(message) for message in content]
        return required_text("\n".join(part for part in parts if part), name)
    return required_text(content, name)


def with_choices(question: str, choices: Sequence[str]) -> str:
    """Return a question followed by its choices, one per line, with letters."""
    letters = (chr(ord("A") + place) for place in range(len(choices)))
    lines = (f"{mark}) {choice}" for mark, choice in zip(letters, choices, strict=True))
    return "\n".join([question, *lines])
