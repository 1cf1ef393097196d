"""Thresholds on P(correct) that keep a floor on held-out queries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from skl_locus._policy.held_out import HeldOutScores
from skl_locus._policy.risk_control import (
    certified_in_sequence,
    risk_p_value,
    smallest_sample,
)
from skl_locus._utils.statistics import stable_mean
from skl_locus.exceptions import UnreachedTargetWarning

FLOOR_STEP = 0.005
"""Distance between the thresholds on P that are tried."""


FRAMES_TO_FIT = 7
"""Calls from the warning up to the line that fitted a policy, which it is shown at."""


NEVER = np.inf
"""A threshold that no probability reaches."""


def calibrated_floor(
    held_out: HeldOutScores, floor: float, n_standard_errors: float
) -> tuple[float, pd.DataFrame]:
    """Find the least threshold from the floor on at which routes keep to the floor.

    The cheapest of many models that seem to reach a floor is likely to be one whose
    probability is too high: the mean score of the routes may fall short of the floor
    although every probability is calibrated. The threshold is raised until it does
    not, by a margin of standard errors ``sqrt(q (1 - q) / n)``.

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
    threshold : float
        Infinite, with a warning, if there is none.
    trials : DataFrame of n_thresholds rows
        What was tried.
    """
    trials = try_floors(held_out, floors_from(floor))
    margins = n_standard_errors * _standard_error(floor, trials["n_routes"])
    kept = (trials["quality"] >= floor + margins).to_numpy()
    if kept.any():
        return float(trials["threshold"].iloc[int(kept.argmax())]), trials
    _warn_unreached(
        f"No threshold on P keeps the mean score of routes at {floor:g} on the "
        f"{len(held_out)} held-out queries; no model will count as reaching it."
    )
    return NEVER, trials


def certified_floor(
    held_out: HeldOutScores, floor: float, confidence: float, start: float
) -> tuple[float, pd.DataFrame]:
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
        Where to begin.

    Returns
    -------
    threshold : float
        Infinite, with a warning, if even the first test fails.
    trials : DataFrame of n_thresholds rows
        What was tested, in order, with p-values.
    """
    thresholds = floors_from(floor)
    thresholds = thresholds[thresholds <= start][::-1]
    trials = try_floors(held_out, thresholds)
    binary = held_out.is_binary
    trials["p_value"] = [
        risk_p_value(losses, 1 - floor, binary=binary)
        for losses in _losses(held_out, thresholds)
    ]
    n_certified = certified_in_sequence(trials["p_value"].to_numpy(), 1 - confidence)
    if n_certified:
        return float(thresholds[n_certified - 1]), trials
    first = trials.iloc[0]
    needed = smallest_sample(1 - floor, 1 - confidence)
    _warn_unreached(
        f"Too little to certify min_correctness={floor:g} with confidence "
        f"{confidence:g}: {first['n_routes']:.0f} routes of mean score "
        f"{first['quality']:.3f} at the threshold {first['threshold']:g}; "
        f"{needed} would do if all were right, more if not. No model will count as "
        "reaching the floor: pass more held-out queries, or ask for less."
    )
    return NEVER, trials


def start_of_tests(design: HeldOutScores, floor: float, n_tests: int) -> float:
    """Return the threshold that is easiest to certify, as far as a design tells.

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
    trials = try_floors(design, floors_from(floor))
    # Less a standard error, or a few lucky routes at a high threshold would decide.
    quality = trials["quality"] - _standard_error(floor, trials["n_routes"])
    risk = (1 - quality.fillna(0)).clip(0, 1 - floor)
    distance = rel_entr(risk, 1 - floor) + rel_entr(1 - risk, floor)
    expected_tests = trials["n_routes"] * n_tests / len(design)
    return float(trials["threshold"].iloc[int((expected_tests * distance).argmax())])


def floors_from(floor: float) -> np.ndarray:
    """Return the thresholds to try: the floor, then a grid up to 1."""
    grid = np.arange(0, 1 + FLOOR_STEP / 2, FLOOR_STEP)
    return np.concatenate([[floor], grid[grid > floor]])


def try_floors(held_out: HeldOutScores, thresholds: np.ndarray) -> pd.DataFrame:
    """Tell what each threshold would have done where some model reaches it."""
    rows = []
    for threshold, columns, reached in floor_choices(held_out, thresholds):
        observed = held_out.observed(columns)[reached]
        rows.append(
            {
                "threshold": threshold,
                "coverage": reached.mean(),
                "n_routes": np.isfinite(observed).sum(),
                "quality": stable_mean(observed),
                "cost": held_out.mean_cost(columns),
            }
        )
    return pd.DataFrame(rows)


def floor_choices(
    held_out: HeldOutScores, thresholds: np.ndarray
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield each threshold with the columns chosen and whether they reach it."""
    P, costs = held_out.probabilities, held_out.costs
    # As floor_preferences would order them, but sorted once for all thresholds.
    order = np.lexsort((-P, costs), axis=1)
    ordered = np.take_along_axis(P, order, axis=1)
    most_probable = P.argmax(axis=1)
    for threshold in thresholds.tolist():
        reaching = ordered >= threshold
        reached = reaching.any(axis=1)
        first = order[np.arange(len(P)), reaching.argmax(axis=1)]
        yield threshold, np.where(reached, first, most_probable), reached


def _losses(held_out: HeldOutScores, thresholds: np.ndarray) -> Iterator[np.ndarray]:
    for _, columns, reached in floor_choices(held_out, thresholds):
        observed = held_out.observed(columns)[reached]
        yield 1 - observed[np.isfinite(observed)]


def _standard_error(floor: float, n_routes: pd.Series) -> pd.Series:
    """Return the standard error of a share that is as large as the floor."""
    return (floor * (1 - floor) / n_routes.clip(lower=1)) ** 0.5


def _warn_unreached(message: str) -> None:
    warnings.warn(message, UnreachedTargetWarning, stacklevel=FRAMES_TO_FIT)
