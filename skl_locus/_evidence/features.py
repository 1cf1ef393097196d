"""The features of stacked evidence; a new one is added in this file alone.

A class with `fit` and `functions` (see `Feature`) and a line in `FEATURES` are all
that it takes: the stack, its weights and its packed form are loops over the list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters, shrunk_cluster_means
from skl_locus._estimation.linear_models import (
    PooledRegression,
    fit_each,
    refit_some,
    stack,
)
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._evidence.ability import logit_of
from skl_locus._evidence.base import (
    ClusterTable,
    Feature,
    FeatureSpec,
    ModelContext,
    PoolContext,
    QueryFunctions,
)

SMALLEST_DIVISOR = 1e-9
"""Keeps divisors positive; far below any variance that scores can have."""


@dataclass(frozen=True)
class AdjustedMean(Feature):
    """The logit of a model's mean, adjusted for how hard its queries were."""

    @classmethod
    def fit(cls, pool: PoolContext) -> AdjustedMean:
        """Learn nothing: the adjustment is part of the context of all features."""
        return cls()

    def functions(self, models: ModelContext) -> QueryFunctions:
        """Return the mean of each model, whatever the query."""
        return QueryFunctions(models.mean_logits)


@dataclass(frozen=True)
class ClusterMeans(Feature):
    """The logit of a model's mean among the queries of a cluster, shrunk.

    It is shrunk to what the model's mean and the pool's mean in the cluster lead one
    to expect, so that a model with few evaluations there is predicted by what all
    models find hard.

    Parameters
    ----------
    clusters : QueryClusters
        Clusters of queries.
    offsets : ndarray of shape (n_clusters,)
        How much easier the queries of a cluster are than others, as a logit.
    shrinkage : float
        Evaluations that the expected mean counts for in a model's mean.
    """

    clusters: QueryClusters
    offsets: np.ndarray
    shrinkage: float

    @classmethod
    def fit(cls, pool: PoolContext, scale: str = "middle") -> ClusterMeans:
        """Learn the offsets and the shrinkage in the clustering of a scale."""
        evaluations, config = pool.evaluations, pool.config
        clusters = pool.clusterings[scale]
        sums, counts = clusters.totals(evaluations)
        squares = _sums_of_squares(clusters, evaluations)
        offsets = _cluster_offsets(sums, counts, pool.means, config.pool_shrinkage)
        expected = _expected_means(pool.means, offsets)
        shrinkage = shrinkage_by_moments(
            sums, squares, counts, expected, config.shrinkage_range
        )
        return cls(clusters, offsets, shrinkage)

    def functions(self, models: ModelContext) -> QueryFunctions:
        """Return a table of shrunk means."""
        # Means are in the order of the models, totals in that of the evaluations.
        means = np.empty(len(models.means))
        means[models.order] = models.means
        shrunk = shrunk_cluster_means(
            self.clusters,
            models.evaluations,
            _expected_means(means, self.offsets),
            self.shrinkage,
        )
        table = ClusterTable(self.clusters, logit_of(shrunk)[:, models.order])
        return QueryFunctions(np.zeros(len(means)), table=table)


@dataclass(frozen=True)
class AverageRegression(Feature):
    """The average model's regression, moved by how far a model is from the pool.

    Parameters
    ----------
    common : LinearPredictors of one model
        Regression of the average model.
    level : float
        Logit of the mean score of the pool.
    """

    common: LinearPredictors
    level: float

    @classmethod
    def fit(cls, pool: PoolContext) -> AverageRegression:
        """Take the regression that the models' own are shrunk to."""
        return cls(pool.regression.common, pool.level)

    def functions(self, models: ModelContext) -> QueryFunctions:
        """Return one slope for all models and an intercept for each."""
        moved = self.common.intercept + (models.mean_logits - self.level)
        return QueryFunctions(moved, self.common.coef)


@dataclass(frozen=True)
class OwnRegression(Feature):
    """A model's own regression, shrunk to the average model's.

    Parameters
    ----------
    regression : PooledRegression
        How it is fitted.
    """

    regression: PooledRegression

    @classmethod
    def fit(cls, pool: PoolContext) -> OwnRegression:
        """Take the regression of the pool; a model's own is a matter of the model."""
        return cls(pool.regression)

    def functions(self, models: ModelContext) -> QueryFunctions:
        """Fit a regression for every model."""
        lines = fit_each(self.regression, models.models, models.evaluations)
        stacked = stack(lines, models.models)
        return QueryFunctions(stacked.intercept, stacked.coef)

    def updated(
        self, functions: QueryFunctions, models: ModelContext
    ) -> QueryFunctions:
        """Fit regressions of the models that have changed and keep all others."""
        assert functions.coef is not None
        lines = refit_some(
            self.regression,
            LinearPredictors(functions.coef, functions.intercept),
            models.known,
            models.models,
            models.evaluations,
            models.changed,
        )
        return QueryFunctions(lines.intercept, lines.coef)


FEATURES = (
    # All others are shrunk to the mean. A weight below zero takes some of that back,
    # and with it the weights sum to one.
    FeatureSpec("mean", AdjustedMean.fit, -0.2, 1.0),
    FeatureSpec(
        "coarse_clusters", partial(ClusterMeans.fit, scale="coarse"), 0.25, 0.3
    ),
    FeatureSpec("middle_clusters", partial(ClusterMeans.fit, scale="middle"), 0.2, 0.3),
    FeatureSpec("fine_clusters", partial(ClusterMeans.fit, scale="fine"), 0.1, 0.1),
    # Its departure from the mean is the same for all models and decides nothing.
    FeatureSpec("average_regression", AverageRegression.fit, 0.325, 0.0),
    FeatureSpec("own_regression", OwnRegression.fit, 0.325, 0.3),
)
"""Today's features, the anchor first, with the weights that real logs gave.

The best probabilities are not the best choices: weights made for log loss lean on the
regressions, and choices do better with several kinds of evidence about even.
"""


def _sums_of_squares(clusters: QueryClusters, evaluations: EvaluationSet) -> np.ndarray:
    squared = replace(evaluations, scores=np.square(evaluations.scores))
    return clusters.totals(squared)[0]


def _cluster_offsets(
    sums: np.ndarray, counts: np.ndarray, means: np.ndarray, shrinkage: float
) -> np.ndarray:
    """Compare all models' scores in each cluster with their means: (n_clusters,)."""
    n_evaluations = counts.sum(axis=1)
    # Clusters differ in which models were asked there: what is expected weighs each
    # model's mean by its evaluations in the cluster, so that a cluster that only weak
    # models saw is not taken for a hard one.
    expected = np.full(len(sums), means.mean())
    np.divide(counts @ means, n_evaluations, out=expected, where=n_evaluations > 0)
    pooled = (sums.sum(axis=1) + shrinkage * expected) / (n_evaluations + shrinkage)
    return logit_of(pooled) - logit_of(expected)


def _expected_means(means: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return what is expected of models in clusters: (n_clusters, n_models)."""
    return expit(logit_of(means) + offsets[:, None])


def shrinkage_by_moments(
    sums: np.ndarray,
    squares: np.ndarray,
    counts: np.ndarray,
    expected: np.ndarray,
    bounds: tuple[float, float],
) -> float:
    """Estimate the shrinkage (a pseudo-count) by the method of moments.

    A model's mean of n scores in a cluster misses the expected mean by their variance
    v over n, and by what the model does there that others do not. With the variance of
    the latter v / k, the shrunk mean has the least error where k is the shrinkage.

    Parameters
    ----------
    sums, squares, counts : ndarray of shape (n_clusters, n_models)
        Sums of scores and of their squares, and numbers of evaluations.
    expected : ndarray of shape (n_clusters, n_models)
        Expected means.
    bounds : tuple of float
        Least and largest shrinkage.

    Returns
    -------
    float
        The shrinkage.
    """
    seen = counts > 0
    n, bernoulli = counts[seen], (expected * (1 - expected))[seen]
    within = np.sum(squares[seen] - sums[seen] ** 2 / n)
    # Graded scores vary less than right and wrong ones with the same mean: one factor
    # for the whole log turns the variance of the latter into that of the former.
    bernoulli_within = np.sum((n - 1) * bernoulli)
    variance = bernoulli * within / max(bernoulli_within, SMALLEST_DIVISOR)
    misses = np.square(sums[seen] / n - expected[seen])
    # E[n * misses / v] = 1 + n / k. Summed over cells it estimates 1 / k, large cells
    # counting for more; chance alone gives about zero or less, hence the bounds.
    excess = np.sum(n * misses / np.maximum(variance, SMALLEST_DIVISOR) - 1) / n.sum()
    least, most = bounds
    return float(np.clip(1 / max(excess, SMALLEST_DIVISOR), least, most))
