"""Search for the cost weight or threshold that serves a target on held-out queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from skl_locus._costs.hull import breakpoint_weights
from skl_locus._policy.floors import thresholds_from
from skl_locus._policy.held_out import HeldOutScores
from skl_locus._routing.objective import (
    UNREACHABLE,
    Choices,
    Objective,
    choices_at_floors,
    choices_at_weights,
)
from skl_locus._utils.statistics import stable_mean


def evaluate_settings(
    held_out: HeldOutScores, tune: str, reference: np.ndarray | None = None
) -> tuple[list[Objective], pd.DataFrame]:
    """Evaluate many weights or thresholds on all queries.

    Parameters
    ----------
    held_out : HeldOutScores
        With calibrated P and costs.
    tune : {"cost_weight", "min_correctness"}
        What is varied.
    reference : ndarray of shape (n_queries,), default=None
        Scores to compare with, NaN where there is none.

    Returns
    -------
    objectives : list of Objective
        The settings.
    report : DataFrame of n_settings rows
        Column cost_weight or threshold, and those of an outcome: coverage, mean cost,
        number of the routes observed and their mean score, expected score and, with a
        reference, the mean difference from it with its standard error.
    """
    objectives, rows = [], []
    name = "cost_weight" if tune == "cost_weight" else "threshold"
    for choices in _candidates(held_out, tune):
        objectives.append(choices.objective)
        weight, floor = choices.objective.cost_weight, choices.objective.floor
        outcome = _outcome(held_out, choices.columns, choices.reached, reference)
        rows.append({name: weight if tune == "cost_weight" else floor, **outcome})
    return objectives, pd.DataFrame(rows)


def evaluate_single(
    held_out: HeldOutScores, column: int, reference: np.ndarray
) -> pd.DataFrame:
    """Return the outcome of one model alone, where its own scores are the reference."""
    columns = np.full(len(held_out), column)
    everywhere = np.ones(len(held_out), dtype=bool)
    outcome = _outcome(held_out, columns, everywhere, reference)
    # It differs from itself by the tolerance on every query: nothing is uncertain, but
    # rounding, or a single query, could say otherwise.
    return pd.DataFrame([outcome | {"standard_error": 0.0}])


def cheapest_reaching(
    report: pd.DataFrame, n_standard_errors: float
) -> tuple[int, str | None]:
    """Find the row of least cost with a quality not below the reference.

    Parameters
    ----------
    report : DataFrame of n_settings rows
        Outcomes, with differences from a reference.
    n_standard_errors : float
        Margin by which the quality must exceed the reference.

    Returns
    -------
    row : int
        Position of the row; of the best one where none reaches the reference.
    shortfall : str or None
        Why none does, if so.
    """
    margins = n_standard_errors * report["standard_error"]
    # No observed query gives no difference, and one query no margin: not good enough.
    bounds = (report["difference"] - margins).fillna(-np.inf).to_numpy()
    if (bounds >= 0).any():
        costs = np.where(bounds >= 0, report["cost"], np.inf)
        return int(np.lexsort((-bounds, costs))[0]), None
    best = int(bounds.argmax())
    return best, (
        "target_quality is not reached on the held-out queries, by "
        f"{-report['difference'].iloc[best]:.4f} at the best setting, or not by the "
        f"margin of {n_standard_errors:g} standard errors; that setting is taken."
    )


def best_affordable(report: pd.DataFrame, target_cost: float) -> int:
    """Return the row of largest expected quality with a mean cost within a target."""
    affordable = (report["cost"] <= target_cost).to_numpy()
    if not affordable.any():
        raise ValueError(
            f"target_cost={target_cost:g} is below {report['cost'].min():g}, the mean "
            "cost of the cheapest setting on the held-out queries; raise it."
        )
    # Expected rather than observed scores: the best of hundreds of settings by observed
    # scores would be the luckiest one, and in a partial log few routes are observed.
    expected = np.where(affordable, report["expected"], -np.inf)
    return int(np.lexsort((report["cost"], -expected))[0])


def _candidates(held_out: HeldOutScores, tune: str) -> Iterator[Choices]:
    """Yield the choices of every setting to be tried."""
    P, costs = held_out.probabilities, held_out.costs
    if tune == "cost_weight":
        queries = np.repeat(np.arange(len(P)), P.shape[1])
        weights = breakpoint_weights(costs.ravel(), P.ravel(), queries)
        return choices_at_weights(P, costs, weights.tolist())
    # A floor that nobody reaches sends every query to the most probable model: the
    # dearest setting, which a floor of 1 is not where some P is 1.
    thresholds = np.append(thresholds_from(0.0), UNREACHABLE)
    return choices_at_floors(P, costs, thresholds.tolist())


def _outcome(
    held_out: HeldOutScores,
    columns: np.ndarray,
    reached: np.ndarray,
    reference: np.ndarray | None,
) -> dict[str, float]:
    observed = held_out.observed(columns)
    expected = held_out.probabilities[np.arange(len(columns)), columns]
    outcome = {
        "coverage": reached.mean(),
        "cost": held_out.mean_cost(columns),
        "n_routes": np.isfinite(observed).sum(),
        "quality": stable_mean(observed),
        "expected": stable_mean(expected),
    }
    if reference is None:
        return outcome
    return outcome | _difference(observed - reference)


def _difference(differences: np.ndarray) -> dict[str, float]:
    """Return the mean of paired differences, and its standard error.

    Query by query, since a hard query is hard for the reference too: what they share
    cancels out, and the error is smaller than that of two separate means.
    """
    # Sorted, so that rounding in the standard deviation cannot depend on their order.
    known = np.sort(differences[np.isfinite(differences)])
    error = np.nan
    if len(known) > 1:
        error = float(known.std(ddof=1) / np.sqrt(len(known)))
    return {"difference": stable_mean(known), "standard_error": error}
