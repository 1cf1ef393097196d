"""The models of a router with all that prediction needs, never changed in place."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from skl_locus._data.evaluations import EvaluationSet, NoEvaluations
from skl_locus._utils.runtime import warn_once
from skl_locus._utils.validation import collection_of
from skl_locus.exceptions import IgnoredModelWarning


@dataclass(frozen=True)
class ModelPool:
    """The models of a router and all that prediction needs; never changed.

    Subclasses add their arrays and implement `correctness`. A router replaces its
    pool by one assignment, so that a thread sees the old one or the new one.

    Parameters
    ----------
    models : ndarray of shape (n_models,), object
        Labels, in the order of the columns of every matrix.
    evaluations : EvaluationSet
        Everything known about the models.
    """

    models: np.ndarray
    evaluations: EvaluationSet
    positions: dict = field(init=False, repr=False)

    def __post_init__(self) -> None:
        positions = {label: i for i, label in enumerate(self.models)}
        object.__setattr__(self, "positions", positions)

    def without_evaluations(self) -> Self:
        """Return the pool for prediction only: its models cannot be changed."""
        twin = copy.copy(self)
        # Not by `replace`, which would make anew what prediction needs.
        object.__setattr__(twin, "evaluations", NoEvaluations())
        return twin

    @abstractmethod
    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct), (n_queries, n_columns), for some columns."""

    def scores_and_probabilities(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what decides between models, P unless overridden, and P(correct)."""
        probabilities = self.correctness(encodings, columns)
        return probabilities, probabilities

    def decision_scores(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return what decides between models: (n_queries, n_columns)."""
        return self.scores_and_probabilities(encodings, columns)[0]

    def columns_of(self, labels: Iterable) -> np.ndarray:
        """Return the columns of labels, all of which must be known."""
        labels = list(labels)
        unknown = [label for label in labels if label not in self.positions]
        if unknown:
            raise ValueError(
                f"Unknown model {unknown[0]!r}: it is not among the "
                f"{len(self.models)} models of the router. To onboard a new model, "
                "call add_models(X, y) with some of its evaluations."
            )
        return np.array([self.positions[label] for label in labels], dtype=np.intp)

    def select(self, models: Any) -> np.ndarray:
        """Return the columns of some labels, or of all models for None."""
        if models is None:
            return np.arange(len(self.models))
        columns = self.columns_of(collection_of(models, "models"))
        if len(columns) == 0:
            raise ValueError("models is empty; name at least one model or pass None.")
        return columns


@dataclass(frozen=True)
class EmbeddingPool(ModelPool):
    """A pool whose models have embeddings.

    Parameters
    ----------
    embeddings : ndarray of shape (n_models, n_components)
        One row per entry of ``models``.
    """

    embeddings: np.ndarray

    def left_out(self) -> np.ndarray | None:
        """Return what embeddings leave out of squared distances, None for nothing."""
        return None

    def compared_embeddings(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return embeddings for the rows, and for the columns, of a distance table.

        Parameters
        ----------
        metric : str
            Of `sklearn.metrics.pairwise_distances`.

        Returns
        -------
        rows, columns : ndarray of shape (n_models, n_columns)
            Their distances are those of different models.
        """
        return compared_embeddings(self.embeddings, self.left_out(), metric)


def compared_embeddings(
    embeddings: np.ndarray, left_out: np.ndarray | None, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Add to squared Euclidean distances what the embeddings of both sides leave out.

    Parameters
    ----------
    embeddings : ndarray of shape (n_models, n_components)
        Coordinates.
    left_out : ndarray of shape (n_models,) or None
        To be added to the squared distances of a model from all others.
    metric : str
        Other metrics than "euclidean" are those of the embeddings alone.

    Returns
    -------
    rows, columns : ndarray of shape (n_models, n_components or n_components + 2)
        Their distances are those of different models.
    """
    if left_out is None or metric != "euclidean" or not left_out.any():
        return embeddings, embeddings
    # On two further axes the rows have their own part and the columns theirs, so that
    # no metric of our own is needed: |a - b|^2 + u_a + u_b.
    lengths = np.sqrt(left_out)
    none = np.zeros_like(lengths)
    rows = np.column_stack([embeddings, lengths, none])
    return rows, np.column_stack([embeddings, none, lengths])


def without_models(evaluations: EvaluationSet, names: Iterable) -> EvaluationSet | None:
    """Drop the evaluations of some models; None if nothing is left."""
    dropped = set(names)
    kept = [name for name in evaluations.model_names if name not in dropped]
    if len(kept) == evaluations.n_models:
        return evaluations
    return evaluations.only_models(kept) if kept else None


def known_labels(router: Any, pool: ModelPool, labels: Iterable, name: str) -> list:
    """Return the labels that a pool has; warn once of each other one."""
    known = []
    for label in labels:
        if label in pool.positions:
            known.append(label)
        else:
            warn_once(
                router,
                (name, label),
                f"{name} has the model {label!r}, which the router does not have; it "
                "is ignored.",
                IgnoredModelWarning,
            )
    return known


def available_columns(
    router: Any, pool: ModelPool, columns: np.ndarray, unavailable: Collection
) -> np.ndarray:
    """Mark the columns that may be chosen, at least one: (n_columns,), bool.

    A model that the router does not have, perhaps since another thread has just removed
    it, is as unavailable as can be: there is one warning, in case the label is a
    mistake, and no error.
    """
    down = list(collection_of(unavailable, "unavailable"))
    if not down:
        return np.ones(len(columns), dtype=bool)
    down = known_labels(router, pool, down, "unavailable")
    available = ~np.isin(columns, pool.columns_of(down))
    if not available.any():
        raise ValueError(
            "No model is left to route to: all of models= are in unavailable=."
        )
    return available
