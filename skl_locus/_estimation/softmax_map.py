"""A softmax map from query encodings to clusters, learned from models' scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.pairs import score_matrix
from skl_locus._estimation.blends import weighted_sums
from skl_locus._estimation.clusters import QueryClusters, shrunk_model_means

LEAST_PROBABILITY = 1e-4
"""Mixtures of means are kept this far from 0 and 1 in the loss: a cluster in which a
model was always right would cost without bound at the first wrong answer there."""

SQUEEZE = 1 - 2 * LEAST_PROBABILITY
"""Factor that maps [0, 1] into the range of the loss."""

MAX_STEPS = 200
"""Steps of L-BFGS; on logs of 256 to 1024 queries 40 to 120 were needed."""


@dataclass(frozen=True)
class SoftmaxMap:
    """Shares of a query in clusters: softmax of linear functions of its encoding.

    Parameters
    ----------
    coef : ndarray of shape (n_clusters, n_features), float64
        Slopes theta of the linear functions, which have no intercepts.
    """

    coef: np.ndarray

    def shares(self, encodings: np.ndarray) -> np.ndarray:
        """Return the share of each query in each cluster, which sum to 1."""
        return softmax(encodings.astype(np.float64) @ self.coef.T, axis=1)


@dataclass(frozen=True)
class MapProblem:
    """Evaluations of a pool as the map sees them: its loss, and its gradient.

    The means of a model in clusters are fixed. In the loss of an evaluation they are
    taken without that evaluation: otherwise small clusters would foretell the scores
    that they are the means of, and the map would trust them too much.

    Parameters
    ----------
    encodings : ndarray of shape (n_queries, n_features), float64
        Encodings of the queries.
    scores : ndarray of shape (n_queries, n_models), float64
        Scores, NaN where there is no evaluation.
    members : ndarray of shape (n_queries,)
        Cluster of each query.
    means : ndarray of shape (n_clusters, n_models), float64
        Mean scores of the models.
    corrections : ndarray of shape (n_queries, n_models), float64
        What the mean in the query's own cluster changes by without the evaluation.
    """

    encodings: np.ndarray
    scores: np.ndarray
    members: np.ndarray
    means: np.ndarray
    corrections: np.ndarray

    @classmethod
    def of(
        cls,
        evaluations: EvaluationSet,
        clusters: QueryClusters,
        shrinkage: float,
        prior: float,
    ) -> MapProblem:
        """Set the problem up; ``evaluations`` have the encodings that are clustered."""
        targets = shrunk_model_means(evaluations, prior)
        sums, counts = clusters.totals(evaluations)
        members = clusters.groups_of(evaluations.queries)
        scores = score_matrix(
            evaluations.query_codes,
            evaluations.model_codes,
            evaluations.scores.astype(np.float64),
            (len(evaluations.queries), evaluations.n_models),
        )
        means = _means(sums, counts, targets, shrinkage)
        others = _means(
            sums[members] - np.nan_to_num(scores),
            counts[members] - 1,
            targets,
            shrinkage,
        )
        corrections = np.where(np.isfinite(scores), others - means[members], 0.0)
        encodings = evaluations.queries.vectors().astype(np.float64)
        return cls(encodings, scores, members, means, corrections)

    def fit(self, alpha: float, start: np.ndarray) -> SoftmaxMap:
        """Minimise the log loss plus alpha / 2 times the squared slopes."""
        solved = minimize(
            self._loss,
            start.ravel(),
            args=(alpha, start.shape),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_STEPS},
        )
        return SoftmaxMap(solved.x.reshape(start.shape))

    def _loss(
        self, flat: np.ndarray, alpha: float, shape: tuple[int, int]
    ) -> tuple[float, np.ndarray]:
        coef = flat.reshape(shape)
        shares = SoftmaxMap(coef).shares(self.encodings)
        rows = np.arange(len(shares))
        own = shares[rows, self.members][:, None]
        mixed = shares @ self.means + own * self.corrections
        # Squeezed rather than clipped, so that the gradient never vanishes; clipped is
        # only what rounding leaves outside.
        p = LEAST_PROBABILITY + SQUEEZE * mixed.clip(0, 1)
        known = np.isfinite(self.scores)
        y = np.where(known, self.scores, 0.0)
        losses = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        slopes = np.where(known, SQUEEZE * (p - y) / (p * (1 - p)), 0.0)
        by_share = slopes @ self.means.T
        by_share[rows, self.members] += (slopes * self.corrections).sum(axis=1)
        # Through the softmax: only departures from the mean slope of a query count.
        by_logit = shares * (by_share - (shares * by_share).sum(axis=1, keepdims=True))
        gradient = by_logit.T @ self.encodings + alpha * coef
        loss = float(losses[known].sum()) + alpha / 2 * float((coef**2).sum())
        return loss, gradient.ravel()


def mixed_means(shares: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Average means of clusters by the shares of queries: (n_queries, n_models)."""
    return weighted_sums(shares, means).clip(0, 1).astype(np.float32)


def _means(
    sums: np.ndarray, counts: np.ndarray, targets: np.ndarray, shrinkage: float
) -> np.ndarray:
    weights = counts + shrinkage
    means = np.broadcast_to(targets, sums.shape).copy()
    return np.divide(sums + shrinkage * targets, weights, out=means, where=weights > 0)
