"""What a number given as an argument may be."""

from __future__ import annotations

from numbers import Integral
from typing import Any


def check_at_least(value: Any, name: str, least: int = 1) -> None:
    """Refuse an argument that is no integer or too small, naming it."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}, got {value!r}."
        )


def collection_of(labels: Any, name: str) -> Any:
    """Refuse a bare string where a collection of labels is expected."""
    if isinstance(labels, str):
        raise ValueError(f"{name} must be a collection of labels; pass [{labels!r}].")
    return labels
