"""Checks of columns given as arguments; every error names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_scores(y_true: Any, name: str = "y_true") -> np.ndarray:
    """Return evaluation scores as float64 of shape (n_rows,), checked."""
    scores = check_finite_column(y_true, name).astype(np.float64)
    _check_unit_interval(scores, name)
    return scores


def check_probabilities(y_prob: Any, n_rows: int) -> np.ndarray:
    """Return P(correct) of shape (n_rows,) in its own floating dtype, checked."""
    probabilities = np.asarray(y_prob)
    if probabilities.ndim == 2 and probabilities.shape[1] == 2:
        probabilities = probabilities[:, 1]
    column = check_finite_column(probabilities, "y_prob", n_rows)
    _check_unit_interval(column, "y_prob")
    return column


def check_weights(sample_weight: Any | None, n_rows: int) -> np.ndarray:
    """Return weights as float64 of shape (n_rows,), ones where there are none."""
    if sample_weight is None:
        return np.ones(n_rows)
    weights = check_finite_column(sample_weight, "sample_weight", n_rows)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must not be negative or all zero.")
    return weights.astype(np.float64)


def check_finite_column(
    values: Any, name: str, n_rows: int | None = None
) -> np.ndarray:
    """Return numbers of shape (n_rows,) in a floating dtype, none NaN or inf."""
    column = _as_floating(values, name)
    if column.ndim != 1:
        raise ValueError(f"{name} must have one value per row; got {column.shape}.")
    if not len(column):
        raise ValueError(f"{name} is empty.")
    check_length(len(column), name, n_rows)
    if not np.isfinite(column).all():
        row = int(np.argmin(np.isfinite(column)))
        raise ValueError(f"{name} has the value {column[row]} in row {row}.")
    return column


def check_length(length: int, name: str, n_rows: int | None) -> None:
    """Raise where an argument has another number of rows than the scores."""
    if n_rows is not None and length != n_rows:
        scores = "y_train" if name.endswith("_train") else "y_true"
        raise ValueError(f"{name} has {length} rows, but {scores} has {n_rows}.")


def _as_floating(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "biuO":
        raise ValueError(f"{name} must be numeric; got dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numeric: {error}.") from error


def _check_unit_interval(values: np.ndarray, name: str) -> None:
    outside = (values < 0) | (values > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"{name} must lie in [0, 1]; row {row} has the value {values[row]}."
        )
