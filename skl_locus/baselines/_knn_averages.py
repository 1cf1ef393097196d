"""Weighted means of scores over the nearest queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.query_groups import QueryGroup, group_by_queries
from skl_locus._estimation.clusters import shrunk_model_means

CHUNK_SIMILARITIES = 4_000_000
"""Maximum number of similarities in memory at a time; 16 MB in float32."""

EXACT = 1e-6
"""Largest cosine distance that counts as zero: the rounding error of float32."""


@dataclass(frozen=True)
class Neighborhood:
    """Number, weights and shrinkage of the neighbours in an average.

    Parameters
    ----------
    n_neighbors : int
        Number of nearest queries; a model with fewer queries uses all of them.
    weights : {"uniform", "distance", "softmax"}
        Weight of a neighbour: equal, 1 / (1 - cos) or exp(cos / temperature).
    temperature : float
        Width of the softmax.
    shrinkage : float
        Weight of the model's mean, as a number of evaluations.
    """

    n_neighbors: int
    weights: str = "uniform"
    temperature: float = 1.0
    shrinkage: float = 0.0

    def weigh(self, similarities: np.ndarray) -> np.ndarray:
        """Return the weights of neighbours by cosine, each (n_rows, n_neighbors)."""
        cosines = similarities.astype(np.float64)
        if self.weights == "softmax":
            # Only ratios of weights count; the largest exponent is 0 against overflow.
            gaps = cosines - cosines.max(axis=1, keepdims=True)
            return np.exp(gaps / self.temperature)
        if self.weights == "distance":
            return _inverse_distances(1 - cosines)
        return np.ones_like(cosines)

    def shrink(
        self, averages: np.ndarray, weights: np.ndarray, means: np.ndarray
    ) -> np.ndarray:
        """Shrink averages (n_rows, n_models) to the models' means (n_models,)."""
        if self.shrinkage == 0:
            return averages
        # Kish's effective number: unequal weights average fewer evaluations.
        totals = weights.sum(axis=1, keepdims=True)
        effective = totals**2 / (weights**2).sum(axis=1, keepdims=True)
        return (effective * averages + self.shrinkage * means) / (
            effective + self.shrinkage
        )


@dataclass(frozen=True)
class StoredScores:
    """Scores of models by query, in the form that averages need.

    Parameters
    ----------
    directions : ndarray of shape (n_vectors, n_features), float32
        Unit vectors of the queries.
    groups : tuple of QueryGroup
        Scores of the models, in groups of models with the same queries.
    means : ndarray of shape (n_models,)
        Mean score of each model, to which its averages are shrunk.
    """

    directions: np.ndarray
    groups: tuple[QueryGroup, ...]
    means: np.ndarray

    @classmethod
    def from_evaluations(
        cls, models: np.ndarray, evaluations: EvaluationSet, prior: float
    ) -> StoredScores:
        """Store the evaluations of models, which give the order of the columns."""
        return cls(
            normalize(evaluations.queries.encodings),
            group_by_queries(models, evaluations),
            shrunk_model_means(evaluations, prior)[evaluations.index_of(models)],
        )

    def averages(
        self,
        encodings: np.ndarray,
        settings: Sequence[Neighborhood],
        columns: np.ndarray | slice = slice(None),
    ) -> list[np.ndarray]:
        """Average scores around queries: (n_queries, n_columns) for each setting."""
        directions = normalize(encodings)
        shape = (len(encodings), len(self.means))
        matrices = [np.empty(shape, dtype=np.float32) for _ in settings]
        # Neighbours are found once for all models of a group and for all settings.
        wanted = np.arange(len(self.means))[columns]
        groups = [g for g in self.groups if np.isin(g.columns, wanted).any()]
        step = max(1, CHUNK_SIMILARITIES // len(self.directions))
        for start in range(0, len(encodings), step):
            chunk = slice(start, start + step)
            similarities = directions[chunk] @ self.directions.T
            for group in groups:
                averages = _group_averages(
                    group, similarities[:, group.rows], settings, self.means
                )
                for matrix, average in zip(matrices, averages, strict=True):
                    matrix[chunk, group.columns] = average
        return [matrix[:, columns] for matrix in matrices]


def _group_averages(
    group: QueryGroup,
    similarities: np.ndarray,
    settings: Sequence[Neighborhood],
    means: np.ndarray,
) -> list[np.ndarray]:
    nearest = _nearest(similarities, [setting.n_neighbors for setting in settings])
    cosines = np.take_along_axis(similarities, nearest, axis=1)
    scores = group.scores.astype(np.float64)
    averages = []
    for setting in settings:
        # Sorted where settings differ in number: the first columns are the nearest.
        first = slice(setting.n_neighbors)
        weights = setting.weigh(cosines[:, first])
        average = _weighted_average(weights, nearest[:, first], scores)
        averages.append(setting.shrink(average, weights, means[group.columns]))
    return averages


def _nearest(similarities: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Find the most similar columns of each row, sorted if the numbers differ."""
    k = min(max(numbers), similarities.shape[1])
    distances = -similarities
    nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
    if min(numbers) >= k:
        return nearest
    order = np.argsort(np.take_along_axis(distances, nearest, axis=1), kind="stable")
    return np.take_along_axis(nearest, order, axis=1)


def _weighted_average(
    weights: np.ndarray, neighbors: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    n_rows, k = neighbors.shape
    # A sparse product gathers no (n_rows, k, n_models) array of scores.
    stops = np.arange(0, n_rows * k + 1, k)
    shape = (n_rows, len(scores))
    table = csr_array((weights.ravel(), neighbors.ravel(), stops), shape=shape)
    return (table @ scores) / weights.sum(axis=1, keepdims=True)


def _inverse_distances(distances: np.ndarray) -> np.ndarray:
    """Invert distances; rows with exact matches weigh only these, all alike."""
    exact = distances <= EXACT
    inverse = 1 / np.where(exact, 1, distances)
    return np.where(exact.any(axis=1, keepdims=True), exact, inverse)
