"""Operating points of routing by the weight of cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skl_locus._costs.hull import MAX_POINTS, breakpoint_weights
from skl_locus._data.pairs import EvaluatedPairs
from skl_locus._utils.statistics import stable_mean


def swept_curve(pairs: EvaluatedPairs, max_points: int = MAX_POINTS) -> pd.DataFrame:
    """Return the operating points of the weights at which choices change, or of some.

    Parameters
    ----------
    pairs : EvaluatedPairs
        With the columns "y_score" and "costs", by which choices are made, and
        perhaps "spent", what they came to cost.
    max_points : int, default=500
        Number of weights tried at most.

    Returns
    -------
    DataFrame of shape (n_points, 3)
        As of `cost_quality_curve`.
    """
    curve = operating_points(pairs, breakpoint_weights(pairs, max_points))
    repeats = curve[["cost", "quality"]].diff().eq(0).all(axis=1)
    return curve[~repeats].reset_index(drop=True)


def operating_points(pairs: EvaluatedPairs, weights: np.ndarray) -> pd.DataFrame:
    """Return what choices by ``P - weight * cost`` cost and are worth, by weight."""
    decisions, costs = pairs.columns["y_score"], pairs.columns["costs"]
    spent = pairs.columns.get("spent", costs)
    points = []
    for weight in weights:
        chosen = pairs.best(decisions - weight * costs)
        points.append(
            (weight, stable_mean(spent[chosen]), stable_mean(pairs.scores[chosen]))
        )
    return pd.DataFrame(points, columns=["weight", "cost", "quality"])
