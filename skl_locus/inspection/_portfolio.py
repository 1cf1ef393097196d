"""Routing accuracy within portfolios."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skl_locus._costs.tables import model_costs
from skl_locus._data.evaluations import positions_of
from skl_locus._data.pairs import score_matrix
from skl_locus._routing.access import fitted_pool, read_log
from skl_locus._utils.model_frames import model_index
from skl_locus.portfolio._curve import portfolio_curve

N_RANDOM = 50
"""Random portfolios per size; their mean is known to a seventh of their spread."""


def portfolio_routing(
    router: Any,
    X: Any,
    y: Any,
    *,
    sizes: Iterable | None = None,
    budgets: Iterable | None = None,
    cost: Any = None,
    selector: Any = None,
    n_random: int = N_RANDOM,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Route among portfolios of several sizes, or within several budgets.

    Paper section 3.5 and Figure 9: portfolios are chosen from embeddings alone; the
    router then chooses among their models on each query of ``X``.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    X : dataframe of n_rows rows
        Evaluations of the router's models on queries that it has not seen.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    sizes, budgets, cost, selector
        As for `skl_locus.portfolio.portfolio_curve`.
    n_random : int, default=50
        Random portfolios for each size or budget.
    random_state : int, RandomState instance or None, default=None
        Determines the random portfolios.

    Returns
    -------
    DataFrame
        The curve with three more columns: "accuracy" (mean score of the model that
        is chosen among those of the portfolio which were evaluated on the query),
        "random_mean" and "random_std" over random portfolios. Its attribute
        ``attrs["pool_accuracy"]`` is the accuracy with all models.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import portfolio_routing
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> curve = portfolio_routing(router, log, log["score"], sizes=[1, 3, 6])
    >>> bool(curve["accuracy"].iloc[-1] == curve.attrs["pool_accuracy"])
    True
    """
    index = model_index(router.models_.tolist(), router.model_col)
    embeddings = pd.DataFrame(router.embeddings_, index)
    curve = portfolio_curve(
        embeddings, sizes, budgets=budgets, cost=cost, selector=selector
    )
    scores, decisions = _test_matrices(router, X, y)
    rng = check_random_state(random_state)
    costs = model_costs(cost, router.models_)
    rows = []
    for row in curve.to_dict("records"):
        chosen = positions_of(row["models"], router.models_)
        limit = row["budget"] if budgets is not None else None
        drawn = [
            _accuracy(scores, decisions, _draw(rng, costs, len(chosen), limit))
            for _ in range(n_random)
        ]
        known = [value for value in drawn if np.isfinite(value)]
        mean, std = (np.mean(known), np.std(known)) if known else (np.nan, np.nan)
        rows.append((_accuracy(scores, decisions, chosen), mean, std))
    curve[["accuracy", "random_mean", "random_std"]] = rows
    everyone = np.arange(len(router.models_))
    curve.attrs["pool_accuracy"] = _accuracy(scores, decisions, everyone)
    return curve


def _test_matrices(router: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, NaN where not evaluated, and decision scores: query x model."""
    evaluations = read_log(router, X, y)
    pool = fitted_pool(router)
    columns = pool.columns_of(evaluations.model_names)
    scores = score_matrix(
        evaluations.query_codes,
        columns[evaluations.model_codes],
        evaluations.scores,
        (len(evaluations.queries), len(pool.models)),
    )
    everyone = np.arange(len(pool.models))
    return scores, pool.decision_scores(evaluations.queries.vectors(), everyone)


def _accuracy(scores: np.ndarray, decisions: np.ndarray, chosen: Any) -> float:
    own = scores[:, chosen]
    observed = np.isfinite(own)
    best = np.where(observed, decisions[:, chosen], -np.inf).argmax(axis=1)
    routed = np.take_along_axis(own, best[:, None], axis=1)[observed.any(axis=1)]
    return float(routed.mean()) if len(routed) else np.nan


def _draw(
    rng: np.random.RandomState, costs: np.ndarray, size: int, budget: float | None
) -> np.ndarray:
    """Draw a portfolio of a size, or buy at random while the budget lasts."""
    order = rng.permutation(len(costs))
    if budget is None:
        return order[:size]
    bought: list[int] = []
    left = budget
    for model in order:
        if costs[model] <= left:
            bought.append(model)
            left -= costs[model]
    return np.array(bought, dtype=np.intp)
