"""The base class of all portfolios."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skl_locus._costs.tables import model_costs
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus.portfolio._candidates import (
    Candidates,
    canonical_order,
    read_choice,
    read_labels,
    read_space,
)
from skl_locus.portfolio._kernel import similarity
from skl_locus.portfolio._selection import nearest_chosen
from skl_locus.portfolio._space import (
    PointSpace,
    as_points,
    median_distance,
    point_distances,
)

MEMORY_LIMIT = 1024.0
"""Default for the largest matrix of similarities, in MiB: 11,585 models."""

COMMON_CONSTRAINTS: dict = {
    "metric": [StrOptions({"cosine", "euclidean", "precomputed"})],
    "bandwidth": [StrOptions({"median"}), Interval(Real, 0, None, closed="neither")],
    "must_include": [Collection],
    "exclude": [Collection],
    "memory_limit": [Interval(Real, 0, None, closed="neither")],
}


class BasePortfolio(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, PickleVersionMixin, BaseEstimator
):
    """Base of the portfolios: choice of models, and assignment of embeddings to them.

    Subclasses have the parameters of `COMMON_CONSTRAINTS` and implement `_select`.
    """

    metric: str
    bandwidth: str | float
    must_include: Collection
    exclude: Collection
    memory_limit: float

    _curve_columns = {"coverage": "coverage_", "min_coverage": "min_coverage_"}
    """Columns of `portfolio_curve` and the attributes that they show."""

    @abstractmethod
    def _select(self, pool: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Return the chosen models and the coverage after each step of the choice."""

    def predict(self, X: Any) -> np.ndarray:
        """Find the nearest selected model of each embedding.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings. With ``metric="precomputed"``, their distances to all models
            of the pool, of shape (n_samples, n_models).

        Returns
        -------
        ndarray of shape (n_samples,)
            Indices into ``selected_models_``; on a tie the first.
        """
        return self._distances(X).argmin(axis=1)

    def transform(self, X: Any) -> np.ndarray:
        """Return the distances to the selected models.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings. With ``metric="precomputed"``, their distances to all models
            of the pool, of shape (n_samples, n_models).

        Returns
        -------
        ndarray of shape (n_samples, n_selected)
            Distances, in the order of ``selected_models_``.
        """
        return self._distances(X)

    def __sklearn_tags__(self) -> Tags:
        """Declare the input as distances of all pairs if the metric is precomputed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.positive_only = self.metric == "precomputed"
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.selected_indices_)

    @atomic_fit
    def _fit(self, X: Any, cost: Any = None) -> Self:
        self._validate_params()
        pool = self._read_pool(X, cost)
        self._keep(pool, *self._select(pool))
        return self

    def _read_pool(self, X: Any, cost: Any = None) -> Candidates:
        values = validate_data(self, X, dtype=np.float64)
        labels, ranks = read_labels(X, len(values))
        costs = model_costs(cost, labels)
        given = self.metric == "precomputed"
        order = canonical_order(values, ranks, costs, given)
        space = read_space(values, order, self.metric)
        required, allowed = read_choice(labels[order], self.must_include, self.exclude)
        return Candidates(
            labels=labels[order],
            rows=order,
            space=space,
            bandwidth=self._read_bandwidth(space),
            cost=costs[order],
            required=required,
            allowed=allowed,
            memory_limit=self.memory_limit,
        )

    def _read_bandwidth(self, space: Any) -> float:
        if self.bandwidth == "median":
            return median_distance(space)
        return float(self.bandwidth)

    def _keep(self, pool: Candidates, chosen: np.ndarray, path: np.ndarray) -> None:
        labels, distances = nearest_chosen(pool.space, chosen)
        self.selected_indices_ = pool.rows[chosen]
        self.selected_models_ = pool.labels[chosen]
        self.labels_ = np.empty_like(labels)
        self.labels_[pool.rows] = labels
        self.coverage_ = float(path[-1])
        self.min_coverage_ = float(similarity(distances, pool.bandwidth).min())
        self.coverage_path_ = path
        self.bandwidth_ = pool.bandwidth
        self._points = (
            pool.space.points[chosen] if isinstance(pool.space, PointSpace) else None
        )

    def _distances(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        if self._points is None:
            return values[:, self.selected_indices_]
        return point_distances(
            as_points(values, self.metric), self._points, self.metric
        )
