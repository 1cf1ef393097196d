"""The stacked features of a model's own scores."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters, shrunk_cluster_means
from skl_locus._estimation.linear_models import (
    PooledRegression,
    learn_regression,
    refit_some,
)
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._evidence.ability import RaschDifficulties, logit_of
from skl_locus._evidence.novelty import NoveltyDiscount
from skl_locus._evidence.packed import PackedEvidence
from skl_locus._evidence.weights import (
    DECISION_WEIGHTS,
    NETWORK_SHARE,
    WEIGHTS,
    reliability_of,
)

SHRINKAGE_RANGE = (1.0, 40.0)
"""Least and most evaluations that the expected mean may count for in a model's mean
within a cluster. Where clusters tell models apart it is few, and the models' own scores
speak; on real logs it is mostly the most."""

TINY = 1e-9
"""Keeps divisors positive."""

POOL_SHRINKAGE = 20.0
"""The same for the mean of all models within a cluster."""


@dataclass(frozen=True)
class PoolEvidence:
    """What all models share, learned at fit and kept as it is from then on.

    Parameters
    ----------
    clusterings : tuple of QueryClusters
        Clusters of queries, one clustering per scale.
    offsets : tuple of ndarray of shape (n_clusters,)
        How much easier the queries of a cluster are than others, as a logit.
    pulls : tuple of float
        Evaluations that what is expected counts for in a model's mean in a cluster.
    reach : Reach
        Trust in evidence about a query, by its distance in the middle clustering.
    regression : Regression
        How the models' regressions are made; its common line is the average model's.
    easiness : RaschDifficulties
        How abilities are told.
    level : float
        Logit of the mean score of the pool.
    weights : ndarray of shape (3 + n_scales,)
        Of what `EvidenceStack.features` stacks, for P(correct).
    decision_weights : ndarray of shape (3 + n_scales,)
        Of the mean and of the departures of the other parts from it, for choices.
    network_share : float
        Share of the network's logit, in [0, 1].
    """

    clusterings: tuple[QueryClusters, ...]
    offsets: tuple[np.ndarray, ...]
    shrinkages: tuple[float, ...]
    reach: NoveltyDiscount
    regression: PooledRegression
    easiness: RaschDifficulties
    level: float
    weights: np.ndarray
    decision_weights: np.ndarray
    network_share: float

    @property
    def middle(self) -> int:
        """Which clustering tells how far a query is from all others."""
        return len(self.clusterings) // 2


@dataclass(frozen=True)
class EvidenceStack:
    """What each model's own scores say about it, and how it is combined.

    For query q and model m: the logit of the model's mean mu, adjusted for how hard
    its queries were; of its means c_s in the cluster of q at three scales s; the
    average model's regression b at q, moved by how far mu is from the pool's; and the
    model's own logistic regression g at q, shrunk to b. Cluster means are shrunk to
    what mu and the pool's mean in the cluster lead one to expect, so that a model
    with few evaluations is told by its mean and by what all models find hard. With
    the network's logit l, e the weighted sum of the five, and trust t in [0, 1],
    P(correct) is expit(mu' + t ((1 - h) e + h l - mu')), mu' = logit(mu). All models
    share the weights and h, so that a new model needs no training: its means are
    counted, and its ability and regression, convex problems with one solution, are
    solved. Choices among models are made by a like sum, d_0 mu' plus t r times the
    weighted departures from mu', with weights d of their own and r = n / (n + 100) for
    a model with n evaluations.

    Parameters
    ----------
    shared : PoolEvidence
        What does not depend on the model.
    models : ndarray of labels, (n_models,)
        Order of the models.
    sizes : ndarray of shape (n_models,)
        Numbers of evaluations.
    mean_logits : ndarray of shape (n_models,)
        logit(mu).
    cluster_logits : tuple of ndarray of shape (n_clusters, n_models)
        logit(c_s).
    lines : Lines
        g of each model.
    """

    shared: PoolEvidence
    models: np.ndarray
    sizes: np.ndarray
    mean_logits: np.ndarray
    cluster_logits: tuple[np.ndarray, ...]
    lines: LinearPredictors

    @classmethod
    def of(
        cls, shared: PoolEvidence, evaluations: EvaluationSet, models: np.ndarray
    ) -> EvidenceStack:
        """Take the evidence of all models of a set of evaluations."""
        no_lines = LinearPredictors(
            np.empty((0, evaluations.queries.n_features)), np.empty(0)
        )
        nothing = np.empty(0)
        empty = cls(shared, models[:0], nothing, nothing, (), no_lines)
        return empty.on(evaluations, models, models)

    def on(
        self, evaluations: EvaluationSet, models: np.ndarray, changed: Collection
    ) -> EvidenceStack:
        """Take the evidence of other evaluations; all that is shared stays.

        Parameters
        ----------
        evaluations : EvaluationSet
            New evidence.
        models : ndarray of labels
            Order of the models.
        changed : collection of labels
            New models and those with other evaluations.

        Returns
        -------
        EvidenceStack
            The new evidence.
        """
        shared, order = self.shared, evaluations.index_of(models)
        means = shared.easiness.adjusted_means(evaluations)
        tables = (
            logit_of(
                shrunk_cluster_means(
                    clusters, evaluations, _expected(means, offsets), shrinkage
                )
            )
            for clusters, offsets, shrinkage in zip(
                shared.clusterings, shared.offsets, shared.shrinkages, strict=True
            )
        )
        return replace(
            self,
            models=models,
            sizes=evaluations.sizes[order],
            mean_logits=logit_of(means)[order],
            cluster_logits=tuple(table[:, order] for table in tables),
            lines=refit_some(
                shared.regression, self.lines, self.models, models, evaluations, changed
            ),
        )

    def features(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Stack what is weighed: (n_queries, n_columns, 3 + n_scales), float32."""
        shape = (len(encodings), len(columns))
        parts = [np.broadcast_to(self.mean_logits[columns], shape)]
        for clusters, table in zip(
            self.shared.clusterings, self.cluster_logits, strict=True
        ):
            parts.append(table[:, columns][clusters.assign(encodings)])
        common = self.shared.regression.common.values(encodings)
        parts.append(common + self.mean_logits[columns] - self.shared.level)
        parts.append(self.lines.take(columns).values(encodings))
        return np.stack(parts, axis=-1, dtype=np.float32, casting="same_kind")

    def pack(self) -> PackedEvidence:
        """Work everything but the query into arrays, for prediction."""
        shared = self.shared
        of_mean, *of_departures = shared.decision_weights
        total = sum(of_departures)
        choosing = self._weighed(np.array([-total, *of_departures]))
        predicting = self._weighed(shared.weights)
        slopes, at_zero, *tables = (
            np.concatenate(pair, axis=-1, dtype=np.float32)
            for pair in zip(choosing, predicting, strict=True)
        )
        centers = np.concatenate([each.centers for each in shared.clusterings])
        return PackedEvidence(
            tables=tuple(tables),
            directions=np.hstack([slopes, centers.T]),
            half_norms=(centers**2).sum(axis=1) / 2,
            at_zero=at_zero,
            means=self.mean_logits.astype(np.float32),
            mean_weight=of_mean,
            departure_weight=total,
            reliability=reliability_of(self.sizes).astype(np.float32),
            reach=shared.reach,
            middle=shared.middle,
            network_share=shared.network_share,
        )

    def _weighed(self, weights: np.ndarray) -> list[np.ndarray]:
        """Weigh what is linear in the query, what is constant, and the tables."""
        mean, *of_clusters, base, line = weights
        common, lines = self.shared.regression.common, self.lines
        slopes = line * lines.coef + base * common.coef
        moved = self.mean_logits + common.intercept - self.shared.level
        at_zero = mean * self.mean_logits + line * lines.intercept + base * moved
        tables = zip(of_clusters, self.cluster_logits, strict=True)
        return [slopes.T, at_zero, *(weight * table for weight, table in tables)]


def learn_pool_evidence(
    evaluations: EvaluationSet,
    clusterings: tuple[QueryClusters, ...],
    alpha: float,
) -> PoolEvidence:
    """Learn what all models share from the evaluations of a pool, but the weights."""
    regression = learn_regression(evaluations, "log_loss", "mean", alpha)
    easiness = RaschDifficulties.learn(evaluations, regression.common)
    means = easiness.adjusted_means(evaluations)
    middle = clusterings[len(clusterings) // 2]
    told = [_offsets_and_shrinkage(each, evaluations, means) for each in clusterings]
    return PoolEvidence(
        clusterings=clusterings,
        offsets=tuple(offsets for offsets, _ in told),
        shrinkages=tuple(shrinkage for _, shrinkage in told),
        reach=NoveltyDiscount.learn(middle, evaluations.queries.vectors()),
        regression=regression,
        easiness=easiness,
        level=float(logit_of(means.mean())),
        weights=np.array(WEIGHTS),
        decision_weights=np.array(DECISION_WEIGHTS),
        network_share=NETWORK_SHARE,
    )


def _offsets_and_shrinkage(
    clusters: QueryClusters, evaluations: EvaluationSet, means: np.ndarray
) -> tuple[np.ndarray, float]:
    sums, counts = clusters.totals(evaluations)
    squared = replace(evaluations, scores=np.square(evaluations.scores))
    squares, _ = clusters.totals(squared)
    offsets = _offsets(sums, counts, means)
    return offsets, _shrinkage(sums, squares, counts, _expected(means, offsets))


def _offsets(sums: np.ndarray, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Compare all models' scores in each cluster with their means: (n_clusters,)."""
    n_evaluations = counts.sum(axis=1)
    expected = np.full(len(sums), means.mean())
    np.divide(counts @ means, n_evaluations, out=expected, where=n_evaluations > 0)
    pooled = (sums.sum(axis=1) + POOL_SHRINKAGE * expected) / (
        n_evaluations + POOL_SHRINKAGE
    )
    return logit_of(pooled) - logit_of(expected)


def _expected(means: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return what is expected of models in clusters: (n_clusters, n_models)."""
    return expit(logit_of(means) + offsets[:, None])


def _shrinkage(
    sums: np.ndarray, squares: np.ndarray, counts: np.ndarray, expected: np.ndarray
) -> float:
    """Tell how many evaluations what is expected is worth, by the method of moments.

    A model's mean of n scores in a cluster misses what is expected by their variance v
    over n, and by what the model does there that others do not. With the variance of
    the latter v / k, the shrunk mean has the least error where k is the pull.
    """
    seen = counts > 0
    n, bernoulli = counts[seen], (expected * (1 - expected))[seen]
    within = np.sum(squares[seen] - sums[seen] ** 2 / n)
    # Graded scores vary less than right and wrong ones with the same mean.
    variance = bernoulli * within / max(np.sum((n - 1) * bernoulli), TINY)
    misses = np.square(sums[seen] / n - expected[seen])
    beyond_chance = np.sum(n * misses / np.maximum(variance, TINY) - 1) / n.sum()
    least, most = SHRINKAGE_RANGE
    return float(np.clip(1 / max(beyond_chance, TINY), least, most))
