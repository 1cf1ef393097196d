"""Calibration and ranking of probabilities of correctness."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skl_locus._utils.array_checks import (
    check_probabilities,
    check_scores,
    check_weights,
)
from skl_locus._utils.user_warnings import warn_user
from skl_locus._utils.validation import check_at_least

N_BINS = 15
"""Number of bins of the calibration error, as in the literature since 2017."""

STRATEGIES = ("mass", "uniform")
"""Ways to make bins of probabilities."""


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    n_bins: int = N_BINS,
    strategy: str = "mass",
) -> float:
    """Compute how far probabilities are from the scores that they foretell.

    ``sum over bins b of n_b / n * abs(mean_b(y) - mean_b(p))``, with the rows put
    in bins by their probability (Naeini, Cooper and Hauskrecht, 2015, "Obtaining
    well calibrated probabilities using Bayesian binning").

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Scores in [0, 1].
    y_prob : array-like of shape (n_rows,) or (n_rows, 2)
        P(correct), or what ``predict_proba`` returns, with P(correct) in the
        second column.
    sample_weight : array-like of shape (n_rows,), default=None
        Weight of each row; all equal by default.
    n_bins : int, default=15
        Number of bins; empty ones count nothing.
    strategy : {"mass", "uniform"}, default="mass"
        "mass" makes bins of equal weight (Nguyen and O'Connor, 2015, "Posterior
        calibration and exploratory analysis for natural language processing
        models"), "uniform" bins of equal width: [0, 1/n), ..., [1 - 1/n, 1].

    Returns
    -------
    float
        Error in [0, 1], lower is better. Independent of the order of the rows.

    Raises
    ------
    ValueError
        If ``n_bins`` or ``strategy`` is unknown, or an argument is empty, has
        another length than ``y_true``, is not finite or lies outside [0, 1].

    Notes
    -----
    Rows of equal probability are never parted: with "mass" they go together to
    the bin in which the middle of their weight lies, so that bins differ in weight
    where many probabilities are equal.

    Examples
    --------
    >>> from skl_locus.metrics import expected_calibration_error
    >>> y, p = [0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75]
    >>> expected_calibration_error(y, p, n_bins=2)
    0.25
    """
    check_at_least(n_bins, "n_bins")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}, got {strategy!r}.")
    scores, probabilities, weights = canonical_rows(y_true, y_prob, sample_weight)
    if strategy == "uniform":
        bins = np.minimum((probabilities * n_bins).astype(np.intp), n_bins - 1)
    else:
        bins = _equal_mass_bins(probabilities, weights, n_bins)
    gaps = np.bincount(bins, weights * (scores - probabilities))
    return math.fsum(np.abs(gaps).tolist()) / math.fsum(weights.tolist())


def soft_roc_auc_score(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Compute how well probabilities rank correct answers above wrong ones.

    The probability that a positive row is ranked above a negative one, ties
    counting half, where a row of score y is positive with weight y and negative
    with weight 1 - y. For scores that are 0 or 1 it equals
    :func:`sklearn.metrics.roc_auc_score`; scores strictly between keep it below 1,
    since such a row stands on both sides.

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
        Area in [0, 1], higher is better, 0.5 for chance. Independent of the order
        of the rows. NaN, with an ``UndefinedMetricWarning``, if all scores are 0 or
        all are 1.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true``, is not
        finite or lies outside [0, 1].

    Examples
    --------
    >>> from skl_locus.metrics import soft_roc_auc_score
    >>> soft_roc_auc_score([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
    0.75
    >>> soft_roc_auc_score([0, 0.5], [0.1, 0.9])
    0.833...
    """
    rows = canonical_rows(y_true, y_prob, sample_weight)
    area = area_under_curve(*rows)
    if np.isnan(area):
        warn_user(
            "The area under the ROC curve is undefined: all scores are 0, or all 1.",
            UndefinedMetricWarning,
        )
    return area


def area_under_curve(
    scores: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> float:
    """Return the area under the ROC curve of soft scores, NaN if undefined."""
    positive, negative = weights * scores, weights * (1 - scores)
    if not positive.any() or not negative.any():
        return math.nan
    # A row of score y stands on both sides, with weights y and 1 - y.
    sides = np.repeat([1, 0], len(scores))
    return float(
        roc_auc_score(
            sides,
            np.tile(probabilities, 2),
            sample_weight=np.concatenate([positive, negative]),
        )
    )


def area_statistic(
    scores: np.ndarray, probabilities: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return the area under the ROC curve, for any weights of the rows.

    Rows are sorted once, so that each of the many resamples of a bootstrap takes sums
    alone.
    """
    order = np.argsort(probabilities, kind="stable")
    positive_part = scores[order]
    starts = np.flatnonzero(np.diff(probabilities[order], prepend=-1) > 0)

    def area(weights: np.ndarray) -> float:
        own = weights[order]
        positive = np.add.reduceat(own * positive_part, starts)
        negative = np.add.reduceat(own * (1 - positive_part), starts)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return math.nan
        # Negative rows of lower probability, and half of those of the same one.
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs)

    return area


def calibration_statistic(
    scores: np.ndarray, probabilities: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return the calibration error with default bins, for any weights of the rows."""
    order = np.argsort(probabilities, kind="stable")
    ranked, gaps = probabilities[order], (scores - probabilities)[order]

    def error(weights: np.ndarray) -> float:
        # Rows without weight are left out: they must not make bins.
        own = weights[order]
        kept = own > 0
        bins = _equal_mass_bins(ranked[kept], own[kept], N_BINS)
        sums = np.bincount(bins, own[kept] * gaps[kept])
        return float(np.abs(sums).sum() / own.sum())

    return error


def canonical_rows(
    y_true: Any, y_prob: Any, sample_weight: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, probabilities and weights in an order of their own."""
    scores = check_scores(y_true)
    probabilities = check_probabilities(y_prob, len(scores)).astype(np.float64)
    weights = check_weights(sample_weight, len(scores))
    # Sums in this order have the same rounding for rows in any order.
    order = np.lexsort((weights, scores, probabilities))
    return scores[order], probabilities[order], weights[order]


def _equal_mass_bins(
    probabilities: np.ndarray, weights: np.ndarray, n_bins: int
) -> np.ndarray:
    """Return the bin of each row, given rows sorted by probability."""
    # Equal probabilities stay together, since what parts them would be the order of
    # the rows, and with it the scores that happen to come first.
    groups = np.cumsum(np.diff(probabilities, prepend=-1) > 0) - 1
    masses = np.bincount(groups, weights)
    ends = np.cumsum(masses)
    middles = (ends - masses / 2) / ends[-1]
    return np.minimum((middles * n_bins).astype(np.intp), n_bins - 1)[groups]
