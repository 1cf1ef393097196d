"""The portfolio for the best expected score."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from math import fsum
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from skl_locus._costs.tables import model_costs
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus.portfolio._budget import check_budget
from skl_locus.portfolio._candidates import (
    ModelChoice,
    canonical_order,
    read_choice,
    read_labels,
)
from skl_locus.portfolio._expected_search import Found, Task, exact_values, search
from skl_locus.portfolio._k_center import check_size


@dataclass(frozen=True)
class ScoredModels(ModelChoice):
    """The models of a table with their expected scores.

    Parameters
    ----------
    labels, rows, cost, required, allowed
        As in `ModelChoice`.
    scores : ndarray of shape (n_models, n_queries)
        Expected scores.
    """

    scores: np.ndarray


class ExpectedScorePortfolio(PickleVersionMixin, BaseEstimator):
    """Choose models so that the best of them for each query scores high on average.

    Maximise f(S) = mean over queries of max_{s in S} P(s, query) for a number of models
    or within a budget, where P is the expected score of a model on a query, such as
    the P(correct) of a fitted router. Other portfolios cover the pool; this one is for
    a router that sends each query to the best of its models.

    Parameters
    ----------
    n_models : int, default=10
        Number of models to select, including those in ``must_include``; not used with
        a budget.
    budget : float, default=None
        Maximum total cost of the selected models, in the unit of the costs given to
        `fit`. None means that ``n_models`` is the limit.
    must_include, exclude : collection of labels, default=()
        Models that must be chosen, and models that must not. In a table without names,
        labels are row numbers.
    max_iter : int, default=300
        Maximum number of searches through all swaps.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Row numbers of the selected models: those of ``must_include`` first, then always
        the one that adds most.
    selected_models_ : ndarray of shape (n_selected,)
        Names of the selected models: index labels of a DataFrame, row numbers
        otherwise.
    expected_score_ : float
        Mean over the queries of the largest expected score of a selected model.
    expected_score_path_ : ndarray of shape (n_selected,)
        Expected score of the first, the first two, ... of ``selected_models_``.
    upper_bound_ : float
        Bound on the expected score of every set within the same limits: the optimum is
        between ``expected_score_`` and this.
    total_cost_ : float
        Total cost of the selected models.
    strategy_ : {"gain per cost", "gain"}
        Greedy rule that led to the result. With a budget both are tried; on a tie the
        one with the cheaper result is kept, then the first.
    n_iter_ : int
        Number of searches through all swaps.
    n_features_in_ : int
        Number of queries.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of a DataFrame, if they are strings.

    See Also
    --------
    KMedoidsPortfolio : Models whose embeddings cover the pool, for a number of models.
    BudgetPortfolio : Models whose embeddings cover the pool, within a budget.
    skl_locus.inspection.portfolio_routing : Routing accuracy within portfolios.

    Notes
    -----
    f is monotone and submodular. For a number of models, the greedy rule adds the model
    with the largest gain in f, and reaches at least 1 - 1/e, 63%, of what the best set
    gains (Nemhauser, Wolsey and Fisher, 1978, "An analysis of approximations for
    maximizing submodular set functions"). For a budget, one greedy rule buys by gain
    per cost and one by gain alone; either can be arbitrarily bad, but the better of the
    two reaches at least (1 - 1/e) / 2, 32%, of what the best set gains (Leskovec et
    al., 2007, "Cost-effective outbreak detection in networks"). Gains count from what
    ``must_include`` reaches; without it, from the smallest expected score of each
    query, so that the bounds hold for any numbers. Then the swap or, within a budget,
    the addition that increases f most is made, as long as there is one. What is found
    is usually much nearer to the optimum than these bounds, and ``upper_bound_`` shows
    how near: for any set S, the optimum is at most f(S) plus the largest sum of single
    gains that the limit allows. It is the smallest of these over all steps.

    P is what a router expects, so ``expected_score_`` is too high where the router is
    too sure: the best of several uncertain numbers is an optimistic one. For an
    estimate on observed scores, see `skl_locus.inspection.portfolio_routing`.

    The result depends neither on the order of the rows nor on that of the columns.
    Models are put in canonical order: by name; without names by their sorted expected
    scores, then by cost. Of equally good models, the first in this order is chosen, or
    within a budget the cheapest.
    Expected scores are rounded to about 15 digits less those of the number of queries,
    for which all sums are exact. Without a budget, exactly ``n_models`` models are
    selected, even if the last ones add nothing; with one, only models that add
    something are bought.

    There is no ``predict``: a new query goes to the best of the selected models through
    the router, ``router.route(queries, models=portfolio.selected_models_)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus import ExpectedScorePortfolio, KMeansRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=8, n_queries=200, random_state=0)
    >>> log = pool.evaluations
    >>> router = KMeansRouter(random_state=0).fit(log, log["score"])
    >>> P = pd.DataFrame(
    ...     router.correctness_matrix(pool.encodings).T, index=router.models_
    ... )
    >>> portfolio = ExpectedScorePortfolio(n_models=3).fit(P)
    >>> portfolio.selected_models_
    array(['model-4', 'model-6', 'model-7'], dtype=object)
    >>> round(portfolio.expected_score_, 3), round(portfolio.upper_bound_, 3)
    (0.719, 0.765)
    >>> routes = router.route(pool.encodings, models=portfolio.selected_models_)

    Within a budget:

    >>> portfolio = ExpectedScorePortfolio(budget=2.5).fit(P, cost=pool.models["cost"])
    >>> portfolio.total_cost_ <= 2.5
    True
    """

    _parameter_constraints: dict = {
        "n_models": [Interval(Integral, 1, None, closed="left")],
        "budget": [Interval(Real, 0, None, closed="neither"), None],
        "must_include": [Collection],
        "exclude": [Collection],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    _curve_columns = {
        "expected_score": "expected_score_",
        "upper_bound": "upper_bound_",
    }
    """Columns of `portfolio_curve` and the attributes that they show."""

    def __init__(
        self,
        n_models: int = 10,
        *,
        budget: float | None = None,
        must_include: Collection = (),
        exclude: Collection = (),
        max_iter: int = 300,
    ) -> None:
        self.n_models = n_models
        self.budget = budget
        self.must_include = must_include
        self.exclude = exclude
        self.max_iter = max_iter

    @atomic_fit
    def fit(self, X: Any, y: Any = None, *, cost: Any = None) -> Self:
        """Choose the models.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_queries)
            Expected score of each model on each query, one row per model; the index
            of a DataFrame names the models. Expected scores of a router are
            ``pd.DataFrame(router.correctness_matrix(queries).T, router.models_)``.
        y : ignored
            Present for scikit-learn's conventions.
        cost : mapping, Series or array-like of shape (n_models,), default=None
            Positive cost of each model: by name (other names are allowed), or in the
            order of the rows. None means 1 for each. In a pipeline, request it with
            ``set_fit_request(cost=True)`` and pass it by name.

        Returns
        -------
        self
            The fitted portfolio.

        Raises
        ------
        ValueError
            If the table, a cost or a parameter cannot be used, or if the budget buys
            no model; the portfolio stays unchanged.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` is reached before a local optimum.
        """
        self._validate_params()
        pool = self._read_pool(X, cost)
        self._keep(pool, *self._select(pool))
        return self

    def _read_pool(self, X: Any, cost: Any = None) -> ScoredModels:
        values = validate_data(self, X, dtype=np.float64)
        labels, ranks = read_labels(X, len(values))
        costs = model_costs(cost, labels)
        # As for given distances, columns have an order of their own that says nothing.
        order = canonical_order(values, ranks, costs, given=True)
        required, allowed = read_choice(labels[order], self.must_include, self.exclude)
        return ScoredModels(
            labels=labels[order],
            rows=order,
            cost=costs[order],
            required=required,
            allowed=allowed,
            scores=exact_values(values[order]),
        )

    def _select(self, pool: ScoredModels) -> tuple[np.ndarray, np.ndarray]:
        """Return the chosen models and the expected score of the first 1, 2, ..."""
        # A set of models is worth nothing only if it has the worst score of each query.
        worst = pool.scores[pool.allowed].min(axis=0)
        task = self._task(pool, pool.scores - worst)
        found, self.strategy_ = self._search(task)
        self.n_iter_ = found.n_iter
        self.total_cost_ = fsum(pool.cost[found.chosen])
        n_queries = pool.scores.shape[1]
        path = (found.path + worst.sum()) / n_queries
        self.upper_bound_ = float(
            max(path[-1], (found.bound + worst.sum()) / n_queries)
        )
        return found.chosen, path

    def _task(self, pool: ScoredModels, values: np.ndarray) -> Task:
        if self.budget is None:
            check_size(pool, self.n_models)
            price, limit = np.ones(len(pool)), float(self.n_models)
        else:
            check_budget(pool, self.budget)
            price, limit = pool.cost, float(self.budget)
        return Task(values, price, limit, pool.required, pool.allowed)

    def _search(self, task: Task) -> tuple[Found, str]:
        """Return the better result of the greedy rules, and the name of its rule."""
        strategies = ["gain per cost", "gain"]
        if np.ptp(task.price) == 0:
            strategies.remove("gain per cost")  # they would choose alike
        results = {
            strategy: search(
                task,
                per_price=strategy == "gain per cost",
                fill=self.budget is None,
                max_iter=self.max_iter,
            )
            for strategy in strategies
        }
        best = max(
            results, key=lambda s: (results[s].path[-1], -task.total(results[s].chosen))
        )
        if not results[best].converged:
            warnings.warn(
                f"ExpectedScorePortfolio made max_iter={self.max_iter} swaps and may "
                "not have reached a local optimum; increase max_iter.",
                ConvergenceWarning,
                stacklevel=5,
            )
        smallest = min(found.bound for found in results.values())
        return replace(results[best], bound=smallest), best

    def _keep(self, pool: ScoredModels, chosen: np.ndarray, path: np.ndarray) -> None:
        self.selected_indices_ = pool.rows[chosen]
        self.selected_models_ = pool.labels[chosen]
        self.expected_score_ = float(path[-1])
        self.expected_score_path_ = path
