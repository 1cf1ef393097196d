"""Discount of evidence about queries far from all known ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skl_locus._estimation.clusters import QueryClusters

if TYPE_CHECKING:
    from skl_locus._evidence.config import EvidenceConfig


@dataclass(frozen=True)
class NoveltyDiscount:
    """Weight of evidence about a query by its distance from the known ones.

    With d the distance of a query to the nearest cluster centre, the weight is 1 up to
    a quantile (the 99th percentile by default) of d over the known queries, each with
    its cluster made without it, and falls exponentially beyond.

    Parameters
    ----------
    clusters : QueryClusters
        Clusters of the known queries.
    edge : float
        Distance at which the weight begins to fall.
    width : float
        Unit of what lies beyond.
    decay : float
        E-foldings per unit.
    """

    clusters: QueryClusters
    edge: float
    width: float
    decay: float

    @classmethod
    def fit(
        cls, clusters: QueryClusters, encodings: np.ndarray, config: EvidenceConfig
    ) -> NoveltyDiscount:
        """Learn from the encodings (n_queries, n_features) of known queries."""
        # A centre lies nearer to its own members than to new queries like them: left
        # in, it would let nearly every new query count as far.
        distances = clusters.distances_left_out(encodings)
        distances = distances[np.isfinite(distances)]
        edge = middle = 0.0
        if len(distances):
            quantiles = [0.5, config.novelty_quantile]
            middle, edge = map(float, np.quantile(distances, quantiles))
        if edge == 0:
            # Distances between known queries say nothing: no query is far.
            return cls(clusters, np.inf, 1.0, config.novelty_decay)
        width = max(edge - middle, config.novelty_min_width * edge)
        return cls(clusters, edge, width, config.novelty_decay)

    def weight(self, distances: np.ndarray) -> np.ndarray:
        """Turn distances to the nearest centre into weights in (0, 1]."""
        beyond = np.maximum(distances - self.edge, 0) / self.width
        return np.exp(-self.decay * beyond)
