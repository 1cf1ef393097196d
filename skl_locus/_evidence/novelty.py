"""Discount of evidence about queries far from all known ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skl_locus._estimation.clusters import QueryClusters

EDGE = 0.99
"""Share of the known queries within reach; from there on trust fades."""

FADING = 3.0
"""How fast it fades: e-foldings per distance between the edge and the median."""

SMALLEST_WIDTH = 0.01
"""Of that distance, as a share of the edge's own."""


@dataclass(frozen=True)
class NoveltyDiscount:
    """Trust in what is known about the queries around a query.

    With d the distance of a query to the nearest cluster centre, and the median and
    the 99th percentile of what d is for a known query that its cluster was made
    without, trust is 1 up to the percentile and falls exponentially beyond it.

    Parameters
    ----------
    edge : float
        Distance at which trust begins to fade.
    width : float
        Unit of what lies beyond.
    """

    edge: float
    width: float

    @classmethod
    def learn(cls, clusters: QueryClusters, encodings: np.ndarray) -> NoveltyDiscount:
        """Learn from the encodings (n_queries, n_features) of known queries."""
        distances = clusters.distances_left_out(encodings)
        distances = distances[np.isfinite(distances)]
        if not len(distances):
            return cls(np.inf, 1.0)
        middle, edge = np.quantile(distances, [0.5, EDGE])
        if edge == 0:
            return cls(np.inf, 1.0)
        return cls(float(edge), float(max(edge - middle, SMALLEST_WIDTH * edge)))

    def trust(self, distances: np.ndarray) -> np.ndarray:
        """Turn distances to the nearest centre into trust in (0, 1]."""
        beyond = np.maximum(distances - self.edge, 0) / self.width
        return np.exp(-FADING * beyond)
