"""Interface of evidence features: how one is fitted, updated and valued."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._estimation.factors import FactorModel
from skl_locus._estimation.linear_models import PooledRegression, learn_regression
from skl_locus._evidence.ability import RaschDifficulties, logit_of

if TYPE_CHECKING:
    # The configuration lists the features, which are made of what is defined here.
    from skl_locus._evidence.config import EvidenceConfig


@dataclass(frozen=True)
class Penalties:
    """Penalties of the regressions on encodings.

    Parameters
    ----------
    common : float
        Penalty of the average model's coefficients.
    own : float
        Penalty of each model's departures from them.
    """

    common: float
    own: float


@dataclass(frozen=True)
class PoolContext:
    """What features are fitted to: a pool's evaluations and what several of them need.

    Parameters
    ----------
    evaluations : EvaluationSet
        Evaluations of the pool.
    config : EvidenceConfig
        What is set rather than learned.
    clusterings : tuple of QueryClusters
        Clusters of queries, the fewest first. Scores have no part in them.
    regression : PooledRegression
        How models' scores are regressed on encodings; its common predictor is the
        average model's.
    difficulties : RaschDifficulties
        How hard queries are, and how abilities follow.
    means : ndarray of shape (n_models,)
        Adjusted mean of each model, in the order of ``evaluations.model_names``.
    """

    evaluations: EvaluationSet
    config: EvidenceConfig
    clusterings: tuple[QueryClusters, ...]
    regression: PooledRegression
    difficulties: RaschDifficulties
    means: np.ndarray

    @classmethod
    def from_evaluations(
        cls,
        evaluations: EvaluationSet,
        clusterings: tuple[QueryClusters, ...],
        penalties: Penalties,
        config: EvidenceConfig,
    ) -> PoolContext:
        """Fit what several features need."""
        regression = learn_regression(
            evaluations, "log_loss", "mean", penalties.own, penalties.common
        )
        difficulties = RaschDifficulties.fit(evaluations, regression.common, config)
        means = difficulties.adjusted_means(evaluations)
        return cls(evaluations, config, clusterings, regression, difficulties, means)


@dataclass(frozen=True)
class ModelContext:
    """What features are made from for models, of the pool or new.

    Parameters
    ----------
    evaluations : EvaluationSet
        All evaluations of the models.
    models : ndarray of labels, (n_models,)
        Order of the models.
    means : ndarray of shape (n_models,)
        Adjusted mean of each of them.
    known : ndarray of labels
        Order of the models before an update; empty when a pool is fitted.
    changed : collection of labels
        Models that are new or have other evaluations than before.
    """

    evaluations: EvaluationSet
    models: np.ndarray
    means: np.ndarray
    known: np.ndarray
    changed: Collection

    @property
    def mean_logits(self) -> np.ndarray:
        """Logits of the adjusted means: (n_models,)."""
        return logit_of(self.means)

    @cached_property
    def order(self) -> np.ndarray:
        """Position of each model among ``evaluations.model_names``: (n_models,)."""
        return self.evaluations.index_of(self.models)


@dataclass(frozen=True)
class ClusterTable:
    """A number for each cluster of queries and each model.

    Parameters
    ----------
    clusters : QueryClusters
        The clusters.
    table : ndarray of shape (n_clusters, n_models)
        The numbers.
    """

    clusters: QueryClusters
    table: np.ndarray

    def values(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Look up queries in their cluster: (n_queries, n_columns)."""
        return self.table[:, columns][self.clusters.assign(encodings)]

    def take(self, columns: np.ndarray) -> ClusterTable:
        """Keep some models, in the order given."""
        return ClusterTable(self.clusters, self.table[:, columns])


@dataclass(frozen=True)
class QueryFunctions:
    """One function of the query per model: linear in the encoding plus one per cluster.

    Every feature has this form, so that any number of them is served by one matrix
    product and a few look-ups.

    Parameters
    ----------
    intercept : ndarray of shape (n_models,)
        What does not depend on the query.
    coef : ndarray of shape (n_models, n_features) or (1, n_features), or None
        Coefficients of the encoding, in one row if all models share them.
    tables : tuple of ClusterTable
        What is added within clusters, for any number of clusterings.
    """

    intercept: np.ndarray
    coef: np.ndarray | None = None
    tables: tuple[ClusterTable, ...] = ()

    def values(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Evaluate the functions of some models: (n_queries, n_columns)."""
        values = np.tile(self.intercept[columns], (len(encodings), 1))
        coef = _rows(self.coef, columns)
        if coef is not None:
            values += encodings.astype(np.float64) @ coef.T
        for table in self.tables:
            values += table.values(encodings, columns)
        return values

    def take(self, columns: np.ndarray) -> QueryFunctions:
        """Keep some models, in the order given."""
        tables = tuple(table.take(columns) for table in self.tables)
        return QueryFunctions(
            self.intercept[columns], _rows(self.coef, columns), tables
        )


def _rows(coef: np.ndarray | None, columns: np.ndarray) -> np.ndarray | None:
    """Return the coefficients of some models; a row that all share stays one."""
    return coef if coef is None or len(coef) == 1 else coef[columns]


class Feature(ABC):
    """One kind of evidence, fitted to a pool.

    A feature holds what all models share and keeps it as it is from then on. From it
    follows, for each model and from the model's own evaluations alone, a function of
    the query on the scale of logits: the feature's value.
    """

    @classmethod
    @abstractmethod
    def fit(cls, pool: PoolContext) -> Feature:
        """Learn what all models share."""

    @abstractmethod
    def functions(self, models: ModelContext) -> QueryFunctions:
        """Return the function of every model, in the order of ``models.models``."""

    def completing(
        self, model: FactorModel, queries: QuerySet, n_models: int
    ) -> Feature:
        """Return a feature that takes expected scores of new models into account.

        ``model`` is the factor model of a pool of ``n_models`` with these ``queries``.
        Most features have no use for it and return themselves.
        """
        return self

    def updated(
        self, functions: QueryFunctions, models: ModelContext
    ) -> QueryFunctions:
        """Return the functions after new evaluations of ``models.changed``.

        ``functions`` are those of ``models.known``. Functions of models that have not
        changed must stay the same to the bit. What is counted does when it is counted
        again; features with an iterative solution override this.
        """
        return self.functions(models)


@dataclass(frozen=True)
class FeatureSpec:
    """A feature to be fitted: its name, how it is made, and its starting weights.

    Parameters
    ----------
    name : str
        Name of the feature and of its weights.
    fit : callable
        Maps a `PoolContext` to a fitted `Feature`.
    weight : float
        Weight in P(correct) before anything is learned.
    decision_weight : float
        Weight in choices before anything is learned: of the feature's departure from
        the anchor, or of the anchor itself.
    """

    name: str
    fit: Callable[[PoolContext], Feature]
    weight: float
    decision_weight: float
