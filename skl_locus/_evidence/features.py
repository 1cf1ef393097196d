"""The features of stacked evidence; a new one is added in this file alone.

A class with `fit` and `functions` (see `Feature`) and a line in `FEATURES` are all
that it takes: the stack, its weights and its packed form are loops over the list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skl_locus._data.evaluations import positions_of
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import FactorModel
from skl_locus._estimation.linear_models import (
    PooledRegression,
    fit_each,
    refit_some,
    stack,
)
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._evidence.base import (
    ClusterTable,
    Feature,
    FeatureSpec,
    ModelContext,
    PoolContext,
    QueryFunctions,
)
from skl_locus._evidence.cluster_means import (
    ClusterTotals,
    ShrunkClusterMeans,
    held_out_losses,
    shares_of,
)
from skl_locus._evidence.completion import CompletedRegression


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
    """Logits of a model's means within clusters, averaged over several clusterings.

    Parameters
    ----------
    parts : tuple of ShrunkClusterMeans
        Means within each of the clusterings that are used.
    shares : tuple of float
        Share of each of them in the average.
    """

    parts: tuple[ShrunkClusterMeans, ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, pool: PoolContext) -> ClusterMeans:
        """Learn the means of every clustering, and its share from held-out queries."""
        evaluations, config = pool.evaluations, pool.config
        shares = shares_of(held_out_losses(pool), config)
        used = [
            (clusters, share)
            for clusters, share in zip(pool.clusterings, shares, strict=True)
            if share > 0
        ]
        every = np.arange(len(evaluations))
        parts = []
        for clusters, _ in used:
            groups = clusters.groups_of(evaluations.queries)
            totals = ClusterTotals.of(clusters, groups, evaluations, every)
            parts.append(ShrunkClusterMeans.fit(clusters, totals, pool.means, config))
        return cls(tuple(parts), tuple(float(share) for _, share in used))

    def functions(self, models: ModelContext) -> QueryFunctions:
        """Return a table of shrunk means for each clustering."""
        # Means are in the order of the models, totals in that of the evaluations.
        means = np.empty(len(models.means))
        means[models.order] = models.means
        tables = []
        for part, share in zip(self.parts, self.shares, strict=True):
            sums, counts = part.clusters.totals(models.evaluations)
            logits = part.logits(sums, counts, means)[:, models.order]
            tables.append(ClusterTable(part.clusters, share * logits))
        return QueryFunctions(np.zeros(len(means)), tables=tuple(tables))


@dataclass(frozen=True)
class OwnRegression(Feature):
    """A model's own regression, shrunk to the average model's.

    Parameters
    ----------
    regression : PooledRegression
        How it is fitted.
    completion : CompletedRegression or None
        What the regressions of new models are moved towards.
    """

    regression: PooledRegression
    completion: CompletedRegression | None = None

    @classmethod
    def fit(cls, pool: PoolContext) -> OwnRegression:
        """Take the regression of the pool; a model's own is a matter of the model."""
        return cls(pool.regression)

    def completing(
        self, model: FactorModel, queries: QuerySet, n_models: int
    ) -> OwnRegression:
        """Move regressions of new models towards completed ones."""
        completion = CompletedRegression.fit(self.regression, model, queries, n_models)
        return replace(self, completion=completion)

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
        if self.completion is not None:
            self._complete(lines, models, self.completion)
        return QueryFunctions(lines.intercept, lines.coef)

    def _complete(
        self,
        lines: LinearPredictors,
        models: ModelContext,
        completion: CompletedRegression,
    ) -> None:
        """Replace the lines of the models that have changed by completed ones."""
        changed = positions_of(list(models.changed), models.models)
        own = lines.take(changed)
        blended = completion.blended(own, models.evaluations, models.order[changed])
        lines.coef[changed], lines.intercept[changed] = blended.coef, blended.intercept


FEATURES = (
    # Both others are shrunk to the mean. A weight below zero takes some of that back.
    FeatureSpec("mean", AdjustedMean.fit, -0.17, 1.0),
    FeatureSpec("clusters", ClusterMeans.fit, 0.66, 0.6),
    FeatureSpec("own_regression", OwnRegression.fit, 0.51, 0.4),
)
"""Today's features, the anchor first, with the weights that real logs gave."""
