"""Routes of the held-out queries of a fit, and whether they go to one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._evidence.stack import EvidenceStack
from skl_locus._utils.user_warnings import warn_user
from skl_locus.exceptions import CollapsedRoutingWarning

MIN_QUERIES = 200
"""Held-out queries from which on the share of one model says something: a share of 95%
is then known to about 3 points."""

COLLAPSED_FROM = 0.95
"""Share of the queries above which routing has collapsed on one model."""


@dataclass(frozen=True)
class HeldOutCheck:
    """Held-out queries of a fit with what the network predicts for them.

    Parameters
    ----------
    seen, unseen : EvaluationSet
        Evaluations of the network's training and those held out of it.
    columns : ndarray of shape (n_models,)
        Position of each model of ``unseen`` among those of ``seen``.
    logits : ndarray of shape (n_queries, n_models)
        The network's logits for the queries of ``unseen``, from embeddings that have
        not seen them.
    """

    seen: EvaluationSet
    unseen: EvaluationSet
    columns: np.ndarray
    logits: np.ndarray

    def observed_logits(self) -> np.ndarray:
        """Return the logits of the held-out evaluations: (n_rows,)."""
        return self.logits[self.unseen.query_codes, self.unseen.model_codes]

    def warn_if_collapsed(self, evidence: EvidenceStack | None) -> None:
        """Warn if nearly all held-out queries go to one model."""
        n_queries = len(self.unseen.queries)
        if n_queries < MIN_QUERIES or self.unseen.n_models < 2:
            return
        chosen = self._decisions(evidence).argmax(axis=1)
        counts = np.bincount(chosen)
        share = counts.max() / n_queries
        if share <= COLLAPSED_FROM:
            return
        model = self.unseen.model_names[counts.argmax()]
        warn_user(
            f"{share:.1%} of the {n_queries} held-out queries go to one model, "
            f"{model!r}: routing is hardly more than always asking it. "
            "inspection.routing_headroom(log, y) says what a choice by query could win "
            "on this log; without costs in the choice, the best model wins often.",
            CollapsedRoutingWarning,
        )

    def _decisions(self, evidence: EvidenceStack | None) -> np.ndarray:
        """Return what decides between models: (n_queries, n_models)."""
        if evidence is None:
            return self.logits
        # What all models share has seen these queries, and favours no model. What
        # each model has of its own is made without them.
        models = self.seen.model_names
        own = EvidenceStack.from_evaluations(evidence.shared, self.seen, models)
        packed = own.pack().take(self.columns)
        encodings = self.unseen.queries.vectors()
        return packed.scores_and_probabilities(encodings, self.logits)[0]
