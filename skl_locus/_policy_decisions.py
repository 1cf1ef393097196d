"""What a fitted policy answers about bare queries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skl_locus._deciding import Ranking
from skl_locus._decisions import top_k
from skl_locus._outlook import Outlook, look_at
from skl_locus._sigmoid import Sigmoid
from skl_locus._wrapped import fitted_router


class PolicyDecisions:
    """Choose models by P and costs, with what was learned from held-out queries."""

    router: Any
    models_: Any
    fallback: str
    cost_model_: Any
    calibration_: Sigmoid
    cost_weight_: float | None
    threshold_: float | None

    def route(
        self, queries: Any, unavailable: Collection = (), budget: float | None = None
    ) -> np.ndarray:
        """Choose a model for each query.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        unavailable : collection of labels, default=()
            Models that are down.
        budget : float, default=None
            What all queries together may cost, as for `choose`.

        Returns
        -------
        ndarray of shape (n_queries,), object
            Labels.
        """
        return self.choose(queries, budget, unavailable)["model"].to_numpy()

    def rank(
        self, queries: Any, k: int | None = None, unavailable: Collection = ()
    ) -> Ranking:
        """Order the best models for each query, as `route` prefers them.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        k : int, default=None
            Number of models per query, all that are available by default.
        unavailable : collection of labels, default=()
            Models that are down; they are left out.

        Returns
        -------
        labels : ndarray of shape (n_queries, k), object
            Models, best first.
        probabilities : ndarray of shape (n_queries, k)
            Their corrected P(correct). The tuple of both has ``reached``, as that of
            ``router.rank`` has.
        """
        outlook = self._look_at(queries, unavailable)
        usable = np.flatnonzero(outlook.available)
        k = len(usable) if k is None else k
        if not 1 <= k <= len(usable):
            raise ValueError(f"k must be between 1 and {len(usable)}, got {k!r}.")
        preferences = outlook.preferences(self.cost_weight_, self.threshold_)
        best = usable[top_k(preferences[:, usable], k)]
        ranked = np.take_along_axis(outlook.probabilities, best, axis=1)
        reached = None if self.threshold_ is None else ranked >= self.threshold_
        return Ranking(outlook.labels[best], ranked, reached)

    def choose(
        self, queries: Any, budget: float | None = None, unavailable: Collection = ()
    ) -> pd.DataFrame:
        """Choose a model for each query, and tell what is expected of it.

        With a budget, weight and floor have no say: the models are those of the
        largest sum of P among all choices that the budget pays for, or nearly so.
        The Lagrangian relaxation of this problem is solved exactly; what is left to
        gain at most is reported as the gap.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        budget : float, default=None
            What all queries together may cost.
        unavailable : collection of labels, default=()
            Models that are down. With a budget, the others share their work,
            whatever the ``fallback``.

        Returns
        -------
        DataFrame of shape (n_queries, 4)
            Columns model, probability (corrected P), cost (NaN without a model of
            costs) and reached (whether P reaches the floor; True without one), with
            the index of the queries. With a budget, ``attrs`` has the budget, the
            sums of cost and of P ("expected"), the "bound" that no choice within the
            budget exceeds, their difference "gap", which is less than one right
            answer, and the "cost_weight" at which the money ran out: routing new
            queries with it spends about as much for each.

        Raises
        ------
        ValueError
            If the budget does not pay for the cheapest models, or costs are unknown.
        """
        outlook = self._look_at(queries, unavailable)
        if budget is None:
            columns = outlook.columns(self.cost_weight_, self.threshold_)
            return outlook.table(columns, self.threshold_)
        assignment = outlook.assign(budget)
        table = outlook.table(assignment.columns, self.threshold_)
        table.attrs = {
            "budget": float(budget),
            "cost": assignment.cost,
            "expected": assignment.value,
            "bound": assignment.bound,
            "gap": assignment.gap,
            "cost_weight": assignment.cost_weight,
        }
        return table

    def costs(self, queries: Any) -> np.ndarray:
        """Return what each model costs for each query.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.

        Returns
        -------
        ndarray of shape (n_queries, n_models), float64
            Columns in the order of ``models_``, or of those of the router.
        """
        costs = self._look_at(queries, ()).costs
        if costs is None:
            raise ValueError("The policy has no costs; pass cost_model=.")
        return costs

    def _look_at(self, queries: Any, unavailable: Collection) -> Outlook:
        check_is_fitted(self)
        return self._look(queries, unavailable, self.models_)

    def _look(self, queries: Any, unavailable: Collection, models: Any) -> Outlook:
        return look_at(
            fitted_router(self.router),
            queries,
            models,
            unavailable,
            self.fallback,
            self.calibration_,
            self.cost_model_,
        )
