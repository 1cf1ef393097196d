"""The router by each model's mean score within clusters of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._estimation.cross_validation import TUNE_FOR, choose_setting
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool

N_CLUSTERS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Candidates of ``n_clusters="auto"``, the simplest first."""

QUERIES_PER_CLUSTER = 8
"""Minimum mean number of queries per cluster with ``n_clusters="auto"``."""

SHRINKAGES = (30.0, 10.0, 3.0, 1.0)
"""Candidates of ``shrinkage="auto"``, the smoothest first."""

Candidate = tuple[QueryClusters, float]
"""Clusters and the shrinkage of the means within them."""


@dataclass(frozen=True)
class ClusterPool(ModelPool):
    """Clusters of unit vectors and each model's mean score within them."""

    prior: float
    shrinkage: float
    clusters: QueryClusters
    means: np.ndarray

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means in the cluster of each query."""
        nearest = self.clusters.assign(normalize(encodings))
        return self.means[:, columns][nearest]


class KMeansRouter(RouterMixin[ClusterPool]):
    """Predict each model by its mean score in the cluster of the query.

    The clusters are those of k-means on the unit-length encodings of the queries
    (cosine distance). A model's mean within a cluster is shrunk to its mean over all
    queries, so a model may be evaluated on any part of the queries.

    Parameters
    ----------
    n_clusters : int or "auto", default=16
        Number of clusters, at most the number of distinct encodings. "auto" chooses
        it by cross-validation.
    shrinkage : float or "auto", default=10.0
        Weight of the model's mean, as a number of evaluations within a cluster.
        "auto" chooses it by cross-validation.
    tune_for : {"log_loss", "routing_accuracy"}, default="log_loss"
        Criterion by which "auto" chooses.
    random_state : int, RandomState or None, default=None
        Seed of k-means.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.

    Attributes
    ----------
    n_clusters_ : int
        Number of clusters used.
    shrinkage_ : float
        Shrinkage used.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters' unit vectors.
    models_ : ndarray of shape (n_models,), object
        Labels of the models: sorted at `fit`, additions appended.
    classes_ : ndarray of shape (2,)
        [0, 1] for wrong and correct; the labels in ``y`` if ``X`` is an array.
    n_features_in_ : int
        Length of a query encoding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns. Defined only if the queries are given as
        columns.
    query_encoder_ : QueryEncoder or None
        Fitted encoder of text queries.

    See Also
    --------
    KNNRouter : Means over the nearest queries.
    LinearRouter : A regression for each model.

    Notes
    -----
    "auto" cross-validates within `fit` over five folds of the queries and tries every
    combination of the open values: for ``n_clusters`` the powers of two from 1 to 128
    that leave eight queries per cluster on average, for ``shrinkage`` 30, 10, 3 and 1.
    The clusters, which do not depend on scores, are those of all queries of `fit`; the
    means within them are those of the training folds alone. Of equally good values, the
    simplest is chosen; `add_models` keeps it.

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
        "n_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "shrinkage": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "tune_for": TUNE_FOR,
        "random_state": ["random_state"],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_clusters: int | str = 16,
        *,
        shrinkage: float | str = 10.0,
        tune_for: str = "log_loss",
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
        self.tune_for = tune_for
        self.random_state = random_state
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    @property
    def n_clusters_(self) -> int:
        """Number of clusters used."""
        return len(self._fitted_pool().clusters)

    @property
    def shrinkage_(self) -> float:
        """Shrinkage used."""
        return self._fitted_pool().shrinkage

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Means of the clusters' unit vectors."""
        return self._fitted_pool().clusters.centers

    def _make_pool(self, evaluations: EvaluationSet) -> ClusterPool:
        clusters, shrinkage = choose_setting(
            self._candidates(evaluations),
            evaluations,
            _held_out_means,
            self.tune_for,
        )
        prior = float(evaluations.scores.mean(dtype=np.float64))
        models = evaluations.model_names
        return _cluster_pool(models, evaluations, prior, shrinkage, clusters)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> ClusterPool:
        old = self._fitted_pool()
        return _cluster_pool(
            models, evaluations, old.prior, old.shrinkage, old.clusters
        )

    def _candidates(self, evaluations: EvaluationSet) -> list[Candidate]:
        """List the candidate settings, the simplest first."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        # Euclidean distances of unit vectors order queries as the cosine does.
        directions = normalize(evaluations.queries.vectors())
        numbers: Sequence = (self.n_clusters,)
        if self.n_clusters == "auto":
            largest = max(1, len(directions) // QUERIES_PER_CLUSTER)
            numbers = [k for k in N_CLUSTERS if k <= largest]
        clusterings = [QueryClusters.fit(directions, k, seed) for k in numbers]
        shrinkages: Sequence = (self.shrinkage,)
        if self.shrinkage == "auto":
            shrinkages = SHRINKAGES
        return list(product(clusterings, shrinkages))


def _cluster_pool(
    models: np.ndarray,
    evaluations: EvaluationSet,
    prior: float,
    shrinkage: float,
    clusters: QueryClusters,
) -> ClusterPool:
    means = shrunk_cluster_means(
        clusters,
        evaluations.with_encodings(normalize(evaluations.queries.encodings)),
        shrunk_model_means(evaluations, prior),
        shrinkage,
    )[:, evaluations.index_of(models)].astype(np.float32)
    return ClusterPool(models, evaluations, prior, shrinkage, clusters, means)


def _held_out_means(
    training: EvaluationSet, encodings: np.ndarray, candidates: Sequence[Candidate]
) -> Iterator[np.ndarray]:
    # The clusters are those of all queries: they are made without scores.
    prior = float(training.scores.mean(dtype=np.float64))
    models = training.model_names
    for clusters, shrinkage in candidates:
        pool = _cluster_pool(models, training, prior, shrinkage, clusters)
        yield pool.correctness(encodings, np.arange(len(models)))
