"""Distances between the models of a pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

BANDWIDTH_MODELS = 2000
"""Models whose pairs the median bandwidth is taken over; more are sampled."""

SAME_DIRECTION = (16 * np.finfo(np.float64).eps) ** 2
"""Squared distance of unit vectors that differ by rounding only."""

Rows = np.ndarray | slice
ALL = slice(None)

Between = Callable[[Rows, Rows], np.ndarray]
"""From rows and columns to distances, (n_rows, n_columns)."""


@dataclass(frozen=True)
class PointSpace:
    """Models that are points, in canonical order.

    Parameters
    ----------
    points : ndarray of shape (n_models, n_coordinates)
        What `as_points` returns.
    metric : {"cosine", "euclidean"}
        Distance between points.
    """

    points: np.ndarray
    metric: str

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.points)

    def between(self, rows: Rows, columns: Rows) -> np.ndarray:
        """Return exact distances, (n_rows, n_columns), float64."""
        return point_distances(self.points[rows], self.points[columns], self.metric)

    def fast_between(self, dtype: type) -> Between:
        """Return a `between` for large blocks, exact up to rounding."""
        return product_distances(self.points, self.metric, dtype)

    def take(self, models: np.ndarray) -> PointSpace:
        """Keep some of the models."""
        return PointSpace(self.points[models], self.metric)


@dataclass(frozen=True)
class MatrixSpace:
    """Models whose distances are given, in canonical order.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Distances, in the order of the table: a sorted copy would take as much memory.
    order : ndarray of shape (n_models,)
        Row of each model.
    """

    matrix: np.ndarray
    order: np.ndarray

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.order)

    def between(self, rows: Rows, columns: Rows) -> np.ndarray:
        """Return exact distances, (n_rows, n_columns), float64."""
        return self.matrix[np.ix_(self.order[rows], self.order[columns])]

    def fast_between(self, dtype: type) -> Between:
        """Return a `between` in a floating type."""
        return lambda rows, columns: self.between(rows, columns).astype(
            dtype, copy=False
        )

    def take(self, models: np.ndarray) -> MatrixSpace:
        """Keep some of the models."""
        return MatrixSpace(self.matrix, self.order[models])


Space = PointSpace | MatrixSpace


def distances_to(space: Space, model: int) -> np.ndarray:
    """Return the exact distances of all models to one: (n_models,)."""
    return space.between(ALL, np.array([model]))[:, 0]


def product_distances(points: np.ndarray, metric: str, dtype: type) -> Between:
    """Return a `between` that takes distances from a matrix product.

    |a - b|^2 = (|a|^2, 1, -2 a) . (1, |b|^2, b): one product of two matrices, many
    times faster than differences of 128 coordinates for each pair.
    """
    # Around the median, since rounding grows with the distance from the origin.
    points = points - np.median(points, axis=0)
    norms = np.einsum("ij,ij->i", points, points)[:, None]
    ones = np.ones_like(norms)
    left: np.ndarray = np.hstack([norms, ones, -2 * points]).astype(dtype)
    right: np.ndarray = np.hstack([ones, norms, points]).astype(dtype)

    def between(rows: Rows, columns: Rows) -> np.ndarray:
        squared = left[rows] @ right[columns].T
        np.maximum(squared, 0, out=squared)
        return distances_from_squared(squared, metric)

    return between


def as_points(X: np.ndarray, metric: str) -> np.ndarray:
    """Return points whose squared distances give the metric.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Embeddings.
    metric : {"cosine", "euclidean"}
        For "cosine" the points have unit length, since
        1 - cos(a, b) = |a - b|^2 / 2; a zero vector gets a direction of its own, at
        distance 1 from all others.

    Returns
    -------
    ndarray of shape (n, n_coordinates)
        Points.
    """
    if metric == "euclidean":
        return X
    largest = np.abs(X).max(axis=1, keepdims=True)
    is_zero = largest == 0
    scaled = X / np.where(is_zero, 1, largest)  # so that no square overflows
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.hstack([scaled / np.where(is_zero, 1, lengths), is_zero])


def point_distances(a: np.ndarray, b: np.ndarray, metric: str) -> np.ndarray:
    """Return the exact distances, (n_a, n_b), between points of `as_points`."""
    squared = cdist(a, b, "sqeuclidean")
    if metric == "cosine":
        squared[squared < SAME_DIRECTION] = 0
    return distances_from_squared(squared, metric)


def distances_from_squared(squared: np.ndarray, metric: str) -> np.ndarray:
    """Turn squared distances between points into distances, in place."""
    if metric == "cosine":
        return np.divide(squared, 2, out=squared)
    return np.sqrt(squared, out=squared)


def median_distance(space: Space) -> float:
    """Return the median distance between two models.

    Where most pairs are equal, the median of the others; 1 where all models are.
    Pools of more than `BANDWIDTH_MODELS` are sampled, always in the same way.
    """
    rows = fixed_sample(space.n_models, BANDWIDTH_MODELS)
    pairs = space.between(rows, rows)[np.triu_indices(len(rows), 1)]
    if len(pairs) == 0:
        return 1.0
    median = float(np.median(pairs))
    if median == 0 and pairs.any():
        median = float(np.median(pairs[pairs > 0]))
    if not np.isfinite(median):
        raise ValueError(
            "The distances between the embeddings overflow; scale X down or set "
            "bandwidth to a number."
        )
    return median or 1.0


def fixed_sample(n: int, size: int) -> np.ndarray:
    """Return ``size`` of ``n`` positions, ascending; the same ones at every call."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).permutation(n)[:size])
