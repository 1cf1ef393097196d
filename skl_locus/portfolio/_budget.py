"""A portfolio that covers the pool within a budget."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus.portfolio._base import COMMON_CONSTRAINTS, MEMORY_LIMIT, BasePortfolio
from skl_locus.portfolio._candidates import Candidates
from skl_locus.portfolio._greedy import buy_greedily, total_cost
from skl_locus.portfolio._selection import coverage_path


class BudgetPortfolio(BasePortfolio):
    """Choose models that cover the pool on average and cost no more than a budget.

    Maximise J(S) = sum_i max_{s in S} K(i, s) with sum_{s in S} cost_s <= budget
    (eqs. 12, 14) greedily: buy the affordable model with the largest gain in J per
    cost (eqs. 15, 16). Since that alone can be arbitrarily bad, also buy by gain
    alone, which begins with the best single affordable model, and keep the better
    of the two.

    Parameters
    ----------
    budget : float, default=10.0
        What the selected models may cost together, in the unit of the costs given to
        `fit`. Without costs every model costs 1 and it is their number.
    metric : {"cosine", "euclidean", "precomputed"}, default="cosine"
        Distance between models; "precomputed" takes the distances themselves, a
        square symmetric matrix. A zero vector has cosine distance 1 to all others.
    bandwidth : "median" or float, default="median"
        Distance at which the similarity has fallen to 1/e. "median" is the median
        distance between two models; where it is zero, that of the models that
        differ. Beyond 2,000 models it is taken over 2,000 of them, always the same.
    must_include, exclude : collection of labels, default=()
        Models that must, and that must not, be chosen. Excluded models still count
        as models to cover. A table without names takes row numbers.
    memory_limit : float, default=1024.0
        Largest matrix of similarities between all models that may be stored, in MiB
        (8 bytes per pair: 1024 are enough for 11,585 models). Similarities
        are never stored here; above the limit they are computed in single instead
        of double precision, in blocks of a few MiB.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Rows of the selected models, in the order of choice.
    selected_models_ : ndarray of shape (n_selected,)
        Their names: index labels of a DataFrame, row numbers otherwise.
    labels_ : ndarray of shape (n_models,)
        The nearest selected model of each row, as an index into
        ``selected_models_``; on a tie the first.
    coverage_ : float
        Sum over the pool of the best similarity to a selected model (eq. 12),
        between 0 and n_models.
    min_coverage_ : float
        Best similarity of the model that is covered worst (eq. 8).
    coverage_path_ : ndarray
        Coverage after each choice.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Length of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Columns of the DataFrame, where they are strings.
    total_cost_ : float
        What the selected models cost together.
    strategy_ : {"gain per cost", "gain"}
        The rule that was better; on a tie the cheaper result, then the first rule.

    See Also
    --------
    KMedoidsPortfolio : A number of models instead of a budget.

    Notes
    -----
    The similarity is K(i, s) = exp(-distance(i, s)^2 / bandwidth^2) (eq. 7). The order
    of the rows never matters: models are put in canonical order, that of the names;
    without names that of the vectors, first coordinate first, then of the costs
    (distances: each model's sorted distances). Of models that would do equally well,
    the first in that order is taken.

    Models of ``must_include`` come first. A model that adds nothing to J, the equal
    of a selected one, is not bought. Old gains are upper bounds of new ones, so most
    need not be computed; the result is that of computing all of them.

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
        metric: str = "cosine",
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
            For scikit-learn's conventions.
        cost : mapping, Series or array-like of shape (n_models,), default=None
            Cost of each model, positive: by name (others may be priced too), or in
            the order of the rows. None for 1 each. In a pipeline request it with
            ``set_fit_request(cost=True)`` and give it by name.

        Returns
        -------
        BudgetPortfolio
            Itself.

        Raises
        ------
        ValueError
            If the table, a cost or a parameter cannot be used, or if the budget buys
            no model; the portfolio stays as it was.
        """
        return self._fit(X, cost)

    def fit_predict(self, X: Any, y: Any = None, *, cost: Any = None) -> np.ndarray:
        """Choose the models and return the nearest of them for each row.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_features)
            One embedding per model, or the distances between all models.
        y : ignored
            For scikit-learn's conventions.
        cost : mapping, Series or array-like of shape (n_models,), default=None
            Cost of each model, as in `fit`.

        Returns
        -------
        ndarray of shape (n_models,)
            ``labels_``.
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


def check_budget(pool: Candidates, budget: float) -> None:
    """Raise on a budget that buys no model, or not all of ``must_include``."""
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
