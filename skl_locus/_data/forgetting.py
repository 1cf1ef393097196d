"""Old evaluations that a router forgets, so that it stays bounded."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.log_samples import hash_keys, hash_labels, pair_hashes

SEED = 0
"""Seed of the hash that keeps evaluations without a time: one for all nights, so that
what is kept does not depend on the order in which evaluations came."""


def read_times(X: Any, time_col: str) -> tuple[Any, np.ndarray]:
    """Split a log into its times and its other columns.

    Parameters
    ----------
    X : dataframe of n_rows rows
        Log.
    time_col : str
        Column of numbers, or of dates and times (as text, in the form of ISO 8601).

    Returns
    -------
    rest : dataframe
        The log without the column, which could be taken for part of the encoding.
    times : ndarray of shape (n_rows,), float64
        Numbers as they are, dates in seconds.

    Raises
    ------
    ValueError
        If the column is missing, or has a missing or unreadable time.
    """
    frame = as_frame(X)
    if frame is None:
        raise ValueError(f"time_col={time_col!r} is a column; pass a dataframe.")
    column = pd.Series(np.asarray(read_column(frame, time_col)))
    try:
        if not pd.api.types.is_numeric_dtype(column.dtype):
            column = pd.to_datetime(column, utc=True, format="ISO8601")
            since = column - pd.Timestamp(0, tz="UTC")
            column = since / pd.Timedelta(seconds=1)
        times = column.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The column {time_col!r} has no times that can be read: {error}"
        ) from error
    if not np.isfinite(times).all():
        row = int(np.argmin(np.isfinite(times)))
        raise ValueError(f"The column {time_col!r} has no time in row {row}.")
    return frame.drop(time_col).to_native(), times


def as_age(max_age: Any) -> float | None:
    """Return an age as a number; durations in seconds.

    Raises
    ------
    ValueError
        If it is no positive number or duration.
    """
    if max_age is None:
        return None
    try:
        is_number = isinstance(max_age, Real)
        age = float(max_age if is_number else pd.Timedelta(max_age).total_seconds())
    except (TypeError, ValueError) as error:
        raise ValueError(f"max_age={max_age!r} is no duration: {error}") from error
    if not age > 0:
        raise ValueError(f"max_age must be positive, got {max_age!r}.")
    return age


def forget(
    evaluations: EvaluationSet,
    max_per_model: int | None,
    max_age: float | None,
    seed: int = SEED,
) -> tuple[EvaluationSet, set]:
    """Drop old evaluations.

    Parameters
    ----------
    evaluations : EvaluationSet
        Evaluations, some of them with times.
    max_per_model : int or None
        Evaluations of a model, at most: the newest, then those without a time with the
        smallest hashes.
    max_age : float or None
        Age relative to the newest evaluation of all. Evaluations without a time have no
        age, and a model of which all are older keeps what it has.
    seed : int, default=0
        Seed of the hashes.

    Returns
    -------
    kept : EvaluationSet
        All models with what is kept of them.
    changed : set of labels
        Models that have lost some.
    """
    kept = _young_enough(evaluations, max_age)
    if max_per_model is not None:
        kept[kept] = _ranks(evaluations, np.flatnonzero(kept), seed) < max_per_model
    if kept.all():
        return evaluations, set()
    losers = np.unique(evaluations.model_codes[~kept])
    names = set(evaluations.model_names[losers])
    return evaluations.take(np.flatnonzero(kept)), names


def _young_enough(evaluations: EvaluationSet, max_age: float | None) -> np.ndarray:
    kept = np.ones(len(evaluations), dtype=bool)
    times = evaluations.times
    if max_age is None or times is None:
        return kept
    kept = ~(times < np.nanmax(times) - max_age)
    n_kept = np.bincount(evaluations.model_codes, kept, evaluations.n_models)
    return kept | (n_kept == 0)[evaluations.model_codes]


def _ranks(evaluations: EvaluationSet, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return the place of each row among those of its model, the newest first."""
    models = evaluations.model_codes[rows]
    labels = hash_labels(list(evaluations.model_names))
    keys = hash_keys(evaluations.queries.keys)[evaluations.query_codes[rows]]
    hashes = pair_hashes(labels[models], keys, seed)
    if evaluations.times is None:
        ages = np.zeros(len(rows))
    else:
        ages = -np.nan_to_num(evaluations.times[rows], nan=-np.inf)
    order = np.lexsort((hashes, ages, models))
    starts = np.searchsorted(models[order], np.arange(evaluations.n_models))
    ranks = np.empty(len(rows), dtype=np.int64)
    ranks[order] = np.arange(len(rows)) - starts[models[order]]
    return ranks
