"""Routing within portfolios, beside portfolios chosen by scores."""

import numpy as np
import pandas as pd
import pytest
from small import SMALL

from skl_locus import (
    ExpectedScorePortfolio,
    KMeansRouter,
    KMedoidsPortfolio,
    LocusRouter,
)
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import PortfolioCurveDisplay, portfolio_routing

POOL = make_evaluations(n_models=7, n_queries=120, noise=0.3, random_state=0)
IS_TEST = POOL.evaluations["query_id"].isin(POOL.queries["query_id"][80:])
TRAIN, TEST = POOL.evaluations[~IS_TEST], POOL.evaluations[IS_TEST]
MODELS = sorted(set(TRAIN["model"]))
SIZES = [1, 2, 4, 7]
BY_SCORES = ["top_mean", "greedy_cover", "best_expected"]


@pytest.fixture(scope="module")
def locus():
    return LocusRouter(**SMALL).fit(TRAIN, TRAIN["score"])


@pytest.fixture(scope="module")
def k_means():
    return KMeansRouter(4, random_state=0).fit(TRAIN, TRAIN["score"])


def curve_of(router, **options):
    options = {"n_random": 3, "random_state": 0} | options
    return portfolio_routing(router, TEST, TEST["score"], **options)


def routed(router, names):
    """Route the test queries among some models, and average what they scored."""
    scores = TEST.pivot_table(index="query_id", columns="model", values="score")
    queries = TEST.drop_duplicates("query_id").set_index("query_id").loc[scores.index]
    chosen = router.route(queries["query"], models=list(names))
    return np.mean(
        [scores.loc[q, m] for q, m in zip(scores.index, chosen, strict=True)]
    )


def training_scores():
    return TRAIN.pivot_table(index="model", columns="query_id", values="score")


def test_the_models_of_highest_mean(locus):
    order = TRAIN.groupby("model")["score"].mean().sort_values(ascending=False).index
    curve = curve_of(locus, sizes=SIZES)
    expected = [routed(locus, order[:size]) for size in SIZES]
    assert curve["top_mean"].tolist() == pytest.approx(expected)


def test_a_cover_of_the_observed_scores(locus):
    curve = curve_of(locus, sizes=SIZES)
    for size, accuracy in zip(SIZES, curve["greedy_cover"], strict=True):
        portfolio = ExpectedScorePortfolio(size).fit(training_scores())
        assert accuracy == pytest.approx(routed(locus, portfolio.selected_models_))


def test_a_cover_of_a_partial_log_counts_what_was_observed():
    # Alone, "a" has the highest mean; "b" covers more queries.
    log = pd.DataFrame(
        [("a", i, 1.0) for i in range(4)]
        + [("b", i, 1.0) for i in range(8)]
        + [("b", i, 0.0) for i in range(8, 12)],
        columns=["model", "query_id", "score"],
    )
    log["query"] = [np.array([np.cos(i), np.sin(i)]) for i in log["query_id"]]
    router = KMeansRouter(1, random_state=0).fit(log, log["score"])
    test = log.assign(score=(log["model"] == "b").astype(float))
    curve = portfolio_routing(
        router,
        test,
        test["score"],
        sizes=[1],
        selector=ExpectedScorePortfolio(),
        n_random=1,
        random_state=0,
    )
    assert curve["top_mean"].tolist() == [0.0]
    assert curve["greedy_cover"].tolist() == [1.0]


@pytest.mark.parametrize("limits", [{"sizes": SIZES}, {"budgets": [2.0, 4.0, 9.0]}])
def test_the_expected_scores_of_the_router(k_means, limits):
    if "budgets" in limits:
        limits = {**limits, "cost": POOL.models["cost"]}
    curve = curve_of(k_means, **limits, selector=ExpectedScorePortfolio())
    assert curve["accuracy"].tolist() == curve["best_expected"].tolist()
    assert (curve["expected_score"] <= curve["upper_bound"]).all()
    for row in curve.itertuples():
        assert row.accuracy == pytest.approx(routed(k_means, row.models))


def test_all_models_are_the_whole_pool(locus):
    last = curve_of(locus, sizes=[7]).iloc[0]
    whole = routed(locus, MODELS)
    assert last[["accuracy", *BY_SCORES]].tolist() == pytest.approx([whole] * 4)


def test_budgets_buy_the_highest_means_that_are_affordable(k_means):
    means = TRAIN.groupby("model")["score"].mean()
    best, second, *others = means.sort_values(ascending=False).index
    cost = {best: 1.0, second: 5.0} | dict.fromkeys(others, 1.0)
    selector = ExpectedScorePortfolio()
    curve = curve_of(k_means, budgets=[2.0], cost=cost, selector=selector)
    assert curve["top_mean"][0] == pytest.approx(routed(k_means, [best, others[0]]))


def test_portfolios_by_embeddings_and_at_random_are_what_they_were(locus):
    """Compare with columns computed one by one, in the order of random numbers."""
    curve = curve_of(locus, sizes=iter(SIZES))
    rng = np.random.RandomState(0)
    embeddings = pd.DataFrame(locus.embeddings_, locus.models_)
    for size, row in zip(SIZES, curve.itertuples(), strict=True):
        chosen = KMedoidsPortfolio(size).fit(embeddings).selected_models_
        assert row.accuracy == pytest.approx(routed(locus, chosen))
        drawn = [routed(locus, locus.models_[rng.permutation(7)[:size]]) for _ in "123"]
        assert row.random_mean == pytest.approx(np.mean(drawn))
        assert row.random_std == pytest.approx(np.std(drawn))


@pytest.mark.parametrize("selector", [None, ExpectedScorePortfolio()])
def test_the_display_draws_every_choice(locus, selector):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    display = PortfolioCurveDisplay.from_estimator(
        locus, TEST, TEST["score"], sizes=SIZES, selector=selector, n_random=2
    )
    lines = {line.get_label(): line.get_ydata() for line in display.ax_.get_lines()}
    for column, label in zip(
        BY_SCORES,
        ["highest means", "cover of the scores", "expected score"],
        strict=True,
    ):
        np.testing.assert_array_equal(lines[label], display.curve[column])
    matplotlib.pyplot.close(display.figure_)
