"""Parts of a prediction: what each feature and the network add to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.stack import EvidenceStack
from skl_locus._evidence.weights import reliability_of

NETWORK = "network"
"""Name of the network's part, beside the names of the features."""

LIMIT = "limit"
"""Name of what the bounds of the evidence take off."""


@dataclass(frozen=True)
class Contributions:
    """What features and network add to the predictions for queries and models.

    Parameters
    ----------
    names : tuple of str
        Names of the parts: the features, the anchor first, then the network.
    logits : ndarray of shape (n_queries, n_models, n_parts)
        What each part says alone, as a logit.
    probabilities : ndarray of shape (n_queries, n_models, n_parts + 1)
        What each part adds to the logit of P(correct); the last column is what the
        bounds of the evidence take off. They add up to the logit.
    decisions : ndarray of shape (n_queries, n_models, n_parts)
        What each part adds to the logit of the decision score.
    trust : ndarray of shape (n_queries,)
        Weight of all that departs from the anchor.
    """

    names: tuple[str, ...]
    logits: np.ndarray
    probabilities: np.ndarray
    decisions: np.ndarray
    trust: np.ndarray


def contributions_of(
    evidence: EvidenceStack,
    encodings: np.ndarray,
    network_logits: np.ndarray,
    columns: np.ndarray,
) -> Contributions:
    """Split predictions into what features and network add.

    Parameters
    ----------
    evidence : EvidenceStack
        Of the pool.
    encodings : ndarray of shape (n_queries, n_features)
        Encodings of queries.
    network_logits : ndarray of shape (n_queries, n_columns)
        The network's logits.
    columns : ndarray of shape (n_columns,)
        Models.

    Returns
    -------
    Contributions
        Of each query and model.
    """
    shared = evidence.shared
    stacked = evidence.values(encodings, columns).astype(np.float64)
    values = np.concatenate([stacked, network_logits[..., None]], axis=-1)
    trust = evidence.trust(encodings)
    # `PackedEvidence` has the same sums, multiplied out for speed. Parts are told here
    # as departures from the anchor, so that a part that agrees with it adds nothing.
    departures = values - values[..., :1]
    weights = np.array(list(shared.weights.values()))
    share, counted = shared.network_share, trust[:, None, None]
    probabilities = departures * np.append((1 - share) * weights, share) * counted
    excess = (1 - share) * (weights.sum() - 1) * trust[:, None]
    anchors = values[..., 0]
    probabilities[..., 0] = anchors * (1 + excess)
    sums = stacked @ weights
    limit = (1 - share) * (sums.clip(-MAX_LOGIT, MAX_LOGIT) - sums) * trust[:, None]
    return Contributions(
        (*shared.features, NETWORK),
        values,
        np.concatenate([probabilities, limit[..., None]], axis=-1),
        _decisions(evidence, departures, anchors, columns, counted),
        trust,
    )


def only_part(name: str, logits: np.ndarray) -> Contributions:
    """Return the contributions where P(correct) has one part only."""
    values = logits.astype(np.float64)[..., None]
    limited = np.concatenate([values, np.zeros_like(values)], axis=-1)
    return Contributions((name,), values, limited, values, np.ones(len(values)))


def _decisions(
    evidence: EvidenceStack,
    departures: np.ndarray,
    anchors: np.ndarray,
    columns: np.ndarray,
    trust: np.ndarray,
) -> np.ndarray:
    """Return what each part adds to the logits of decision scores."""
    shared = evidence.shared
    anchor_weight, *weights = shared.decision_weights.values()
    # The network stands in for all features, with the share that it has.
    network = shared.network_share * sum(weights)
    own = [0.0, *((1 - shared.network_share) * weight for weight in weights), network]
    reliability = reliability_of(evidence.sizes[columns], shared.decision_evaluations)
    added = departures * np.array(own) * reliability[:, None] * trust
    added[..., 0] = anchor_weight * anchors
    return added
