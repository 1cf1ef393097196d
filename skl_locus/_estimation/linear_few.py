"""Penalised logistic regressions on fewer evaluations than features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.special import expit, logit

from skl_locus._estimation.linear_solvers import (
    LEAST_CURVATURE,
    MAX_STEPS,
    LinearPredictors,
    step_lengths,
)

REUSED_CURVATURE = 0.1
"""Relative change of the curvatures up to which their Cholesky factor is kept: a step
then leaves at most this share of what is missing, for a fifth of the work."""


@dataclass(frozen=True)
class ScalarProducts:
    """Scalar products of all encodings, from which those of any few are looked up.

    Parameters
    ----------
    products : ndarray of shape (n_vectors, n_vectors)
        Of the encodings less the mean of them all.
    """

    products: np.ndarray

    @classmethod
    def of(cls, encodings: np.ndarray) -> ScalarProducts:
        """Multiply encodings (n_vectors, n_features)."""
        X = encodings.astype(np.float64)
        # Without their common mean little is left to cancel when rows are centred.
        X -= X.mean(axis=0)
        return cls(X @ X.T)

    def centered(self, rows: np.ndarray) -> np.ndarray:
        """Return the products of some encodings, less the mean of these."""
        n_vectors = len(self.products)
        places = (rows * n_vectors)[:, None] + rows
        gram = self.products.ravel().take(places)
        means = gram.mean(axis=0)
        gram -= means
        gram -= (means - means.mean())[:, None]
        return gram


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
    def of(cls, encodings: np.ndarray, gram: np.ndarray | None = None) -> GramDesign:
        """Multiply encodings (n_queries, n_features), unless that has been done."""
        X = encodings.astype(np.float64)
        center = X.mean(axis=0)
        X -= center
        return cls(center, X, X @ X.T if gram is None else gram)

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
    equations = None
    for _ in range(MAX_STEPS):
        logits = offsets + values + b
        p = expit(logits)
        gaps = p - scores
        curvature = np.maximum(p * (1 - p), LEAST_CURVATURE)
        if equations is None or not equations.are_near(curvature):
            equations = _NewtonEquations.of(K, curvature, alpha)
        new_a, new_b = equations.solve(values + b, gaps)
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


@dataclass(frozen=True)
class _NewtonEquations:
    """Newton's equations for new weights and the new level.

    With the curvatures D they are ``alpha a + D (K a + b) = D values - gaps`` and
    ``sum a = 0``. Both right-hand sides, that and D for the level, are solved for by
    the matrix ``alpha + S K S`` with S = sqrt(D), which is symmetric and, as nothing is
    divided by D, well conditioned for whatever p there is.
    """

    K: np.ndarray
    curvature: np.ndarray
    alpha: float
    factor: np.ndarray
    from_level: np.ndarray

    @classmethod
    def of(cls, K: np.ndarray, curvature: np.ndarray, alpha: float) -> _NewtonEquations:
        """Decompose the matrix."""
        S = np.sqrt(curvature)
        matrix = K * S
        matrix *= S[:, None]
        matrix.ravel()[:: len(K) + 1] += alpha
        # Transposed, which changes nothing in a symmetric matrix, it is in LAPACK's
        # order and need not be copied.
        factor, info = dpotrf(matrix.T, overwrite_a=1, clean=0)
        if info:
            raise np.linalg.LinAlgError("A regression's curvature is not positive.")
        from_level = _solve(K, S, factor, alpha, curvature)
        return cls(K, curvature, alpha, factor, from_level)

    def are_near(self, curvature: np.ndarray) -> bool:
        """Return whether these equations lead to the optimum with other curvatures."""
        change = np.abs(curvature - self.curvature)
        return bool((change <= REUSED_CURVATURE * self.curvature).all())

    def solve(self, values: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray, float]:
        """Return weights and the level, from values K a + b and gaps p - y."""
        D = self.curvature
        side = D * values - gaps
        from_values = _solve(self.K, np.sqrt(D), self.factor, self.alpha, side)
        level = from_values.sum() / self.from_level.sum()
        return from_values - level * self.from_level, float(level)


def _solve(
    K: np.ndarray, S: np.ndarray, factor: np.ndarray, alpha: float, side: np.ndarray
) -> np.ndarray:
    """Return ``(side - S M^-1 S K side) / alpha`` for M with the Cholesky factor."""
    solved, _ = dpotrs(factor, S * (K @ side))
    return (side - S * solved) / alpha
