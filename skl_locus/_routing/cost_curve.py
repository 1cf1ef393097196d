"""Operating points of routing by the weight of cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skl_locus._costs.hull import MAX_POINTS, breakpoint_weights
from skl_locus._data.pairs import EvaluatedPairs
from skl_locus._routing.objective import Objective
from skl_locus._utils.statistics import stable_mean


def swept_curve(pairs: EvaluatedPairs, max_points: int = MAX_POINTS) -> pd.DataFrame:
    """Return the operating points of the weights at which choices change, or of some.

    Parameters
    ----------
    pairs : EvaluatedPairs
        With the columns "y_score" and "costs", by which choices are made, and
        perhaps "observed_costs", of which the curve has the mean.
    max_points : int, default=500
        Number of weights tried at most.

    Returns
    -------
    DataFrame of shape (n_points, 3)
        As of `cost_quality_curve`.
    """
    costs, decisions = pairs.columns["costs"], pairs.columns["y_score"]
    weights = breakpoint_weights(costs, decisions, pairs.queries, max_points)
    curve = operating_points(pairs, weights)
    repeats = curve[["cost", "quality"]].diff().eq(0).all(axis=1)
    return curve[~repeats].reset_index(drop=True)


def operating_points(pairs: EvaluatedPairs, weights: np.ndarray) -> pd.DataFrame:
    """Return the mean cost and score of the choices at each weight of cost."""
    decisions, costs = pairs.columns["y_score"], pairs.columns["costs"]
    observed = pairs.columns.get("observed_costs", costs)
    points = []
    for weight in weights:
        objective = Objective(cost_weight=weight)
        chosen = pairs.best(objective.preferences(decisions, costs))
        cost, quality = stable_mean(observed[chosen]), stable_mean(pairs.scores[chosen])
        points.append((weight, cost, quality))
    return pd.DataFrame(points, columns=["weight", "cost", "quality"])
