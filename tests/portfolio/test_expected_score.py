"""The portfolio for the best expected score: optimum, bounds, limits, orders, input."""

import copy
import pickle
from itertools import combinations
from math import e

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from skl_locus import ExpectedScorePortfolio, KMeansRouter
from skl_locus.datasets import make_evaluations
from skl_locus.portfolio import portfolio_curve

SEEDS = range(12)


@parametrize_with_checks(
    [
        ExpectedScorePortfolio(),
        ExpectedScorePortfolio(4),
        ExpectedScorePortfolio(budget=4),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


def some_scores(seed, n_models=9, n_queries=30):
    """Return random specialists: expected scores with structure and noise."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(size=(n_models, 3)) @ rng.normal(size=(3, n_queries))
    logits = skill + rng.normal(size=(n_models, n_queries))
    names = [f"m{i}" for i in range(n_models)]
    return pd.DataFrame(1 / (1 + np.exp(-logits)), names)


def some_costs(scores, seed):
    costs = np.random.default_rng([seed, 1]).uniform(0.2, 3, len(scores))
    return pd.Series(costs, scores.index)


def best_score(scores, names):
    return scores.loc[list(names)].max().mean()


def every_set(scores):
    names = list(scores.index)
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)


def optimum(scores, is_within):
    """Return the best expected score of all sets within a limit, one by one."""
    return max(best_score(scores, s) for s in every_set(scores) if is_within(s))


# Optimum and bounds


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_models", [1, 2, 4])
def test_a_number_of_models_against_brute_force(seed, n_models):
    scores = some_scores(seed)
    portfolio = ExpectedScorePortfolio(n_models).fit(scores)
    found = portfolio.expected_score_
    best = optimum(scores, lambda names: len(names) <= n_models)
    assert len(portfolio.selected_models_) == n_models
    assert found == pytest.approx(best_score(scores, portfolio.selected_models_))
    assert (1 - 1 / e) * best <= found <= best + 1e-9
    assert best <= portfolio.upper_bound_ + 1e-9
    assert_no_swap_helps(scores, portfolio, lambda names: True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("budget", [1.5, 2.5, 6.0])
def test_a_budget_against_brute_force(seed, budget):
    scores = some_scores(seed)
    costs = some_costs(scores, seed)
    portfolio = ExpectedScorePortfolio(budget=budget).fit(scores, cost=costs)
    names = list(portfolio.selected_models_)
    best = optimum(scores, lambda names: costs[list(names)].sum() <= budget)
    assert portfolio.total_cost_ == pytest.approx(costs[names].sum())
    assert portfolio.total_cost_ <= budget
    assert (1 - 1 / e) / 2 * best <= portfolio.expected_score_ <= best + 1e-9
    assert best <= portfolio.upper_bound_ + 1e-9
    assert_no_swap_helps(scores, portfolio, lambda s: costs[list(s)].sum() <= budget)


def assert_no_swap_helps(scores, portfolio, is_within):
    chosen = set(portfolio.selected_models_)
    others = set(scores.index) - chosen
    swapped = [chosen - {leaves} | {comes} for leaves in chosen for comes in others]
    added = [chosen | {comes} for comes in others] if portfolio.budget else []
    for names in filter(is_within, swapped + added):
        assert best_score(scores, names) <= portfolio.expected_score_ + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_required_and_excluded_models_against_brute_force(seed):
    scores = some_scores(seed)
    costs = some_costs(scores, seed)
    must, never = {"m3"}, {"m0", "m5"}
    budget = costs["m3"] + 2.0

    def is_within(names):
        names = set(names)
        return (
            must <= names and not names & never and costs[list(names)].sum() <= budget
        )

    portfolio = ExpectedScorePortfolio(budget=budget, must_include=must, exclude=never)
    portfolio.fit(scores, cost=costs)
    assert is_within(portfolio.selected_models_)
    assert portfolio.selected_models_[0] == "m3"
    best = optimum(scores, is_within)
    assert portfolio.expected_score_ <= best + 1e-9 <= portfolio.upper_bound_ + 2e-9


def test_the_bound_is_tight_where_models_share_no_query():
    scores = pd.DataFrame(np.diag([0.9, 0.8, 0.4, 0.2]), list("abcd"))
    portfolio = ExpectedScorePortfolio(2).fit(scores)
    assert portfolio.selected_models_.tolist() == ["a", "b"]
    assert portfolio.expected_score_ == pytest.approx(1.7 / 4)
    assert portfolio.upper_bound_ == pytest.approx(1.7 / 4)
    np.testing.assert_allclose(portfolio.expected_score_path_, [0.9 / 4, 1.7 / 4])


# The first model of the greedy rule, g, is the best alone, but not of the best pair.
TRAP = pd.DataFrame(
    [[0.6, 0.6, 0.6, 0.6], [1, 1, 0, 0], [0, 0, 1, 1]], ["g", "left", "right"]
)


def test_swaps_repair_what_the_greedy_rule_chose_first():
    portfolio = ExpectedScorePortfolio(2).fit(TRAP)
    assert portfolio.selected_models_.tolist() == ["left", "right"]
    assert portfolio.expected_score_ == portfolio.upper_bound_ == pytest.approx(1)
    assert portfolio.n_iter_ == 2
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        ExpectedScorePortfolio(2, max_iter=1).fit(TRAP)


def test_gain_per_cost_alone_can_be_bad():
    scores = pd.DataFrame([[0.9, 0.9, 0.0], [0, 0, 0.1]], ["dear", "cheap"])
    cost = {"dear": 10, "cheap": 0.1}
    portfolio = ExpectedScorePortfolio(budget=10).fit(scores, cost=cost)
    assert portfolio.selected_models_.tolist() == ["dear"]


def test_a_budget_buys_nothing_that_adds_nothing_and_a_number_of_models_is_kept():
    scores = pd.DataFrame([[0.5, 0.6], [0.4, 0.6], [0.5, 0.1]], list("abc"))
    assert ExpectedScorePortfolio(budget=9).fit(scores).selected_models_.tolist() == [
        "a"
    ]
    filled = ExpectedScorePortfolio(3).fit(scores)
    assert filled.selected_models_.tolist() == ["a", "b", "c"]
    assert filled.expected_score_path_.tolist() == [filled.expected_score_] * 3


def test_of_equal_models_the_first_name_or_the_cheapest_is_chosen():
    scores = pd.DataFrame([[0.5, 0.5]] * 3, list("bca"))
    cost = {"a": 3, "b": 2, "c": 2}
    assert ExpectedScorePortfolio(1).fit(scores).selected_models_.tolist() == ["a"]
    bought = ExpectedScorePortfolio(budget=3).fit(scores, cost=cost)
    assert bought.selected_models_.tolist() == ["b"]


def test_prices_that_fit_exactly_are_affordable():
    scores = pd.DataFrame(np.eye(4), list("abcd"))
    costs = {"a": 0.7, "b": 0.2, "c": 0.1, "d": 0.4}
    portfolio = ExpectedScorePortfolio(budget=1.0).fit(scores, cost=costs)
    assert portfolio.expected_score_ == 0.75
    assert portfolio.total_cost_ <= 1.0


def test_a_budget_is_not_exceeded_by_rounding_either():
    scores = pd.DataFrame(np.eye(3), list("abc"))
    # In double precision, three times 0.1 is more than 0.3.
    portfolio = ExpectedScorePortfolio(budget=0.3).fit(scores, cost=[0.1] * 3)
    assert portfolio.selected_models_.tolist() == ["a", "b"]
    assert portfolio.total_cost_ <= 0.3


# Orders


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("limit", [{"n_models": 4}, {"budget": 3.0}])
def test_the_order_of_rows_and_columns_changes_no_bit(seed, limit):
    scores = some_scores(seed, n_models=12, n_queries=57).round(1)  # many ties
    costs = some_costs(scores, seed)
    rng = np.random.default_rng([seed, 2])
    shuffled = scores.iloc[rng.permutation(12), rng.permutation(57)]
    one = ExpectedScorePortfolio(**limit).fit(scores, cost=costs)
    other = ExpectedScorePortfolio(**limit).fit(shuffled, cost=costs)
    assert one.selected_models_.tolist() == other.selected_models_.tolist()
    assert shuffled.index[other.selected_indices_].tolist() == list(
        other.selected_models_
    )
    for name in ("expected_score_", "upper_bound_", "total_cost_", "strategy_"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.expected_score_path_, other.expected_score_path_)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_models_without_names_does_not_matter(seed):
    values = some_scores(seed).to_numpy()
    order = np.random.default_rng(seed).permutation(len(values))
    one = ExpectedScorePortfolio(3).fit(values)
    other = ExpectedScorePortfolio(3).fit(values[order])
    assert one.selected_models_.tolist() == order[other.selected_models_].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_more_models_and_more_money_are_no_worse(seed):
    scores = some_scores(seed)
    costs = some_costs(scores, seed)
    by_size = portfolio_curve(scores, range(1, 10), selector=ExpectedScorePortfolio())
    assert by_size["expected_score"].is_monotonic_increasing
    assert by_size["size"].tolist() == list(range(1, 10))
    assert (by_size["upper_bound"] >= by_size["expected_score"]).all()
    assert by_size["expected_score"].iloc[-1] == pytest.approx(scores.max().mean())
    by_budget = portfolio_curve(
        scores, budgets=[1.5, 3, 9], cost=costs, selector=ExpectedScorePortfolio()
    )
    assert (by_budget["total_cost"] <= by_budget["budget"]).all()
    assert by_budget["expected_score"].is_monotonic_increasing


def test_large_negative_and_shifted_scores():
    scores = some_scores(0)
    portfolio = ExpectedScorePortfolio(3).fit(scores)
    shifted = ExpectedScorePortfolio(3).fit(1e6 * scores - 5e5)
    assert shifted.selected_models_.tolist() == portfolio.selected_models_.tolist()
    assert shifted.expected_score_ == pytest.approx(
        1e6 * portfolio.expected_score_ - 5e5
    )
    zeros = ExpectedScorePortfolio(2).fit(scores * 0)
    assert zeros.expected_score_ == zeros.upper_bound_ == 0


# Input


def test_containers_names_and_pickles():
    scores = some_scores(0)
    named = ExpectedScorePortfolio(3).fit(scores)
    for table in (scores.to_numpy(), pl.DataFrame(scores.to_numpy())):
        bare = ExpectedScorePortfolio(3).fit(table)
        assert bare.selected_models_.tolist() == bare.selected_indices_.tolist()
        assert set(scores.index[bare.selected_indices_]) == set(named.selected_models_)
    twin = pickle.loads(pickle.dumps(named))
    assert twin.selected_models_.tolist() == named.selected_models_.tolist()
    assert clone(named).get_params() == named.get_params()


def test_a_router_routes_among_the_selected_models():
    pool = make_evaluations(6, 60, n_features=3, random_state=0)
    log = pool.evaluations
    router = KMeansRouter(4, random_state=0).fit(log, log["score"])
    P = pd.DataFrame(router.correctness_matrix(pool.encodings).T, router.models_)
    portfolio = ExpectedScorePortfolio(2).fit(P)
    selected = portfolio.selected_models_
    assert set(router.route(pool.encodings, models=selected)) <= set(selected)
    expected = router.correctness_matrix(pool.encodings, models=selected).max(axis=1)
    assert portfolio.expected_score_ == pytest.approx(expected.mean())


SCORES = some_scores(0)
COST = dict.fromkeys(SCORES.index, 1.0)
BAD = {
    "no models": ({"n_models": 0}, SCORES, COST, ["n_models"]),
    "too many": ({"n_models": 10}, SCORES, COST, ["n_models=10", "9 samples"]),
    "budget": ({"budget": 0}, SCORES, COST, ["budget"]),
    "small budget": ({"budget": 0.5}, SCORES, COST, ["budget=0.5", "'m0'"]),
    "required too dear": (
        {"budget": 1.5, "must_include": ["m1", "m2"]},
        SCORES,
        COST,
        ["budget=1.5", "must_include"],
    ),
    "required too many": (
        {"n_models": 1, "must_include": ["m1", "m2"]},
        SCORES,
        COST,
        ["n_models=1", "must_include"],
    ),
    "unknown": ({"must_include": ["gpt"]}, SCORES, COST, ["must_include", "'gpt'"]),
    "bare name": ({"exclude": "m1"}, SCORES, COST, ["exclude", r"\['m1'\]"]),
    "nothing left": ({"exclude": SCORES.index}, SCORES, COST, ["exclude", "no model"]),
    "iterations": ({"max_iter": 0}, SCORES, COST, ["max_iter"]),
    "cost": ({"budget": 3}, SCORES, {**COST, "m3": -1}, ["cost", "-1", "'m3'"]),
    "missing cost": ({"budget": 3}, SCORES, {"m0": 1}, ["cost", "'m1'"]),
    "nan": ({}, SCORES.where(SCORES < 0.9), COST, ["NaN"]),
    "twice": ({}, pd.concat([SCORES, SCORES[:1]]), COST, ["'m0'", "more than once"]),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_and_changes_nothing(bad):
    parameters, table, cost, words = BAD[bad]
    portfolio = ExpectedScorePortfolio(3).fit(SCORES).set_params(**parameters)
    before = copy.deepcopy(vars(portfolio))
    with pytest.raises(ValueError, match=".*".join(words)):
        portfolio.fit(table, cost=cost)
    assert pickle.dumps(vars(portfolio)) == pickle.dumps(before)


def test_a_curve_of_sizes_takes_no_budget():
    with pytest.raises(ValueError, match="budget=3"):
        portfolio_curve(SCORES, [1], selector=ExpectedScorePortfolio(budget=3))
