"""Penalised regressions of several models' scores on the same encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.special import logit

from skl_locus._estimation.arrays import NUMPY, ArrayLibrary, library_for

NEGLIGIBLE = 1e-5
"""Principal axes narrower than this share of the widest are left out."""

TOLERANCE = 1e-7
"""A fit is done when the next step would change the logits of the evaluations by less
than this, as a root of their sum of squares weighed by curvature."""

MAX_STEPS = 100
"""Newton steps; three to six are needed."""

MAX_PRODUCTS = 50
"""Products with the curvature within a Newton step; two to six are needed."""

FORCING = 0.1
"""Share of the gradient that the first Newton steps may leave; near the optimum it
falls with the gradient itself, so that the last steps are nearly exact."""

OVERSHOOT = 0.25
"""Largest slope at the end of a step, as a share of that at its beginning; of a step
that was shortened, in either direction."""

MAX_HALVINGS = 40
"""Halvings of the range in which the minimum along a step lies; seldom any is needed.
"""

LEAST_CURVATURE = 1e-12
"""Least curvature p (1 - p) of an evaluation in Newton's equations. Where all logits
are extreme, far from what the average model was learned from, it would be rounded to
zero and divided by. As many halvings as there may be shorten the steps that it gives.
"""

TINY = float(np.finfo(float).tiny)
"""Least number that is divided by."""

BLOCK_ELEMENTS = 500_000
"""Scores that are fitted at a time: arrays of 4 MB, so that memory stays flat whatever
the number of models."""


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

    @property
    def n_slopes(self) -> int:
        """Number of unknowns per model, the level apart."""
        return len(self.widths)

    def only(self, rows: np.ndarray) -> RotatedDesign:
        """Keep some queries, in the same axes.

        Their coordinates are in general neither centred nor uncorrelated, which the
        solution of `fit_logistic` does not need, only its speed.
        """
        if np.array_equal(rows, np.arange(len(self.coordinates))):
            return self
        coordinates = self.coordinates[rows]
        widths = np.sqrt(len(rows)) * coordinates.std(axis=0)
        return RotatedDesign(self.center, self.axes, widths, coordinates)

    def values(self, lines: LinearPredictors) -> np.ndarray:
        """Evaluate lines at the encodings: (n_queries, n_models)."""
        slopes, levels = self.rotate(lines)
        return self.coordinates @ slopes + levels

    def rotate(self, lines: LinearPredictors) -> tuple[np.ndarray, np.ndarray]:
        """Turn lines into slopes (n_axes, n_models) and levels at the centre."""
        return self.axes @ lines.coef.T, lines.coef @ self.center + lines.intercept

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
    design: RotatedDesign,
    scores: np.ndarray,
    alpha: float,
    offsets: np.ndarray,
    tolerance: float = TOLERANCE,
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
    tolerance : float, default=1e-7
        What the next step may still change, in the sense of `TOLERANCE`.

    Returns
    -------
    slopes : ndarray of shape (n_axes, n_models)
        w along the axes.
    levels : ndarray of shape (n_models,)
        Values at the mean encoding.
    """
    # Start without slopes, at the level of each model's mean. The solution for the
    # penalty before saves a tenth of the products only.
    solved = np.zeros((len(design.widths) + 1, scores.shape[1]))
    solved[-1] = logit(scores.mean(axis=0))
    library = library_for(design.coordinates.size * scores.shape[1])
    Z = library.kept(design, design.coordinates)
    widths, own_offsets = library.array(design.widths), library.array(offsets)
    width = max(1, BLOCK_ELEMENTS // len(scores))
    for first in range(0, scores.shape[1], width):
        block = slice(first, first + width)
        y, start = library.array(scores[:, block]), library.array(solved[:, block])
        improved = _newton(library, Z, widths, y, alpha, own_offsets, start, tolerance)
        solved[:, block] = library.numpy(improved)
    return solved[:-1], solved[-1]


def _newton(
    library: ArrayLibrary,
    Z: Any,
    widths: Any,
    scores: Any,
    alpha: float,
    offsets: Any,
    start: Any,
    tolerance: float,
) -> Any:
    """Improve slopes and, in the last row, levels of a block of models together.

    All models' products with the encodings are one matrix product, several times
    faster than a product for each of them; a model that is done leaves the block.
    """
    v = start
    # All of it is replaced: every model leaves the block, at the end at the latest.
    solved, columns = library.zeros_like(v), library.positions(v.shape[1])
    logits = offsets + Z @ v[:-1] + v[-1]
    for _ in range(MAX_STEPS):
        p = library.expit(logits)
        curvature = (p * (1 - p)).clip(min=LEAST_CURVATURE)
        gradient = _gradient(library, Z, p - scores, alpha, v)
        # In principal axes the Hessian is nearly diagonal: exactly so where all
        # evaluations of a model are equally uncertain.
        mean_curvature = curvature.mean(axis=0)
        hessian = library.vstack(
            [
                widths[:, None] ** 2 * mean_curvature + alpha,
                len(Z) * mean_curvature[None],
            ]
        )
        sizes = library.sqrt(_products(library, gradient, gradient / hessian))
        left = sizes > tolerance
        if not left.all():
            solved[:, columns[~left]] = v[:, ~left]
            if not left.any():
                return solved
            columns, sizes = columns[left], sizes[left]
            scores, curvature = scores[:, left], curvature[:, left]
            gradient, hessian = gradient[:, left], hessian[:, left]
            v, logits = v[:, left], logits[:, left]
        step, moves = _newton_step(
            library, Z, curvature, gradient, hessian, alpha, sizes
        )
        lengths = step_lengths(
            scores,
            logits,
            moves,
            -_products(library, gradient, step),
            alpha * _products(library, v[:-1], step[:-1]),
            alpha * _products(library, step[:-1], step[:-1]),
            library,
        )
        v, logits = v + lengths * step, logits + lengths * moves
    solved[:, columns] = v
    return solved


def _newton_step(
    library: ArrayLibrary,
    Z: Any,
    curvature: Any,
    gradient: Any,
    hessian: Any,
    alpha: float,
    sizes: Any,
) -> tuple[Any, Any]:
    """Solve for Newton's step by conjugate gradients, and what it does to the logits.

    ``hessian`` is the approximate diagonal that serves as the preconditioner and
    ``sizes`` is the norm of the gradient in its metric.
    """
    residual = -gradient
    direction = residual / hessian
    remaining = _products(library, residual, direction)
    enough = remaining * sizes.clip(max=FORCING) ** 2
    step, moves = library.zeros_like(gradient), library.zeros_like(curvature)
    for _ in range(MAX_PRODUCTS):
        changes = Z @ direction[:-1] + direction[-1]
        product = _gradient(library, Z, curvature * changes, alpha, direction)
        # A model whose step is good enough waits, with lengths of zero, for the others.
        lengths = library.where(remaining > enough, remaining, 0.0)
        lengths /= _products(library, direction, product).clip(min=TINY)
        step += lengths * direction
        moves += lengths * changes
        residual -= lengths * product
        scaled = residual / hessian
        before, remaining = remaining, _products(library, residual, scaled)
        if (remaining <= enough).all():
            break
        direction = scaled + remaining / before * direction
    return step, moves


def step_lengths(
    scores: Any,
    logits: Any,
    moves: Any,
    sizes: Any,
    penalty_slopes: Any,
    penalty_growth: Any,
    library: ArrayLibrary = NUMPY,
) -> Any:
    """Shorten steps that lead past the minimum in their direction: (n_models,).

    Along a direction the objective is convex, so its slope tells on which side of the
    minimum a step ends, without the objective itself. Where the full step ends beyond
    it, halving what is left finds a step that is neither too long nor too short.

    Parameters
    ----------
    scores, logits, moves : ndarray of shape (n_queries, n_models)
        Scores, logits before the step, and what a full step adds to them.
    sizes : ndarray of shape (n_models,)
        Minus the slope of the objective at the beginning of the step.
    penalty_slopes, penalty_growth : ndarray of shape (n_models,)
        Slope of the penalty there, and what a full step adds to it.
    library : ArrayLibrary, default=NUMPY
        Whose arrays these are.
    """
    shortest, longest = library.zeros_like(sizes), library.ones_like(sizes)
    lengths = library.ones_like(sizes)
    for _ in range(MAX_HALVINGS):
        gaps = library.expit(logits + lengths * moves) - scores
        at_ends = penalty_slopes + lengths * penalty_growth
        slopes = _products(library, gaps, moves) + at_ends
        far = slopes > OVERSHOOT * sizes
        near = (slopes < -OVERSHOOT * sizes) & (lengths < longest)
        if not (far | near).any():
            break
        longest = library.where(far, lengths, longest)
        shortest = library.where(near, lengths, shortest)
        lengths = library.where(far | near, (shortest + longest) / 2, lengths)
    return lengths


def _gradient(library: ArrayLibrary, Z: Any, gaps: Any, alpha: float, v: Any) -> Any:
    """Return gradients, of slopes and then levels, from those of the logits."""
    return library.vstack([Z.T @ gaps + alpha * v[:-1], gaps.sum(axis=0)[None]])


def _products(library: ArrayLibrary, a: Any, b: Any) -> Any:
    """Return the scalar product of each pair of columns."""
    return library.einsum("im,im->m", a, b)
