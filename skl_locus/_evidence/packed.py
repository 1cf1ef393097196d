"""Stacked evidence as one matrix product and a few tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logit

from skl_locus._evidence.ability import PROBABILITY_CLIP
from skl_locus._evidence.novelty import NoveltyDiscount

MAX_LOGIT = float(logit(1 - PROBABILITY_CLIP))
"""Evidence is kept between this logit and its negative."""


@dataclass(frozen=True)
class PackedEvidence:
    """Weighted sums of local evidence as one matrix product and three tables.

    Every array of ``2 * n_models`` columns has those for choosing first and those for
    P(correct) after them.

    Parameters
    ----------
    tables : tuple of ndarray of shape (n_clusters, 2 * n_models)
        Weighted logits of cluster means, one table per clustering.
    directions : ndarray of shape (n_features, 2 * n_models + n_centers)
        Weighted coefficients of the regressions, then the centres of all clusters: one
        matrix product serves both.
    half_norms : ndarray of shape (n_centers,)
        Half of the centres' squared lengths.
    at_zero : ndarray of shape (2 * n_models,)
        All that does not depend on the query.
    means : ndarray of shape (n_models,)
        Logits of the models' means.
    mean_weight, departure_weight : float
        Weights in choosing: of the mean, and of all departures from it together.
    reliability : ndarray of shape (n_models,)
        Trust of choices in what is known near a query, in (0, 1).
    reach : Reach
        Trust by the distance to the nearest centre.
    middle : int
        Clustering that the distance is taken in.
    network_share : float
        Share of the network's logit, in [0, 1].
    """

    tables: tuple[np.ndarray, ...]
    directions: np.ndarray
    half_norms: np.ndarray
    at_zero: np.ndarray
    means: np.ndarray
    mean_weight: float
    departure_weight: float
    reliability: np.ndarray
    reach: NoveltyDiscount
    middle: int
    network_share: float

    def take(self, columns: np.ndarray) -> PackedEvidence:
        """Keep some models only."""
        n_models = len(self.means)
        if np.array_equal(columns, np.arange(n_models)):
            return self
        both = np.concatenate([columns, n_models + columns])
        centers = np.arange(2 * n_models, self.directions.shape[1])
        return replace(
            self,
            tables=tuple(table[:, both] for table in self.tables),
            directions=self.directions[:, np.append(both, centers)],
            at_zero=self.at_zero[both],
            means=self.means[columns],
            reliability=self.reliability[columns],
        )

    def scores_and_probabilities(
        self, encodings: np.ndarray, logits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Combine the evidence with the network's logits (n_queries, n_models).

        Returns what decides between models, and the logits of P(correct).
        """
        evidence, trust = self._weigh(encodings)
        departures, evidence = np.split(evidence, 2, axis=1)
        evidence.clip(-MAX_LOGIT, MAX_LOGIT, out=evidence)
        h, network = self.network_share, logits - self.means
        departures += h * (self.departure_weight * network - departures)
        evidence -= self.means
        evidence += h * (network - evidence)
        departures *= trust * self.reliability
        decisions = self.mean_weight * self.means + departures
        return decisions, self.means + trust * evidence

    def _weigh(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return evidence (n_queries, 2 * n_models) and trust (n_queries, 1)."""
        products = encodings @ self.directions
        evidence, closeness = np.split(products, [len(self.at_zero)], axis=1)
        evidence += self.at_zero
        closeness -= self.half_norms
        start = 0
        for i, table in enumerate(self.tables):
            stop = start + len(table)
            to_centers = closeness[:, start:stop]
            evidence += table[to_centers.argmax(axis=1)]
            if i == self.middle:
                nearest = to_centers.max(axis=1)
            start = stop
        squares = np.einsum("ij,ij->i", encodings, encodings) - 2 * nearest
        trust = self.reach.trust(np.sqrt(squares.clip(min=0)))
        return evidence, trust.astype(evidence.dtype)[:, None]
