"""Queries with the scores, probabilities and costs of every model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._costs.budget import BudgetAssignment, assign_within
from skl_locus._costs.tables import cost_matrix
from skl_locus._policy.platt import PlattScaling
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.decisions import choose_best
from skl_locus._routing.objective import floor_preferences, net_correctness
from skl_locus._routing.pool import available_columns


@dataclass(frozen=True)
class ScoredQueries:
    """What is known of some queries before a model answers them.

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
        What the router decides by, and corrected P(correct).
    costs : ndarray of shape (n_queries, n_models) or None
        Costs, where there is a model of them.
    """

    index: pd.Index | None
    labels: np.ndarray
    available: np.ndarray
    substitutes: np.ndarray | None
    decisions: np.ndarray
    probabilities: np.ndarray
    costs: np.ndarray | None

    def preferences(
        self, cost_weight: float | None, threshold: float | None
    ) -> np.ndarray:
        """Return what to maximise without a budget: (n_queries, n_models)."""
        if self.costs is None:
            return self.decisions
        if threshold is not None:
            return floor_preferences(self.probabilities, self.costs, threshold)
        if cost_weight is not None:
            return net_correctness(self.probabilities, self.costs, cost_weight)
        return self.decisions

    def columns(self, cost_weight: float | None, threshold: float | None) -> np.ndarray:
        """Choose query by query: (n_queries,)."""
        preferences = self.preferences(cost_weight, threshold)
        return choose_best(preferences, self.available, self.substitutes)

    def assign(self, budget: float) -> BudgetAssignment:
        """Choose for all queries together, among the models that are not down."""
        if self.costs is None:
            raise ValueError("A budget needs costs; pass cost_model= to the policy.")
        usable = np.flatnonzero(self.available)
        assignment = assign_within(
            self.probabilities[:, usable], self.costs[:, usable], budget
        )
        return replace(assignment, columns=usable[assignment.columns])

    def reached(self, columns: np.ndarray, threshold: float | None) -> np.ndarray:
        """Tell which choices reach a threshold; all do without one: (n_queries,)."""
        chosen = self.probabilities[np.arange(len(columns)), columns]
        return chosen >= (0.0 if threshold is None else threshold)

    def table(self, columns: np.ndarray, threshold: float | None) -> pd.DataFrame:
        """Tell what is expected of chosen columns."""
        rows = np.arange(len(columns))
        costs = np.full(len(columns), np.nan)
        if self.costs is not None:
            costs = self.costs[rows, columns]
        return pd.DataFrame(
            {
                "model": self.labels[columns],
                "probability": self.probabilities[rows, columns],
                "cost": costs,
                "reached": self.reached(columns, threshold),
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
    queries: Any,
    models: Any,
    unavailable: Collection,
    fallback: str,
    correct: PlattScaling,
    cost_model: Any,
) -> ScoredQueries:
    """Ask a router and a model of costs about queries.

    Parameters
    ----------
    router : router
        Fitted; its pool is looked up once.
    queries : list of str, array of shape (n_queries, n_features), Series or dataframe
        Bare queries.
    models : sequence of labels or None
        Models to choose among.
    unavailable : collection of labels
        Models that are down.
    fallback : {"rerank", "neighbor"}
        How a model that is down is replaced.
    correct : PlattScaling
        Correction of P.
    cost_model : CostModel, mapping, Series or None
        What models cost.

    Returns
    -------
    ScoredQueries
        Everything about them.
    """
    pool = router._fitted_pool()
    columns = pool.select(models)
    labels = pool.models[columns]
    available = available_columns(pool, columns, unavailable)
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
        correct(probabilities),
        costs,
    )
