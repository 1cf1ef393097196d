"""Routes of the held-out queries of a fit, and whether they go to one model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.pairs import MIN_COVERAGE, best_covered, score_matrix
from skl_locus._evidence.stack import EvidenceStack
from skl_locus._networks.held_out_report import held_out_fact
from skl_locus._utils.progress import is_reported, learned
from skl_locus._utils.statistics import log_losses
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
    evidence : EvidenceStack or None, default=None
        What the fit has learned beside the network.
    """

    seen: EvaluationSet
    unseen: EvaluationSet
    columns: np.ndarray
    logits: np.ndarray
    evidence: EvidenceStack | None = None

    def observed_logits(self) -> np.ndarray:
        """Return the logits of the held-out evaluations: (n_rows,)."""
        return self.logits[self.unseen.query_codes, self.unseen.model_codes]

    def warn_if_collapsed(self) -> None:
        """Warn if nearly all held-out queries go to one model."""
        n_queries = len(self.unseen.queries)
        if n_queries < MIN_QUERIES or self.unseen.n_models < 2:
            return
        chosen = self._scores[0].argmax(axis=1)
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

    def report(self) -> None:
        """Add log loss and routes of the held-out queries to the closing line.

        The few weights that all models share were learned with these queries: values
        are a little better than on others.
        """
        if not is_reported():
            return
        decisions, logits = self._scores
        unseen = self.unseen
        at = unseen.query_codes, unseen.model_codes
        loss = float(log_losses(unseen.scores, expit(logits[at])).mean())
        learned(held_out_fact(self.seen, unseen, loss))
        scores = score_matrix(*at, unseen.scores, decisions.shape)
        # In a partial log the choice is among the models observed for a query.
        observed = np.where(np.isnan(scores), -np.inf, decisions)
        routed = scores[np.arange(len(scores)), observed.argmax(axis=1)].mean()
        learned(f"their routes score {routed:.4f}{self._beside_single(scores)}")

    def _beside_single(self, scores: np.ndarray) -> str:
        means, counts = self.seen.model_means()[self.columns], self.unseen.sizes
        best = best_covered(means, counts, MIN_COVERAGE * len(scores))
        if best is None:
            return ""
        name, score = self.unseen.model_names[best], np.nanmean(scores[:, best])
        return f" (best single model {name!r} {score:.4f})"

    @cached_property
    def _scores(self) -> tuple[np.ndarray, np.ndarray]:
        """What decides, and logits of P(correct): (n_queries, n_models) each."""
        if self.evidence is None:
            return self.logits, self.logits
        # What all models share has seen these queries, and favours no model. What
        # each model has of its own is made without them.
        models = self.seen.model_names
        own = EvidenceStack.from_evaluations(self.evidence.shared, self.seen, models)
        packed = own.pack().take(self.columns)
        encodings = self.unseen.queries.vectors()
        return packed.scores_and_probabilities(encodings, self.logits)
