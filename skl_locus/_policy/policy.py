"""The policy around a router that weighs P(correct) against cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.identity import identify_rows
from skl_locus._data.queries import UniqueQueries
from skl_locus._policy.fitting import PolicyGoal, fit_policy
from skl_locus._policy.held_out import HeldOutScores, read_logged_queries
from skl_locus._policy.platt import PlattScaling
from skl_locus._policy.scored_queries import (
    ScoredQueries,
    score_queries,
    usable_columns,
)
from skl_locus._routing.decisions import top_k
from skl_locus._routing.objective import Objective
from skl_locus._routing.pool import ModelPool
from skl_locus._routing.ranking import Ranking, make_ranking
from skl_locus._routing.sessions import Incumbents, Session
from skl_locus._routing.unwrap import check_unseen, fitted_router
from skl_locus._utils.estimators import (
    PickleVersionMixin,
    atomic_fit,
    is_fitted,
    kept_or_cloned,
)
from skl_locus._utils.user_warnings import warn_user
from skl_locus._utils.validation import check_count
from skl_locus.exceptions import UnreachedTargetWarning


class RouterPolicy(PickleVersionMixin, BaseEstimator):
    """Route by probability and cost, tuned and calibrated on held-out queries.

    Wraps a fitted router, which is never refitted: `fit` takes evaluations of queries
    that the router has *not* been fitted on, and refuses others. On them it

    - corrects P(correct) by one line in logits, the same for all models;
    - finds the threshold on P from which on the routes with a floor
      (``min_correctness``) are right as often as the floor says, for the cheapest
      model that reaches a floor tends to be one whose P is too high;
    - or tunes the weight of cost, or a floor, to a target of quality or cost.

    Parameters
    ----------
    router : router
        Fitted, of this package. Cloning a policy keeps the router as it is.
    cost_model : CostModel, mapping or Series, default=None
        What the models cost: a fitted `CostModel`; one that is not, which `fit`
        clones and fits on X; or costs per call by label. Only a policy without
        weight, floor, target and budget can do without.
    cost_weight : float, default=None
        Maximise ``P - cost_weight * cost``.
    min_correctness : float, default=None
        Take the cheapest model that reaches this floor in [0, 1], and the most
        probable one where none does.
    target_quality : float or "best_single", default=None
        Tune to the least cost at which the mean score of the routes reaches this, or
        that of the model that was best in the router's own log, which answers
        everything if that is the least cost.
    target_cost : float, default=None
        Tune to the best expected score at which the mean cost is at most this.
    tune : {"cost_weight", "min_correctness"}, default="cost_weight"
        What is tuned to a target.
    n_standard_errors : float, default=1.0
        Margin by which the mean score must exceed a floor or a target quality on the
        held-out queries; 0 takes means at their word, and about half of the time new
        queries will then fall a little short.
    tolerance : float, default=0.0
        Score by which routes may fall short of ``target_quality``.
    confidence : float, default=None
        With ``min_correctness``: certify the threshold by a finite-sample bound
        instead. With this probability over held-out queries, the expected score is at
        least the floor on new queries where some model reaches the threshold. The
        first 0.3 of the queries, in the order of their digests, say where to begin
        testing; the others are tested.
    calibration : {"sigmoid"} or None, default="sigmoid"
        Whether P is corrected.
    models : sequence of labels, default=None
        Models to choose among, all of the router by default.
    fallback : {"rerank", "neighbor"}, default="rerank"
        What answers for a model that is down, as for ``router.route``.
    switch_margin, switch_cost : float, default=0.0
        What a change of the model must gain, and what it costs, where an incumbent
        answers the session of a query; as for ``router.route``.

    Attributes
    ----------
    cost_model_ : CostModel, mapping, Series or None
        What costs are taken from.
    calibration_ : PlattScaling
        ``calibration_.slope`` and ``calibration_.intercept``; 1 and 0 without
        correction.
    models_ : sequence of labels or None
        Models to choose among; the best single model alone, if nothing as good was
        cheaper.
    cost_weight_ : float or None
        Weight of cost, given or tuned.
    threshold_ : float or None
        What corrected P must reach; infinite where nothing could be shown to keep to
        the floor (`UnreachedTargetWarning`).
    target_quality_ : float or None
        The target as a number.
    report_ : DataFrame
        What was tried on the held-out queries: threshold or weight, coverage (share
        of the queries where some model reaches the threshold), cost (mean of all
        routes), n_routes and quality (routes that were observed, and their mean
        score; with ``min_correctness`` where the threshold is reached) and, as far as
        they were computed, p_value, expected score, difference from the target less
        the tolerance, and its standard error. Where a single model is the target, it
        is the last row.
    coverage_ : float
        Share of the held-out queries where some model reaches the threshold; 1
        without one.
    quality_, cost_ : float
        Mean score of the routes observed, and mean cost of all, on the held-out
        queries; NaN where there is none. Both are a little optimistic where
        something was tuned.

    See Also
    --------
    CostModel : Costs from prices and a log.

    Notes
    -----
    In a partial log only routes count to whose model the query was put in the log. If
    it depends on the scores who answered what, so do the results.

    The finite-sample bound is the exact binomial one for scores of 0 and 1, and that of
    Hoeffding and Bentkus for others, with thresholds tested in a fixed sequence
    (Angelopoulos et al., 2021, "Learn then Test", arXiv:2110.01052). It holds for the
    mean of queries drawn like the held-out ones, not for each query.

    Examples
    --------
    >>> from skl_locus import KMeansRouter, RouterPolicy
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.model_selection import QueryShuffleSplit
    >>> pool = make_evaluations(n_models=6, n_queries=300, random_state=0)
    >>> log = pool.evaluations
    >>> split = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
    >>> train, held_out = (log.iloc[rows] for rows in next(split.split(log)))
    >>> router = KMeansRouter(random_state=0).fit(train, train["score"])
    >>> policy = RouterPolicy(
    ...     router, cost_model=pool.models["cost"], target_quality="best_single"
    ... )
    >>> policy = policy.fit(held_out, held_out["score"])
    >>> policy.route(pool.encodings[:3]).shape
    (3,)
    >>> chosen = policy.choose(pool.encodings[:10], budget=5.0)
    >>> bool(chosen["cost"].sum() <= 5.0), chosen.attrs["gap"] < 1
    (True, True)
    """

    _parameter_constraints: dict = {
        "router": "no_validation",
        "cost_model": "no_validation",
        "cost_weight": [Interval(Real, 0, None, closed="left"), None],
        "min_correctness": [Interval(Real, 0, 1, closed="both"), None],
        "target_quality": [
            Interval(Real, 0, 1, closed="both"),
            StrOptions({"best_single"}),
            None,
        ],
        "target_cost": [Interval(Real, 0, None, closed="left"), None],
        "tune": [StrOptions({"cost_weight", "min_correctness"})],
        "n_standard_errors": [Interval(Real, 0, None, closed="left")],
        "tolerance": [Interval(Real, 0, 1, closed="both")],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
        "calibration": [StrOptions({"sigmoid"}), None],
        "models": ["array-like", None],
        "fallback": [StrOptions({"rerank", "neighbor"})],
        "switch_margin": [Interval(Real, 0, None, closed="left")],
        "switch_cost": [Interval(Real, 0, None, closed="left")],
    }

    # Pickles of an earlier version have no such parameters.
    switch_margin: float = 0.0
    switch_cost: float = 0.0

    models_: Any
    cost_model_: Any
    calibration_: PlattScaling
    cost_weight_: float | None
    threshold_: float | None

    def __init__(
        self,
        router: Any,
        *,
        cost_model: Any = None,
        cost_weight: float | None = None,
        min_correctness: float | None = None,
        target_quality: float | str | None = None,
        target_cost: float | None = None,
        tune: str = "cost_weight",
        n_standard_errors: float = 1.0,
        tolerance: float = 0.0,
        confidence: float | None = None,
        calibration: str | None = "sigmoid",
        models: Any = None,
        fallback: str = "rerank",
        switch_margin: float = 0.0,
        switch_cost: float = 0.0,
    ) -> None:
        self.router = router
        self.cost_model = cost_model
        self.cost_weight = cost_weight
        self.min_correctness = min_correctness
        self.target_quality = target_quality
        self.target_cost = target_cost
        self.tune = tune
        self.n_standard_errors = n_standard_errors
        self.tolerance = tolerance
        self.confidence = confidence
        self.calibration = calibration
        self.models = models
        self.fallback = fallback
        self.switch_margin = switch_margin
        self.switch_cost = switch_cost

    @atomic_fit
    def fit(self, X: Any, y: Any) -> Self:
        """Calibrate and tune on queries that the router has not seen.

        Parameters
        ----------
        X : dataframe of n_rows rows
            Evaluations, as for the router, of queries held out from it. Rows of
            models that are not to be chosen among say nothing.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].

        Returns
        -------
        self
            The fitted policy; the router is as it was.

        Raises
        ------
        ValueError
            If the router was fitted on some of the queries, parameters contradict
            each other, or a cost is not known; the policy stays as it was.
        NotFittedError
            If the router is not fitted.
        """
        self._validate_params()
        shortfall = self._learn(X, y)
        if shortfall is not None:
            warn_user(shortfall, UnreachedTargetWarning)
        return self

    def route(
        self,
        queries: Any,
        unavailable: Collection = (),
        budget: float | None = None,
        *,
        models: Any = None,
        costs: Any = None,
        incumbent: Any = None,
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
        models : sequence of labels, default=None
            Models to choose among, of those that the policy knows; all by default.
        costs : CostModel, mapping or Series, default=None
            Costs in place of those of the policy, such as today's prices; in the same
            unit, since a weight or a target was fitted to it.
        incumbent : sequence of labels, default=None
            The model that answers the session of each query already, as for
            ``router.route``; not with a budget.

        Returns
        -------
        ndarray of shape (n_queries,), object
            Labels.
        """
        table = self.choose(
            queries,
            budget,
            unavailable,
            models=models,
            costs=costs,
            incumbent=incumbent,
        )
        return table["model"].to_numpy()

    def rank(
        self,
        queries: Any,
        k: int | None = None,
        unavailable: Collection = (),
        *,
        models: Any = None,
        costs: Any = None,
        incumbent: Any = None,
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
        models : sequence of labels, default=None
            Models to choose among, of those that the policy knows; all by default.
        costs : CostModel, mapping or Series, default=None
            Costs in place of those of the policy, such as today's prices; in the same
            unit, since a weight or a target was fitted to it.
        incumbent : sequence of labels, default=None
            The model that answers the session of each query already, as for
            ``router.route``.

        Returns
        -------
        labels : ndarray of shape (n_queries, k), object
            Models, best first.
        probabilities : ndarray of shape (n_queries, k)
            Their corrected P(correct). The tuple of both has ``reached`` and
            ``to_frame()``, as that of ``router.rank`` has.
        """
        pool, columns = self._usable_models(models, costs)
        scored = self._score_queries(pool, columns, queries, unavailable, costs)
        usable = np.flatnonzero(scored.available)
        k = check_count(k, "k", len(usable))
        preferences = scored.preferences(self._objective)
        best = usable[top_k(preferences[:, usable], k)]
        incumbents = self._incumbents(incumbent, scored, pool, columns)
        best = scored.settled(best, incumbents, self._objective)
        P, scores = (
            np.take_along_axis(matrix, best, axis=1)
            for matrix in (scored.probabilities, preferences)
        )
        return make_ranking(scored.labels[best], P, self._objective, scores)

    def choose(
        self,
        queries: Any,
        budget: float | None = None,
        unavailable: Collection = (),
        *,
        models: Any = None,
        costs: Any = None,
        incumbent: Any = None,
    ) -> pd.DataFrame:
        """Choose a model for each query, with its P(correct) and its cost.

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
        models : sequence of labels, default=None
            Models to choose among, of those that the policy knows; all by default.
        costs : CostModel, mapping or Series, default=None
            Costs in place of those of the policy, such as today's prices; in the same
            unit, since a weight or a target was fitted to it.
        incumbent : sequence of labels, default=None
            The model that answers the session of each query already, as for
            ``router.route``; not with a budget.

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
        pool, columns = self._usable_models(models, costs)
        scored = self._score_queries(pool, columns, queries, unavailable, costs)
        if budget is None:
            chosen = scored.columns(self._objective)[:, None]
            incumbents = self._incumbents(incumbent, scored, pool, columns)
            chosen = scored.settled(chosen, incumbents, self._objective)
            return scored.table(chosen[:, 0], self._objective)
        if incumbent is not None:
            raise ValueError(
                "A budget divides money among all queries, and cannot keep the models "
                "of sessions; pass incumbent= or budget=."
            )
        assignment = scored.assign(budget)
        table = scored.table(assignment.columns, self._objective)
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
            Columns in the order of ``models_``, or of those of the router; NaN for
            models without a cost, which were added to the router after `fit`.
        """
        pool, columns = self._usable_models()
        scored = self._score_queries(pool, columns, queries, ())
        if scored.costs is None:
            raise ValueError("The policy has no costs; pass cost_model=.")
        labels = list(pool.models if self.models_ is None else self.models_)
        costs = np.full((len(scored.costs), len(labels)), np.nan)
        costs[:, [labels.index(label) for label in scored.labels]] = scored.costs
        return costs

    def evaluate(self, X: Any, y: Any) -> pd.Series:
        """Compute the cost and the quality of the routes of logged queries.

        Parameters
        ----------
        X : dataframe of n_rows rows
            Evaluations, as in `fit`, best of queries seen neither there nor by the
            router.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].

        Returns
        -------
        Series
            quality: mean score of the routes that were observed; observed: their
            share; cost: mean cost of all routes; coverage: share of the queries where
            some model reaches the floor (1 without one); quality_reached: mean score
            of the observed routes of these; n_queries.
        """
        pool, columns = self._usable_models()
        identified = identify_rows(fitted_router(self.router), X)
        held_out = self._read(X, y, identified, pool, columns)
        return held_out.outcome(self._objective)

    def score(self, X: Any, y: Any) -> float:
        """Return the mean score of the routes of logged queries that were observed.

        Parameters
        ----------
        X : dataframe of n_rows rows
            Evaluations, as for `evaluate`.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].

        Returns
        -------
        float
            The quality of `evaluate`, whatever it costs: to search a weight, use a
            scorer that takes costs off, or a target.
        """
        return float(self.evaluate(X, y)["quality"])

    def __sklearn_clone__(self) -> Self:
        """Copy the parameters; a fitted router or model of costs stays what it is."""
        parameters = self.get_params(deep=False)
        return type(self)(
            **{name: kept_or_cloned(value) for name, value in parameters.items()}
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a setting."""
        return hasattr(self, "report_")

    @property
    def _objective(self) -> Objective:
        return Objective(self.cost_weight_, self.threshold_)

    def _learn(self, X: Any, y: Any) -> str | None:
        """Fit to held-out queries; return why the goal is out of reach, if it is."""
        goal = PolicyGoal(**{f.name: getattr(self, f.name) for f in fields(PolicyGoal)})
        goal.check(has_costs=self.cost_model is not None)
        if self.switch_cost and not goal.is_given:
            raise ValueError(
                "switch_cost is weighed as other costs are; pass cost_weight=, "
                "min_correctness= or a target too, or switch_margin=."
            )
        router = fitted_router(self.router)
        identified = identify_rows(router, X)
        check_unseen(
            router,
            identified,
            "The router",
            "fit the policy on queries held out from the router (QueryShuffleSplit)",
        )
        self.cost_model_ = self._learn_costs(X)
        self.calibration_, self.models_ = PlattScaling(), self.models
        pool = router._fitted_pool()
        held_out = self._read(X, y, identified, pool, pool.select(self.models))
        setting = fit_policy(goal, held_out, pool.evaluations)
        self.calibration_ = setting.calibration
        held_out = held_out.calibrated(setting.calibration)
        if setting.single is not None:
            self.models_ = [held_out.scored.labels[setting.single]]
            held_out = held_out.only_model(setting.single)
        self.cost_weight_ = setting.objective.cost_weight
        self.threshold_ = setting.objective.floor
        self.target_quality_, self.report_ = setting.target_quality, setting.report
        outcome = held_out.outcome(self._objective)
        self.coverage_ = float(outcome["coverage"])
        self.quality_, self.cost_ = float(outcome["quality"]), float(outcome["cost"])
        return setting.shortfall

    def _learn_costs(self, X: Any) -> Any:
        is_model = isinstance(self.cost_model, BaseEstimator)
        if is_model and not is_fitted(self.cost_model):
            return clone(self.cost_model).fit(X)
        return self.cost_model

    def _read(
        self,
        X: Any,
        y: Any,
        identified: UniqueQueries,
        pool: ModelPool,
        columns: np.ndarray,
    ) -> HeldOutScores:
        """Read a log and score its queries for some columns of the router's pool."""
        router = fitted_router(self.router)
        labels = pool.models[columns]
        queries, scores = read_logged_queries(router, identified, X, y, labels)
        return HeldOutScores(self._score_queries(pool, columns, queries, ()), scores)

    def _usable_models(
        self, models: Any = None, costs: Any = None
    ) -> tuple[ModelPool, np.ndarray]:
        """Return the router's pool and the columns to choose among."""
        check_is_fitted(self)
        router = fitted_router(self.router)
        pool = router._fitted_pool()
        cost_model = self.cost_model_ if costs is None else costs
        columns = usable_columns(router, pool, self.models_, cost_model)
        if models is None:
            return pool, columns
        columns = columns[np.isin(columns, pool.select(models))]
        if not len(columns):
            raise ValueError(
                "No model is left to route to: the policy chooses among none of "
                "models=."
            )
        return pool, columns

    def _incumbents(
        self, incumbent: Any, scored: ScoredQueries, pool: ModelPool, columns: Any
    ) -> Incumbents | None:
        session = Session(
            incumbent, self.switch_margin, self.switch_cost, scored.available
        )
        return session.incumbents(len(scored.decisions), pool, columns, self._objective)

    def _score_queries(
        self,
        pool: ModelPool,
        columns: np.ndarray,
        queries: Any,
        unavailable: Collection,
        costs: Any = None,
    ) -> ScoredQueries:
        return score_queries(
            fitted_router(self.router),
            pool,
            columns,
            queries,
            unavailable,
            self.fallback,
            self.calibration_,
            self.cost_model_ if costs is None else costs,
        )
