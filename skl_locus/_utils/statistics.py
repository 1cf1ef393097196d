"""Means that do not depend on the order of what is averaged, losses and p-values."""

from __future__ import annotations

import math

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down rule: (n_tests,)."""
    order = np.argsort(p_values, kind="stable")
    # The smallest of m p-values is multiplied by m, the next by m - 1, and so on; the
    # running maximum keeps the adjusted values in the order of the given ones.
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * factors)
    return adjusted.clip(max=1.0)


def stable_mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the mean of what is not NaN, the same to the bit in any order.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers or truth values; NaN stands for what is not known.
    weights : ndarray of shape (n,), default=None
        Weight of each value, 1 each by default.

    Returns
    -------
    float
        The mean; NaN of nothing.
    """
    known = ~np.isnan(values)
    weights = np.ones(len(values)) if weights is None else weights
    total = math.fsum(weights[known].tolist())
    # fsum rounds once, at the end: rows of equal tables in another order, or in
    # another number of blocks, give equal means, and ties stay ties.
    return math.fsum((values * weights)[known].tolist()) / total if total else math.nan


def group_means(values: np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the mean of each group, whatever the order of the values.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        Finite values.
    groups : ndarray of shape (n,)
        Group of each value.
    n_groups : int
        Number of groups.

    Returns
    -------
    ndarray of shape (n_groups,), float64
        Means of sums in ascending order; NaN for a group of no value.
    """
    order = np.lexsort((values, groups))
    own = values[order]
    present, starts = np.unique(groups[order], return_index=True)
    means = np.full(n_groups, np.nan)
    means[present] = run_means(own, starts)
    return means


def run_means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the mean of each run of neighbouring values, given where runs start."""
    if not len(values):
        return np.empty(0)
    sizes = np.diff(starts, append=len(values))
    means = np.add.reduceat(values, starts) / sizes
    # The sum of equal values, divided by their number, may differ from them in the
    # last bit: a model with three equal scores would lose a tie to one with two.
    least = np.minimum.reduceat(values, starts)
    return means.clip(least, np.maximum.reduceat(values, starts))


def log_losses(scores: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each row, P clipped by the eps of its dtype."""
    # A single sure and wrong prediction would make the mean infinite. The dtype's eps
    # is the smallest distance from 1 that P can express, as in scikit-learn.
    eps = np.finfo(probabilities.dtype).eps
    p = np.clip(probabilities.astype(np.float64), eps, 1 - eps)
    return -(scores * np.log(p) + (1 - scores) * np.log1p(-p))
