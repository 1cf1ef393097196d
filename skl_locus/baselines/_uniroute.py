"""UniRoute: models as vectors of their mean scores in clusters of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._estimation.cross_validation import TUNE_FOR, choose_setting
from skl_locus._estimation.softmax_map import MapProblem, SoftmaxMap, mixed_means
from skl_locus._routing.embedding_base import EmbeddingRouterMixin
from skl_locus._routing.pool import EmbeddingPool
from skl_locus.baselines._kmeans import KMeansRouter

ALPHAS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Candidates of ``alpha="auto"``, the smoothest first."""


@dataclass(frozen=True)
class ClusterVectorPool(EmbeddingPool):
    """Vectors of mean scores in clusters, and the map from queries to clusters.

    The embeddings of the models are their mean scores: (n_models, n_clusters).
    """

    prior: float
    shrinkage: float
    clusters: QueryClusters
    query_map: SoftmaxMap | None
    alpha: float | None

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means, in the query's cluster or mixed by the map."""
        directions = normalize(encodings)
        means = self.embeddings[columns].T
        if self.query_map is None:
            return means[self.clusters.assign(directions)]
        return mixed_means(self.query_map.shares(directions), means)


class UniRouteRouter(EmbeddingRouterMixin[ClusterVectorPool]):
    """Represent each model by its mean scores in clusters of queries.

    UniRoute (arXiv 2502.08773) routes among models that were unknown at training: a
    model is the vector of its errors in K clusters, measured on a labelled sample of
    queries, and a query is a vector of K shares in the clusters. The shares are those
    of the nearest cluster alone, or come from a map that is learned on the models of
    `fit`. A new model needs its vector and no gradient.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        Number of clusters K, at most the number of distinct encodings. "auto" chooses
        it by cross-validation.
    query_map : {"softmax", "nearest"}, default="softmax"
        Shares Phi of a query in the clusters. "softmax" learns them ("LearnedMap");
        "nearest" gives the nearest cluster a share of 1 ("K-means").
    alpha : float or "auto", default="auto"
        L2 penalty on the learned map; not used with "nearest". "auto" chooses it by
        cross-validation.
    shrinkage : float or "auto", default=0.0
        Weight of the model's mean, as a number of evaluations within a cluster.
        "auto" chooses it by cross-validation. The paper has none.
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
    alpha_ : float or None
        Penalty used; None without a learned map.
    shrinkage_ : float
        Shrinkage used.
    coef_ : ndarray of shape (n_clusters, n_features) or None
        Slopes theta of the learned map; None without one.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters' unit vectors.
    embeddings_ : ndarray of shape (n_models, n_clusters)
        Mean scores in the clusters, 1 - Psi, one row per entry of ``models_``.
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
    KMeansRouter : The same with ``query_map="nearest"``.
    ProxRouter : Clusters weighted by distance instead of a learned map.

    Notes
    -----
    With ``Phi(x)`` the shares of a query and ``Psi(m)`` the mean errors of a model,
    ``P(correct) = 1 - Phi(x) . Psi(m)``. The paper's rule, the smallest ``Phi . Psi +
    lambda * cost``, is ``route(..., costs=costs, cost_weight=lambda)``. In the learned
    map, ``Phi_k = softmax_k(theta_k . x)`` for the unit vector x of the query, and
    theta minimises the sum of the log losses of all evaluations and ``alpha / 2
    |theta|^2``, by L-BFGS from the centres of the clusters.

    Three things differ from the paper. Vectors and map are learned from the same
    queries: each evaluation is left out of the vector that predicts it, which the
    paper obtains from a separate labelled sample. The penalty is added, since a log
    of a few hundred queries does not determine K slopes per feature. And encodings
    have unit length.

    "auto" cross-validates within `fit` over five folds of the queries: first
    ``n_clusters`` and ``shrinkage`` with the nearest cluster, as `KMeansRouter` does,
    then ``alpha`` among 10, 3, 1, 0.3, 0.1 and 0.03. `add_models` keeps all of it.

    ``query_map="nearest"`` is ``KMeansRouter(shrinkage=0.0)``. With one cluster it is
    `BestSingleRouter`, the paper's "ZeroRouter".

    Examples
    --------
    >>> from skl_locus import UniRouteRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = UniRouteRouter(4, alpha=1.0, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> router.embeddings_.shape
    (6, 4)
    """

    _parameter_constraints: dict = {
        "n_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "query_map": [StrOptions({"softmax", "nearest"})],
        "alpha": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "shrinkage": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "tune_for": TUNE_FOR,
        "random_state": ["random_state"],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        query_map: str = "softmax",
        alpha: float | str = "auto",
        shrinkage: float | str = 0.0,
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
        self.query_map = query_map
        self.alpha = alpha
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
    def alpha_(self) -> float | None:
        """Penalty used; None without a learned map."""
        return self._fitted_pool().alpha

    @property
    def shrinkage_(self) -> float:
        """Shrinkage used."""
        return self._fitted_pool().shrinkage

    @property
    def coef_(self) -> np.ndarray | None:
        """Slopes of the learned map; None without one."""
        query_map = self._fitted_pool().query_map
        return None if query_map is None else query_map.coef

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Means of the clusters' unit vectors."""
        return self._fitted_pool().clusters.centers

    def _make_pool(self, evaluations: EvaluationSet) -> ClusterVectorPool:
        nearest = KMeansRouter(
            self.n_clusters,
            shrinkage=self.shrinkage,
            tune_for=self.tune_for,
            random_state=self.random_state,
        )._make_pool(evaluations)
        alpha, query_map = None, None
        if self.query_map == "softmax":
            directions = normalize(evaluations.queries.encodings)
            alpha, query_map = self._learn_map(
                evaluations.with_encodings(directions),
                nearest.clusters,
                nearest.shrinkage,
            )
        return ClusterVectorPool(
            nearest.models,
            evaluations,
            np.ascontiguousarray(nearest.means.T),
            nearest.prior,
            nearest.shrinkage,
            nearest.clusters,
            query_map,
            alpha,
        )

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> ClusterVectorPool:
        old = self._fitted_pool()
        directions = normalize(evaluations.queries.encodings)
        means = shrunk_cluster_means(
            old.clusters,
            evaluations.with_encodings(directions),
            shrunk_model_means(evaluations, old.prior),
            old.shrinkage,
        )[:, evaluations.index_of(models)].astype(np.float32)
        return ClusterVectorPool(
            models,
            evaluations,
            np.ascontiguousarray(means.T),
            old.prior,
            old.shrinkage,
            old.clusters,
            old.query_map,
            old.alpha,
        )

    def _learn_map(
        self, evaluations: EvaluationSet, clusters: QueryClusters, shrinkage: float
    ) -> tuple[float, SoftmaxMap]:
        def held_out(
            training: EvaluationSet, encodings: np.ndarray, alphas: Sequence[float]
        ) -> Iterator[np.ndarray]:
            for query_map, means in _maps(training, clusters, shrinkage, alphas):
                yield mixed_means(query_map.shares(encodings), means)

        alphas: Sequence[float] = ALPHAS
        if self.alpha != "auto":
            alphas = (float(self.alpha),)
        alpha = choose_setting(alphas, evaluations, held_out, self.tune_for)
        # By the same steps as in the choice, so that it is the map that was chosen.
        path = alphas[: alphas.index(alpha) + 1]
        *_, (query_map, _) = _maps(evaluations, clusters, shrinkage, path)
        return alpha, query_map


def _maps(
    training: EvaluationSet,
    clusters: QueryClusters,
    shrinkage: float,
    alphas: Sequence[float],
) -> Iterator[tuple[SoftmaxMap, np.ndarray]]:
    """Yield the map of each penalty, falling, and the means that it mixes."""
    prior = float(training.scores.mean(dtype=np.float64))
    problem = MapProblem.of(training, clusters, shrinkage, prior)
    coef = clusters.centers.astype(np.float64)
    for alpha in alphas:
        # The map of the penalty before is a start that needs few steps.
        query_map = problem.fit(alpha, coef)
        coef = query_map.coef
        yield query_map, problem.means
