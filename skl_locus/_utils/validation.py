"""Checks of single arguments; every error names the argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import pandas as pd


def check_at_least(value: Any, name: str, least: int = 1) -> None:
    """Raise on an argument that is no integer or too small, naming it."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}, got {value!r}."
        )


def check_count(value: Any, name: str, most: int) -> int:
    """Return how many of ``most`` things are asked for, all by default (None)."""
    if value is None:
        return most
    if not isinstance(value, Integral) or not 1 <= int(value) <= most:
        raise ValueError(
            f"{name} must be an integer between 1 and {most}, got {value!r}."
        )
    return int(value)


def as_float(value: Any, name: str) -> float:
    """Return a number as a float; raise on an integer that no float can hold."""
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name} is too large a number, {value!r:.60}.") from error


def collection_of(labels: Any, name: str) -> Any:
    """Return a collection of labels; raise on a bare string."""
    if isinstance(labels, str):
        raise ValueError(f"{name} must be a collection of labels; pass [{labels!r}].")
    return labels


def check_by_label(values: Any, labels: Iterable, name: str) -> None:
    """Raise unless a mapping or Series has one value for each label."""
    if not isinstance(values, (Mapping, pd.Series)):
        raise ValueError(
            f"{name} must be given by label (a mapping or a pandas Series), got "
            f"{type(values).__name__}."
        )
    if isinstance(values, pd.Series) and not values.index.is_unique:
        repeated = values.index[values.index.duplicated()][0]
        raise ValueError(f"{name} has the model {repeated!r} twice.")
    known = values.index if isinstance(values, pd.Series) else values
    missing = next((label for label in labels if label not in known), None)
    if missing is not None:
        raise ValueError(f"{name} has no entry for the model {missing!r}.")


def shortest(number: float) -> str:
    """Return a number for a message, in full where few digits would be another one."""
    text = f"{number:g}"
    return text if float(text) == float(number) else repr(float(number))
