"""Fitting of stacked evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._estimation.cross_validation import fold_rows
from skl_locus._estimation.linear_models import choose_alpha, choose_common_alpha
from skl_locus._estimation.shared_basis import shared_basis
from skl_locus._evidence.base import Penalties, PoolContext
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.stack import EvidenceStack, PoolEvidence
from skl_locus._evidence.weights import (
    fit_decision_weights,
    fit_share,
    fit_weights,
    reliability_of,
    starting_share,
)
from skl_locus._utils.blas_threads import map_tasks
from skl_locus._utils.progress import progress_bar


def fit_evidence(
    evaluations: EvaluationSet,
    held_out: np.ndarray,
    network_logits: np.ndarray,
    config: EvidenceConfig | None = None,
) -> EvidenceStack:
    """Fit features to a pool, and their weights on its held-out queries.

    Parameters
    ----------
    evaluations : EvaluationSet
        All there is to learn from.
    held_out : ndarray of shape (n_rows,), bool
        Evaluations that the network was not trained on, if any.
    network_logits : ndarray of shape (n_held_out,)
        The network's logits for them, from embeddings that have not seen them.
    config : EvidenceConfig or None
        What is set rather than learned; None takes the defaults.

    Returns
    -------
    EvidenceStack
        Evidence of ``evaluations``.
    """
    config = EvidenceConfig() if config is None else config
    with shared_basis(evaluations.queries):
        return _fit_evidence(evaluations, held_out, network_logits, config)


def _fit_evidence(
    evaluations: EvaluationSet,
    held_out: np.ndarray,
    network_logits: np.ndarray,
    config: EvidenceConfig,
) -> EvidenceStack:
    clusterings = _cluster(evaluations, config)
    # Query codes are in the order of digests: the first are a random sample.
    known = evaluations.query_codes < config.max_queries
    sample = evaluations.take(np.flatnonzero(known))
    penalties = _choose_penalties(sample)
    rows, values = _held_out_values(sample, clusterings, penalties, config)
    weights = fit_weights(values, sample.scores[rows], sample.n_models, config)
    evidence_logits = np.full(len(evaluations), np.nan)
    evidence_logits[np.flatnonzero(known)[rows]] = (
        values @ np.array(list(weights.values()))
    ).clip(-MAX_LOGIT, MAX_LOGIT)
    share = fit_share(
        evidence_logits[held_out],
        network_logits,
        evaluations.scores[held_out],
        evaluations.n_models,
        starting_share(len(evaluations.queries), config),
        config,
    )
    # The weights were learned for features that have not seen the query; the features
    # themselves are then made from all there is.
    with progress_bar("local evidence of all", 1, unit="step") as bar:
        evidence = _stack_of(evaluations, clusterings, penalties, config)
        bar.advance()
    shared = replace(
        evidence.shared,
        weights=weights,
        decision_weights=_decision_weights(sample, rows, values, config),
        network_share=share,
    )
    return replace(evidence, shared=shared)


def _decision_weights(
    evaluations: EvaluationSet,
    rows: np.ndarray,
    values: np.ndarray,
    config: EvidenceConfig,
) -> dict[str, float]:
    reliability = reliability_of(evaluations.sizes, config.decision_evaluations)
    return fit_decision_weights(
        values,
        evaluations.scores[rows],
        evaluations.query_codes[rows],
        reliability[evaluations.model_codes[rows]],
        evaluations.n_models,
        config,
    )


def _cluster(
    evaluations: EvaluationSet, config: EvidenceConfig
) -> tuple[QueryClusters, ...]:
    """Cluster the queries into several numbers; their scores have no part in it."""
    encodings = evaluations.queries.vectors()
    most = len(encodings) / config.queries_per_cluster
    first, *others = config.cluster_numbers
    numbers = [first, *(each for each in others if each <= most)]
    # The largest takes longest: it begins first.
    largest_first = sorted(numbers, reverse=True)
    fitted = map_tasks(
        lambda number: QueryClusters.fit(encodings, number, config.clustering_seed),
        largest_first,
        name="cluster queries",
        unit="clustering",
    )
    by_number = dict(zip(largest_first, fitted, strict=True))
    return tuple(by_number[number] for number in numbers)


def _choose_penalties(evaluations: EvaluationSet) -> Penalties:
    """Choose how much regressions are shrunk by query-wise cross-validation."""
    common = choose_common_alpha(evaluations, "log_loss", "log_loss")
    own = choose_alpha(evaluations, "log_loss", "mean", "log_loss", common)
    return Penalties(common, own)


def _stack_of(
    evaluations: EvaluationSet,
    clusterings: tuple[QueryClusters, ...],
    penalties: Penalties,
    config: EvidenceConfig,
) -> EvidenceStack:
    """Take the evidence of evaluations, not yet weighed."""
    pool = PoolContext.from_evaluations(evaluations, clusterings, penalties, config)
    shared = PoolEvidence.fit(pool)
    return EvidenceStack.from_evaluations(shared, evaluations, evaluations.model_names)


def _held_out_values(
    evaluations: EvaluationSet,
    clusterings: tuple[QueryClusters, ...],
    penalties: Penalties,
    config: EvidenceConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and features made from other queries' evaluations, fold by fold."""

    def values_of(fold: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return _values_of(evaluations, *fold, clusterings, penalties, config)

    folds = list(fold_rows(evaluations))
    each = map_tasks(values_of, folds, name="local evidence", unit="fold")
    parts = [(rows, values) for (_, rows), values in zip(folds, each, strict=True)]
    if not parts:
        n_features = len(config.features)
        return np.empty(0, np.intp), np.empty((0, n_features), np.float32)
    rows, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, values


def _values_of(
    evaluations: EvaluationSet,
    training: np.ndarray,
    rows: np.ndarray,
    clusterings: tuple[QueryClusters, ...],
    penalties: Penalties,
    config: EvidenceConfig,
) -> np.ndarray:
    seen, asked = evaluations.take(training), evaluations.take(rows)
    evidence = _stack_of(seen, clusterings, penalties, config)
    columns = seen.index_of(asked.model_names)
    values = evidence.values(asked.queries.vectors(), columns)
    return values[asked.query_codes, asked.model_codes]
