"""Coverage, or expected score, against the size or the budget of a portfolio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from skl_locus.portfolio._base import BasePortfolio
from skl_locus.portfolio._budget import BudgetPortfolio
from skl_locus.portfolio._expected_score import ExpectedScorePortfolio
from skl_locus.portfolio._greedy import total_cost
from skl_locus.portfolio._k_medoids import KMedoidsPortfolio

Selector = BasePortfolio | ExpectedScorePortfolio


def portfolio_curve(
    Z: Any,
    sizes: Iterable | None = None,
    *,
    budgets: Iterable | None = None,
    cost: Any = None,
    selector: Selector | None = None,
) -> pd.DataFrame:
    """Choose portfolios of several sizes, or within several budgets.

    Parameters
    ----------
    Z : DataFrame or array of shape (n_models, n_features)
        One embedding per model, as for ``fit`` of the portfolios. For an
        `ExpectedScorePortfolio`, the expected scores of each model.
    sizes : iterable of int, default=None
        Numbers of models; either these or ``budgets``.
    budgets : iterable of float, default=None
        Budgets.
    cost : mapping, Series or array-like of shape (n_models,), default=None
        Cost of each model, as for ``fit`` of `BudgetPortfolio`; 1 each by default.
    selector : estimator, default=None
        A portfolio whose other parameters are used. By default a
        `KMedoidsPortfolio` for sizes and a `BudgetPortfolio` for budgets. Without
        embeddings, an `ExpectedScorePortfolio` is for both.

    Returns
    -------
    DataFrame
        One row per size or budget, in the order given, with the columns "budget" (for
        budgets only), "size", "total_cost" (in the unit of the costs), "coverage"
        (eq. 12), "min_coverage" (eq. 8) and "models", a list of the selected names.
        For an `ExpectedScorePortfolio`, "expected_score" and "upper_bound" stand in
        the place of the coverages.

    Raises
    ------
    ValueError
        If a size, a budget or the table cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus import KCenterPortfolio
    >>> from skl_locus.portfolio import portfolio_curve
    >>> Z = pd.DataFrame([[0.0], [1.0], [2.0], [9.0]], index=["a", "b", "c", "d"])
    >>> selector = KCenterPortfolio(metric="euclidean")
    >>> portfolio_curve(Z, [1, 2], selector=selector)[["size", "models"]]
       size  models
    0     1     [b]
    1     2  [b, d]
    """
    if (sizes is None) == (budgets is None):
        raise ValueError("Give either sizes= or budgets=.")
    default: Selector
    if sizes is not None:
        parameter, values, default = "n_models", list(sizes), KMedoidsPortfolio()
    elif budgets is not None:
        parameter, values, default = "budget", list(budgets), BudgetPortfolio()
    selector = clone(default if selector is None else selector)
    if parameter not in selector.get_params():
        raise ValueError(
            f"{type(selector).__name__} has no {parameter} to vary; choose another "
            "selector."
        )
    if parameter == "n_models" and selector.get_params().get("budget") is not None:
        raise ValueError(
            f"sizes= varies n_models, but the selector has budget={selector.budget!r}, "
            "which takes its place; pass budgets=, or a selector without a budget."
        )
    rows = [
        (
            len(chosen),
            total_cost(costs, chosen),
            *(getattr(fitted, name) for name in selector._curve_columns.values()),
            fitted.selected_models_.tolist(),
        )
        for fitted, chosen, costs in _fit_each(selector, parameter, values, Z, cost)
    ]
    columns = ["size", "total_cost", *selector._curve_columns, "models"]
    curve = pd.DataFrame(rows, columns=columns)
    if budgets is not None:
        curve.insert(0, "budget", values)
    return curve


def _fit_each(
    selector: Any, parameter: str, values: Iterable, Z: Any, cost: Any
) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Fit a portfolio for each value of a parameter, reading the pool once.

    Yields the portfolio, refitted in place, with the models chosen and the costs of
    all models, both in canonical order.
    """
    selector._validate_params()
    pool = selector._read_pool(Z, cost)
    for value in values:
        selector.set_params(**{parameter: value})._validate_params()
        chosen, path = selector._select(pool)
        selector._keep(pool, chosen, path)
        yield selector, chosen, pool.cost
