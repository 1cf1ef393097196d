"""Penalised regressions of several models' scores on the same encodings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit, logit

NEGLIGIBLE = 1e-5
"""Principal axes narrower than this share of the widest are left out."""

GRADIENT_TOLERANCE = 1e-6
"""Largest entry of the preconditioned gradient at which a fit is done."""

MAX_STEPS = 1_000
"""Steps of L-BFGS; about 15 are needed."""


@dataclass(frozen=True)
class LinearPredictors:
    """Coefficients of one linear function per model.

    Parameters
    ----------
    coef : ndarray of shape (n_models, n_features)
        Slopes.
    intercept : ndarray of shape (n_models,)
        Values at the origin.
    """

    coef: np.ndarray
    intercept: np.ndarray

    def values(self, encodings: np.ndarray) -> np.ndarray:
        """Evaluate at encodings (n_queries, n_features): (n_queries, n_models)."""
        return encodings.astype(np.float64) @ self.coef.T + self.intercept

    def take(self, models: np.ndarray) -> LinearPredictors:
        """Keep some models, in the order given."""
        if np.array_equal(models, np.arange(len(self.coef))):
            return self
        return LinearPredictors(self.coef[models], self.intercept[models])

    def plus(self, other: LinearPredictors) -> LinearPredictors:
        """Add slopes and intercepts."""
        return LinearPredictors(
            self.coef + other.coef, self.intercept + other.intercept
        )


@dataclass(frozen=True)
class RotatedDesign:
    """Encodings of some queries in their principal axes.

    Nothing that matters is lost: the penalised optimum lies in the span of the
    centred encodings, and a rotation keeps the penalty.

    Parameters
    ----------
    center : ndarray of shape (n_features,)
        Mean of the encodings.
    axes : ndarray of shape (n_axes, n_features)
        Principal axes, of unit length.
    widths : ndarray of shape (n_axes,)
        Singular values of the centred encodings.
    coordinates : ndarray of shape (n_queries, n_axes)
        The centred encodings along the axes.
    """

    center: np.ndarray
    axes: np.ndarray
    widths: np.ndarray
    coordinates: np.ndarray

    @classmethod
    def of(cls, encodings: np.ndarray) -> RotatedDesign:
        """Rotate encodings (n_queries, n_features)."""
        X = encodings.astype(np.float64)
        center = X.mean(axis=0)
        X -= center
        # The eigenvectors of the smaller of the two Gram matrices are several times as
        # fast as a singular value decomposition of X. They square the widths, so that
        # narrow axes lose digits; those are the ones that are left out.
        few = len(X) <= X.shape[1]
        squares, vectors = eigh(X @ X.T if few else X.T @ X, driver="evd")
        squares = squares.clip(0)
        kept = squares > NEGLIGIBLE**2 * squares.max()
        widths = np.sqrt(squares[kept])
        vectors = vectors[:, kept]
        if few:
            return cls(
                center, vectors.T @ X / widths[:, None], widths, vectors * widths
            )
        return cls(center, vectors.T, widths, X @ vectors)

    def values(self, lines: LinearPredictors) -> np.ndarray:
        """Evaluate lines at the encodings: (n_queries, n_models)."""
        at_center = lines.coef @ self.center + lines.intercept
        return self.coordinates @ (self.axes @ lines.coef.T) + at_center

    def lines(self, slopes: np.ndarray, levels: np.ndarray) -> LinearPredictors:
        """Turn slopes (n_axes, n_models) and levels at the centre into lines."""
        coef = slopes.T @ self.axes
        return LinearPredictors(coef, levels - coef @ self.center)


def fit_ridge(
    design: RotatedDesign, targets: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``sum (y - w.x - b)^2 + alpha |w|^2`` for each model.

    Parameters
    ----------
    design : RotatedDesign
        The encodings x.
    targets : ndarray of shape (n_queries, n_models)
        The targets y.
    alpha : float
        Penalty.

    Returns
    -------
    slopes : ndarray of shape (n_axes, n_models)
        w along the axes.
    levels : ndarray of shape (n_models,)
        Values at the mean encoding.
    """
    # In principal axes the normal equations are diagonal.
    levels = targets.mean(axis=0)
    products = design.coordinates.T @ (targets - levels)
    slopes = products / (design.widths[:, None] ** 2 + alpha)
    return slopes, levels


def fit_logistic(
    design: RotatedDesign, scores: np.ndarray, alpha: float, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``sum CE(y, expit(o + w.x + b)) + alpha / 2 |w|^2`` for each model.

    Parameters
    ----------
    design : RotatedDesign
        The encodings x.
    scores : ndarray of shape (n_queries, n_models)
        Scores y in [0, 1], not all of a model at the same end.
    alpha : float
        Penalty.
    offsets : ndarray of shape (n_queries, 1)
        Logits o to add to.

    Returns
    -------
    slopes : ndarray of shape (n_axes, n_models)
        w along the axes.
    levels : ndarray of shape (n_models,)
        Values at the mean encoding.
    """
    Z, shape = design.coordinates, (len(design.widths) + 1, scores.shape[1])
    # The curvature of the loss is at most 1/4 per evaluation. In units of the
    # root of that bound all directions are about equally steep.
    steepness = np.sqrt(np.append(design.widths**2 / 4 + alpha, len(scores) / 4))
    units = 1 / steepness[:, None]

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = v.reshape(shape) * units
        slopes, levels = parameters[:-1], parameters[-1]
        logits = offsets + Z @ slopes + levels
        loss = np.sum(np.logaddexp(0, logits) - scores * logits)
        gaps = expit(logits) - scores
        gradient = np.vstack([Z.T @ gaps + alpha * slopes, gaps.sum(axis=0)])
        return loss + alpha / 2 * np.sum(slopes**2), (gradient * units).ravel()

    # Start without slopes, at the level of each model's mean.
    start = np.zeros(shape)
    start[-1] = logit(scores.mean(axis=0)) * steepness[-1]
    limits = {"gtol": GRADIENT_TOLERANCE, "ftol": 0, "maxiter": MAX_STEPS}
    best = minimize(
        objective, start.ravel(), jac=True, method="L-BFGS-B", options=limits
    )
    parameters = best.x.reshape(shape) * units
    return parameters[:-1], parameters[-1]
