"""The objective of a decision: a weight of cost, a floor on P(correct), or neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np

MAX_WEIGHT = float(np.finfo(np.float64).max)
"""Largest weight of cost: an infinite one times a cost of zero is not a number."""

UNREACHABLE = np.inf
"""Floor that no probability reaches."""


@dataclass(frozen=True)
class Objective:
    """What a decision maximises.

    With a weight of cost, ``P - cost_weight * cost``. With a floor, the cheapest of
    the models with ``P >= floor`` is best, or the most probable one where no model
    reaches it. With neither, P.

    Parameters
    ----------
    cost_weight : float, default=None
        P(correct) that a unit of cost is worth, at least 0.
    floor : float, default=None
        Least P(correct) of a model that is good enough; not with ``cost_weight``.
    """

    cost_weight: float | None = None
    floor: float | None = None

    @property
    def needs_costs(self) -> bool:
        """Whether costs decide."""
        return self.cost_weight is not None or self.floor is not None

    def preferences(
        self, probabilities: np.ndarray, costs: np.ndarray | None
    ) -> np.ndarray:
        """Return what to maximise.

        Parameters
        ----------
        probabilities : ndarray of shape (n_queries, n_models)
            P(correct).
        costs : ndarray of shape (n_queries, n_models) or None
            Costs in any unit; not read without weight and floor.

        Returns
        -------
        ndarray of shape (n_queries, n_models)
            The higher, the better; ties go to the first column.
        """
        if not self.needs_costs:
            return probabilities
        assert costs is not None
        if self.floor is not None:
            return _floor_preferences(self.reached(probabilities), probabilities, costs)
        return probabilities.astype(np.float64) - self.cost_weight * costs

    def reached(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which probabilities reach the floor; all do without one."""
        if self.floor is None:
            return np.ones(probabilities.shape, dtype=bool)
        return probabilities >= self.floor


@dataclass(frozen=True)
class Choices:
    """The models that an objective chooses.

    Parameters
    ----------
    objective : Objective
        What was maximised.
    columns : ndarray of shape (n_queries,)
        Chosen columns.
    reached : ndarray of shape (n_queries,), bool
        Whether the chosen models reach the floor; all do without one.
    """

    objective: Objective
    columns: np.ndarray
    reached: np.ndarray


def check_objective(costs: Any, cost_weight: Any, min_correctness: Any) -> Objective:
    """Check the arguments of `route` and `rank` that say what costs are for.

    Parameters
    ----------
    costs : mapping, Series, CostModel, array or None
        What models cost.
    cost_weight, min_correctness : float or None
        Weight of cost, or floor on P(correct).

    Returns
    -------
    Objective
        Weight or floor; neither where nothing was given.

    Raises
    ------
    ValueError
        If weight and floor are both given or out of range, or if costs are given
        without one of them, or the reverse.
    """
    if cost_weight is not None and min_correctness is not None:
        raise ValueError(
            "cost_weight and min_correctness are two ways to decide; pass one of them."
        )
    if cost_weight is not None and not _is_real(cost_weight, 0, MAX_WEIGHT):
        raise ValueError(
            "cost_weight must be a finite number of at least 0, got "
            f"{cost_weight!r:.60}."
        )
    if min_correctness is not None and not _is_real(min_correctness, 0, 1):
        raise ValueError(
            f"min_correctness must be a number in [0, 1], got {min_correctness!r}."
        )
    # NumPy compares an array of float32 with a float of Python in float32, where 0.9
    # reaches a floor of 0.9, but with a float64 of its own in float64, where it does
    # not.
    objective = Objective(_as_float(cost_weight), _as_float(min_correctness))
    if costs is None and objective.needs_costs:
        name = "min_correctness" if cost_weight is None else "cost_weight"
        raise ValueError(f"{name} needs to know what models cost; pass costs=.")
    if costs is not None and not objective.needs_costs:
        raise ValueError(
            "costs are given, but not what they are for; pass cost_weight= or "
            "min_correctness=."
        )
    return objective


def choices_at_weights(
    probabilities: np.ndarray, costs: np.ndarray, weights: Iterable[float]
) -> Iterator[Choices]:
    """Yield what each of many weights of cost chooses.

    Parameters
    ----------
    probabilities, costs : ndarray of shape (n_queries, n_models)
        P(correct), and costs in any unit.
    weights : iterable of float
        Weights of cost.

    Yields
    ------
    Choices
        One for each weight.
    """
    for weight in weights:
        objective = Objective(cost_weight=weight)
        columns = objective.preferences(probabilities, costs).argmax(axis=1)
        yield Choices(objective, columns, objective.reached(probabilities[:, 0]))


def choices_at_floors(
    probabilities: np.ndarray, costs: np.ndarray, floors: Iterable[float]
) -> Iterator[Choices]:
    """Yield what each of many floors chooses.

    Parameters
    ----------
    probabilities, costs : ndarray of shape (n_queries, n_models)
        P(correct), and costs in any unit.
    floors : iterable of float
        Floors on P(correct).

    Yields
    ------
    Choices
        One for each floor.
    """
    # A floor only leaves models out: among those that reach it, the order is that by
    # cost and then by P for every floor. So models are sorted once, and each floor
    # takes the first one that reaches it.
    order = np.lexsort((-probabilities, costs), axis=1)
    ordered = np.take_along_axis(probabilities, order, axis=1)
    most_probable, largest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for floor in floors:
        objective = Objective(floor=floor)
        first = order[np.arange(len(order)), objective.reached(ordered).argmax(axis=1)]
        reached = objective.reached(largest)
        yield Choices(objective, np.where(reached, first, most_probable), reached)


def _floor_preferences(
    reached: np.ndarray, probabilities: np.ndarray, costs: np.ndarray
) -> np.ndarray:
    """Order models by place: 0 for the first choice, -1 for the second, and so on.

    Models that reach the floor come before those that do not: among the former, low
    costs come first and then high P(correct); among the latter, high P(correct).
    """
    # Costs are finite, so that an infinite one puts a model behind all that reach the
    # floor, and leaves the order of such models to P.
    order = np.lexsort((-probabilities, np.where(reached, costs, np.inf)), axis=1)
    places = np.empty(order.shape)
    np.put_along_axis(places, order, -np.arange(order.shape[1])[None], axis=1)
    return places


def _is_real(value: Any, low: float, high: float) -> bool:
    # Not as a float: an integer of Python may be larger than any.
    return isinstance(value, Real) and bool(low <= cast(Any, value) <= high)


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)
