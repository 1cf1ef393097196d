"""Losses and accuracy of P(correct) where scores lie in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skl_locus._data.scores import CORRECT_FROM
from skl_locus._utils.array_checks import (
    check_probabilities,
    check_scores,
    check_weights,
)
from skl_locus._utils.statistics import log_losses, stable_mean


def soft_log_loss(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Compute the cross-entropy of scores under probabilities of correctness.

    ``mean(-(y * log(p) + (1 - y) * log(1 - p)))``, with p clipped to
    [eps, 1 - eps] for the eps of its floating dtype. For scores that are 0 or 1
    it equals :func:`sklearn.metrics.log_loss`. The best possible value for a
    score strictly between 0 and 1 is not 0 but the entropy of that score.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Scores in [0, 1].
    y_prob : array-like of shape (n_rows,) or (n_rows, 2)
        P(correct), or what ``predict_proba`` returns, with P(correct) in the
        second column.
    sample_weight : array-like of shape (n_rows,), default=None
        Weight of each row; all equal by default.

    Returns
    -------
    float
        Loss in nats, lower is better. Independent of the order of the rows.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true``, is not
        finite or lies outside [0, 1].

    Examples
    --------
    >>> from skl_locus.metrics import soft_log_loss
    >>> round(soft_log_loss([1, 0, 0.5], [0.8, 0.4, 0.5]), 4)
    0.4757
    """
    scores = check_scores(y_true)
    probabilities = check_probabilities(y_prob, len(scores))
    losses = log_losses(scores, probabilities)
    return stable_mean(losses, check_weights(sample_weight, len(scores)))


def soft_brier_score(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Compute the mean squared difference of scores and probabilities.

    ``mean((y - p) ** 2)``. For scores that are 0 or 1 it equals
    :func:`sklearn.metrics.brier_score_loss`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Scores in [0, 1].
    y_prob : array-like of shape (n_rows,) or (n_rows, 2)
        P(correct), or what ``predict_proba`` returns, with P(correct) in the
        second column.
    sample_weight : array-like of shape (n_rows,), default=None
        Weight of each row; all equal by default.

    Returns
    -------
    float
        Loss in [0, 1], lower is better. Independent of the order of the rows.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true``, is not
        finite or lies outside [0, 1].

    Examples
    --------
    >>> from skl_locus.metrics import soft_brier_score
    >>> round(soft_brier_score([1, 0, 0.5], [0.8, 0.4, 0.5]), 4)
    0.0667
    """
    scores = check_scores(y_true)
    probabilities = check_probabilities(y_prob, len(scores))
    losses = squared_losses(scores, probabilities)
    return stable_mean(losses, check_weights(sample_weight, len(scores)))


def correctness_accuracy_score(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Compute how often correctness is predicted, both sides cut at 0.5.

    ``mean((y >= 0.5) == (p >= 0.5))``. For scores that are 0 or 1 it equals
    :func:`sklearn.metrics.accuracy_score` of the thresholded probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Scores in [0, 1]; 0.5 counts as correct.
    y_prob : array-like of shape (n_rows,) or (n_rows, 2)
        P(correct), or what ``predict_proba`` returns, with P(correct) in the
        second column; 0.5 counts as correct.
    sample_weight : array-like of shape (n_rows,), default=None
        Weight of each row; all equal by default.

    Returns
    -------
    float
        Accuracy in [0, 1], higher is better. Independent of the order of the
        rows.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true``, is not
        finite or lies outside [0, 1].

    Examples
    --------
    >>> from skl_locus.metrics import correctness_accuracy_score
    >>> correctness_accuracy_score([1, 0, 0.5, 0.2], [0.8, 0.4, 0.5, 0.7])
    0.75
    """
    scores = check_scores(y_true)
    probabilities = check_probabilities(y_prob, len(scores))
    hits = correctness_hits(scores, probabilities)
    return stable_mean(hits, check_weights(sample_weight, len(scores)))


def squared_losses(scores: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the squared difference of each row."""
    return (scores - probabilities.astype(np.float64)) ** 2


def correctness_hits(scores: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return whether score and probability of each row are on one side of 0.5."""
    return (scores >= CORRECT_FROM) == (probabilities >= CORRECT_FROM)
