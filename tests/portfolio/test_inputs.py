"""Bad input to portfolios: one clear error, and a fitted one stays as it was."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from skl_locus import BudgetPortfolio, KCenterPortfolio, KMedoidsPortfolio

SELECTORS = [KCenterPortfolio, KMedoidsPortfolio, BudgetPortfolio]
each_selector = pytest.mark.parametrize("Selector", SELECTORS)
Z = pd.DataFrame(
    np.random.default_rng(0).normal(size=(14, 3)),
    [f"m{i:02}" for i in range(14)],
    ["x", "y", "z"],
)
COST = dict.fromkeys(Z.index, 1.0)
BAD_PARAMETERS = {
    "no models": ({"n_models": 0}, ["n_models"]),
    "too many models": ({"n_models": 15}, ["n_models=15", "14 samples"]),
    "too many of what is left": (
        {"n_models": 13, "exclude": ["m01", "m02"]},
        ["n_models=13", "12 may be chosen"],
    ),
    "fewer than required": (
        {"n_models": 1, "must_include": ["m01", "m02"]},
        ["n_models=1", "must_include"],
    ),
    "unknown model": ({"must_include": ["m01", "gpt"]}, ["must_include", "'gpt'"]),
    "unknown exclusion": ({"exclude": {"gpt"}}, ["exclude", "'gpt'"]),
    "both": ({"must_include": ["m01"], "exclude": ["m01"]}, ["'m01'", "both"]),
    "nothing left": ({"exclude": Z.index}, ["exclude", "no model"]),
    "a bare name": ({"must_include": "m01"}, ["must_include", r"\['m01'\]"]),
    "bandwidth": ({"bandwidth": 0.0}, ["bandwidth"]),
    "metric": ({"metric": "manhattan"}, ["metric"]),
    "limit": ({"memory_limit": 0}, ["memory_limit"]),
    "budget": ({"budget": 0}, ["budget"]),
    "small budget": ({"budget": 0.5}, ["budget=0.5", "cheapest", "'m00'", "costs 1"]),
    "budget below must_include": (
        {"budget": 1.5, "must_include": ["m01", "m02"]},
        ["budget=1.5", "2", "must_include"],
    ),
}


@pytest.mark.parametrize(
    ("Selector", "bad"),
    [
        (Selector, bad)
        for Selector in SELECTORS
        for bad, (parameters, _) in BAD_PARAMETERS.items()
        if set(parameters) <= set(Selector().get_params())
    ],
)
def test_bad_parameters_are_refused_and_change_nothing(Selector, bad):
    parameters, words = BAD_PARAMETERS[bad]
    portfolio = Selector(3).fit(Z).set_params(**parameters)
    assert_refused(portfolio, lambda: portfolio.fit(Z), *words)


def assert_refused(portfolio, call, *words):
    before = copy.deepcopy(vars(portfolio))
    with pytest.raises(ValueError, match=".*".join(words)):
        call()
    assert pickle.dumps(vars(portfolio)) == pickle.dumps(before)


BAD_TABLES = {
    "duplicate names": (pd.concat([Z, Z.iloc[3:4]]), ["'m03'", "more than once"]),
    "missing name": (Z.rename(index={"m03": None}), ["index", "missing", "row 3"]),
    "nan": (Z.T.assign(m03=np.nan).T, ["NaN"]),
    "text": (Z.assign(task="maths"), ["maths"]),
    "no rows": (Z[:0], ["0 sample"]),
    "one dimension": (Z["m00":"m00"].iloc[0], ["Expected a 2-dim|Expected 2D"]),
}


@pytest.mark.parametrize("bad", BAD_TABLES)
@each_selector
def test_bad_tables_are_refused_and_change_nothing(Selector, bad):
    table, words = BAD_TABLES[bad]
    portfolio = Selector(3).fit(Z)
    assert_refused(portfolio, lambda: portfolio.fit(table), *words)


BAD_DISTANCES = {
    "not square": (np.ones((3, 2)), ["square", r"\(3, 2\)"]),
    "negative": (np.array([[0, -1], [-1, 0]]), ["Negative values"]),
    "similarities": (np.eye(3), ["diagonal"]),
    "not symmetric": (np.array([[0, 1], [2, 0]]), ["symmetric"]),
}


@pytest.mark.parametrize("bad", BAD_DISTANCES)
@each_selector
def test_bad_distances_are_refused(Selector, bad):
    matrix, words = BAD_DISTANCES[bad]
    with pytest.raises(ValueError, match=".*".join(words)):
        Selector(1, metric="precomputed").fit(matrix)


BAD_COSTS = {
    "negative": ({**COST, "m03": -1}, ["-1", "'m03'", "positive"]),
    "zero": ({**COST, "m03": 0}, ["0", "'m03'", "positive"]),
    "nan": (pd.Series(COST).mask(Z.index == "m03"), ["nan", "'m03'", "positive"]),
    "none": ({**COST, "m03": None}, ["None", "'m03'", "no number"]),
    "infinite": ({**COST, "m03": np.inf}, ["inf", "'m03'", "finite"]),
    "text": ({**COST, "m03": "free"}, ["cost", "free"]),
    "missing": (pd.Series(COST).drop("m03"), ["no entry", "'m03'"]),
    "twice": (pd.Series([1, 1], ["m03", "m03"]), ["'m03'", "twice"]),
    "short": (np.ones(13), ["14", r"\(13,\)"]),
    "a number": (2.0, ["14", r"\(\)"]),
    "two columns": (np.ones((14, 2)), [r"\(14, 2\)"]),
}


@pytest.mark.parametrize("bad", BAD_COSTS)
def test_bad_costs_are_refused_and_change_nothing(bad):
    cost, words = BAD_COSTS[bad]
    portfolio = BudgetPortfolio(3).fit(Z)
    assert_refused(portfolio, lambda: portfolio.fit(Z, cost=cost), *words)


@pytest.mark.parametrize("cost", [{"a": 7, "b": 9}, [7, 9]], ids=["named", "in order"])
def test_a_budget_below_the_cheapest_model_names_it(cost):
    pair = pd.DataFrame([[0.0], [1.0]], ["a", "b"])
    with pytest.raises(ValueError, match=r"budget=5 .*'a'.*7"):
        BudgetPortfolio(5).fit(pair, cost=cost)
