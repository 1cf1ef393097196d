"""Stacked evidence as one matrix product and a few tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logit

from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.ability import PROBABILITY_CLIP_MEANS
from skl_locus._evidence.base import QueryFunctions
from skl_locus._evidence.novelty import NoveltyDiscount

MAX_LOGIT = float(logit(1 - PROBABILITY_CLIP_MEANS))
"""Evidence is kept between this logit and its negative, the bounds of the means that it
is made of: a regression far from its data would claim more."""

MODELS_AT_A_TIME = 256
"""Models whose slopes are weighed at a time."""

ROWS_AT_A_TIME = 512
"""Queries whose evidence is weighed at a time: all passes over their sums after the
product find them in a cache."""


@dataclass(frozen=True)
class PackedEvidence:
    """Weighted sums of features as one matrix product and one table per clustering.

    Every array of ``2 * n_models`` columns has those for choosing first and those for
    P(correct) after them: both need the same product with the encodings.

    Parameters
    ----------
    directions : ndarray of shape (n_features, 2 * n_models + n_centers)
        Weighted coefficients of the features, then the centres of all clusters, so
        that one matrix product serves both.
    intercepts : ndarray of shape (2 * n_models,)
        All that does not depend on the query.
    tables : tuple of ndarray of shape (n_clusters, 2 * n_models)
        Weighted numbers within clusters, one table per clustering.
    half_norms : ndarray of shape (n_centers,)
        Half of the centres' squared lengths.
    anchors : ndarray of shape (n_models,)
        Logits that predictions fall back to far from all known queries.
    anchor_weight, departure_weight : float
        Weights in choices: of the anchor, and of all departures from it together.
    reliability : ndarray of shape (n_models,)
        Weight of a model's departures in choices, in (0, 1).
    novelty : NoveltyDiscount
        Weight of evidence by the distance to the nearest centre.
    novelty_clustering : int
        Clustering in which the distance is taken.
    network_share : float
        Share of the network's logit, in [0, 1].
    """

    directions: np.ndarray
    intercepts: np.ndarray
    tables: tuple[np.ndarray, ...]
    half_norms: np.ndarray
    anchors: np.ndarray
    anchor_weight: float
    departure_weight: float
    reliability: np.ndarray
    novelty: NoveltyDiscount
    novelty_clustering: int
    network_share: float

    def take(self, columns: np.ndarray) -> PackedEvidence:
        """Keep some models only."""
        n_models = len(self.anchors)
        if np.array_equal(columns, np.arange(n_models)):
            return self
        both = np.concatenate([columns, n_models + columns])
        centers = np.arange(2 * n_models, self.directions.shape[1])
        return replace(
            self,
            directions=self.directions[:, np.append(both, centers)],
            intercepts=self.intercepts[both],
            tables=tuple(table[:, both] for table in self.tables),
            anchors=self.anchors[columns],
            reliability=self.reliability[columns],
        )

    def scores_and_probabilities(
        self, encodings: np.ndarray, logits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Combine the evidence with the network's logits (n_queries, n_models).

        Returns what decides between models, and the logits of P(correct).
        """
        n_models = len(self.anchors)
        decisions, combined = np.empty_like(logits), np.empty_like(logits)
        for rows in _row_blocks(len(encodings)):
            sums, discount = self._weigh(encodings[rows])
            network = logits[rows] - self.anchors
            decisions[rows] = self._decide(sums[:, :n_models], network, discount)
            combined[rows] = self._predict(sums[:, n_models:], network, discount)
        return decisions, combined

    def logits(self, encodings: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Return the logits of P(correct) alone, at half the cost."""
        combined = np.empty_like(logits)
        for rows in _row_blocks(len(encodings)):
            sums, discount = self._weigh(encodings[rows], first=len(self.anchors))
            network = logits[rows] - self.anchors
            combined[rows] = self._predict(sums, network, discount)
        return combined

    def _decide(
        self, departures: np.ndarray, network: np.ndarray, discount: np.ndarray
    ) -> np.ndarray:
        """Turn sums for choosing into decision scores, in place."""
        # The network takes the share h of the place of all features, so that its
        # departure from the anchor counts as much as theirs together.
        h = self.network_share
        departures *= 1 - h
        departures += h * self.departure_weight * network
        departures *= self.reliability
        departures *= discount
        departures += self.anchor_weight * self.anchors
        return departures

    def _predict(
        self, evidence: np.ndarray, network: np.ndarray, discount: np.ndarray
    ) -> np.ndarray:
        """Turn sums for P(correct) into its logits, in place, as ``network``."""
        h = self.network_share
        evidence.clip(-MAX_LOGIT, MAX_LOGIT, out=evidence)
        evidence -= self.anchors
        evidence *= 1 - h
        network *= h
        evidence += network
        evidence *= discount
        evidence += self.anchors
        return evidence

    def _weigh(
        self, encodings: np.ndarray, first: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return sums (n_queries, 2 * n_models - first) and discounts (n_queries, 1).

        Of the sums, those before ``first`` are left out.
        """
        products = encodings @ self.directions[:, first:]
        n_sums = len(self.intercepts) - first
        sums, closeness = products[:, :n_sums], products[:, n_sums:]
        sums += self.intercepts[first:]
        # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2): the nearest centre is that with the
        # largest bracket, and |x|^2 is needed for the distance alone.
        closeness -= self.half_norms
        start = 0
        for i, table in enumerate(self.tables):
            stop = start + len(table)
            to_centers = closeness[:, start:stop]
            sums += table[to_centers.argmax(axis=1), first:]
            if i == self.novelty_clustering:
                nearest = to_centers.max(axis=1)
            start = stop
        # Rounding may take the square of a very small distance below zero.
        squares = np.einsum("ij,ij->i", encodings, encodings) - 2 * nearest
        discount = self.novelty.weight(np.sqrt(squares.clip(min=0)))
        return sums, discount.astype(sums.dtype)[:, None]


def _row_blocks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, ROWS_AT_A_TIME):
        yield slice(start, start + ROWS_AT_A_TIME)


def pack_features(
    functions: Mapping[str, QueryFunctions],
    anchors: np.ndarray,
    weights: Mapping[str, float],
    decision_weights: Mapping[str, float],
    reliability: np.ndarray,
    novelty: NoveltyDiscount,
    network_share: float,
) -> PackedEvidence:
    """Weigh features once, so that prediction does not depend on their number.

    Parameters
    ----------
    functions : mapping of str to QueryFunctions
        Features of all models, the anchor first.
    anchors : ndarray of shape (n_models,)
        The anchor's values.
    weights, decision_weights : mapping of str to float
        Weights by feature.
    reliability : ndarray of shape (n_models,)
        Weight of a model's departures in choices.
    novelty : NoveltyDiscount
        Weight of evidence by distance.
    network_share : float
        Share of the network's logit.

    Returns
    -------
    PackedEvidence
        In float32.
    """
    clusterings = _distinct_clusterings(functions, novelty)
    anchor, *others = functions
    departure_weight = sum(decision_weights[name] for name in others)
    # Choices weigh departures, sum d_j (f_j - anchor): the anchor's weight in that sum
    # is minus all others'. What it counts for by itself is no matter of the query.
    departing = {**decision_weights, anchor: -departure_weight}
    centers = np.concatenate([each.centers for each in clusterings])
    n_models, n_features = len(anchors), centers.shape[1]
    # A column is a model's or a centre's: each is written, and later taken, as a whole.
    shape = n_features, 2 * n_models + len(centers)
    directions = np.empty(shape, dtype=np.float32, order="F")
    directions[:, 2 * n_models :] = centers.T
    for half, some in enumerate((departing, weights)):
        columns = directions[:, half * n_models : (half + 1) * n_models]
        _weigh_slopes(functions, some, out=columns)
    choosing = _weighted_sum(functions, departing, clusterings)
    predicting = _weighted_sum(functions, weights, clusterings)
    intercepts, *tables = (
        np.concatenate(pair, axis=-1, dtype=np.float32)
        for pair in zip(choosing, predicting, strict=True)
    )
    return PackedEvidence(
        directions=directions,
        intercepts=intercepts,
        tables=tuple(tables),
        half_norms=(centers**2).sum(axis=1) / 2,
        anchors=anchors.astype(np.float32),
        anchor_weight=decision_weights[anchor],
        departure_weight=departure_weight,
        reliability=reliability.astype(np.float32),
        novelty=novelty,
        novelty_clustering=_place_of(novelty.clusters, clusterings),
        network_share=network_share,
    )


def _distinct_clusterings(
    functions: Mapping[str, QueryFunctions], novelty: NoveltyDiscount
) -> list[QueryClusters]:
    """List clusterings once each, whoever uses them; a query is assigned once."""
    used = [table.clusters for f in functions.values() for table in f.tables]
    by_identity = {id(each): each for each in [*used, novelty.clusters]}
    return list(by_identity.values())


def _place_of(clusters: QueryClusters, clusterings: list[QueryClusters]) -> int:
    return next(i for i, each in enumerate(clusterings) if each is clusters)


def _weighted_sum(
    functions: Mapping[str, QueryFunctions],
    weights: Mapping[str, float],
    clusterings: list[QueryClusters],
) -> list[np.ndarray]:
    """Weigh intercepts, and a table per clustering."""
    n_models = len(next(iter(functions.values())).intercept)
    intercepts = np.zeros(n_models)
    tables = [np.zeros((len(clusters), n_models)) for clusters in clusterings]
    for name, function in functions.items():
        weight = weights[name]
        intercepts += weight * function.intercept
        for table in function.tables:
            tables[_place_of(table.clusters, clusterings)] += weight * table.table
    return [intercepts, *tables]


def _weigh_slopes(
    functions: Mapping[str, QueryFunctions],
    weights: Mapping[str, float],
    out: np.ndarray,
) -> None:
    """Weigh slopes into ``out`` (n_features, n_models)."""
    # Sums are float64, of some models at a time: those of a large pool would take
    # several times the memory of the result.
    n_features, n_models = out.shape
    for start in range(0, n_models, MODELS_AT_A_TIME):
        block = slice(start, min(start + MODELS_AT_A_TIME, n_models))
        slopes = np.zeros((block.stop - start, n_features))
        for name, function in functions.items():
            if function.coef is not None:
                shared = len(function.coef) == 1
                slopes += (
                    weights[name] * function.coef[slice(None) if shared else block]
                )
        out[:, block] = slopes.T
