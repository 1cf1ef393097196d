"""ProxRouter: means of all clusters, weighted by proximity and by reliability."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.blends import weighted_sums
from skl_locus._estimation.clusters import QueryClusters, shrunk_model_means
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool

NO_SPREAD = 1e-6
"""Cosine distances up to this are zero but for the rounding of float32."""


@dataclass(frozen=True)
class ProximityReferences:
    """Clusters as references for queries: directions, spreads and the tilt.

    Parameters
    ----------
    clusters : QueryClusters
        Clusters of unit vectors.
    spreads : ndarray of shape (n_clusters,)
        Mean cosine distance of the members to their centre, floored.
    temperature : float
        Cosine distance at which the weight of a cluster has fallen to 1 / e.
    """

    clusters: QueryClusters
    spreads: np.ndarray
    temperature: float

    @classmethod
    def fit(
        cls, encodings: np.ndarray, n_clusters: int, temperature: float, seed: int
    ) -> ProximityReferences:
        """Cluster the encodings of queries and measure the spread of the clusters."""
        directions = normalize(encodings)
        clusters = QueryClusters.fit(directions, n_clusters, seed)
        members = clusters.assign(directions)
        distances = _cosine_distances(directions, clusters)
        own = distances[np.arange(len(members)), members]
        sizes = np.bincount(members, minlength=len(clusters))
        spreads = np.bincount(members, own, len(clusters)) / np.maximum(sizes, 1)
        return cls(clusters, _floored(spreads, sizes), temperature)

    def tilts(self, encodings: np.ndarray) -> np.ndarray:
        """Return exp(-distance / temperature) up to a factor of each query."""
        distances = _cosine_distances(normalize(encodings), self.clusters)
        # The nearest cluster has weight 1: weights are only compared within a query,
        # and without this all of them could underflow at a low temperature.
        distances -= distances.min(axis=1, keepdims=True)
        return np.exp(-distances / self.temperature)


@dataclass(frozen=True)
class ProximityPool(ModelPool):
    """References of queries, with means and reliabilities of the models there."""

    prior: float
    shrinkage: float
    references: ProximityReferences
    values: np.ndarray
    reliabilities: np.ndarray
    means: np.ndarray

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means, averaged over the clusters of each query."""
        tilts = self.references.tilts(encodings)
        weights = self.reliabilities[:, columns]
        totals = weighted_sums(tilts, weights)
        sums = weighted_sums(tilts, weights * self.values[:, columns])
        # A model all of whose clusters are so far away that their weights underflow
        # has only its mean.
        P = np.tile(self.means[columns], (len(encodings), 1))
        np.divide(sums, totals, out=P, where=totals > 0)
        return P.clip(0, 1).astype(np.float32)


class ProxRouter(RouterMixin[ProximityPool]):
    """Predict by the means in all clusters, of which near and tight ones count most.

    ProxRouter (arXiv 2510.09852) replaces the mean in the nearest cluster by an average
    over clusters that is tilted exponentially towards near ones. A query between
    clusters, or far from all of them, is then predicted from several of them.

    Parameters
    ----------
    n_clusters : int, default=32
        Number of clusters K, at most the number of distinct encodings.
    temperature : float, default=0.05
        Width tau of the tilt, in cosine distance.
    shrinkage : float, default=0.0
        Weight of the model's mean in its mean within a cluster, as a number of
        evaluations. The paper has none.
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
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters' unit vectors.
    spreads_ : ndarray of shape (n_clusters,)
        Mean cosine distance of the members of each cluster to its centre.
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
    KMeansRouter : The mean in the nearest cluster alone.
    KNNRouter : Its softmax weights are the form of ProxRouter with queries.

    Notes
    -----
    For a query x, let ``d_k`` be the cosine distance of x from the centre of cluster k
    and ``s_k`` the mean distance of the cluster's members from it. A model with
    ``n_k`` evaluations of mean ``V_k`` there has ::

        P = sum_k w_k V_k / sum_k w_k,   w_k = (n_k / s_k) exp(-d_k / temperature)

    The prior ``n_k / s_k`` is the one of minimum variance: the variance of ``V_k`` is
    taken to be proportional to ``s_k / n_k``. A cluster of one member has no spread;
    its ``s_k`` is the mean of those of the other clusters, since its weight would be
    infinite otherwise.

    Two things differ from the paper. There, ``n_k`` is the number of queries in the
    cluster; here, it is that of the model's own evaluations, which is the same in a
    complete log and leaves out clusters without evaluations in a partial one. And
    ``V_k`` is the mean score alone: costs are weighed by `route`, as for all routers.

    The second form of the paper, with the 100 nearest queries in the place of clusters
    and weights ``exp(-d / tau)``, is
    ``KNNRouter(100, weights="softmax", temperature=0.05)``.

    Examples
    --------
    >>> from skl_locus import ProxRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = ProxRouter(8, random_state=0).fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_clusters: int = 32,
        *,
        temperature: float = 0.05,
        shrinkage: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_clusters = n_clusters
        self.temperature = temperature
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
        return self._fitted_pool().references.clusters.centers

    @property
    def spreads_(self) -> np.ndarray:
        """Mean cosine distance of the members of each cluster to its centre."""
        return self._fitted_pool().references.spreads

    def _make_pool(self, evaluations: EvaluationSet) -> ProximityPool:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        references = ProximityReferences.fit(
            evaluations.queries.vectors(), self.n_clusters, self.temperature, seed
        )
        prior = float(evaluations.scores.mean(dtype=np.float64))
        models = evaluations.model_names
        return _proximity_pool(models, evaluations, prior, self.shrinkage, references)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> ProximityPool:
        old = self._fitted_pool()
        return _proximity_pool(
            models, evaluations, old.prior, old.shrinkage, old.references
        )


def _proximity_pool(
    models: np.ndarray,
    evaluations: EvaluationSet,
    prior: float,
    shrinkage: float,
    references: ProximityReferences,
) -> ProximityPool:
    order = evaluations.index_of(models)
    means = shrunk_model_means(evaluations, prior)[order]
    directions = normalize(evaluations.queries.encodings)
    sums, counts = references.clusters.totals(evaluations.with_encodings(directions))
    sums, counts = sums[:, order], counts[:, order]
    # Where a model has no evaluations its weight is zero, whatever its value.
    values = np.zeros(sums.shape)
    np.divide(
        sums + shrinkage * means, counts + shrinkage, out=values, where=counts > 0
    )
    reliabilities = counts / references.spreads[:, None]
    return ProximityPool(
        models, evaluations, prior, shrinkage, references, values, reliabilities, means
    )


def _cosine_distances(directions: np.ndarray, clusters: QueryClusters) -> np.ndarray:
    cosines = directions @ normalize(clusters.centers).T
    return (1 - cosines.astype(np.float64)).clip(min=0)


def _floored(spreads: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Replace spreads of zero, whose clusters would get all the weight."""
    known = (sizes > 1) & (spreads > NO_SPREAD)
    # Where no cluster has a spread, all of them are equally reliable per member.
    floor = spreads[known].mean() if known.any() else 1.0
    return np.where(known, spreads, floor)
