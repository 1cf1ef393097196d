"""Thresholds on P(correct) that keep a floor on held-out queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from skl_locus._policy.held_out import HeldOutScores
from skl_locus._policy.risk_control import (
    certified_in_sequence,
    risk_p_value,
    smallest_sample,
)
from skl_locus._routing.objective import UNREACHABLE, Choices, choices_at_floors
from skl_locus._utils.statistics import stable_mean

FLOOR_STEP = 0.005
"""Distance between the thresholds on P that are tried.

A finer grid would not help: the standard error of the mean score of 2,000 routes is
about 0.01."""


@dataclass(frozen=True)
class FittedThreshold:
    """A threshold on P(correct), and how it was found.

    Parameters
    ----------
    threshold : float
        What P must reach; infinite if no threshold would do.
    report : DataFrame of n_thresholds rows
        The thresholds tried, with the outcome of each.
    shortfall : str, default=None
        Why no threshold would do, if none did.
    """

    threshold: float
    report: pd.DataFrame
    shortfall: str | None = None


def calibrated_floor(
    held_out: HeldOutScores, floor: float, n_standard_errors: float
) -> FittedThreshold:
    """Find the least threshold, from the floor on, at which routes keep the floor.

    The cheapest of many models that seem to reach a floor is likely to be one with a P
    that is too high: the mean score of the routes may fall short of the floor although
    every P is calibrated. The threshold is raised until it does not, by a margin of
    standard errors ``sqrt(q (1 - q) / n)``.

    Parameters
    ----------
    held_out : HeldOutScores
        With calibrated P and costs.
    floor : float
        Share of right answers wanted.
    n_standard_errors : float
        Margin.

    Returns
    -------
    FittedThreshold
        The threshold with a report of all thresholds.
    """
    report = evaluate_thresholds(held_out, thresholds_from(floor))
    margins = n_standard_errors * _standard_error(floor, report["n_routes"])
    kept = (report["quality"] >= floor + margins).to_numpy()
    if kept.any():
        # The first of them, and not the best: a higher threshold only costs more.
        return FittedThreshold(float(report["threshold"].iloc[kept.argmax()]), report)
    return FittedThreshold(
        UNREACHABLE,
        report,
        f"No threshold on P keeps the mean score of routes at {floor:g} on the "
        f"{len(held_out)} held-out queries; no model will count as reaching it.",
    )


def certified_floor(
    held_out: HeldOutScores, floor: float, confidence: float, start: float
) -> FittedThreshold:
    """Find the least threshold that a finite-sample bound certifies.

    Thresholds are tested from ``start`` down to the floor, until one fails.

    Parameters
    ----------
    held_out : HeldOutScores
        Queries that had no part in P, its calibration or the start.
    floor : float
        Share of right answers wanted.
    confidence : float
        One less the probability of certifying a threshold that falls short.
    start : float
        First threshold of the sequence.

    Returns
    -------
    FittedThreshold
        The last threshold before the first failure, with a report of all tests, in
        their order, with p-values.
    """
    # Downwards, from where certification is easiest: each test that succeeds lowers the
    # threshold and so the cost of the routes, and the sequence ends at the first
    # failure. It needs no correction for the number of tests (`certified_in_sequence`).
    thresholds = thresholds_from(floor)
    thresholds = thresholds[thresholds <= start][::-1]
    report = evaluate_thresholds(held_out, thresholds)
    binary = held_out.is_binary
    report["p_value"] = [
        risk_p_value(losses, 1 - floor, binary=binary)
        for losses in _losses(held_out, thresholds)
    ]
    n_certified = certified_in_sequence(report["p_value"].to_numpy(), 1 - confidence)
    if n_certified:
        return FittedThreshold(float(thresholds[n_certified - 1]), report)
    first = report.iloc[0]
    needed = smallest_sample(1 - floor, 1 - confidence)
    return FittedThreshold(
        UNREACHABLE,
        report,
        f"Too little to certify min_correctness={floor:g} with confidence "
        f"{confidence:g}: {first['n_routes']:.0f} routes of mean score "
        f"{first['quality']:.3f} at the threshold {first['threshold']:g}; "
        f"{needed} would do if all were right, more if not. No model will count as "
        "reaching the floor: pass more held-out queries, or ask for less.",
    )


def start_of_tests(design: HeldOutScores, floor: float, n_tests: int) -> float:
    """Return the threshold that seems easiest to certify on a design sample.

    At a low threshold routes are many, but their quality may be too near the floor; at
    a high one their quality is good, but they may be too few.

    Parameters
    ----------
    design : HeldOutScores
        Queries that take no part in the test.
    floor : float
        Share of right answers wanted.
    n_tests : int
        Number of queries of the test.

    Returns
    -------
    float
        Of least expected p-value by Chernoff's bound; on a tie the least.
    """
    report = evaluate_thresholds(design, thresholds_from(floor))
    # Less a standard error, or a few lucky routes at a high threshold would decide.
    quality = report["quality"] - _standard_error(floor, report["n_routes"])
    risk = (1 - quality.fillna(0)).clip(0, 1 - floor)
    # Chernoff bounds the p-value of n routes of mean loss r, tested against a limit of
    # l, by exp(-n KL(r || l)): the exponent is to be largest. It is 0 at and above the
    # limit, where nothing can be certified.
    divergence = rel_entr(risk, 1 - floor) + rel_entr(1 - risk, floor)
    expected_routes = report["n_routes"] * n_tests / len(design)
    return float(report["threshold"].iloc[int((expected_routes * divergence).argmax())])


def thresholds_from(floor: float) -> np.ndarray:
    """Return the thresholds to try: the floor, then a grid up to 1."""
    grid = np.arange(0, 1 + FLOOR_STEP / 2, FLOOR_STEP)
    return np.concatenate([[floor], grid[grid > floor]])


def evaluate_thresholds(
    held_out: HeldOutScores, thresholds: np.ndarray
) -> pd.DataFrame:
    """Return the outcome of each threshold where some model reaches it.

    Parameters
    ----------
    held_out : HeldOutScores
        With calibrated P and costs.
    thresholds : ndarray of shape (n_thresholds,)
        What P must reach.

    Returns
    -------
    DataFrame of n_thresholds rows
        Columns threshold, coverage (share of the queries where some model reaches it),
        n_routes and quality (observed routes of these, and their mean score), and cost
        (mean of all routes).
    """
    rows = [
        {
            "threshold": choices.objective.floor,
            "coverage": choices.reached.mean(),
            "n_routes": np.isfinite(observed).sum(),
            "quality": stable_mean(observed),
            "cost": held_out.mean_cost(choices.columns),
        }
        for choices, observed in _observed_at(held_out, thresholds)
    ]
    return pd.DataFrame(rows)


def _observed_at(
    held_out: HeldOutScores, thresholds: np.ndarray
) -> Iterator[tuple[Choices, np.ndarray]]:
    """Yield the choices at each threshold, and the scores where it is reached."""
    for choices in choices_at_floors(
        held_out.probabilities, held_out.costs, thresholds.tolist()
    ):
        yield choices, held_out.observed(choices.columns)[choices.reached]


def _losses(held_out: HeldOutScores, thresholds: np.ndarray) -> Iterator[np.ndarray]:
    for _, observed in _observed_at(held_out, thresholds):
        yield 1 - observed[np.isfinite(observed)]


def _standard_error(floor: float, n_routes: pd.Series) -> pd.Series:
    """Return the standard error of a share that is as large as the floor.

    The share observed would give none where all routes, or none, are right.
    """
    return (floor * (1 - floor) / n_routes.clip(lower=1)) ** 0.5
