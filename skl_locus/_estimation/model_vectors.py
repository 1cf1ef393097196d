"""Newton's method for the vector of one model whose logits are linear in it."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, qr
from scipy.special import expit

MAX_STEPS = 50
"""Newton steps at most; with a prior a handful is usual."""

TOLERANCE = 1e-9
"""Largest part of the objective that a further step could still gain."""

MAX_HALVINGS = 30
"""Halvings of a step until the objective falls; the first few nearly always suffice."""


def posterior_vector(
    slopes: np.ndarray,
    offsets: np.ndarray,
    scores: np.ndarray,
    center: np.ndarray,
    precision: float,
) -> np.ndarray:
    """Find the vector of a model with a normal prior, a convex problem.

    Parameters
    ----------
    slopes, offsets : ndarray of shape (n_queries, n_components), (n_queries,)
        The logit of a query is ``slopes . vector + offset``.
    scores : ndarray of shape (n_queries,)
        Scores y in [0, 1].
    center : ndarray of shape (n_components,)
        Mean c of the prior.
    precision : float
        Inverse variance of the prior, above 0.

    Returns
    -------
    ndarray of shape (n_components,), float64
        The v that minimises ``sum CE(y, expit(slopes v + offset)) + precision / 2
        |v - c|^2``.
    """
    A, y = slopes.astype(np.float64), scores.astype(np.float64)
    c = center.astype(np.float64)
    fixed = offsets.astype(np.float64) + A @ c
    if len(A) >= A.shape[1]:
        return c + _newton(A, fixed, y, precision)
    # The departure from the centre lies in the span of the slopes: with few queries
    # the problem has as many unknowns as queries, however long the vector is.
    basis, _ = qr(A.T, mode="economic")
    return c + basis @ _newton(A @ basis, fixed, y, precision)


def _newton(
    A: np.ndarray, fixed: np.ndarray, y: np.ndarray, precision: float
) -> np.ndarray:
    v = np.zeros(A.shape[1])
    for _ in range(MAX_STEPS):
        p = expit(fixed + A @ v)
        gradient = A.T @ (p - y) + precision * v
        hessian = (A.T * (p * (1 - p))) @ A
        hessian[np.diag_indices_from(hessian)] += precision
        step = -cho_solve(cho_factor(hessian), gradient)
        # Half of this is what the step gains if the objective is quadratic.
        decrement = -float(gradient @ step)
        if decrement < TOLERANCE:
            break
        v = v + _step_length(A, fixed, y, precision, v, step) * step
    return v


def _step_length(
    A: np.ndarray,
    fixed: np.ndarray,
    y: np.ndarray,
    precision: float,
    v: np.ndarray,
    step: np.ndarray,
) -> float:
    # Far from the optimum the loss is nearly straight and a full step may jump past it.
    before, length = _objective(A, fixed, y, precision, v), 1.0
    for _ in range(MAX_HALVINGS):
        if _objective(A, fixed, y, precision, v + length * step) <= before:
            break
        length /= 2
    return length


def _objective(
    A: np.ndarray, fixed: np.ndarray, y: np.ndarray, precision: float, v: np.ndarray
) -> float:
    logits = fixed + A @ v
    # The cross-entropy as log(1 + exp(l)) - y l, which does not overflow.
    losses = np.logaddexp(0, logits) - y * logits
    return float(losses.sum() + precision / 2 * (v @ v))
