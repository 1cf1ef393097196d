"""Trial of cost weights and thresholds on held-out queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from skl_locus._costs.hull import breakpoint_weights
from skl_locus._data.pairs import EvaluatedPairs
from skl_locus._policy.floors import _warn_unreached
from skl_locus._policy.held_out import HeldOutScores
from skl_locus._routing.objective import net_correctness
from skl_locus._utils.statistics import stable_mean


def weight_choices(
    held_out: HeldOutScores, weights: np.ndarray
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield each weight of cost with the columns chosen; there is no floor to reach."""
    reached = np.ones(len(held_out), dtype=bool)
    for weight in weights.tolist():
        values = net_correctness(held_out.probabilities, held_out.costs, weight)
        yield weight, values.argmax(axis=1), reached


def weights_to_try(held_out: HeldOutScores) -> np.ndarray:
    """Return weights of cost between those at which some choice changes."""
    n_queries, n_models = held_out.scores.shape
    return breakpoint_weights(
        EvaluatedPairs(
            np.repeat(np.arange(n_queries), n_models),
            np.tile(np.arange(n_models), n_queries),
            held_out.scored.labels.tolist(),
            {
                "y_score": held_out.probabilities.ravel(),
                "costs": held_out.costs.ravel(),
            },
        )
    )


def try_settings(
    held_out: HeldOutScores,
    name: str,
    choices: Iterator[tuple[float, np.ndarray, np.ndarray]],
    reference: np.ndarray | None,
) -> pd.DataFrame:
    """Tell what each setting would have done on all queries.

    Parameters
    ----------
    held_out : HeldOutScores
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
        observed = held_out.observed(columns)
        expected = held_out.probabilities[np.arange(len(columns)), columns]
        row = {
            name: setting,
            "coverage": reached.mean(),
            "cost": held_out.mean_cost(columns),
            "n_routes": np.isfinite(observed).sum(),
            "quality": stable_mean(observed),
            "expected": stable_mean(expected),
        }
        if reference is not None:
            row |= _compared(observed - reference)
        rows.append(row)
    return pd.DataFrame(rows)


def try_single(
    held_out: HeldOutScores, column: int, reference: np.ndarray
) -> pd.DataFrame:
    """Tell what one model alone would have done, which the reference is made of."""
    columns = np.full(len(held_out), column)
    choices = iter([(np.nan, columns, np.ones(len(held_out), dtype=bool))])
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
    return {"difference": stable_mean(known), "standard_error": error}
