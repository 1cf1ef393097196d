"""Random mixtures of single models, and the cost of the best one's quality."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._costs.hull import hull_corners
from skl_locus._data.pairs import MIN_COVERAGE, coded_pairs
from skl_locus._utils.statistics import stable_mean
from skl_locus.metrics._cost_curve import costs_of_rows
from skl_locus.metrics._cost_hull import checked_points, non_decreasing_hull


def zero_router_hull(
    y_true: ArrayLike,
    costs: ArrayLike | Mapping,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    min_coverage: float = MIN_COVERAGE,
) -> pd.DataFrame:
    """Find the single models whose random mixtures no other mixture is as good as.

    The zero router (UniRoute, arXiv:2502.08773) looks at no query: it sends a share of
    the queries, drawn at random, to one model and the others to a second one. With the
    mean cost and the mean score of each model, it reaches the non-decreasing convex
    hull of these points. A router is worth its name where its curve of cost and
    quality lies above this hull.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    costs : array-like of shape (n_rows,) or mapping of label to float
        What each row cost, or what each model costs a query, in any unit; finite
        and not negative.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row; repeated (query, model) rows are averaged.
    min_coverage : float, default=0.8
        Share of the queries that a model must have a row for; others are left out.

    Returns
    -------
    DataFrame of shape (n_vertices, 3)
        Columns model, cost and quality, from the cheapest model to the cheapest one of
        the best quality, both ascending.

    Raises
    ------
    ValueError
        If no model has the coverage, a model has no cost, a cost is negative, or a
        column is empty, of another length, missing values or out of range.

    Notes
    -----
    `aiq_score` of the hull is the value that a router's own has to beat, over the same
    range of costs.

    Examples
    --------
    Model "b" lies below the line from "a" to "c", half of the queries each:

    >>> from skl_locus.metrics import zero_router_hull
    >>> zero_router_hull(
    ...     [0, 0, 0, 1, 1, 1, 1, 0],
    ...     {"a": 1.0, "b": 4.0, "c": 5.0},
    ...     queries=["q1", "q1", "q1", "q2", "q2", "q2", "q3", "q3"],
    ...     models=["a", "b", "c", "a", "b", "c", "c", "a"],
    ...     min_coverage=0.5,
    ... ).round(3)
      model  cost  quality
    0     a   1.0    0.333
    1     c   5.0    0.667
    """
    pairs = coded_pairs(
        y_true,
        queries=queries,
        models=models,
        columns={"costs": costs_of_rows(costs, models)},
    )
    if (pairs.columns["costs"] < 0).any():
        raise ValueError("costs must not be negative.")
    if not 0 <= min_coverage <= 1:
        raise ValueError(f"min_coverage must be in [0, 1], got {min_coverage!r}.")
    rows = [
        (
            label,
            stable_mean(pairs.columns["costs"][own]),
            stable_mean(pairs.scores[own]),
        )
        for position, label in enumerate(pairs.labels)
        if len(own := pairs.of_model(position)) >= min_coverage * pairs.n_queries
    ]
    if not rows:
        raise ValueError(
            f"No model was evaluated on {min_coverage:.0%} of the queries; lower "
            "min_coverage."
        )
    table = pd.DataFrame(rows, columns=["model", "cost", "quality"])
    one_group = np.zeros(len(table), dtype=np.intp)
    vertices = hull_corners(
        table["cost"].to_numpy(), table["quality"].to_numpy(), one_group
    )
    return table.iloc[vertices].reset_index(drop=True)


def qnc_score(
    costs: ArrayLike,
    qualities: ArrayLike,
    *,
    best_single_quality: float,
    best_single_cost: float,
) -> float:
    """Compute the relative cost of the quality of the best single model.

    QNC, the quality-neutral cost of UniRoute (arXiv:2502.08773): ``min(c : quality(c)
    >= best_single_quality) / best_single_cost``, on the non-decreasing hull of the
    operating points. Mixtures of two operating points count, as they do for the zero
    router; `cost_save_score` takes single points only.

    Parameters
    ----------
    costs : array-like of shape (n_points,)
        Cost of each operating point, not negative.
    qualities : array-like of shape (n_points,)
        Quality of each operating point.
    best_single_quality : float
        Quality of the best single model, such as `best_single_score`.
    best_single_cost : float
        Its mean cost, in the unit of ``costs``; above 0.

    Returns
    -------
    float
        Relative cost, not negative, lower is better: 1 if the quality of the best
        model costs as much as that model. NaN if no point is as good.

    Raises
    ------
    ValueError
        If ``best_single_cost`` is not above 0, or a column is empty, of another
        length, not finite, or a cost is negative.

    Examples
    --------
    Two thirds of the queries at the middle point, one third at the last:

    >>> from skl_locus.metrics import qnc_score
    >>> single = {"best_single_quality": 0.65, "best_single_cost": 6.0}
    >>> round(qnc_score([1.0, 2.0, 5.0], [0.3, 0.6, 0.75], **single), 3)
    0.5
    """
    if not (best_single_cost > 0 and math.isfinite(best_single_cost)):
        raise ValueError(f"best_single_cost must be above 0, got {best_single_cost!r}.")
    if not math.isfinite(best_single_quality):
        raise ValueError(
            f"best_single_quality must be finite, got {best_single_quality!r}."
        )
    hull_costs, hull_qualities = non_decreasing_hull(*checked_points(costs, qualities))
    if hull_qualities[-1] < best_single_quality:
        return math.nan
    # Qualities of the hull ascend, so that the cost is a function of them.
    cost = np.interp(best_single_quality, hull_qualities, hull_costs)
    return float(cost / best_single_cost)
