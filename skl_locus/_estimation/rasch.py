"""Newton's method for the Rasch model: one number per model, or per query."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

NEWTON_STEPS = 12
"""Newton steps, always as many, so that no model's result depends on another's. They
reach the optimum to rounding, also for models that are always right or wrong."""

LARGEST_STEP = 2.0
"""Steps are cut there: far from the optimum the logistic loss is nearly straight, and
a full step would jump past it."""


def posterior_modes(
    groups: np.ndarray,
    offsets: np.ndarray,
    scores: np.ndarray,
    n_groups: int,
    center: float,
    precision: float,
) -> np.ndarray:
    """Estimate one number per group of scores, with a normal prior: (n_groups,).

    Parameters
    ----------
    groups : ndarray of shape (n_rows,), int
        Group of each score: the model, for its ability.
    offsets : ndarray of shape (n_rows,)
        Known part of each logit: that of the query.
    scores : ndarray of shape (n_rows,), float64
        Scores in [0, 1].
    n_groups : int
        Number of groups.
    center, precision : float
        Mean and inverse variance of the prior.

    Returns
    -------
    ndarray of shape (n_groups,)
        The values that minimise log loss and prior, each a convex problem.
    """
    values = np.full(n_groups, center)
    for _ in range(NEWTON_STEPS):
        values = newton_step(values, groups, offsets, scores, center, precision)
    return values


def newton_step(
    values: np.ndarray,
    groups: np.ndarray,
    offsets: np.ndarray,
    scores: np.ndarray,
    center: float,
    precision: float,
) -> np.ndarray:
    """Improve all values at once; parameters as for `posterior_modes`."""
    p = expit(values[groups] + offsets)
    # One unknown per group. The prior keeps the curvature positive, also where all
    # scores of a group are equal.
    prior_slope = precision * (values - center)
    gradient = np.bincount(groups, scores - p, len(values)) - prior_slope
    curvature = np.bincount(groups, p * (1 - p), len(values)) + precision
    return values + (gradient / curvature).clip(-LARGEST_STEP, LARGEST_STEP)
