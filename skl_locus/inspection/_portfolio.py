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
from skl_locus._routing.pool import ModelPool
from skl_locus._utils.model_frames import model_index
from skl_locus.portfolio._curve import portfolio_curve
from skl_locus.portfolio._expected_score import ExpectedScorePortfolio

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
    router then chooses among their models on each query of ``X``. Beside them stand
    portfolios chosen by the scores that the router knows, and random ones.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models. With an `~skl_locus.ExpectedScorePortfolio` as the
        selector, which needs no embeddings, any router of this package.
    X : dataframe of n_rows rows
        Evaluations of the router's models on queries that it has not seen.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    sizes, budgets, cost, selector
        As for `skl_locus.portfolio.portfolio_curve`. An
        `~skl_locus.ExpectedScorePortfolio` chooses by the router's P(correct) on the
        queries that it was fitted on.
    n_random : int, default=50
        Random portfolios for each size or budget.
    random_state : int, RandomState instance or None, default=None
        Determines the random portfolios.

    Returns
    -------
    DataFrame
        The curve with six more columns: "accuracy" (mean score of the model that
        is chosen among those of the portfolio which were evaluated on the query),
        "random_mean" and "random_std" over random portfolios, and the accuracy within
        three portfolios of the same size or budget that are chosen by scores:

        - top_mean: the models of highest mean score in the router's evaluations;
        - greedy_cover: the models whose best observed score per query is highest on
          average over these queries; a query that none of them was evaluated on
          counts 0;
        - best_expected: an `~skl_locus.ExpectedScorePortfolio` of the router's
          P(correct) on the same queries.

        These choose among all models, whatever the selector must include or exclude.
        The attribute ``attrs["pool_accuracy"]`` is the accuracy with all models.

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
    limits: dict[str, Any] = {"sizes": _listed(sizes), "budgets": _listed(budgets)}
    by_score = isinstance(selector, ExpectedScorePortfolio)
    table = _expected_scores(router) if by_score else _embeddings(router)
    curve = portfolio_curve(table, **limits, cost=cost, selector=selector)
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
    for name, portfolios in _chosen_by_scores(router, limits, costs).items():
        curve[name] = [_accuracy(scores, decisions, chosen) for chosen in portfolios]
    everyone = np.arange(len(router.models_))
    curve.attrs["pool_accuracy"] = _accuracy(scores, decisions, everyone)
    return curve


def _listed(values: Iterable | None) -> list | None:
    return None if values is None else list(values)


def _embeddings(router: Any) -> pd.DataFrame:
    return pd.DataFrame(router.embeddings_, _index(router))


def _index(router: Any) -> pd.Index:
    return model_index(router.models_.tolist(), router.model_col)


def _expected_scores(router: Any) -> pd.DataFrame:
    """Return P(correct) on the queries that the router was fitted on: model x query."""
    pool = fitted_pool(router)
    everyone = np.arange(len(pool.models))
    expected = pool.correctness(pool.evaluations.queries.vectors(), everyone)
    return pd.DataFrame(expected.T, _index(router))


def _observed_scores(pool: ModelPool) -> np.ndarray:
    """Return the scores that the router knows, NaN elsewhere: model x query."""
    evaluations = pool.evaluations
    columns = pool.columns_of(evaluations.model_names)
    return score_matrix(
        evaluations.query_codes,
        columns[evaluations.model_codes],
        evaluations.scores,
        (len(evaluations.queries), len(pool.models)),
    ).T


def _chosen_by_scores(
    router: Any, limits: dict[str, Any], costs: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """Choose the portfolios that others are held against, for each size or budget."""
    pool = fitted_pool(router)
    observed = pd.DataFrame(np.nan_to_num(_observed_scores(pool)), _index(router))
    # An unobserved score adds nothing to a cover: a model cannot be praised for it.
    tables = {
        "greedy_cover": observed,
        "best_expected": _expected_scores(router),
    }
    by_mean = _by_mean(pool)
    chosen = {
        "top_mean": [_buy(by_mean, costs, size, None) for size in limits["sizes"] or ()]
        + [_buy(by_mean, costs, None, budget) for budget in limits["budgets"] or ()]
    }
    for name, table in tables.items():
        curve = portfolio_curve(
            table, **limits, cost=costs, selector=ExpectedScorePortfolio()
        )
        chosen[name] = [pool.columns_of(names) for names in curve["models"]]
    return chosen


def _by_mean(pool: ModelPool) -> np.ndarray:
    """Order the models by their known mean scores, equal ones by label."""
    evaluations = pool.evaluations
    labels, means = evaluations.model_names, evaluations.model_means()
    return pool.columns_of(labels[np.argsort(-means, kind="stable")])


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
    return _buy(rng.permutation(len(costs)), costs, size, budget)


def _buy(
    order: np.ndarray, costs: np.ndarray, size: int | None, budget: float | None
) -> np.ndarray:
    """Take the first models of an order, or all that the budget still allows."""
    if budget is None:
        return order[:size]
    bought: list[int] = []
    left = budget
    for model in order:
        if costs[model] <= left:
            bought.append(model)
            left -= costs[model]
    return np.array(bought, dtype=np.intp)
