"""Random mixture of single models that costs as much as a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skl_locus._costs.hull import hull_corners
from skl_locus._data.pairs import EvaluatedPairs
from skl_locus._utils.bootstrap import two_way_bootstrap
from skl_locus._utils.statistics import stable_mean
from skl_locus.inspection._replay import POLICY, Outcome, Replay


@dataclass(frozen=True)
class Mixture:
    """A mixture that looks at no query, and what a policy gains over it.

    Parameters
    ----------
    cheap, dear : object
        Labels of the two models.
    share : float
        Share of the queries that go to the dear model, at random; 0 where the policy
        costs more than the best model, which then answers all.
    difference, low, high : float
        Quality of the policy less that of the mixture, with limits.
    """

    cheap: Any
    dear: Any
    share: float
    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return what the mixture is, for the middle of a sentence."""
        if self.share == 0:
            return f"always {self.cheap!r}"
        return (
            f"a random mixture of {self.dear!r} ({self.share:.0%} of the queries) and "
            f"{self.cheap!r}"
        )


def mixture_at_cost(
    log: Replay, min_coverage: float, options: dict[str, Any]
) -> Mixture | None:
    """Find the best mixture for the mean cost of the policy (UniRoute's zero router).

    Parameters
    ----------
    log : Replay
        With the outcome of the policy.
    min_coverage : float
        Share of the queries that a model of the mixture must have been evaluated on.
    options : dict
        Of `two_way_bootstrap`.

    Returns
    -------
    Mixture or None
        None if no model has the coverage and is as cheap as the policy, or if no query
        has all that is compared.
    """
    policy = log.outcomes[POLICY]
    models, costs = _corners(log.pairs, min_coverage)
    spent = stable_mean(policy.costs[policy.known])
    place = int(np.searchsorted(costs, spent, side="right")) - 1
    if place < 0:
        return None
    after = min(place + 1, len(models) - 1)
    # What is left after the cheap model buys the dear one for a share of the queries.
    price = costs[after] - costs[place]
    share = float((spent - costs[place]) / price) if price > 0 else 0.0
    gains = _gains(policy, log.pairs, [models[place], models[after]], share)
    if np.isnan(gains).all():
        return None
    known = np.isfinite(gains)
    # The share stays that of the whole log: only the scores are resampled.
    estimate = two_way_bootstrap(
        np.where(known, gains, 0.0)[None, None], known[None, None], **options
    )
    return Mixture(
        log.pairs.labels[models[place]],
        log.pairs.labels[models[after]],
        share,
        float(estimate.estimate[0]),
        float(estimate.low[0]),
        float(estimate.high[0]),
    )


def _corners(
    pairs: EvaluatedPairs, min_coverage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the models at the corners of their hull, and what these cost."""
    sizes = np.bincount(pairs.models, minlength=len(pairs.labels))
    models = np.flatnonzero(sizes >= max(1, min_coverage * pairs.n_queries))
    own = [pairs.of_model(int(model)) for model in models]
    costs = np.array([stable_mean(pairs.columns["observed_costs"][o]) for o in own])
    qualities = np.array([stable_mean(pairs.scores[o]) for o in own])
    if not len(models):
        return models, costs
    corners = hull_corners(costs, qualities, np.zeros(len(models), dtype=np.intp))
    return models[corners], costs[corners]


def _gains(
    policy: Outcome, pairs: EvaluatedPairs, models: list, share: float
) -> np.ndarray:
    """Return what the policy gains on each query, NaN where a score is missing."""
    scores = np.full((2, pairs.n_queries), np.nan)
    for row, model in enumerate(models):
        own = pairs.of_model(model)
        scores[row, pairs.queries[own]] = pairs.scores[own]
    mixed = (1 - share) * scores[0] + share * scores[1]
    return np.where(policy.known, policy.scores - mixed, np.nan)
