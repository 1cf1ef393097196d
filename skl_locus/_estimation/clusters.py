"""Clusters of similar queries, and models' mean scores within them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._utils.forks import survives_fork

N_STARTS = 4
"""K-means runs from different starts; the tightest is kept."""

CHUNK_QUERIES = 8_192
"""Queries assigned to clusters at a time."""

MEAN_SHRINKAGE = 2.0
"""Evaluations that the mean over all models counts for in the mean of one model or
query: enough for finite logits, and soon outweighed."""


@dataclass(frozen=True)
class QueryClusters:
    """Clusters of encodings by Euclidean distance.

    Parameters
    ----------
    centers : ndarray of shape (n_clusters, n_features), float32
        Means of the clusters.
    """

    centers: np.ndarray

    @classmethod
    def fit(cls, encodings: np.ndarray, n_clusters: int, seed: int) -> QueryClusters:
        """Cluster encodings (n_queries, n_features) into at most ``n_clusters``."""
        distinct = np.unique(encodings, axis=0)
        labels = _k_means_labels(encodings, min(n_clusters, len(distinct)), seed)
        # K-means adds up its centres in the order in which threads finish; the
        # labels settle, and the centres are computed again in a fixed order.
        members = [encodings[labels == i] for i in np.unique(labels)]
        centers = [m.mean(axis=0, dtype=np.float64) for m in members]
        return cls(np.array(centers, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.centers)

    def assign(self, encodings: np.ndarray) -> np.ndarray:
        """Find the nearest centre of each encoding: (n_queries,)."""
        # sklearn.metrics.pairwise_distances_argmin gives the same in twice the time
        # (thirty times for a single query), and importing it takes longer than
        # importing this package.
        half_norms = (self.centers**2).sum(axis=1) / 2
        nearest = np.empty(len(encodings), dtype=np.intp)
        for start in range(0, len(encodings), CHUNK_QUERIES):
            chunk = slice(start, start + CHUNK_QUERIES)
            # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2), and |x|^2 is the same for all c.
            closeness = encodings[chunk] @ self.centers.T - half_norms
            nearest[chunk] = closeness.argmax(axis=1)
        return nearest

    def groups_of(self, queries: QuerySet) -> np.ndarray:
        """Find the cluster of each query, of equal encodings once: (n_queries,)."""
        return self.assign(queries.encodings)[queries.rows]

    def squared_distances(self, encodings: np.ndarray) -> np.ndarray:
        """Return the squared distance of each encoding to each centre."""
        norms = (encodings**2).sum(axis=1, keepdims=True)
        squares = (self.centers**2).sum(axis=1) - 2 * encodings @ self.centers.T
        return (norms + squares).clip(min=0)

    def distances_left_out(self, encodings: np.ndarray) -> np.ndarray:
        """Measure how far each clustered query is from the others' nearest centre.

        A query's own centre is taken without it; infinite where there is no other.
        """
        squares = self.squared_distances(encodings)
        rows, own = np.arange(len(squares)), squares.argmin(axis=1)
        sizes = np.bincount(own, minlength=len(self))[own].astype(float)
        # Without its own part 1/n, the centre is farther by n / (n - 1).
        farther = sizes / np.maximum(sizes - 1, 1)
        to_own = np.where(sizes > 1, np.sqrt(squares[rows, own]) * farther, np.inf)
        squares[rows, own] = np.inf
        return np.minimum(to_own, np.sqrt(squares.min(axis=1)))

    def totals(self, evaluations: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
        """Sum scores and count evaluations, each (n_clusters, n_models)."""
        groups = self.groups_of(evaluations.queries)
        shape = (len(self), evaluations.n_models)
        # One flat index per cell: summing is one pass over the evaluations.
        cells = groups[evaluations.query_codes] * shape[1] + evaluations.model_codes
        size = shape[0] * shape[1]
        sums = np.bincount(cells, evaluations.scores.astype(np.float64), size)
        counts = np.bincount(cells, minlength=size)
        return sums.reshape(shape), counts.reshape(shape)


@survives_fork
def _k_means_labels(encodings: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    # Loading sklearn.cluster takes as long as all of this package.
    from sklearn.cluster import KMeans

    k_means = KMeans(n_clusters, n_init=N_STARTS, random_state=seed)
    with warnings.catch_warnings():
        # Nearly equal encodings may fill fewer clusters than asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return k_means.fit(encodings).labels_


def shrunk_model_means(evaluations: EvaluationSet, prior: float) -> np.ndarray:
    """Return each model's mean score, shrunk to ``prior``: (n_models,)."""
    sizes = evaluations.sizes
    sums = evaluations.model_means() * sizes
    return (sums + MEAN_SHRINKAGE * prior) / (sizes + MEAN_SHRINKAGE)


def shrunk_cluster_means(
    clusters: QueryClusters,
    evaluations: EvaluationSet,
    means: np.ndarray,
    shrinkage: float,
) -> np.ndarray:
    """Return each model's mean score within clusters, shrunk to its mean.

    Parameters
    ----------
    clusters : QueryClusters
        The clusters.
    evaluations : EvaluationSet
        Scores.
    means : ndarray of shape (n_models,)
        What a model's cluster means are shrunk to.
    shrinkage : float
        Number of evaluations that ``means`` count for.

    Returns
    -------
    ndarray of shape (n_clusters, n_models)
        (sum + shrinkage * mean) / (count + shrinkage).
    """
    sums, counts = clusters.totals(evaluations)
    weights = counts + shrinkage
    # With a shrinkage of 0 an empty cell has no mean of its own.
    shrunk = np.broadcast_to(means, sums.shape).copy()
    return np.divide(sums + shrinkage * means, weights, out=shrunk, where=weights > 0)
