"""RouterArena's score of accuracy and cost together."""

from __future__ import annotations

import math

LEAST_COST, LARGEST_COST = 0.0044, 200.0
"""Dollars for 1,000 queries between which RouterArena's scale of costs runs."""

COST_WEIGHT = 0.1
"""Weight beta of the harmonic mean: accuracy counts ten times as much as cost."""


def router_arena_score(
    quality: float, cost: float, *, beta: float = COST_WEIGHT
) -> float:
    """Compute the weighted harmonic mean of accuracy and cheapness.

    The score of the RouterArena leaderboard: ``(1 + beta) A C / (beta A + C)`` for the
    accuracy A and the cheapness ``C = (log2(200) - log2(cost)) / (log2(200) -
    log2(0.0044))``.

    Parameters
    ----------
    quality : float
        Mean score A of the models chosen, in [0, 1].
    cost : float
        Mean cost of 1,000 queries in US dollars, above 0. Costs outside 0.0044 to 200
        count as the nearer of these two.
    beta : float, default=0.1
        Weight of cheapness against accuracy, above 0.

    Returns
    -------
    float
        Score in [0, 1], higher is better; 0 for no accuracy, or from 200 dollars on.

    Raises
    ------
    ValueError
        If the quality is outside [0, 1], or a cost or beta is not finite or not above
        0.

    Notes
    -----
    The leaderboard shows 100 times the score on its own queries; on others it is no
    place in it.

    Examples
    --------
    >>> from skl_locus.metrics import router_arena_score
    >>> router_arena_score(0.7, 0.0044)
    0.71...
    >>> router_arena_score(0.7, 1.0)
    0.67...
    """
    if not 0 <= quality <= 1:
        raise ValueError(f"quality must be in [0, 1], got {quality!r}.")
    for name, value in (("cost", cost), ("beta", beta)):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be finite and above 0, got {value!r}.")
    within = min(max(cost, LEAST_COST), LARGEST_COST)
    cheapness = math.log2(LARGEST_COST / within) / math.log2(LARGEST_COST / LEAST_COST)
    if quality == 0 or cheapness == 0:
        return 0.0
    return (1 + beta) * quality * cheapness / (beta * quality + cheapness)
