"""Cost and quality of routing by Avengers-Pro's one dial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._data.pairs import EvaluatedPairs, coded_pairs
from skl_locus._utils.array_checks import check_finite_column
from skl_locus._utils.statistics import stable_mean
from skl_locus.metrics._cost_curve import costs_of_rows

N_DIALS = 101
"""Default number of positions of the dial: steps of a hundredth."""


def performance_dial_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    costs: ArrayLike | Mapping,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    performance_weights: ArrayLike | None = None,
) -> pd.DataFrame:
    """Compute cost and quality of routing for several positions of a dial.

    The rule of Avengers-Pro (arXiv:2508.12631) for the P of any router. For a weight
    alpha, each query q goes to ``argmax over m in M(q) of alpha * s~[q, m] + (1 -
    alpha) * (1 - c~[q, m])``, where s~ and c~ are decision scores and costs, each
    mapped to [0, 1] from its range over the models of the query: ``(s - min s) / (max
    s - min s)``, and 0 where all are equal. So the dial needs no unit of cost; but it
    weighs a small difference of the best models like a large one.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``.
    costs : array-like of shape (n_rows,) or mapping of label to float
        What each row cost, or what each model costs a query, in any unit; finite
        and not negative.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    performance_weights : array-like of shape (n_weights,), default=None
        Values of alpha in [0, 1]; None takes 0, 0.01, ..., 1.

    Returns
    -------
    DataFrame of shape (n_weights, 3)
        Columns performance_weight, cost and quality, by ascending weight: the mean cost
        and the mean score of the models chosen.

    Raises
    ------
    ValueError
        If a weight is outside [0, 1], a model has no cost, a cost is negative, or a
        column is empty, of another length, missing values or out of range.

    Notes
    -----
    In the paper, s and c are means within clusters; see `skl_locus.AvengersRouter`.
    Ties go to the smallest model label in sorted order. Repeated (query, model) rows
    are averaged.

    Examples
    --------
    >>> from skl_locus.metrics import performance_dial_curve
    >>> performance_dial_curve(
    ...     [1, 0, 0, 1],
    ...     [0.7, 0.8, 0.1, 0.9],
    ...     {"a": 1.0, "b": 3.0},
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ...     performance_weights=[0.4, 0.6],
    ... )
       performance_weight  cost  quality
    0                 0.4   1.0      0.5
    1                 0.6   3.0      0.5
    """
    pairs = coded_pairs(
        y_true,
        queries=queries,
        models=models,
        columns={"y_score": y_score, "costs": costs_of_rows(costs, models)},
    )
    if (pairs.columns["costs"] < 0).any():
        raise ValueError("costs must not be negative.")
    alphas = _checked_weights(performance_weights)
    quality, cost = _scaled(pairs, "y_score"), _scaled(pairs, "costs")
    points = []
    for alpha in alphas:
        chosen = pairs.best(alpha * quality + (1 - alpha) * (1 - cost))
        spent = stable_mean(pairs.columns["costs"][chosen])
        points.append((alpha, spent, stable_mean(pairs.scores[chosen])))
    return pd.DataFrame(points, columns=["performance_weight", "cost", "quality"])


def _scaled(pairs: EvaluatedPairs, name: str) -> np.ndarray:
    """Map the range of a column within each query to [0, 1]."""
    values = pairs.columns[name]
    least, most = (
        np.repeat(extreme.reduceat(values, pairs.starts), pairs.sizes)
        for extreme in (np.minimum, np.maximum)
    )
    scaled = np.zeros(len(values))
    return np.divide(values - least, most - least, out=scaled, where=most > least)


def _checked_weights(weights: Any) -> np.ndarray:
    if weights is None:
        return np.linspace(0, 1, N_DIALS)
    column = check_finite_column(weights, "performance_weights").astype(np.float64)
    if (column < 0).any() or (column > 1).any():
        raise ValueError("performance_weights must be in [0, 1].")
    return np.sort(column)
