"""Queries with the scores, probabilities and costs of every model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._costs.budget import BudgetAssignment, assign_within
from skl_locus._costs.tables import cost_matrix, labels_without_cost
from skl_locus._policy.platt import PlattScaling
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.decisions import choose_best
from skl_locus._routing.objective import Objective
from skl_locus._routing.pool import ModelPool, available_columns, known_labels
from skl_locus._routing.sessions import Incumbents
from skl_locus._utils.runtime import warn_once
from skl_locus.exceptions import IgnoredModelWarning


@dataclass(frozen=True)
class ScoredQueries:
    """Queries with all that decides between models before one answers.

    Parameters
    ----------
    index : pandas Index or None
        Index of the queries, where they have one.
    labels : ndarray of shape (n_models,), object
        Models, in the order of the columns.
    available : ndarray of shape (n_models,), bool
        Models that are not down.
    substitutes : ndarray of shape (n_models,) or None
        Column that answers for each, where models that are down have substitutes.
    decisions, probabilities : ndarray of shape (n_queries, n_models)
        Decision scores of the router, and calibrated P(correct).
    costs : ndarray of shape (n_queries, n_models) or None
        Costs; None without a model of costs.
    """

    index: pd.Index | None
    labels: np.ndarray
    available: np.ndarray
    substitutes: np.ndarray | None
    decisions: np.ndarray
    probabilities: np.ndarray
    costs: np.ndarray | None

    def preferences(self, objective: Objective) -> np.ndarray:
        """Return what to maximise without a budget: (n_queries, n_models)."""
        # The best probabilities are not the best routes: where costs have no say, the
        # router's own decision scores choose, and P only where it is weighed with cost.
        if self.costs is None or not objective.needs_costs:
            return self.decisions
        return objective.preferences(self.probabilities, self.costs)

    def columns(self, objective: Objective) -> np.ndarray:
        """Choose query by query: (n_queries,)."""
        preferences = self.preferences(objective)
        return choose_best(preferences, self.available, self.substitutes)

    def settled(
        self, ranked: np.ndarray, incumbents: Incumbents | None, objective: Objective
    ) -> np.ndarray:
        """Put incumbents that stay in front of the columns chosen: (n_queries, k)."""
        if incumbents is None:
            return ranked
        return incumbents.settle(
            ranked,
            self.preferences(objective),
            self.probabilities,
            self.costs,
            objective,
        )

    def assign(self, budget: float) -> BudgetAssignment:
        """Choose for all queries together, among the models that are not down."""
        if self.costs is None:
            raise ValueError("A budget needs costs; pass cost_model= to the policy.")
        # Substitutes are not asked: the budget is spent best on what is available.
        usable = np.flatnonzero(self.available)
        assignment = assign_within(
            self.probabilities[:, usable], self.costs[:, usable], budget
        )
        return replace(assignment, columns=usable[assignment.columns])

    def reached(self, columns: np.ndarray, objective: Objective) -> np.ndarray:
        """Return which choices reach a floor; all do without one: (n_queries,)."""
        chosen = self.probabilities[np.arange(len(columns)), columns]
        return objective.reached(chosen)

    def table(self, columns: np.ndarray, objective: Objective) -> pd.DataFrame:
        """Return each query's chosen model with its P, cost and reach of the floor."""
        rows = np.arange(len(columns))
        costs = np.full(len(columns), np.nan)
        if self.costs is not None:
            costs = self.costs[rows, columns]
        return pd.DataFrame(
            {
                "model": self.labels[columns],
                "probability": self.probabilities[rows, columns],
                "cost": costs,
                "reached": self.reached(columns, objective),
            },
            index=self.index,
        ).astype({"model": object})

    def take(self, rows: slice) -> ScoredQueries:
        """Keep some of the queries."""
        return replace(
            self,
            index=None if self.index is None else self.index[rows],
            decisions=self.decisions[rows],
            probabilities=self.probabilities[rows],
            costs=None if self.costs is None else self.costs[rows],
        )

    def only_model(self, column: int) -> ScoredQueries:
        """Keep one model, which must be available."""
        return replace(
            self,
            labels=self.labels[[column]],
            available=self.available[[column]],
            substitutes=None if self.substitutes is None else np.zeros(1, dtype=int),
            decisions=self.decisions[:, [column]],
            probabilities=self.probabilities[:, [column]],
            costs=None if self.costs is None else self.costs[:, [column]],
        )


def score_queries(
    router: RouterMixin,
    pool: ModelPool,
    columns: np.ndarray,
    queries: Any,
    unavailable: Collection,
    fallback: str,
    calibration: PlattScaling,
    cost_model: Any,
) -> ScoredQueries:
    """Predict the scores, P(correct) and costs of all models on queries.

    Parameters
    ----------
    router : router
        Fitted.
    pool : ModelPool
        Its pool, looked up once: another thread may replace it.
    columns : ndarray of shape (n_models,)
        Columns of the pool to choose among.
    queries : list of str, array of shape (n_queries, n_features), Series or dataframe
        Bare queries.
    unavailable : collection of labels
        Models that are down.
    fallback : {"rerank", "neighbor"}
        How a model that is down is replaced.
    calibration : PlattScaling
        Correction of P.
    cost_model : CostModel, mapping, Series or None
        What models cost.

    Returns
    -------
    ScoredQueries
        The queries, with all models that may be chosen.
    """
    labels = pool.models[columns]
    available = available_columns(router, pool, columns, unavailable)
    substitutes = router._substitutes(pool, columns, available, fallback)
    batch = router._read_queries(queries)
    decisions, probabilities = router._decision_scores(pool, batch, columns)
    costs = None
    if cost_model is not None:
        costs = cost_matrix(cost_model, batch, len(batch), labels)
    return ScoredQueries(
        batch.index,
        labels,
        available,
        substitutes,
        decisions,
        calibration(probabilities),
        costs,
    )


def usable_columns(
    router: RouterMixin, pool: ModelPool, models: Any, cost_model: Any
) -> np.ndarray:
    """Return the columns of the models that a fitted policy can judge.

    A router in service may have lost a model that the policy chooses among, or have
    gained one that nobody has given a cost: it is left out with one warning, since a
    request can be answered without it.
    """
    if models is None:
        labels = list(pool.models)
    else:
        labels = known_labels(router, pool, models, "models")
    unpriced = labels_without_cost(cost_model, labels)
    for label in unpriced:
        warn_once(
            router,
            ("cost", label),
            f"The policy knows no cost of the model {label!r}, which the router has; "
            "the model is not chosen.",
            IgnoredModelWarning,
        )
    columns = pool.columns_of(label for label in labels if label not in unpriced)
    if not len(columns):
        raise ValueError(
            "No model is left to route to: the router has none that the policy chooses "
            "among and knows the cost of."
        )
    return columns
