"""The models that a portfolio is chosen from, in canonical order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import factorize_labels, object_cells
from skl_locus._utils.validation import collection_of
from skl_locus.portfolio._kernel import Kernel, fits_in_memory
from skl_locus.portfolio._space import MatrixSpace, PointSpace, Space, as_points

SYMMETRY = 1e-6
"""Relative difference that rounding may leave between two given distances."""


@dataclass(frozen=True)
class ModelChoice:
    """The models of a table in canonical order, and which may be chosen.

    Parameters
    ----------
    labels : ndarray of shape (n_models,)
        Names, or row numbers.
    rows : ndarray of shape (n_models,)
        Row of each model in the table.
    cost : ndarray of shape (n_models,)
        Cost of each model.
    required : ndarray
        Models that must be chosen, ascending.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen.
    """

    labels: np.ndarray
    rows: np.ndarray
    cost: np.ndarray
    required: np.ndarray
    allowed: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Candidates(ModelChoice):
    """The models of a pool with the distances between them.

    Canonical order is the order of the names; without names that of the vectors,
    first coordinate first (for given distances, of each model's sorted distances),
    then of the costs. Nothing depends on the order of the table, since every sum is
    taken and every tie broken in canonical order.

    Parameters
    ----------
    labels, rows, cost, required, allowed
        As in `ModelChoice`.
    space : Space
        Distances.
    bandwidth : float
        Width of the kernel.
    memory_limit : float
        Largest matrix of similarities, in MiB.
    """

    space: Space
    bandwidth: float
    memory_limit: float

    @property
    def fits_in_memory(self) -> bool:
        """Whether all similarities may be stored."""
        return fits_in_memory(len(self), self.memory_limit)

    @cached_property
    def kernel(self) -> Kernel:
        """Similarities in double precision, or in single precision above the limit."""
        dtype = np.float64 if self.fits_in_memory else np.float32
        return Kernel(self.space, self.bandwidth, dtype)

    @cached_property
    def sums(self) -> np.ndarray:
        """Sum of each model's similarities to all."""
        return self.kernel.sums()

    def similarities(self, models: np.ndarray) -> np.ndarray:
        """Return all similarities among some models, (n, n)."""
        return Kernel(self.space.take(models), self.bandwidth).matrix()


def read_labels(X: Any, n_models: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the models' names, or row numbers, and the order of the names.

    Parameters
    ----------
    X : array-like of shape (n_models, n_columns)
        A DataFrame names models by its index.
    n_models : int
        Number of rows.

    Returns
    -------
    labels : ndarray of shape (n_models,)
        In the order of the rows.
    ranks : ndarray of shape (n_models,) or None
        Rank of each name; None without names.
    """
    if not isinstance(X, pd.DataFrame):
        return np.arange(n_models), None
    ranks, names = factorize_labels(X.index, "index")
    if len(names) < n_models:
        twice = names[int(np.bincount(ranks).argmax())]
        raise ValueError(
            f"The index of X names the model {twice!r} more than once; give every "
            "model one row and a name of its own."
        )
    return object_cells(X.index.tolist()), ranks


def canonical_order(
    values: np.ndarray, ranks: np.ndarray | None, cost: np.ndarray, given: bool
) -> np.ndarray:
    """Return the rows in canonical order.

    Parameters
    ----------
    values : ndarray of shape (n_models, n_columns)
        Embeddings, or distances.
    ranks : ndarray of shape (n_models,) or None
        Ranks of the names, if there are any.
    cost : ndarray of shape (n_models,)
        Costs.
    given : bool
        Whether the values are distances, whose columns have an order of their own.

    Returns
    -------
    ndarray of shape (n_models,)
        Rows.
    """
    if ranks is not None:
        return np.argsort(ranks)
    columns = (np.sort(values, axis=1) if given else values).T
    return np.lexsort([cost, *columns[::-1]])


def read_space(values: np.ndarray, order: np.ndarray, metric: str) -> Space:
    """Return the distances between the rows of a table, in canonical order."""
    if metric != "precomputed":
        return PointSpace(as_points(values[order], metric), metric)
    check_distances(values)
    return MatrixSpace(values, order)


def check_distances(matrix: np.ndarray) -> None:
    """Raise on what cannot be the distances between the models of a pool."""
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            "metric='precomputed' takes a square matrix of distances; got X of shape "
            f"{matrix.shape}."
        )
    largest = matrix.max()
    if matrix.min() < 0:
        raise ValueError(
            "Negative values in data: metric='precomputed' takes distances."
        )
    if matrix.diagonal().max() > SYMMETRY * largest:
        raise ValueError(
            "metric='precomputed': the diagonal of X is not zero; X must hold "
            "distances, not similarities."
        )
    if not np.allclose(matrix, matrix.T, rtol=SYMMETRY, atol=SYMMETRY * largest):
        raise ValueError("metric='precomputed': X is not symmetric.")


def read_choice(
    labels: np.ndarray, must_include: Collection, exclude: Collection
) -> tuple[np.ndarray, np.ndarray]:
    """Return what must and what may be chosen.

    Parameters
    ----------
    labels : ndarray of shape (n_models,)
        Names, or row numbers, in canonical order.
    must_include, exclude : collection of labels
        Models that must, and that must not, be chosen.

    Returns
    -------
    required : ndarray
        Positions, ascending.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen.
    """
    positions = {label: i for i, label in enumerate(labels)}
    required = _positions_of(must_include, "must_include", positions)
    excluded = _positions_of(exclude, "exclude", positions)
    both = np.intersect1d(required, excluded)
    if len(both):
        raise ValueError(
            f"The model {labels[both[0]]!r} is both in must_include and in exclude."
        )
    allowed = np.ones(len(labels), dtype=bool)
    allowed[excluded] = False
    if not allowed.any():
        raise ValueError("exclude leaves no model to choose.")
    return required, allowed


def _positions_of(names: Collection, parameter: str, positions: dict) -> np.ndarray:
    names = list(collection_of(names, parameter))
    unknown = [name for name in names if name not in positions]
    if unknown:
        raise ValueError(
            f"{parameter} has the unknown model {unknown[0]!r}: it is not among the "
            f"{len(positions)} models of X."
        )
    return np.unique(np.array([positions[name] for name in names], dtype=np.intp))
