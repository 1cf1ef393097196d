"""What a cell of a log may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

MISSING_TEXTS = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})
"""Cells of a text file that say that there is no number, in lower case."""


class RecordError(ValueError):
    """A record cannot be used; whoever knows the file turns it into an error.

    Parameters
    ----------
    problem : str
        What is wrong.
    line : int, default=None
        Line of the file, where it is known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def is_missing(value: Any) -> bool:
    """Tell whether a cell is empty."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float) and math.isnan(value)


def number_or_none(value: Any, name: str) -> float | None:
    """Return a finite number, or None for an empty cell."""
    if is_missing(value):
        return None
    if isinstance(value, str) and value.strip().lower() in MISSING_TEXTS:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RecordError(f"{name!r} is {value!r:.60}, not a finite number")
    return number


def required_number(value: Any, name: str) -> float:
    """Return a finite number that has to be there."""
    number = number_or_none(value, name)
    if number is None:
        raise RecordError(f"{name!r} has no value")
    return number


def required_text(value: Any, name: str) -> str:
    """Return a text that has to be there; numbers are labels as well."""
    if isinstance(value, str) and value.strip():
        return value
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
    """Return the sum of those that are there."""
    present = [number for number in numbers if number is not None]
    return sum(present) if present else None


def text_of_messages(content: Any, name: str) -> str:
    """Return the text of a request: a text, or the messages of a chat in order."""
    if isinstance(content, list):
        parts = [_message_text(message) for message in content]
        return required_text("\n".join(part for part in parts if part), name)
    return required_text(content, name)


def _message_text(message: Any) -> str:
    if isinstance(message, str):
        return message
    if not isinstance(message, Mapping):
        return ""
    content = message.get("content", message.get("text", ""))
    if isinstance(content, list):
        return "\n".join(filter(None, map(_message_text, content)))
    return content if isinstance(content, str) else ""
