"""Sessions: the model that answers already, and when another one takes over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from skl_locus._data.columns import is_sequence, object_cells
from skl_locus._routing.objective import Objective
from skl_locus._routing.pool import ModelPool
from skl_locus._utils.validation import as_float


@dataclass(frozen=True)
class Incumbents:
    """The models that answer the sessions of queries, and what a change must gain.

    Parameters
    ----------
    columns : ndarray of shape (n_queries,)
        Column of each query's incumbent; -1 where there is none to keep.
    margin : float
        Gain, in units of what decides between models, up to which incumbents stay.
    costs : ndarray of shape (n_queries,)
        Cost of changing the model, such as that of reading a conversation again.
    """

    columns: np.ndarray
    margin: float
    costs: np.ndarray

    def take(self, rows: slice) -> Incumbents:
        """Keep some of the queries."""
        return replace(self, columns=self.columns[rows], costs=self.costs[rows])

    def settle(
        self,
        ranked: np.ndarray,
        preferences: np.ndarray,
        probabilities: np.ndarray,
        costs: np.ndarray | None,
        objective: Objective,
    ) -> np.ndarray:
        """Put incumbents that stay in front of the models that were chosen.

        Parameters
        ----------
        ranked : ndarray of shape (n_queries, k)
            Columns, best first.
        preferences, probabilities : ndarray of shape (n_queries, n_models)
            What decides between models, and P(correct).
        costs : ndarray of shape (n_queries, n_models) or None
            Costs, where the objective needs them.
        objective : Objective
            What was maximised.

        Returns
        -------
        ndarray of shape (n_queries, k)
            Columns.
        """
        rows = np.arange(len(ranked))
        best, own = ranked[:, 0], self.columns

        def both(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return values[rows, best], values[rows, own]

        if objective.floor is None:
            challenger, incumbent = both(preferences)
            weight = objective.cost_weight or 0.0
            stays = challenger - incumbent <= self.margin + weight * self.costs
        else:
            assert costs is not None
            stays = self._stays_under_floor(both(probabilities), both(costs), objective)
        return _with_first(ranked, own, stays & (own >= 0))

    def _stays_under_floor(
        self,
        probabilities: tuple[np.ndarray, np.ndarray],
        costs: tuple[np.ndarray, np.ndarray],
        objective: Objective,
    ) -> np.ndarray:
        """Compare challengers with incumbents as a floor does: (n_queries,), bool."""
        # The places in which a floor orders models have no unit. Costs decide between
        # two that reach it, P between two that do not, and reaching it before both.
        reached, keeps = (objective.reached(each) for each in probabilities)
        is_cheap = costs[1] - costs[0] <= self.costs
        is_near = probabilities[0] - probabilities[1] <= self.margin
        return np.where(keeps, is_cheap | ~reached, is_near & ~reached)


@dataclass(frozen=True)
class Session:
    """The arguments of `route` and `rank` that are about sessions, as they came.

    Parameters
    ----------
    incumbent : sequence of labels or None
        One label per query, or None in its place.
    switch_margin : float
        What a change must gain.
    switch_cost : float or array-like of shape (n_queries,)
        What a change costs.
    available : ndarray of shape (n_models,), bool, default=None
        Models that are not down; all by default.
    """

    incumbent: Any = None
    switch_margin: Any = 0.0
    switch_cost: Any = 0.0
    available: np.ndarray | None = None

    @property
    def _is_empty(self) -> bool:
        """Whether no argument is given, which requests without sessions need fast."""
        given = self.incumbent, self.switch_margin, self.switch_cost
        return given[0] is None and all(type(x) is float and not x for x in given[1:])

    def incumbents(
        self,
        n_queries: int,
        pool: ModelPool,
        columns: np.ndarray,
        objective: Objective,
    ) -> Incumbents | None:
        """Check the arguments, and find the incumbents among some columns of a pool.

        Labels that are unknown or unavailable count as none; without any argument
        there is None.
        """
        if self._is_empty:
            return None
        margin = _amounts(self.switch_margin, "switch_margin", None)
        costs = _amounts(self.switch_cost, "switch_cost", n_queries)
        if costs.any() and not objective.needs_costs:
            raise ValueError(
                "switch_cost is weighed as other costs are; pass cost_weight= or "
                "min_correctness= too, or a switch_margin=."
            )
        if self.incumbent is None:
            return None
        if not is_sequence(self.incumbent) or len(self.incumbent) != n_queries:
            raise ValueError(
                f"incumbent must have one label for each of the {n_queries} queries, "
                f"or None in its place; got {self.incumbent!r:.60}."
            )
        labels = object_cells(self.incumbent)
        own = np.fromiter((_position(pool, label) for label in labels), np.intp)
        places = np.full(len(pool.models) + 1, -1)  # the last entry is that of -1
        places[columns] = np.arange(len(columns))
        if self.available is not None:
            places[columns[~self.available]] = -1
        found = places[own]
        return Incumbents(found, float(margin), np.broadcast_to(costs, found.shape))


def _position(pool: ModelPool, label: Any) -> int:
    try:
        return pool.positions.get(label, -1)
    except TypeError:  # what has no hash is no label
        return -1


def _amounts(value: Any, name: str, n_queries: int | None) -> np.ndarray:
    """Return a number, or one for each query, as float64; finite and at least 0."""
    if np.ndim(value) == 0 and isinstance(value, Real):
        value = as_float(value, name)
    amounts = np.asarray(value)
    shapes = [()] if n_queries is None else [(), (n_queries,)]
    if amounts.dtype.kind not in "biuf" or amounts.shape not in shapes:
        several = "" if n_queries is None else f", or {n_queries}, one for each query"
        raise ValueError(f"{name} must be a number{several}; got {value!r:.60}.")
    amounts = amounts.astype(np.float64)
    if not (np.isfinite(amounts) & (amounts >= 0)).all():
        raise ValueError(f"{name} must be finite and not negative; got {value!r:.60}.")
    return amounts


def _with_first(ranked: np.ndarray, own: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Move a column to the front of some rows; if it is new, the last one goes."""
    is_own = ranked == own[:, None]
    at = np.where(is_own.any(axis=1), is_own.argmax(axis=1), ranked.shape[1] - 1)
    places = np.arange(ranked.shape[1])
    # What stood before it moves back by one place.
    source = np.where(places <= at[:, None], places - 1, places).clip(min=0)
    moved = np.take_along_axis(ranked, source, axis=1)
    moved[:, 0] = own
    return np.where(stays[:, None], moved, ranked)
