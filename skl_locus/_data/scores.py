"""Scores and classes: what may stand in a target."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skl_locus._utils.user_warnings import warn_user
from skl_locus._utils.validation import shortest
from skl_locus.exceptions import ConstantScoreWarning

CORRECT_FROM = 0.5
"""The least score, and the least probability, that counts as correct."""


def read_scores(scores: Any, n_rows: int, name: str = "y") -> np.ndarray:
    """Check scores in [0, 1] and return them as float32 of shape (n_rows,).

    Parameters
    ----------
    scores : array-like of shape (n_rows,)
        Bool, int or float.
    n_rows : int
        Expected length.
    name : str
        What to call them in messages.

    Returns
    -------
    ndarray of shape (n_rows,), float32
        The scores.

    Raises
    ------
    ValueError
        If they are missing, of another length, no numbers or outside [0, 1].
    """
    if scores is None:
        raise ValueError(
            f"requires {name} to be passed, but the target {name} is None; pass the "
            "scores of the evaluations."
        )
    if isinstance(scores, nw.Series):
        scores = scores.to_numpy()
    values = column_or_1d(np.asarray(scores), warn=True)
    if len(values) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{n_rows} rows, {name} has {len(values)}."
        )
    if values.dtype.kind not in "biuf":
        values = _as_numbers(values, name)
    values = values.astype(np.float64, copy=False)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = shortest(values[row])
        raise ValueError(
            f"{name} must be scores in [0, 1]; row {row} has {shown} (NaN, inf "
            "and values outside are refused: drop such rows or rescale)."
        )
    return values.astype(np.float32)


def check_not_recoded(y: Any, logged: Any) -> None:
    """Raise if scores are the ranks of the grades that stand in the log itself.

    ``cross_val_predict(method="predict_proba")`` of scikit-learn replaces the targets
    of any classifier by 0, 1, 2, ... in the order of their values: grades of 0.25 and
    0.75 arrive as 0 and 1, and every mean would be off without a word.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Scores as they arrived.
    logged : Series or ndarray of shape (n_rows,) or None
        The column of scores, where the log has one.
    """
    values = np.asarray(y)
    if logged is None or values.dtype.kind not in "iu":
        return
    try:
        grades = np.asarray(logged, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return  # a column that is no score says nothing of y
    if values.shape != grades.shape or np.array_equal(values, grades):
        return
    levels, ranks = np.unique(grades, return_inverse=True)
    if len(levels) > 1 and np.array_equal(values, ranks):
        raise ValueError(
            f"y has the ranks 0 to {len(levels) - 1} of the grades in the log, which "
            f"go from {levels[0]:g} to {levels[-1]:g}: scikit-learn's "
            "cross_val_predict recodes y for method='predict_proba'. Fit and predict "
            "fold by fold instead (see the page on pipelines), or drop the column of "
            "scores from X if these ranks are meant."
        )


def read_targets(
    y: Any, n_rows: int, estimator_name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the target of one unnamed model into classes and scores.

    Any two distinct labels are classes, and so are soft scores in [0, 1].

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels of two classes at most, or scores.
    n_rows : int
        Expected length.
    estimator_name : str
        For messages.

    Returns
    -------
    classes : ndarray of shape (1,) or (2,)
        Sorted labels; [0, 1] for soft scores.
    scores : ndarray of shape (n_rows,), float32
        1 for the second class.
    """
    if y is None:
        raise ValueError(
            f"{estimator_name} requires y to be passed, but the target y is None."
        )
    check_consistent_length(np.empty(n_rows), y)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y", estimator_name=estimator_name)
    kind = type_of_target(y, input_name="y")
    if kind == "continuous":
        values = np.asarray(y, dtype=np.float64)
        if values.min() < 0 or values.max() > 1:
            raise ValueError(
                "Unknown label type: continuous. Scores must be in [0, 1]; found "
                f"{shortest(values.min())} to {shortest(values.max())}."
            )
        return np.array([0, 1]), values.astype(np.float32)
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            f"Only binary classification is supported. The type of the target is "
            f"{kind}: {estimator_name} takes two classes or scores in "
            "[0, 1]."
        )
    return classes, codes.astype(np.float32)


def warn_if_constant(scores: np.ndarray) -> None:
    """Warn where there is nothing to learn from because all scores are equal."""
    if scores.min() == scores.max():
        warn_user(
            f"All {len(scores)} scores are equal: every query and every model will "
            "look alike.",
            ConstantScoreWarning,
        )


def _as_numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        if any(isinstance(value, (str, bytes)) for value in values):
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} must be numbers in [0, 1], got values such as {values[0]!r:.60}; "
            "map answers to scores first."
        ) from error
