"""Local evidence: a model's own scores on similar queries, weighed with a logit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from skl_locus._clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._evaluations import EvaluationSet, positions_of

SCALES = (0.3, 0.7, 1.6)
"""Numbers of clusters as multiples of the square root of the number of queries."""

PULL = 10.0
"""Evaluations that a model's mean counts for within a cluster."""

WEIGHT_PENALTY = 50.0
"""Ridge penalty that keeps the weights near an even average of the logits."""

CERTAIN = 1e-4
"""Means are kept this far from 0 and 1 before their logit is taken."""

CLUSTERING_SEED = 0
"""Clusters are part of a deterministic fit."""


@dataclass(frozen=True)
class LocalEvidence:
    """Logits of each model's scores nearby, and the weights that combine them.

    For query q and model m, with the network's logit l, the model's mean mu and its
    means c_s in the cluster of q at three scales s (shrunk to mu):
    w_0 l + w_1 logit(mu) + sum_s w_s logit(c_s). All models share the weights, so
    that a new model needs no training.

    Parameters
    ----------
    clusterings : tuple of QueryClusters
        One per scale.
    weights : ndarray of shape (2 + n_scales,)
        Of the network, the model's mean and the cluster means.
    prior : float
        Mean score of the pool at fit, to which models' means are shrunk.
    mean_logits : ndarray of shape (n_models,)
        logit(mu).
    cluster_logits : tuple of ndarray of shape (n_clusters, n_models)
        logit(c_s).
    """

    clusterings: tuple[QueryClusters, ...]
    weights: np.ndarray
    prior: float
    mean_logits: np.ndarray
    cluster_logits: tuple[np.ndarray, ...]

    def features(self, encodings: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Stack what is weighed: (n_queries, n_models, 2 + n_scales)."""
        parts = [logits, np.broadcast_to(self.mean_logits, logits.shape)]
        for clusters, table in zip(self.clusterings, self.cluster_logits, strict=True):
            parts.append(table[clusters.assign(encodings)])
        return np.stack(parts, axis=-1)

    def logits(
        self, encodings: np.ndarray, logits: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """Combine the network's logits (n_queries, n_columns) with the evidence."""
        combined = self.weights[0] * logits
        combined += self.weights[1] * self.mean_logits[columns]
        for weight, clusters, table in zip(
            self.weights[2:], self.clusterings, self.cluster_logits, strict=True
        ):
            nearest = clusters.assign(encodings)
            combined += weight * table[:, columns][nearest]
        return combined

    def on(
        self, evaluations: EvaluationSet, models: Iterable | None = None
    ) -> LocalEvidence:
        """Take the evidence of other evaluations, with the same clusters and weights.

        Parameters
        ----------
        evaluations : EvaluationSet
            New evidence.
        models : iterable of labels, default=None
            Order of the models; that of ``evaluations`` by default.

        Returns
        -------
        LocalEvidence
            The new evidence.
        """
        names = evaluations.model_names if models is None else models
        order = positions_of(names, evaluations)
        means = shrunk_model_means(evaluations, self.prior)
        tables = (
            shrunk_cluster_means(clusters, evaluations, means, PULL)
            for clusters in self.clusterings
        )
        return replace(
            self,
            mean_logits=_logit(means)[order],
            cluster_logits=tuple(_logit(table)[:, order] for table in tables),
        )


def fit_local_evidence(
    seen: EvaluationSet, unseen: EvaluationSet | None, logits: np.ndarray | None
) -> LocalEvidence:
    """Learn clusters from some evaluations and weights from others.

    Parameters
    ----------
    seen : EvaluationSet
        Evidence.
    unseen : EvaluationSet or None
        Evaluations of models of ``seen`` on other queries; without them the weights
        are even.
    logits : ndarray of shape (n_unseen_queries, n_seen_models) or None
        The network's logits for the queries of ``unseen``.

    Returns
    -------
    LocalEvidence
        Evidence of ``seen``.
    """
    evidence = _unweighted(seen)
    if unseen is None or logits is None:
        return evidence
    encodings = unseen.queries.vectors()
    models = positions_of(unseen.model_names, seen)[unseen.model_codes]
    features = evidence.features(encodings, logits)[unseen.query_codes, models]
    weights = _fit_weights(features, unseen.scores, evidence.weights)
    return replace(evidence, weights=weights)


def refit_clusters(
    evidence: LocalEvidence, evaluations: EvaluationSet
) -> LocalEvidence:
    """Learn clusters and evidence anew from all evaluations, keeping the weights."""
    return replace(_unweighted(evaluations), weights=evidence.weights)


def _unweighted(evaluations: EvaluationSet) -> LocalEvidence:
    encodings = evaluations.queries.vectors()
    root = np.sqrt(len(encodings))
    clusterings = tuple(
        QueryClusters.fit(encodings, max(1, round(scale * root)), CLUSTERING_SEED)
        for scale in SCALES
    )
    n_logits = 2 + len(SCALES)
    empty = LocalEvidence(
        clusterings=clusterings,
        weights=np.full(n_logits, 1 / n_logits, dtype=np.float32),
        prior=float(evaluations.scores.mean(dtype=np.float64)),
        mean_logits=np.empty(0),
        cluster_logits=(),
    )
    return empty.on(evaluations)


def _fit_weights(
    features: np.ndarray, scores: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Minimise soft cross-entropy plus a ridge penalty around ``start``."""
    X, y = features.astype(np.float64), scores.astype(np.float64)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = X @ w
        loss = np.sum(np.logaddexp(0, z) - y * z)
        gap = w - start
        value = loss + WEIGHT_PENALTY / 2 * gap @ gap
        return value, X.T @ (expit(z) - y) + WEIGHT_PENALTY * gap

    return minimize(objective, start, jac=True, method="L-BFGS-B").x.astype(np.float32)


def _logit(means: np.ndarray) -> np.ndarray:
    return logit(np.clip(means, CERTAIN, 1 - CERTAIN)).astype(np.float32)
