"""Portfolios as estimators: checks, metrics, containers, pipelines, large pools."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import SMALL

from skl_locus import (
    BudgetPortfolio,
    KCenterPortfolio,
    KMedoidsPortfolio,
    KNNRouter,
    LocusEmbedder,
)
from skl_locus.datasets import make_evaluations
from skl_locus.portfolio import portfolio_curve

SELECTORS = [KCenterPortfolio, KMedoidsPortfolio, BudgetPortfolio]
each_selector = pytest.mark.parametrize("Selector", SELECTORS)
TINY_LIMIT = 1e-6  # MiB: no matrix fits


@parametrize_with_checks(
    [
        # One of the checks looks for three clusters, as many as scikit-learn sets for
        # its own clusterers.
        *(Selector(3) for Selector in SELECTORS),
        *(Selector(4, metric="cosine") for Selector in SELECTORS),
        BudgetPortfolio(metric="precomputed"),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


def some_pool(n=14, d=3, seed=0):
    Z = np.random.default_rng(seed).normal(size=(n, d))
    return pd.DataFrame(Z, [f"m{i:02}" for i in range(n)])


# Metrics and bandwidths


@each_selector
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_given_distances_are_as_good_as_points(Selector, metric):
    Z = some_pool(30)
    D = pd.DataFrame(cdist(Z, Z, metric), Z.index, Z.index)
    of_points = Selector(5, metric=metric).fit(Z)
    of_distances = Selector(5, metric="precomputed").fit(D)
    assert of_points.selected_models_.tolist() == of_distances.selected_models_.tolist()
    assert of_distances.coverage_ == pytest.approx(of_points.coverage_)
    new = some_pool(9, seed=1)
    to_pool = pd.DataFrame(cdist(new, Z, metric), new.index, Z.index)
    np.testing.assert_allclose(
        of_distances.transform(to_pool), of_points.transform(new), atol=1e-12
    )
    np.testing.assert_array_equal(of_distances.predict(to_pool), of_points.predict(new))


@each_selector
def test_distances_without_names_in_any_order(Selector):
    D = cdist(some_pool(30), some_pool(30))
    order = np.random.default_rng(0).permutation(30)
    one = Selector(5, metric="precomputed").fit(D)
    other = Selector(5, metric="precomputed").fit(D[np.ix_(order, order)])
    assert one.selected_indices_.tolist() == order[other.selected_indices_].tolist()


@each_selector
def test_equal_models(Selector):
    Z = np.tile([[0.3, -1.7, 2.9]], (12, 1))
    Z[6:] *= 2  # the same direction
    portfolio = Selector(3, metric="cosine").fit(Z)
    assert portfolio.bandwidth_ == 1
    assert portfolio.coverage_ == 12
    assert portfolio.labels_.tolist() == [0] * 12


def test_the_median_of_a_pool_of_copies_is_that_of_the_models_that_differ():
    Z = np.repeat([[0.0], [3.0]], 5, axis=0)
    portfolio = KCenterPortfolio(2, metric="euclidean").fit(Z)
    assert portfolio.bandwidth_ == 3
    assert portfolio.coverage_ == 10


@each_selector
@pytest.mark.parametrize("limit", [1024, TINY_LIMIT])
@pytest.mark.parametrize("bandwidth", [1e-300, 1e300])
def test_extreme_bandwidths(Selector, bandwidth, limit):
    portfolio = Selector(3, bandwidth=bandwidth, memory_limit=limit).fit(some_pool())
    covered = 14 if bandwidth > 1 else len(portfolio.selected_models_)
    assert portfolio.coverage_ == covered


def test_a_zero_vector_is_at_distance_one():
    Z = np.array([[0.0, 0], [1, 0], [-1, 0], [0, 0]])
    portfolio = KCenterPortfolio(4).fit(Z)
    distances = portfolio.transform(Z)[:, np.argsort(portfolio.selected_indices_)]
    np.testing.assert_array_equal(
        distances, [[0, 1, 1, 0], [1, 0, 2, 1], [1, 2, 0, 1], [0, 1, 1, 0]]
    )


def test_large_and_small_numbers_do_not_overflow():
    Z = np.array([[1e300, 0], [0, 1e-300], [-1e200, 1e200]])
    portfolio = KCenterPortfolio(3, metric="cosine").fit(Z)
    np.testing.assert_allclose(
        sorted(portfolio.transform(Z)[0]), [0, 1, 1 + np.sqrt(0.5)]
    )
    with pytest.raises(ValueError, match="overflow"):
        KCenterPortfolio(2, metric="euclidean").fit(Z)


Z = some_pool()


# Names, costs and containers


@pytest.mark.parametrize(
    "names",
    [
        list("zyxwv"),
        [5, 4, 3, 2, 1],
        [("b", 1), ("b", 0), ("a", 1), ("c", 0), ("d", 0)],
    ],
    ids=["texts", "numbers", "tuples"],
)
@each_selector
def test_names_of_any_kind(Selector, names):
    index = pd.Index(names, tupleize_cols=False)
    table = pd.DataFrame(np.eye(5), index)
    portfolio = Selector(2, must_include=[names[3]]).fit(table)
    assert set(portfolio.selected_models_) <= set(names)
    assert names[3] in portfolio.selected_models_.tolist()


@each_selector
def test_tables_without_names_take_row_numbers(Selector):
    values = Z.to_numpy()
    of_array = Selector(3, must_include=[5]).fit(values)
    of_polars = Selector(3, must_include=[5]).fit(pl.DataFrame(values))
    for portfolio in (of_array, of_polars):
        selected = portfolio.selected_models_
        np.testing.assert_array_equal(selected, portfolio.selected_indices_)
        assert 5 in selected
    np.testing.assert_array_equal(of_array.labels_, of_polars.labels_)


def test_costs_by_name_in_any_form():
    costs = pd.Series(np.linspace(1, 2, 14), Z.index)
    others = {"gpt": 99.0, **costs.to_dict()}
    forms = [costs, costs[::-1], others, costs.to_numpy(), costs.tolist()]
    chosen = [
        BudgetPortfolio(6).fit(Z, cost=c).selected_models_.tolist() for c in forms
    ]
    assert all(names == chosen[0] for names in chosen)


@each_selector
def test_fit_predict_and_output_containers(Selector):
    portfolio = Selector(3).set_output(transform="pandas")
    distances = portfolio.fit_transform(Z)
    assert distances.index.equals(Z.index)
    prefix = Selector.__name__.lower()
    assert distances.columns.tolist() == [f"{prefix}{i}" for i in range(3)]
    np.testing.assert_array_equal(Selector(3).fit_predict(Z), portfolio.labels_)


def test_fit_predict_with_costs():
    cost = np.linspace(1, 2, 14)
    labels = BudgetPortfolio(4).fit_predict(Z, cost=cost)
    np.testing.assert_array_equal(labels, BudgetPortfolio(4).fit(Z, cost=cost).labels_)


@each_selector
def test_a_pickled_portfolio_is_the_same(Selector):
    portfolio = Selector(3).fit(Z)
    twin = pickle.loads(pickle.dumps(portfolio))
    np.testing.assert_array_equal(twin.transform(Z), portfolio.transform(Z))
    state = {**portfolio.__getstate__(), "_skl_locus_format": 99}
    with pytest.raises(ValueError, match="format 99"):
        Selector().__setstate__(state)


# Pipelines

LOG = make_evaluations(6, 40, n_tasks=2, n_features=3, random_state=0).evaluations
MODELS = sorted(set(LOG["model"]))


@each_selector
def test_names_survive_a_pipeline_and_are_routed_to(Selector):
    pipe = make_pipeline(LocusEmbedder(**SMALL), Selector(3)).fit(LOG)
    selected = pipe[-1].selected_models_
    assert len(selected) == 3
    assert set(selected) <= set(MODELS)
    assert pipe.predict(LOG).tolist() == pipe[-1].labels_.tolist()
    router = KNNRouter(3).fit(LOG, LOG["score"])
    queries = np.stack(LOG["query"][:40])
    assert set(router.route(queries, models=selected)) <= set(selected)


@pytest.mark.parametrize("routing", [False, True], ids=["no routing", "routing"])
def test_costs_through_a_pipeline(routing):
    cost = dict(zip(MODELS, [1, 9, 9, 9, 1, 1], strict=True))
    embedder = LocusEmbedder(**SMALL)
    with sklearn.config_context(enable_metadata_routing=routing):
        portfolio = BudgetPortfolio(3)
        if routing:
            portfolio.set_fit_request(cost=True)
        pipe = make_pipeline(embedder, portfolio)
        names = "cost" if routing else "budgetportfolio__cost"
        pipe.fit(LOG, **{names: cost})
        clone(pipe).fit_transform(LOG, **{names: cost})
        clone(pipe).fit_predict(LOG, **{names: cost})
    assert pipe[-1].selected_models_.tolist()
    assert set(pipe[-1].selected_models_) <= {MODELS[0], MODELS[4], MODELS[5]}
    assert pipe[-1].total_cost_ <= 3


# Curves


def test_a_curve_of_sizes():
    sizes = [1, 3, 14]
    curve = portfolio_curve(Z, sizes, cost=np.full(14, 2.0))
    assert curve["size"].tolist() == sizes
    assert curve["total_cost"].tolist() == [2, 6, 28]
    for row in curve.itertuples():
        portfolio = KMedoidsPortfolio(row.size).fit(Z)
        assert portfolio.selected_models_.tolist() == row.models
        assert portfolio.coverage_ == row.coverage
        assert portfolio.min_coverage_ == row.min_coverage
    assert curve["coverage"].iloc[-1] == 14


def test_a_curve_of_budgets():
    cost = pd.Series(np.linspace(1, 2, 14), Z.index)
    selector = BudgetPortfolio(metric="euclidean", must_include=["m07"])
    curve = portfolio_curve(Z, budgets=[2, 5.5], cost=cost, selector=selector)
    assert curve["budget"].tolist() == [2, 5.5]
    for row in curve.itertuples():
        selector.set_params(budget=row.budget).fit(Z, cost=cost)
        assert selector.selected_models_.tolist() == row.models
        assert selector.total_cost_ == row.total_cost
    assert curve["size"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either"),
        ({"sizes": [1], "budgets": [1]}, "either"),
        ({"sizes": [0]}, "n_models"),
        ({"sizes": [15]}, "n_models=15"),
        ({"sizes": [1], "selector": BudgetPortfolio()}, "no n_models"),
        ({"budgets": [0.5]}, "cheapest"),
    ],
)
def test_bad_curves(arguments, words):
    with pytest.raises(ValueError, match=words):
        portfolio_curve(Z, **arguments)


# Pools above the memory limit


@pytest.mark.parametrize("Selector", [KCenterPortfolio, BudgetPortfolio])
def test_the_memory_limit_changes_no_choice(Selector):
    large = some_pool(1500, 8)
    cost = {"cost": np.linspace(1, 3, 1500)} if Selector is BudgetPortfolio else {}
    exact = Selector(12).fit(large, **cost)
    limited = Selector(12, memory_limit=TINY_LIMIT).fit(large, **cost)
    assert limited.selected_models_.tolist() == exact.selected_models_.tolist()
    np.testing.assert_array_equal(limited.coverage_path_, exact.coverage_path_)


def test_copies_are_not_bought_above_the_memory_limit():
    copies = np.tile(some_pool(20, 8), (60, 1))
    portfolio = BudgetPortfolio(1000, memory_limit=TINY_LIMIT).fit(copies)
    assert len(portfolio.selected_models_) == 20


def test_k_medoids_of_a_sample():
    large = some_pool(1500, 8)
    limit = 200**2 * 8 / 2**20
    start = KCenterPortfolio(6).fit(large)
    sampled = KMedoidsPortfolio(6, memory_limit=limit, must_include=["m07"]).fit(large)
    full = KMedoidsPortfolio(6, must_include=["m07"]).fit(large)
    assert start.coverage_ < sampled.coverage_ <= full.coverage_
    assert sampled.coverage_ > 0.97 * full.coverage_
    assert (np.diff(sampled.coverage_path_) > 0).all()
    best = np.exp(-((sampled.transform(large).min(axis=1) / sampled.bandwidth_) ** 2))
    assert sampled.coverage_ == pytest.approx(best.sum())
