"""Summary scores of a curve of cost and quality."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skl_locus._utils.array_checks import check_finite_column
from skl_locus.metrics._cost_hull import checked_points, mean_height


def apgr_score(
    costs: ArrayLike,
    qualities: ArrayLike,
    *,
    weak_quality: float,
    strong_quality: float,
    weak_cost: float = 0.0,
    strong_cost: float = 1.0,
) -> float:
    """Compute the average share of a quality gap that a router recovers.

    APGR of RouteLLM (Ong et al., 2025, arXiv:2406.18665, section 2): the integral
    of ``PGR(c) = (quality(c) - weak) / (strong - weak)`` over the share c of the
    cost of the strong model, from 0 (weak model) to 1 (strong model).

    Parameters
    ----------
    costs : array-like of shape (n_points,)
        Cost of each operating point: with the default costs of the two models, the
        share of queries sent to the strong one.
    qualities : array-like of shape (n_points,)
        Quality of each operating point.
    weak_quality, strong_quality : float
        Qualities of the two models, or of the cheapest and the best of a pool.
    weak_cost, strong_cost : float, default=0, 1
        Their costs, in the unit of ``costs``.

    Returns
    -------
    float
        0 for the weak model alone, 0.5 for a coin between the two, more where the
        right queries go to the strong model; above 1 where a pool is better than
        its strong model.

    Raises
    ------
    ValueError
        If the strong model is not better and dearer than the weak one, or a column
        is empty, of another length, not finite, or a cost is negative.

    Notes
    -----
    The curve is linear between operating points (the best one, where several cost
    the same), begins with the weak model and stays at the quality of its last
    point. The integral is exact, where the paper averages ten costs.

    Examples
    --------
    >>> from skl_locus.metrics import apgr_score
    >>> two = {"weak_quality": 0.4, "strong_quality": 0.8}
    >>> round(apgr_score([0, 0.5, 1], [0.4, 0.7, 0.8], **two), 3)
    0.625
    """
    shares, recovered = _recovered(
        costs, qualities, weak_quality, strong_quality, weak_cost, strong_cost
    )
    return mean_height(shares, recovered, 0.0, 1.0)


def cpt_score(
    costs: ArrayLike,
    qualities: ArrayLike,
    p: float,
    *,
    weak_quality: float,
    strong_quality: float,
    weak_cost: float = 0.0,
    strong_cost: float = 1.0,
) -> float:
    """Compute the cost at which a router recovers a share of a quality gap.

    CPT(p) of RouteLLM (Ong et al., 2025, arXiv:2406.18665, section 2), the
    call-performance threshold: the least share of calls to the strong model with
    ``PGR >= p`` (see `apgr_score`), on the curve between the operating points.

    Parameters
    ----------
    costs : array-like of shape (n_points,)
        Cost of each operating point: with the default costs of the two models, the
        share of queries sent to the strong one.
    qualities : array-like of shape (n_points,)
        Quality of each operating point.
    p : float
        Share of the gap to recover, such as 0.5 or 0.8.
    weak_quality, strong_quality : float
        Qualities of the two models, or of the cheapest and the best of a pool.
    weak_cost, strong_cost : float, default=0, 1
        Their costs, in the unit of ``costs``.

    Returns
    -------
    float
        Share of the way from the weak to the strong model's cost, lower is better;
        NaN if the curve never gets so high.

    Raises
    ------
    ValueError
        As for `apgr_score`, or if p is no number.

    Examples
    --------
    >>> from skl_locus.metrics import cpt_score
    >>> two = {"weak_quality": 0.4, "strong_quality": 0.8}
    >>> round(cpt_score([0, 0.5, 1], [0.4, 0.7, 0.8], 0.5, **two), 3)
    0.333
    """
    if not isinstance(p, Real) or not math.isfinite(p):
        raise ValueError(f"p must be a finite number, got {p!r}.")
    shares, recovered = _recovered(
        costs, qualities, weak_quality, strong_quality, weak_cost, strong_cost
    )
    reached = np.flatnonzero(recovered >= p)
    if not len(reached):
        return math.nan
    first = int(reached[0])
    if first == 0:
        return float(shares[0])
    step = slice(first - 1, first + 1)
    return float(np.interp(p, recovered[step], shares[step]))


def perf_gain_score(qualities: ArrayLike, *, best_single_quality: float) -> float:
    """Compute the largest relative gain in quality over the best single model.

    PerfGain of LLMRouterBench (Li et al., 2026, arXiv:2601.07206), the largest
    improvement over the best single model on the curve of a router, read here as a
    share: ``max(qualities) / best_single_quality - 1``.

    Parameters
    ----------
    qualities : array-like of shape (n_points,)
        Quality of each operating point.
    best_single_quality : float
        Quality of the best single model, such as `best_single_score`; above 0.

    Returns
    -------
    float
        Relative gain, higher is better; negative where no point is as good.

    Raises
    ------
    ValueError
        If ``best_single_quality`` is not above 0, or a quality is not finite.

    Examples
    --------
    >>> from skl_locus.metrics import perf_gain_score
    >>> round(perf_gain_score([0.5, 0.55, 0.52], best_single_quality=0.5), 3)
    0.1
    """
    _check_positive(best_single_quality, "best_single_quality")
    best = check_finite_column(qualities, "qualities").max()
    return float(best) / best_single_quality - 1


def cost_save_score(
    costs: ArrayLike,
    qualities: ArrayLike,
    *,
    best_single_quality: float,
    best_single_cost: float,
) -> float:
    """Compute the cost saved at the quality of the best single model.

    CostSave of LLMRouterBench (Li et al., 2026, arXiv:2601.07206), the reduction in
    cost at an accuracy comparable to the best single model's. Read here strictly:
    ``1 - cost / best_single_cost`` at the cheapest operating point that is at least
    as good, without interpolation.

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
        Share saved, higher is better; negative where equal quality costs more, NaN
        if no point is as good.

    Raises
    ------
    ValueError
        If ``best_single_cost`` is not above 0, or a column is empty, of another
        length, not finite, or a cost is negative.

    Examples
    --------
    >>> from skl_locus.metrics import cost_save_score
    >>> cost_save_score(
    ...     [1.0, 3.0, 4.0],
    ...     [0.5, 0.7, 0.8],
    ...     best_single_quality=0.6,
    ...     best_single_cost=4.0,
    ... )
    0.25
    """
    _check_positive(best_single_cost, "best_single_cost")
    costs, qualities = checked_points(costs, qualities)
    as_good = costs[qualities >= best_single_quality]
    if not len(as_good):
        return math.nan
    return 1 - float(as_good.min()) / best_single_cost


def _recovered(
    costs: Any,
    qualities: Any,
    weak_quality: float,
    strong_quality: float,
    weak_cost: float,
    strong_cost: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of cost, ascending from 0, and shares of the gap recovered."""
    if not (strong_quality > weak_quality and strong_cost > weak_cost):
        raise ValueError(
            "The strong model must be better and dearer than the weak one; got "
            f"qualities {weak_quality!r} and {strong_quality!r}, costs {weak_cost!r} "
            f"and {strong_cost!r}."
        )
    costs, qualities = checked_points(costs, qualities)
    shares = (costs - weak_cost) / (strong_cost - weak_cost)
    recovered = (qualities - weak_quality) / (strong_quality - weak_quality)
    # What costs less than the weak model is better or worse than it, but no dearer.
    shares = np.append(shares.clip(min=0), 0)
    recovered = np.append(recovered, 0)
    order = np.lexsort((-recovered, shares))
    distinct, best = np.unique(shares[order], return_index=True)
    return distinct, recovered[order][best]


def _check_positive(value: float, name: str) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value!r}.")
