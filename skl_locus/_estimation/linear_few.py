"""Penalised logistic regressions on fewer evaluations than features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv
from scipy.special import expit, logit

from skl_locus._estimation.linear_solvers import (
    LEAST_CURVATURE,
    MAX_STEPS,
    LinearPredictors,
    step_lengths,
)


@dataclass(frozen=True)
class GramDesign:
    """Encodings of few queries with their scalar products.

    The penalised optimum is a weighted sum of the encodings. For a few models on a few
    queries, the weights are found faster than principal axes.

    Parameters
    ----------
    center : ndarray of shape (n_features,)
        Mean of the encodings.
    centered : ndarray of shape (n_queries, n_features)
        Encodings less their mean.
    gram : ndarray of shape (n_queries, n_queries)
        Scalar products of the centred encodings.
    """

    center: np.ndarray
    centered: np.ndarray
    gram: np.ndarray

    @classmethod
    def of(cls, encodings: np.ndarray) -> GramDesign:
        """Multiply encodings (n_queries, n_features)."""
        X = encodings.astype(np.float64)
        center = X.mean(axis=0)
        X -= center
        return cls(center, X, X @ X.T)

    @property
    def n_slopes(self) -> int:
        """Number of unknowns per model, the level apart."""
        return len(self.centered)

    def values(self, lines: LinearPredictors) -> np.ndarray:
        """Evaluate lines at the encodings: (n_queries, n_models)."""
        at_center = lines.coef @ self.center + lines.intercept
        return self.centered @ lines.coef.T + at_center

    def lines(self, weights: np.ndarray, levels: np.ndarray) -> LinearPredictors:
        """Turn weights (n_queries, n_models) and levels at the centre into lines."""
        coef = weights.T @ self.centered
        return LinearPredictors(coef, levels - coef @ self.center)


def fit_logistic_few(
    design: GramDesign,
    scores: np.ndarray,
    alpha: float,
    offsets: np.ndarray,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the objective of `fit_logistic` for each of a few models.

    Parameters
    ----------
    design : GramDesign
        The encodings x.
    scores : ndarray of shape (n_queries, n_models)
        Scores y in [0, 1], not all of a model at the same end.
    alpha : float
        Penalty.
    offsets : ndarray of shape (n_queries, 1)
        Logits o to add to.
    tolerance : float
        What the next step may still change, in the sense of `TOLERANCE`.

    Returns
    -------
    weights : ndarray of shape (n_queries, n_models)
        Weights of the encodings, whose sum is w.
    levels : ndarray of shape (n_models,)
        Values at the mean encoding.
    """
    solved = [
        _newton(design.gram, y, alpha, offsets[:, 0], tolerance) for y in scores.T
    ]
    weights, levels = zip(*solved, strict=True)
    return np.stack(weights, axis=1), np.array(levels)


def _newton(
    K: np.ndarray, scores: np.ndarray, alpha: float, offsets: np.ndarray, tol: float
) -> tuple[np.ndarray, float]:
    """Find weights a and level b of one model, with logits o + K a + b."""
    a, b = np.zeros(len(K)), float(logit(scores.mean()))
    values = np.zeros(len(K))  # K a
    for _ in range(MAX_STEPS):
        logits = offsets + values + b
        p = expit(logits)
        gaps = p - scores
        curvature = np.maximum(p * (1 - p), LEAST_CURVATURE)
        new_a, new_b = _weighted_ridge(K, curvature, values + b, gaps, alpha)
        step, to_values = new_a - a, K @ new_a - values
        moves = to_values + (new_b - b)
        # Of the penalty's slope along the step, and how fast it grows.
        penalty = alpha * (values @ step), alpha * (to_values @ step)
        slope = gaps @ moves + penalty[0]
        # The slope at the start of Newton's step is minus its squared size. The last
        # step is taken in full: it is too short to lead anywhere else.
        if -slope <= tol**2:
            return new_a, new_b
        length = step_lengths(
            scores[:, None],
            logits[:, None],
            moves[:, None],
            np.array([-slope]),
            *np.array(penalty)[:, None],
        )[0]
        a, b = a + length * step, b + length * (new_b - b)
        values = values + length * to_values
    return a, b


def _weighted_ridge(
    K: np.ndarray,
    curvature: np.ndarray,
    values: np.ndarray,
    gaps: np.ndarray,
    alpha: float,
) -> tuple[np.ndarray, float]:
    """Solve Newton's equations for new weights and the new level.

    With the curvatures D they are ``alpha a + D (K a + b) = D values - gaps`` and
    ``sum a = 0``. Both right-hand sides, that and D for the level, are solved for by
    the matrix ``alpha + S K S`` with S = sqrt(D), which is symmetric and, as nothing is
    divided by D, well conditioned for whatever p there is.
    """
    sides = np.stack([curvature * values - gaps, curvature], axis=1)
    S = np.sqrt(curvature)[:, None]
    matrix = S * K * S.T
    matrix[np.diag_indices_from(matrix)] += alpha
    _, solved, info = dposv(matrix, S * (K @ sides))
    if info:
        raise np.linalg.LinAlgError("A regression's curvature is not positive.")
    from_values, from_level = ((sides - S * solved) / alpha).T
    level = from_values.sum() / from_level.sum()
    return from_values - level * from_level, float(level)
