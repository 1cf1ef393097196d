"""Fitting of stacked evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._estimation.cross_validation import fold_rows
from skl_locus._estimation.linear_models import choose_alpha
from skl_locus._evidence.features import EvidenceStack, learn_pool_evidence
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.weights import (
    WEIGHTS,
    fit_decision_weights,
    fit_share,
    fit_weights,
    reliability_of,
)

SCALES = (0.3, 0.7, 1.6)
"""Numbers of clusters as multiples of the square root of the number of queries."""

MAX_LEARNING_QUERIES = 4096
"""Queries that penalty, weights and share are learned on; more tell nothing new."""

CLUSTERING_SEED = 0
"""Clusters are part of a deterministic fit."""


def fit_evidence(
    evaluations: EvaluationSet, held_out: np.ndarray, network_logits: np.ndarray
) -> EvidenceStack:
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
    EvidenceStack
        Evidence of ``evaluations``.
    """
    clusterings = _cluster(evaluations)
    known = evaluations.query_codes < MAX_LEARNING_QUERIES
    sample = evaluations.take(np.flatnonzero(known))
    alpha = choose_alpha(sample, "log_loss", "mean", "log_loss")
    rows, features = _held_out_features(sample, clusterings, alpha)
    weights = fit_weights(features, sample.scores[rows], sample.n_models)
    judged = np.full(len(evaluations), np.nan)
    judged[np.flatnonzero(known)[rows]] = (features @ weights).clip(
        -MAX_LOGIT, MAX_LOGIT
    )
    share = fit_share(
        judged[held_out],
        network_logits,
        evaluations.scores[held_out],
        evaluations.n_models,
    )
    evidence = _evidence_of(evaluations, clusterings, alpha)
    shared = replace(
        evidence.shared,
        weights=weights,
        decision_weights=_decision_weights(sample, rows, features),
        network_share=share,
    )
    return replace(evidence, shared=shared)


def _decision_weights(
    evaluations: EvaluationSet, rows: np.ndarray, features: np.ndarray
) -> np.ndarray:
    return fit_decision_weights(
        features,
        evaluations.scores[rows],
        evaluations.query_codes[rows],
        reliability_of(evaluations.sizes)[evaluations.model_codes[rows]],
        evaluations.n_models,
    )


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
) -> EvidenceStack:
    """Take the evidence of evaluations, not yet weighed."""
    shared = learn_pool_evidence(evaluations, clusterings, alpha)
    return EvidenceStack.of(shared, evaluations, evaluations.model_names)


def _held_out_features(
    evaluations: EvaluationSet, clusterings: tuple[QueryClusters, ...], alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and what other queries' evidence says of them, fold by fold."""
    parts = [
        (rows, _features_of(evaluations, training, rows, clusterings, alpha))
        for training, rows in fold_rows(evaluations)
    ]
    if not parts:
        return np.empty(0, np.intp), np.empty((0, len(WEIGHTS)), np.float32)
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
    columns = seen.index_of(asked.model_names)
    features = evidence.features(asked.queries.vectors(), columns)
    return features[asked.query_codes, asked.model_codes]
