"""Cost and quality of routing over weights of cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._costs.tables import costs_by_label
from skl_locus._data.pairs import coded_pairs
from skl_locus._routing.cost_curve import operating_points, swept_curve
from skl_locus._utils.array_checks import check_finite_column


def cost_quality_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    costs: ArrayLike | Mapping,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    weights: ArrayLike | None = None,
    expected_costs: ArrayLike | Mapping | None = None,
) -> pd.DataFrame:
    """Compute cost and quality of routing for several weights of cost.

    For a weight w, each query q goes to ``argmax over m in M(q) of
    s[q, m] - w * c[q, m]``; cost and quality are the mean cost and the mean score
    of the models chosen (the linear trade-off of RouterBench, Hu et al., 2024,
    arXiv:2403.12031, section 3). M(q) are the models with a row for the query.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``.
    costs : array-like of shape (n_rows,) or mapping of label to float
        What each row cost, or what each model costs a query, in any unit; finite
        and not negative. A Series is read in row order; of one per model, pass
        ``series.to_dict()``.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    weights : array-like of shape (n_weights,), default=None
        Weights of cost, in score per unit of cost, not negative. None finds the
        weights at which some choice changes, and takes one weight between each
        two neighbours, 0, and one beyond all: every operating point there is. Where
        they are more than 500, 500 of them at equal quantiles are taken.
    expected_costs : array-like of shape (n_rows,) or mapping of label to float, \
            default=None
        What is known of costs before a model answers, such as predictions of a
        `skl_locus.CostModel`: models are chosen by these, and the cost of the curve is
        the mean of ``costs``. None takes ``costs``, which nobody knows beforehand where
        they are those of each call.

    Returns
    -------
    DataFrame of shape (n_points, 3)
        Columns weight, cost and quality, by ascending weight, so that cost falls.
        With ``weights=None``, points that repeat the one before are left out.

    Raises
    ------
    ValueError
        If a model has no cost, a cost or a weight is negative, or a column is
        empty, of another length, missing values or out of range.

    Notes
    -----
    Ties go to the smallest model label in sorted order. Repeated (query, model)
    rows are averaged.

    Examples
    --------
    The first query is sent to the cheap model "a" as soon as cost counts a little,
    the second only when it counts a lot:

    >>> from skl_locus.metrics import cost_quality_curve
    >>> cost_quality_curve(
    ...     [1, 1, 0, 1],
    ...     [0.7, 0.8, 0.1, 0.9],
    ...     {"a": 1.0, "b": 3.0},
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ... ).round(3)
       weight  cost  quality
    0   0.000   3.0      1.0
    1   0.225   2.0      1.0
    2   0.800   1.0      0.5
    """
    columns = {"y_score": y_score, "costs": _checked_costs(costs, models, "costs")}
    if expected_costs is not None:
        columns["observed_costs"] = columns["costs"]
        columns["costs"] = _checked_costs(expected_costs, models, "expected_costs")
    pairs = coded_pairs(y_true, queries=queries, models=models, columns=columns)
    if weights is None:
        return swept_curve(pairs)
    return operating_points(pairs, _checked_weights(weights))


def costs_of_rows(costs: Any, models: Any, name: str = "costs") -> np.ndarray:
    """Return the cost of each row, from a column or from costs by model."""
    if not isinstance(costs, Mapping):
        column = check_finite_column(costs, name)
        if len(column) != len(models):
            raise ValueError(
                f"{name} has {len(column)} rows, but models has {len(models)}; pass a "
                "mapping of labels for one cost per model."
            )
        return column
    labels = np.asarray(models).tolist()
    known = costs_by_label(costs, dict.fromkeys(labels), name)
    return np.array([known[label] for label in labels])


def _checked_costs(costs: Any, models: Any, name: str) -> np.ndarray:
    per_row = costs_of_rows(costs, models, name)
    if (per_row < 0).any():
        raise ValueError(f"{name} must not be negative.")
    return per_row


def _checked_weights(weights: Any) -> np.ndarray:
    column = check_finite_column(weights, "weights").astype(np.float64)
    if (column < 0).any():
        raise ValueError("weights must not be negative.")
    return np.sort(column)
