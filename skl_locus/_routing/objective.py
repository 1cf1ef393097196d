"""The objective of a decision: a cost weight or a floor on P(correct)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from skl_locus._costs.tables import cost_matrix

MAX_WEIGHT = np.finfo(np.float64).max
"""Largest weight of costs; infinity would not know what to do with free models."""


@dataclass(frozen=True)
class Objective:
    """What a decision that looks at costs is after: a good trade, or a floor.

    Parameters
    ----------
    costs : mapping, Series, CostModel or array
        What the models cost, as `route` takes it.
    cost_weight, min_correctness : float or None
        Exactly one of them.
    """

    costs: Any
    cost_weight: float | None
    min_correctness: float | None

    def matrix(self, queries: Any, n_queries: int, labels: np.ndarray) -> np.ndarray:
        """Return what each model costs each query: (n_queries, n_models)."""
        return cost_matrix(self.costs, queries, n_queries, labels)

    def preferences(self, probabilities: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Return what to maximise: (n_queries, n_models)."""
        if self.min_correctness is None:
            assert self.cost_weight is not None
            return net_correctness(probabilities, costs, self.cost_weight)
        return floor_preferences(probabilities, costs, self.min_correctness)


def check_objective(
    costs: Any, cost_weight: Any, min_correctness: Any
) -> Objective | None:
    """Check what is asked of costs; None where nothing is."""
    check_trade(cost_weight, min_correctness)
    given = [cost_weight, min_correctness].count(None) < 2
    if costs is None and not given:
        return None
    if costs is None:
        name = "min_correctness" if cost_weight is None else "cost_weight"
        raise ValueError(f"{name} needs to know what models cost; pass costs=.")
    if not given:
        raise ValueError(
            "costs are given, but not what they are for; pass cost_weight= or "
            "min_correctness=."
        )
    # A float of Python's own is compared in the precision of P: 0.9 reaches 0.9.
    floor = None if min_correctness is None else float(min_correctness)
    return Objective(costs, cost_weight, floor)


def check_trade(cost_weight: Any, min_correctness: Any) -> None:
    """Refuse a weight and a floor together, and either out of its range."""
    if cost_weight is not None and min_correctness is not None:
        raise ValueError(
            "cost_weight and min_correctness are two ways to decide; pass one of them."
        )
    if cost_weight is not None and not is_real(cost_weight, 0, MAX_WEIGHT):
        raise ValueError(
            f"cost_weight must be a finite number of at least 0, got {cost_weight!r}."
        )
    if min_correctness is not None and not is_real(min_correctness, 0, 1):
        raise ValueError(
            f"min_correctness must be a number in [0, 1], got {min_correctness!r}."
        )


def is_real(value: Any, low: float, high: float) -> bool:
    """Tell whether something is a number within bounds."""
    return isinstance(value, Real) and low <= float(value) <= high


def net_correctness(
    probabilities: np.ndarray, costs: np.ndarray, weight: float
) -> np.ndarray:
    """Take off what costs are worth: ``P - weight * cost``, in float64.

    Parameters
    ----------
    probabilities, costs : ndarray of shape (n_queries, n_models)
        P(correct), and costs in any unit.
    weight : float
        P(correct) that a unit of cost is worth.

    Returns
    -------
    ndarray of shape (n_queries, n_models)
        What to maximise.
    """
    return probabilities.astype(np.float64) - weight * costs


def floor_preferences(
    probabilities: np.ndarray, costs: np.ndarray, floor: float
) -> np.ndarray:
    """Prefer the cheapest of the models that reach a floor, else the most probable.

    Models that reach the floor come before those that do not; among the former, low
    costs come first and then high P(correct); among the latter, high P(correct).

    Parameters
    ----------
    probabilities, costs : ndarray of shape (n_queries, n_models)
        P(correct), and costs in any unit.
    floor : float
        What P must be at least.

    Returns
    -------
    ndarray of shape (n_queries, n_models)
        What to maximise: 0 for the first choice, -1 for the second, and so on; ties
        go to the first column.
    """
    within = np.where(probabilities >= floor, costs, np.inf)
    order = np.lexsort((-probabilities, within), axis=1)
    places = np.empty(order.shape)
    np.put_along_axis(places, order, -np.arange(order.shape[1])[None], axis=1)
    return places
