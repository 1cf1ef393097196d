"""Cost weights at which the preferred model of a query changes."""

from __future__ import annotations

import numpy as np

from skl_locus._data.pairs import EvaluatedPairs

MAX_POINTS = 500
"""Number of weights tried at most where they are not given."""


def breakpoint_weights(
    pairs: EvaluatedPairs, max_points: int = MAX_POINTS
) -> np.ndarray:
    """Return weights between those at which choices change, in ascending order."""
    changes = np.unique(np.concatenate([[0.0], *_changes(pairs)]))
    between = changes[:-1] + np.diff(changes) / 2
    beyond = 2 * changes[-1] if changes[-1] else 1.0
    weights = np.concatenate([[0.0], between, [beyond]])
    if len(weights) <= max_points:
        return weights
    return weights[np.linspace(0, len(weights) - 1, max_points).round().astype(int)]


def _changes(pairs: EvaluatedPairs) -> list[np.ndarray]:
    """List the weights at which queries move on to a cheaper model, by its turn.

    In each turn, every query that can still move does so: to the model that
    overtakes the one chosen at the least weight, and of several such to the
    cheapest.
    """
    costs, decisions = pairs.columns["costs"], pairs.columns["y_score"]
    chosen = pairs.best(decisions, -costs)
    turns: list[np.ndarray] = []
    while True:
        saved = np.repeat(costs[chosen], pairs.sizes) - costs
        lost = np.repeat(decisions[chosen], pairs.sizes) - decisions
        weights = np.full(len(saved), np.inf)
        np.divide(lost, saved, out=weights, where=saved > 0)
        following = pairs.best(-weights, -costs)
        moving = np.isfinite(weights[following])
        if not moving.any():
            return turns
        turns.append(weights[following[moving]])
        chosen = np.where(moving, following, chosen)
