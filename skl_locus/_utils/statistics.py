"""Statistics that several rooms need and no library of ours has."""

from __future__ import annotations

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down rule: (n_tests,)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * factors)
    return adjusted.clip(max=1.0)


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
    if len(own):
        sizes = np.diff(starts, append=len(own))
        # Rounding must not part a mean of equal values from those of other groups.
        means[present] = (np.add.reduceat(own, starts) / sizes).clip(
            own[starts], own[starts + sizes - 1]
        )
    return means
