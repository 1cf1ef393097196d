"""The portfolio for the best average coverage within a budget."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus.portfolio._base import COMMON_CONSTRAINTS, MEMORY_LIMIT, BasePortfolio
from skl_locus.portfolio._candidates import Candidates, ModelChoice
from skl_locus.portfolio._greedy import buy_greedily, total_cost
from skl_locus.portfolio._selection import coverage_path


class BudgetPortfolio(BasePortfolio):
    """Choose models that cover the pool on average, within a budget.

    Maximise J(S) = sum_i max_{s in S} K(i, s) subject to sum_{s in S} cost_s <= budget
    (eqs. 12, 14). One greedy rule buys the affordable model with the largest gain in J
    per cost (eqs. 15, 16). Since this rule alone can be arbitrarily bad, a second one
    buys by gain alone, starting with the best single affordable model, and the better
    of the two results is kept.

    Parameters
    ----------
    budget : float, default=10.0
        Maximum total cost of the selected models, in the unit of the costs given to
        `fit`. Without costs every model costs 1, so this is the number of models.
    metric : {"cosine", "euclidean", "precomputed"}, default="euclidean"
        Distance between models. "precomputed" means that `fit` is given the
        distances themselves, a square symmetric matrix. The cosine distance of a
        zero vector to all others is 1.
    bandwidth : "median" or float, default="median"
        Distance at which the similarity has fallen to 1/e. "median" is the median
        distance between two models; if that is zero, the median over pairs that
        differ. For more than 2,000 models, the median is taken over a fixed sample
        of 2,000 of them.
    must_include, exclude : collection of labels, default=()
        Models that must be chosen, and models that must not. Excluded models still
        count as models to cover. In a table without names, labels are row numbers.
    memory_limit : float, default=1024.0
        Largest matrix of similarities between all models that may be stored, in MiB
        (8 bytes per pair: 1024 MiB are enough for 11,585 models). Similarities
        are never stored here; above the limit they are computed in single instead
        of double precision, in blocks of a few MiB.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Row numbers of the selected models, in the order of choice.
    selected_models_ : ndarray of shape (n_selected,)
        Names of the selected models: index labels of a DataFrame, row numbers
        otherwise.
    labels_ : ndarray of shape (n_models,)
        Nearest selected model of each row, as an index into ``selected_models_``; on
        a tie the first.
    coverage_ : float
        Sum over the pool of the best similarity to a selected model (eq. 12),
        between 0 and n_models.
    min_coverage_ : float
        Best similarity of the model with the worst coverage (eq. 8).
    coverage_path_ : ndarray
        Coverage after each choice.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Length of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of a DataFrame, if they are strings.
    total_cost_ : float
        Total cost of the selected models.
    strategy_ : {"gain per cost", "gain"}
        Better of the two rules; on a tie the one with the cheaper result, then the
        first.

    See Also
    --------
    KMedoidsPortfolio : A number of models instead of a budget.

    Notes
    -----
    The similarity is K(i, s) = exp(-distance(i, s)^2 / bandwidth^2) (eq. 7).

    The result does not depend on the order of the rows, since models are first put in
    canonical order: by name; without names by vector, first coordinate first, then
    by cost (with precomputed distances, by the model's sorted distances). Of equally
    good models, the first in this order is chosen.

    The models of ``must_include`` come first. A model that adds nothing to J, such as
    one with the embedding of a selected model, is not bought. Gains only decrease, so
    earlier gains are upper bounds and most need not be computed again; the result is
    the same as with all of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus import BudgetPortfolio
    >>> Z = pd.DataFrame([[0.0], [1.0], [2.0], [8.0], [9.0]], index=list("abcde"))
    >>> cost = {"a": 1, "b": 5, "c": 2, "d": 4, "e": 2}
    >>> portfolio = BudgetPortfolio(budget=4, metric="euclidean").fit(Z, cost=cost)
    >>> portfolio.selected_models_, portfolio.total_cost_
    (array(['a', 'e'], dtype=object), 3.0)
    """

    _parameter_constraints: dict = {
        "budget": [Interval(Real, 0, None, closed="neither")],
        **COMMON_CONSTRAINTS,
    }

    def __init__(
        self,
        budget: float = 10.0,
        *,
        metric: str = "euclidean",
        bandwidth: str | float = "median",
        must_include: Collection = (),
        exclude: Collection = (),
        memory_limit: float = MEMORY_LIMIT,
    ) -> None:
        self.budget = budget
        self.metric = metric
        self.bandwidth = bandwidth
        self.must_include = must_include
        self.exclude = exclude
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any = None, *, cost: Any = None) -> Self:
        """Choose the models.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_features)
            One embedding per model, or the distances between all models.
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
        """
        return self._fit(X, cost)

    def fit_predict(self, X: Any, y: Any = None, *, cost: Any = None) -> np.ndarray:
        """Choose the models and return the nearest of them for each row.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_features)
            One embedding per model, or the distances between all models.
        y : ignored
            Present for scikit-learn's conventions.
        cost : mapping, Series or array-like of shape (n_models,), default=None
            Cost of each model, as in `fit`.

        Returns
        -------
        ndarray of shape (n_models,)
            Nearest selected model of each row (``labels_``).
        """
        return self.fit(X, cost=cost).labels_

    def _select(self, pool: Candidates) -> tuple[np.ndarray, np.ndarray]:
        check_budget(pool, self.budget)
        strategies = ["gain per cost", "gain"]
        if np.ptp(pool.cost) == 0:
            strategies.pop()  # they would choose alike
        self.strategy_, chosen, path = max(
            ((strategy, *self._buy(pool, strategy)) for strategy in strategies),
            key=lambda bought: (bought[2][-1], -total_cost(pool.cost, bought[1])),
        )
        self.total_cost_ = total_cost(pool.cost, chosen)
        return chosen, path

    def _buy(self, pool: Candidates, strategy: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = buy_greedily(
            pool.kernel,
            pool.sums,
            pool.cost,
            self.budget,
            pool.required,
            pool.allowed,
            per_cost=strategy == "gain per cost",
        )
        return chosen, coverage_path(pool.space, pool.bandwidth, chosen)


def check_budget(pool: ModelChoice, budget: float) -> None:
    """Check that the budget buys a model, and all of ``must_include``."""
    needed = total_cost(pool.cost, pool.required)
    if needed > budget:
        raise ValueError(
            f"budget={budget!r} is below the {needed:g} that the models of "
            "must_include cost together."
        )
    cheapest = int(np.where(pool.allowed, pool.cost, np.inf).argmin())
    if pool.cost[cheapest] > budget:
        raise ValueError(
            f"budget={budget!r} is below the cheapest model that may be chosen, "
            f"{pool.labels[cheapest]!r}, which costs {pool.cost[cheapest]:g}."
        )
