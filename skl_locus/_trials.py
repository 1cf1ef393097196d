"""Try floors and weights on held-out queries, and choose among what was tried."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from skl_locus._decisions import net_correctness
from skl_locus._held_out_routes import HeldOutRoutes, exact_mean
from skl_locus._risk_control import (
    certified_in_sequence,
    risk_p_value,
    smallest_sample,
)
from skl_locus.exceptions import UnreachedTargetWarning
from skl_locus.metrics._cost_curve import telling_weights
from skl_locus.metrics._pairs import Pairs

FLOOR_STEP = 0.005
"""Distance between the thresholds on P that are tried."""

FRAMES_TO_FIT = 7
"""Calls from the warning up to the line that fitted a policy, which it is shown at."""

NEVER = np.inf
"""A threshold that no probability reaches."""


def calibrated_floor(
    held_out: HeldOutRoutes, floor: float, n_standard_errors: float
) -> tuple[float, pd.DataFrame]:
    """Find the least threshold from the floor on at which routes keep to the floor.

    The cheapest of many models that seem to reach a floor is likely to be one whose
    probability is too high: the mean score of the routes may fall short of the floor
    although every probability is calibrated. The threshold is raised until it does
    not, by a margin of standard errors ``sqrt(q (1 - q) / n)``.

    Parameters
    ----------
    held_out : HeldOutRoutes
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
    held_out: HeldOutRoutes, floor: float, confidence: float, start: float
) -> tuple[float, pd.DataFrame]:
    """Find the least threshold that a finite-sample bound certifies.

    Thresholds are tested from ``start`` down to the floor, until one fails.

    Parameters
    ----------
    held_out : HeldOutRoutes
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


def start_of_tests(design: HeldOutRoutes, floor: float, n_tests: int) -> float:
    """Return the threshold that is easiest to certify, as far as a design tells.

    Parameters
    ----------
    design : HeldOutRoutes
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
    n_routes = trials["n_routes"].to_numpy() * n_tests / len(design)
    risk = (1 - trials["quality"].fillna(0).to_numpy()).clip(max=1 - floor)
    distance = rel_entr(risk, 1 - floor) + rel_entr(1 - risk, floor)
    return float(trials["threshold"].iloc[int((n_routes * distance).argmax())])


def floors_from(floor: float) -> np.ndarray:
    """Return the thresholds to try: the floor, then a grid up to 1."""
    grid = np.arange(0, 1 + FLOOR_STEP / 2, FLOOR_STEP)
    return np.concatenate([[floor], grid[grid > floor]])


def try_floors(held_out: HeldOutRoutes, thresholds: np.ndarray) -> pd.DataFrame:
    """Tell what each threshold would have done where some model reaches it."""
    rows = []
    for threshold, columns, reached in floor_choices(held_out, thresholds):
        realised = held_out.realised(columns)[reached]
        rows.append(
            {
                "threshold": threshold,
                "coverage": reached.mean(),
                "n_routes": np.isfinite(realised).sum(),
                "quality": exact_mean(realised),
                "cost": held_out.mean_cost(columns),
            }
        )
    return pd.DataFrame(rows)


def floor_choices(
    held_out: HeldOutRoutes, thresholds: np.ndarray
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


def weight_choices(
    held_out: HeldOutRoutes, weights: np.ndarray
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield each weight of cost with the columns chosen; there is no floor to reach."""
    reached = np.ones(len(held_out), dtype=bool)
    for weight in weights.tolist():
        values = net_correctness(held_out.probabilities, held_out.costs, weight)
        yield weight, values.argmax(axis=1), reached


def weights_to_try(held_out: HeldOutRoutes) -> np.ndarray:
    """Return weights of cost between those at which some choice changes."""
    n_queries, n_models = held_out.scores.shape
    return telling_weights(
        Pairs(
            np.repeat(np.arange(n_queries), n_models),
            np.tile(np.arange(n_models), n_queries),
            held_out.outlook.labels.tolist(),
            {
                "y_score": held_out.probabilities.ravel(),
                "costs": held_out.costs.ravel(),
            },
        )
    )


def try_settings(
    held_out: HeldOutRoutes,
    name: str,
    choices: Iterator[tuple[float, np.ndarray, np.ndarray]],
    reference: np.ndarray | None,
) -> pd.DataFrame:
    """Tell what each setting would have done on all queries.

    Parameters
    ----------
    held_out : HeldOutRoutes
        With calibrated P and costs.
    name : str
        What the setting is called.
    choices : iterator of (setting, columns, reached)
        Chosen columns.
    reference : ndarray of shape (n_queries,) or None
        Scores to compare with, NaN where there is none.

    Returns
    -------
    DataFrame of n_settings rows
        Setting, coverage, mean cost, mean score of the routes observed, their number,
        expected score, and the mean difference from the reference with its standard
        error.
    """
    rows = []
    for setting, columns, reached in choices:
        realised = held_out.realised(columns)
        expected = held_out.probabilities[np.arange(len(columns)), columns]
        row = {
            name: setting,
            "coverage": reached.mean(),
            "cost": held_out.mean_cost(columns),
            "n_routes": np.isfinite(realised).sum(),
            "quality": exact_mean(realised),
            "expected": exact_mean(expected),
        }
        if reference is not None:
            row |= _compared(realised - reference)
        rows.append(row)
    return pd.DataFrame(rows)


def try_single(held_out: HeldOutRoutes, column: int) -> pd.DataFrame:
    """Tell what one model alone would have done, which is the reference itself."""
    columns = np.full(len(held_out), column)
    choices = iter([(np.nan, columns, np.ones(len(held_out), dtype=bool))])
    reference = held_out.scores[:, column]
    own = try_settings(held_out, "setting", choices, reference)
    return own.drop(columns="setting").assign(standard_error=0.0)


def cheapest_as_good(trials: pd.DataFrame, n_standard_errors: float) -> int:
    """Return the row of least cost whose quality keeps to the reference."""
    margins = n_standard_errors * trials["standard_error"]
    bounds = (trials["difference"] - margins).fillna(-np.inf).to_numpy()
    if (bounds >= 0).any():
        costs = np.where(bounds >= 0, trials["cost"], np.inf)
        return int(np.lexsort((-bounds, costs))[0])
    best = int(bounds.argmax())
    _warn_unreached(
        "target_quality is not reached on the held-out queries, by "
        f"{-trials['difference'].iloc[best]:.4f} at the best setting, or not by the "
        f"margin of {n_standard_errors:g} standard errors; that setting is taken."
    )
    return best


def best_within(trials: pd.DataFrame, target_cost: float) -> int:
    """Return the row of largest expected quality whose mean cost is within a target."""
    affordable = (trials["cost"] <= target_cost).to_numpy()
    if not affordable.any():
        raise ValueError(
            f"target_cost={target_cost:g} is below {trials['cost'].min():g}, the mean "
            "cost of the cheapest setting on the held-out queries; raise it."
        )
    expected = np.where(affordable, trials["expected"], -np.inf)
    return int(np.lexsort((trials["cost"], -expected))[0])


def _compared(differences: np.ndarray) -> dict[str, float]:
    known = np.sort(differences[np.isfinite(differences)])
    error = np.nan
    if len(known) > 1:
        error = float(known.std(ddof=1) / np.sqrt(len(known)))
    return {"difference": exact_mean(known), "standard_error": error}


def _losses(held_out: HeldOutRoutes, thresholds: np.ndarray) -> Iterator[np.ndarray]:
    for _, columns, reached in floor_choices(held_out, thresholds):
        realised = held_out.realised(columns)[reached]
        yield 1 - realised[np.isfinite(realised)]


def _standard_error(floor: float, n_routes: pd.Series) -> pd.Series:
    """Return the standard error of a share that is as large as the floor."""
    return (floor * (1 - floor) / n_routes.clip(lower=1)) ** 0.5


def _warn_unreached(message: str) -> None:
    warnings.warn(message, UnreachedTargetWarning, stacklevel=FRAMES_TO_FIT)
