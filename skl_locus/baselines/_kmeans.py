"""The mean score of each model within clusters of queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from skl_locus._clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._evaluations import EvaluationSet, positions_of
from skl_locus._pool import Pool
from skl_locus._reading import COLUMN_CONSTRAINTS
from skl_locus._routing import RouterMixin


@dataclass(frozen=True)
class ClusterPool(Pool):
    """Clusters of unit vectors and each model's mean score within them."""

    prior: float
    clusters: QueryClusters
    means: np.ndarray

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means in the cluster of each query."""
        nearest = self.clusters.assign(normalize(encodings))
        return self.means[:, columns][nearest]


class KMeansRouter(RouterMixin):
    """Predict each model by its mean score in the cluster of the query.

    K-means on the unit-length encodings of the queries (cosine distance). A model's
    mean within a cluster is shrunk to its mean over all queries, so that it may have
    seen any part of them.

    Parameters
    ----------
    n_clusters : int, default=16
        Number of clusters, at most the number of distinct encodings.
    shrinkage : float, default=10.0
        Number of evaluations that a model's mean counts for within a cluster.
    random_state : int, RandomState or None, default=None
        Seed of k-means.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        How text becomes vectors; None takes queries that are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Columns of the model, the query and (optional) its identity.
    encoding_cols : list of str, default=None
        Columns of the query encoding where there is no query column.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        How repeated rows of a (model, query) pair are combined.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters' unit vectors.
    models_ : ndarray of shape (n_models,), object
        Labels: sorted at fit, additions appended.
    classes_ : ndarray of shape (2,)
        [0, 1]: wrong, correct.
    n_features_in_ : int
        Length of a query encoding.
    query_encoder_ : QueryEncoder or None
        The fitted encoder of texts.

    Examples
    --------
    >>> from skl_locus import KMeansRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = KMeansRouter(random_state=0).fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_clusters: int = 16,
        *,
        shrinkage: float = 10.0,
        random_state: int | np.random.RandomState | None = None,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_clusters = n_clusters
        self.shrinkage = shrinkage
        self.random_state = random_state
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Means of the clusters' unit vectors."""
        return self._cluster_pool().clusters.centers

    def _make_pool(self, evaluations: EvaluationSet) -> ClusterPool:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        directions = normalize(evaluations.queries.vectors())
        clusters = QueryClusters.fit(directions, self.n_clusters, seed)
        prior = float(evaluations.scores.mean(dtype=np.float64))
        return self._pool_of(evaluations.model_names, evaluations, prior, clusters)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> ClusterPool:
        pool = self._cluster_pool()
        return self._pool_of(models, evaluations, pool.prior, pool.clusters)

    def _pool_of(
        self,
        models: np.ndarray,
        evaluations: EvaluationSet,
        prior: float,
        clusters: QueryClusters,
    ) -> ClusterPool:
        means = shrunk_cluster_means(
            clusters,
            evaluations.with_encodings(normalize(evaluations.queries.encodings)),
            shrunk_model_means(evaluations, prior),
            self.shrinkage,
        )
        order = positions_of(models, evaluations)
        return ClusterPool(
            models, evaluations, prior, clusters, means[:, order].astype(np.float32)
        )

    def _cluster_pool(self) -> ClusterPool:
        pool = self._fitted_pool()
        assert isinstance(pool, ClusterPool)
        return pool
