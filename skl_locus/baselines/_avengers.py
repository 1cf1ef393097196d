"""Avengers and Avengers-Pro: ranks or scores of models in the nearest clusters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from skl_locus._costs.tables import costs_by_label
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.blends import weighted_sums
from skl_locus._estimation.clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool

RANK_OFFSET = 0.1
"""Added to ranks from 0 before they are inverted: the first place counts 10, the second
0.9. From the authors' description."""

TIED_DECIMALS = 6
"""Means that agree to so many decimals are tied: scores are kept in single precision,
and sums of 0.2 and 0.4, or of 0.6 and 0, would differ in the last digit."""

UNRANKED = 1 / 999
"""Points of a model without evaluations in a cluster, likewise."""


@dataclass(frozen=True)
class NearestClusters:
    """How many of the nearest clusters decide, and by which weights.

    Parameters
    ----------
    clusters : QueryClusters
        Clusters of unit vectors.
    n_nearest : int
        Number of clusters with a weight.
    temperature : float
        Width of the softmax of minus the distances.
    """

    clusters: QueryClusters
    n_nearest: int
    temperature: float

    def weights(self, encodings: np.ndarray) -> np.ndarray:
        """Return the softmax weights: (n_queries, n_clusters), most of them zero."""
        squares = self.clusters.squared_distances(normalize(encodings))
        distances = np.sqrt(squares.astype(np.float64))
        n_nearest = min(self.n_nearest, distances.shape[1])
        # A stable sort, so that equal distances are cut off in the order of clusters.
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :n_nearest]
        weights = np.zeros(distances.shape)
        shares = softmax(
            -np.take_along_axis(distances, nearest, axis=1) / self.temperature, axis=1
        )
        np.put_along_axis(weights, nearest, shares, axis=1)
        return weights


@dataclass(frozen=True)
class RankedClusterPool(ModelPool):
    """Mean scores in clusters, and the points by which models are chosen there."""

    prior: float
    nearest: NearestClusters
    means: np.ndarray
    points: np.ndarray
    is_weighted: bool

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means, averaged over the nearest clusters."""
        weights = self.nearest.weights(encodings)
        P = weighted_sums(weights, self.means[:, columns])
        return P.clip(0, 1).astype(np.float32)

    def scores_and_probabilities(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the points in the nearest clusters, and P(correct)."""
        weights = self.nearest.weights(encodings)
        P = weighted_sums(weights, self.means[:, columns])
        votes = weights if self.is_weighted else (weights > 0).astype(np.float64)
        points = weighted_sums(votes, self.points[:, columns])
        return points.astype(np.float32), P.clip(0, 1).astype(np.float32)


class AvengersRouter(RouterMixin[RankedClusterPool]):
    """Choose the model with the best places in the nearest clusters of queries.

    The Avengers (arXiv 2505.19797) rank the models within clusters of queries by their
    mean scores and add up the inverse ranks over the clusters nearest to a query.
    Avengers-Pro (arXiv 2508.12631) adds up scores that trade quality for cost by one
    dial; set ``performance_weight`` for it.

    Parameters
    ----------
    n_clusters : int, default=64
        Number of clusters, at most the number of distinct encodings. Avengers-Pro has
        25.
    n_nearest : int, default=2
        Number of nearest clusters that decide, top_k or top_p. Avengers-Pro has 3.
    temperature : float, default=1 / 6
        Width of the softmax over distances, 1 / beta. Avengers-Pro has 1 / 9.
    performance_weight : float or None, default=None
        Weight alpha of quality against cost in [0, 1], of Avengers-Pro; None for the
        ranks of the Avengers.
    costs : mapping of label to float or None, default=None
        What each model costs a query, in any unit, for a ``performance_weight`` below
        1. All models need one, also those that are added later.
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
    KMeansRouter : The mean score in the nearest cluster.
    skl_locus.metrics.performance_dial_curve : The dial with the P of any router.
    skl_locus.metrics.voting_score : Votes over the samples of the chosen models.

    Notes
    -----
    With ``D_c`` the Euclidean distance of a query's unit vector from the centre of
    cluster c, and w the softmax of ``-D / temperature`` over the nearest clusters:

    - ``P(correct) = sum_c w_c V_c`` with the model's mean scores ``V_c``. Where it has
      no evaluations, ``V_c`` is its mean, shrunk to that of the pool by a weight of
      two evaluations.
    - Without ``performance_weight``, `route` chooses by ``sum_c w_c / (r_c + 0.1)``,
      where ``r_c`` is the number of models with a larger ``V_c``. In a cluster without
      evaluations of the model, 1/999 takes the place of ``1 / (r_c + 0.1)``.
    - With ``performance_weight=alpha``, it chooses by ``sum_c alpha v_c + (1 - alpha)
      (1 - q)`` over the nearest clusters, where ``v_c`` is ``V_c`` mapped to [0, 1]
      from its range over the models with evaluations there, and q the cost mapped in
      the same way. Models without evaluations have ``v_c = 0``.

    Ranks and ranges are those of all models of the pool, so an added model changes the
    decision scores of the others, and no P. ``costs=`` of `route` weighs P instead.

    Differences from the papers: equally good models share the better rank; of
    Avengers-Pro the rule of the paper is followed, while its code inverts ranks of
    these scores; and costs do not depend on the cluster. The vote of the Avengers among
    several samples of the chosen models is `skl_locus.metrics.majority_vote`, and
    `skl_locus.metrics.voting_score` repeats it on a log.

    Examples
    --------
    >>> from skl_locus import AvengersRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = AvengersRouter(8, random_state=0).fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> costs = dict(zip(router.models_, [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]))
    >>> cheap = AvengersRouter(8, performance_weight=0.0, costs=costs, random_state=0)
    >>> cheap = cheap.fit(log, log["score"])
    >>> set(cheap.route(pool.encodings)) <= {"model-0", "model-3"}
    True
    """

    _parameter_constraints: dict = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "n_nearest": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "performance_weight": [Interval(Real, 0, 1, closed="both"), None],
        "costs": [Mapping, None],
        "random_state": ["random_state"],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_clusters: int = 64,
        *,
        n_nearest: int = 2,
        temperature: float = 1 / 6,
        performance_weight: float | None = None,
        costs: Mapping | None = None,
        random_state: int | np.random.RandomState | None = None,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_clusters = n_clusters
        self.n_nearest = n_nearest
        self.temperature = temperature
        self.performance_weight = performance_weight
        self.costs = costs
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
        return len(self._fitted_pool().nearest.clusters)

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Means of the clusters' unit vectors."""
        return self._fitted_pool().nearest.clusters.centers

    def _make_pool(self, evaluations: EvaluationSet) -> RankedClusterPool:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        directions = normalize(evaluations.queries.vectors())
        nearest = NearestClusters(
            QueryClusters.fit(directions, self.n_clusters, seed),
            self.n_nearest,
            self.temperature,
        )
        prior = float(evaluations.scores.mean(dtype=np.float64))
        return self._ranked(evaluations.model_names, evaluations, prior, nearest)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> RankedClusterPool:
        old = self._fitted_pool()
        return self._ranked(models, evaluations, old.prior, old.nearest)

    def _ranked(
        self,
        models: np.ndarray,
        evaluations: EvaluationSet,
        prior: float,
        nearest: NearestClusters,
    ) -> RankedClusterPool:
        order = evaluations.index_of(models)
        directions = normalize(evaluations.queries.encodings)
        unit = evaluations.with_encodings(directions)
        targets = shrunk_model_means(evaluations, prior)
        means = shrunk_cluster_means(nearest.clusters, unit, targets, 0.0)[:, order]
        known = nearest.clusters.totals(unit)[1][:, order] > 0
        weight = self.performance_weight
        if weight is None:
            points = _inverse_ranks(means, known)
        else:
            cheapness = 0.0 if weight == 1 else 1 - _scaled(self._costs_of(models))
            points = weight * _scaled(means, known) + (1 - weight) * cheapness
        return RankedClusterPool(
            models, evaluations, prior, nearest, means, points, weight is None
        )

    def _costs_of(self, models: np.ndarray) -> np.ndarray:
        if self.costs is None:
            raise ValueError(
                f"performance_weight={self.performance_weight!r} weighs quality "
                "against cost; pass costs=, the cost of each model."
            )
        costs = costs_by_label(self.costs, models)
        return np.array([[costs[label] for label in models]])


def _inverse_ranks(means: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return 1 / (rank + 0.1) in each cluster, with ranks from 0."""
    values = np.where(known, means.round(TIED_DECIMALS), -np.inf)
    ascending = np.sort(values, axis=1)
    # The rank is the number of better models, so that it does not depend on the order
    # in which equal ones come.
    better = [
        values.shape[1] - np.searchsorted(row, own, side="right")
        for row, own in zip(ascending, values, strict=True)
    ]
    return np.where(known, 1 / (np.array(better) + RANK_OFFSET), UNRANKED)


def _scaled(values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Map the range of the known values of each row to [0, 1]; others become 0."""
    if known is None:
        known = np.ones(values.shape, dtype=bool)
    least = np.where(known, values, np.inf).min(axis=1, keepdims=True)
    most = np.where(known, values, -np.inf).max(axis=1, keepdims=True)
    # Where all are equal, none is better than another: all are 0.
    known = known & (most > least)
    width = np.where(most > least, most - least, 1.0)
    return np.where(known, (values - least) / width, 0.0)
