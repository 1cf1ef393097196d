"""Mean scores of models within clusters of queries, shrunk and held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._estimation.cross_validation import fold_rows
from skl_locus._evidence.ability import logit_of
from skl_locus._evidence.base import PoolContext

if TYPE_CHECKING:
    # The configuration lists the features.
    from skl_locus._evidence.config import EvidenceConfig

SMALLEST_DIVISOR = 1e-9
"""Keeps divisors positive; far below any variance that scores can have."""


@dataclass(frozen=True)
class ClusterTotals:
    """Sums, sums of squares and numbers of scores: (n_clusters, n_models) each."""

    sums: np.ndarray
    squares: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(
        cls,
        clusters: QueryClusters,
        groups: np.ndarray,
        evaluations: EvaluationSet,
        rows: np.ndarray,
    ) -> ClusterTotals:
        """Add up scores of some rows, given the cluster of each query."""
        shape = (len(clusters), evaluations.n_models)
        codes = groups[evaluations.query_codes[rows]], evaluations.model_codes[rows]
        cells = np.ravel_multi_index(codes, shape)
        scores = evaluations.scores[rows].astype(np.float64)
        sums, squares, counts = (
            np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape)
            for weights in (scores, scores**2, None)
        )
        return cls(sums, squares, counts)


@dataclass(frozen=True)
class ShrunkClusterMeans:
    """Means of models among the queries of a cluster, shrunk to what is expected.

    They are shrunk to what the model's mean and the pool's mean in the cluster lead
    one to expect, so that a model with few evaluations there is predicted by what all
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
    def fit(
        cls,
        clusters: QueryClusters,
        totals: ClusterTotals,
        means: np.ndarray,
        config: EvidenceConfig,
    ) -> ShrunkClusterMeans:
        """Learn the offsets and the shrinkage; ``means`` are those of the models."""
        offsets = _cluster_offsets(
            totals.sums, totals.counts, means, config.pool_shrinkage
        )
        shrinkage = shrinkage_by_moments(
            totals.sums,
            totals.squares,
            totals.counts,
            _expected_means(means, offsets),
            config.shrinkage_range,
        )
        return cls(clusters, offsets, shrinkage)

    def logits(
        self, sums: np.ndarray, counts: np.ndarray, means: np.ndarray
    ) -> np.ndarray:
        """Return logits of the shrunk means: (n_clusters, n_models)."""
        expected = _expected_means(means, self.offsets)
        shrunk = (sums + self.shrinkage * expected) / (counts + self.shrinkage)
        return logit_of(shrunk)


def held_out_losses(pool: PoolContext) -> np.ndarray:
    """Return the log loss of means within clusters, summed over held-out queries.

    Of every query its mean over the models is taken: their evaluations of one query
    are not independent, and the sum is what shares are made from. There is one loss
    for each of the pool's clusterings.
    """
    known = pool.evaluations.query_codes < pool.config.max_queries
    sample = pool.evaluations.take(np.flatnonzero(known))
    means = pool.means[pool.evaluations.index_of(sample.model_names)]
    groups = [each.groups_of(sample.queries) for each in pool.clusterings]
    losses, count = np.zeros(len(pool.clusterings)), 0
    for training, held_out in fold_rows(sample):
        y, models = sample.scores[held_out], sample.model_codes[held_out]
        count += len(held_out)
        for i, clusters in enumerate(pool.clusterings):
            # The models' means and the clusters have seen the held-out queries, for
            # all clusterings alike. What differs between them has not.
            totals = ClusterTotals.of(clusters, groups[i], sample, training)
            part = ShrunkClusterMeans.fit(clusters, totals, means, pool.config)
            logits = part.logits(totals.sums, totals.counts, means)
            z = logits[groups[i][sample.query_codes[held_out]], models]
            losses[i] += np.sum(np.logaddexp(0, z) - y * z)
    return losses / max(count, 1) * len(sample.queries)


def shares_of(losses: np.ndarray, config: EvidenceConfig) -> np.ndarray:
    """Turn held-out losses of clusterings into shares that sum to one.

    Exponential weights: a mixture of the clusterings is about as good as the best of
    them, without the risk of choosing one by chance.
    """
    shares = np.exp((losses.min() - losses) / config.share_temperature)
    shares /= shares.sum()
    shares[shares < config.least_share] = 0
    return shares / shares.sum()


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
