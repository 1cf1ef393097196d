"""Local evidence: a model's own scores on like queries, weighed with a logit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from skl_locus._clusters import (
    QueryClusters,
    shrunk_cluster_means,
    shrunk_model_means,
)
from skl_locus._evaluations import EvaluationSet, positions_of
from skl_locus._model_lines import (
    Regression,
    choose_alpha,
    learn_regression,
    refit_some,
)
from skl_locus._regression import Lines
from skl_locus._tuning import fold_rows

SCALES = (0.3, 0.7, 1.6)
"""Numbers of clusters as multiples of the square root of the number of queries."""

PULL = 10.0
"""Evaluations that a model's mean counts for within a cluster."""

WEIGHTS = (-0.2, 0.25, 0.2, 0.1, 0.65)
"""Weights of the model's mean, its cluster means and its regression where held-out
evaluations do not tell otherwise: what was learned on four pools of real logs."""

WEIGHT_PENALTY = 30.0
"""Penalty, per model, that keeps the weights near them. The evaluations of one query
are not independent, so that more models tell less than more queries do."""

NETWORK_SHARE = 0.25
"""Share of the network's logit where held-out evaluations do not tell otherwise."""

SHARE_PENALTY = 10.0
"""Penalty, per model, that keeps the share near it."""

DECISION_WEIGHTS = (0.0, 0.3, 0.3, 0.1, 0.3)
"""Weights of the same evidence for choosing among models. The best probabilities are
not the best choices: weights made for log loss lean on the regression, whose errors
models share, and choices do better with several kinds of evidence about even. Not
fitted: weights fitted to the scores of the models chosen did no better than these."""

DECISION_NETWORK_SHARE = 0.15
"""Share of the network's logit in choosing."""

CERTAIN = 0.01
"""Means are kept this far from 0 and 1 before their logit is taken."""

MAX_LEARNING_QUERIES = 4096
"""Queries that penalty, weights and share are learned on; more tell nothing new."""

CLUSTERING_SEED = 0
"""Clusters are part of a deterministic fit."""


@dataclass(frozen=True)
class LocalEvidence:
    """What each model's own scores say about it, and how it is combined.

    For query q and model m: the logit of the model's mean mu, of its means c_s in
    the cluster of q at three scales s (shrunk to mu), and the value at q of its own
    logistic regression g (shrunk to that of the average model). With the network's
    logit l and e = w_0 logit(mu) + sum_s w_s logit(c_s) + w_4 g, P(correct) is
    expit((1 - h) e + h l). All models share w and h, so that a new model needs no
    training: its means are counted and its regression, a convex problem with one
    solution, is solved. Choices among models are made by the same sum with the
    weights `DECISION_WEIGHTS` and `DECISION_NETWORK_SHARE`.

    Parameters
    ----------
    clusterings : tuple of QueryClusters
        One per scale.
    regression : Regression
        How the models' regressions are made.
    weights : ndarray of shape (2 + n_scales,)
        Of the model's mean, the cluster means and the regression.
    network_share : float
        h, in [0, 1].
    prior : float
        Mean score of the pool at fit, to which models' means are shrunk.
    models : ndarray of labels, (n_models,)
        Order of the models.
    mean_logits : ndarray of shape (n_models,)
        logit(mu).
    cluster_logits : tuple of ndarray of shape (n_clusters, n_models)
        logit(c_s).
    lines : Lines
        g of each model.
    """

    clusterings: tuple[QueryClusters, ...]
    regression: Regression
    weights: np.ndarray
    network_share: float
    prior: float
    models: np.ndarray
    mean_logits: np.ndarray
    cluster_logits: tuple[np.ndarray, ...]
    lines: Lines

    def features(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Stack what is weighed: (n_queries, n_columns, 2 + n_scales), float32."""
        shape = (len(encodings), len(columns))
        parts = [np.broadcast_to(self.mean_logits[columns], shape)]
        for clusters, table in zip(self.clusterings, self.cluster_logits, strict=True):
            parts.append(table[:, columns][clusters.assign(encodings)])
        limit = logit(1 - CERTAIN)
        values = self.lines.take(columns).values(encodings).clip(-limit, limit)
        return np.stack(
            [*parts, values], axis=-1, dtype=np.float32, casting="same_kind"
        )

    def judge(
        self, encodings: np.ndarray, logits: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Combine the evidence with the network's logits (n_queries, n_columns).

        Returns what decides between models, and the logits of P(correct).
        """
        features = self.features(encodings, columns)
        weights = np.array([DECISION_WEIGHTS, self.weights], dtype=np.float32)
        shares = np.array([DECISION_NETWORK_SHARE, self.network_share], np.float32)
        evidence = features @ weights.T
        combined = evidence + shares * (logits[..., None] - evidence)
        return combined[..., 0], combined[..., 1]

    def on(
        self, evaluations: EvaluationSet, models: np.ndarray, changed: Collection
    ) -> LocalEvidence:
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
        LocalEvidence
            The new evidence.
        """
        order = positions_of(models, evaluations)
        means = shrunk_model_means(evaluations, self.prior)
        tables = (
            shrunk_cluster_means(clusters, evaluations, means, PULL)
            for clusters in self.clusterings
        )
        return replace(
            self,
            models=models,
            mean_logits=_logit(means)[order],
            cluster_logits=tuple(_logit(table)[:, order] for table in tables),
            lines=refit_some(
                self.regression, self.lines, self.models, models, evaluations, changed
            ),
        )


def fit_local_evidence(
    evaluations: EvaluationSet, held_out: np.ndarray, network_logits: np.ndarray
) -> LocalEvidence:
    """Learn what the evidence is made of, and how it is weighed.

    Parameters
    ----------
    evaluations : EvaluationSet
        All there is to learn from.
    held_out : ndarray of shape (n_rows,), bool
        Evaluations that the network was not trained on, if any.
    network_logits : ndarray of shape (n_held_out,)
        The network's logits for them, from embeddings that have not seen them.

    Returns
    -------
    LocalEvidence
        Evidence of ``evaluations``.
    """
    clusterings = _cluster(evaluations)
    known = evaluations.query_codes < MAX_LEARNING_QUERIES
    sample = evaluations.take(np.flatnonzero(known))
    alpha = choose_alpha(sample, "log_loss", "mean", "log_loss")
    rows, features = _held_out_features(sample, clusterings, alpha)
    weights = _fit_weights(features, sample.scores[rows], sample.n_models)
    judged = np.full(len(evaluations), np.nan)
    judged[np.flatnonzero(known)[rows]] = features @ weights
    share = _fit_share(
        judged[held_out],
        network_logits,
        evaluations.scores[held_out],
        evaluations.n_models,
    )
    evidence = _evidence_of(evaluations, clusterings, alpha)
    return replace(evidence, weights=weights.astype(np.float32), network_share=share)


def _cluster(evaluations: EvaluationSet) -> tuple[QueryClusters, ...]:
    """Cluster the queries at every scale; their scores have no part in it."""
    encodings = evaluations.queries.vectors()
    root = np.sqrt(len(encodings))
    return tuple(
        QueryClusters.fit(encodings, max(1, round(scale * root)), CLUSTERING_SEED)
        for scale in SCALES
    )


def _evidence_of(
    evaluations: EvaluationSet, clusterings: tuple[QueryClusters, ...], alpha: float
) -> LocalEvidence:
    """Take the evidence of evaluations, not yet weighed."""
    models = evaluations.model_names
    regression = learn_regression(evaluations, "log_loss", "mean", alpha)
    empty = LocalEvidence(
        clusterings=clusterings,
        regression=regression,
        weights=np.empty(0),
        network_share=NETWORK_SHARE,
        prior=float(evaluations.scores.mean(dtype=np.float64)),
        models=models[:0],
        mean_logits=np.empty(0),
        cluster_logits=(),
        lines=Lines(np.empty((0, evaluations.queries.n_features)), np.empty(0)),
    )
    return empty.on(evaluations, models, models)


def _held_out_features(
    evaluations: EvaluationSet, clusterings: tuple[QueryClusters, ...], alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and what other queries' evidence says of them, fold by fold."""
    parts = [
        (rows, _features_of(evaluations, training, rows, clusterings, alpha))
        for training, rows in fold_rows(evaluations)
    ]
    if not parts:
        return np.empty(0, np.intp), np.empty((0, 2 + len(SCALES)), np.float32)
    rows, features = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, features


def _features_of(
    evaluations: EvaluationSet,
    training: np.ndarray,
    rows: np.ndarray,
    clusterings: tuple[QueryClusters, ...],
    alpha: float,
) -> np.ndarray:
    seen, asked = evaluations.take(training), evaluations.take(rows)
    evidence = _evidence_of(seen, clusterings, alpha)
    columns = positions_of(asked.model_names, seen)
    features = evidence.features(asked.queries.vectors(), columns)
    return features[asked.query_codes, asked.model_codes]


def _fit_weights(features: np.ndarray, scores: np.ndarray, n_models: int) -> np.ndarray:
    """Minimise soft cross-entropy plus a ridge penalty around `WEIGHTS`."""
    X, y, start = features.astype(np.float64), scores.astype(np.float64), WEIGHTS
    penalty = WEIGHT_PENALTY * n_models

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z, gap = X @ w, w - start
        loss = np.sum(np.logaddexp(0, z) - y * z) + penalty / 2 * gap @ gap
        return loss, X.T @ (expit(z) - y) + penalty * gap

    return minimize(objective, start, jac=True, method="L-BFGS-B").x


def _fit_share(
    evidence: np.ndarray, logits: np.ndarray, scores: np.ndarray, n_models: int
) -> float:
    """Minimise soft cross-entropy plus a penalty around `NETWORK_SHARE`."""
    both = np.isfinite(evidence)
    start, step = evidence[both], (logits - evidence)[both]
    y = scores[both].astype(np.float64)

    def objective(share: float) -> float:
        z = start + share * step
        penalty = SHARE_PENALTY * n_models / 2 * (share - NETWORK_SHARE) ** 2
        return float(np.sum(np.logaddexp(0, z) - y * z) + penalty)

    return float(minimize_scalar(objective, bounds=(0, 1), method="bounded").x)


def _logit(means: np.ndarray) -> np.ndarray:
    return logit(np.clip(means, CERTAIN, 1 - CERTAIN)).astype(np.float32)
