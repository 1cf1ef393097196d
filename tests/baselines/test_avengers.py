"""AvengersRouter: ranks and dials as documented, planted structure, onboarding."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, make_log, pool_of_parts, shuffled
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus import AvengersRouter, BestSingleRouter

QUERIES = np.random.default_rng(0).normal(size=(6, 16))
COSTS = {"m0": 1.0, "m1": 5.0, "m2": 2.0, "m3": 3.0}


def fit(router, log):
    return router.fit(log, log["score"])


def rows_of(queries, models):
    """Every model on every query, in the order of a matrix."""
    return pd.DataFrame(
        {
            "model": np.tile(models, len(queries)),
            "query": [query for query in queries for _ in models],
        }
    )


def decisions(router, queries):
    rows = rows_of(queries, router.models_)
    return router.routing_scores(rows).reshape(len(queries), -1)


def cluster_means(router, log):
    """Mean score of each model in each cluster, NaN where it has none."""
    vectors = np.stack(log["query"].tolist()).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = ((vectors[:, None] - router.cluster_centers_) ** 2).sum(axis=2)
    table = log.assign(cluster=distances.argmin(axis=1))
    return table.pivot_table(
        index="cluster", columns="model", values="score"
    ).to_numpy()


def nearest(router, query):
    distances = np.linalg.norm(
        query / np.linalg.norm(query) - router.cluster_centers_, axis=1
    )
    order = np.argsort(distances)[: router.n_nearest]
    weights = np.exp(-distances[order] / router.temperature)
    return order, weights / weights.sum()


def plain_rank_points(means, k, name):
    if np.isnan(means[k, name]):
        return 1 / 999
    better = sum(other > means[k, name] + 1e-9 for other in means[k])
    return 1 / (better + 0.1)


@EXAMPLES
@given(seed=SEEDS, n_nearest=st.integers(1, 3))
def test_ranks_are_the_documented_formula(seed, n_nearest):
    log = make_log(seed)
    router = fit(AvengersRouter(5, n_nearest=n_nearest, random_state=0), log)
    means = cluster_means(router, log)
    overall = log.groupby("model")["score"]
    fallback = (overall.sum() + 2 * log["score"].mean()) / (overall.size() + 2)
    filled = np.where(np.isnan(means), fallback.to_numpy(), means)
    P, points = router.correctness_matrix(QUERIES), decisions(router, QUERIES)
    for i, query in enumerate(QUERIES):
        order, weights = nearest(router, query)
        assert_allclose(P[i], weights @ filled[order], atol=1e-5)
        expected = [
            sum(
                w * plain_rank_points(means, k, name)
                for k, w in zip(order, weights, strict=True)
            )
            for name in range(4)
        ]
        assert_allclose(points[i], expected, rtol=1e-4)


@EXAMPLES
@given(seed=SEEDS, alpha=st.sampled_from([0.0, 0.4, 1.0]))
def test_the_dial_is_the_documented_formula(seed, alpha):
    log = make_log(seed)
    router = AvengersRouter(
        5, n_nearest=3, performance_weight=alpha, costs=COSTS, random_state=0
    )
    means = cluster_means(fit(router, log), log)
    q = np.array([0.0, 1.0, 0.25, 0.5])  # of the costs 1 to 5
    points = decisions(router, QUERIES)
    for i, query in enumerate(QUERIES):
        expected = np.zeros(4)
        for k in nearest(router, query)[0]:
            low, high = np.nanmin(means[k]), np.nanmax(means[k])
            v = (means[k] - low) / (high - low) if high > low else np.zeros(4)
            expected += alpha * np.nan_to_num(v) + (1 - alpha) * (1 - q)
        # With alpha = 1 costs have no part; with 0 they alone decide.
        assert_allclose(points[i], expected, atol=1e-5)


def test_the_specialist_of_each_cluster_is_chosen():
    log = pool_of_parts(4, 0.1)
    router = fit(AvengersRouter(8, random_state=0), log)
    rng = np.random.default_rng(1)
    queries = np.repeat(np.eye(4), 50, axis=0) + rng.normal(scale=0.05, size=(200, 4))
    best = np.repeat(router.models_, 50)
    assert np.mean(router.route(queries) == best) > 0.95
    assert np.mean(fit(BestSingleRouter(), log).route(queries) == best) < 0.3


def test_a_lower_dial_is_cheaper():
    log = pool_of_parts(4, 0.1)
    spent = []
    for alpha in (1.0, 0.6, 0.3, 0.0):
        router = AvengersRouter(
            4, n_nearest=1, performance_weight=alpha, costs=COSTS, random_state=0
        )
        routes = fit(router, log).route(np.eye(4))
        spent.append(sum(COSTS[label] for label in routes))
    assert spent == sorted(spent, reverse=True)
    assert spent[0] == sum(COSTS.values())
    assert spent[-1] == 4 * COSTS["m0"]


def test_equal_models_share_a_rank():
    log = pool_of_parts(2, 0.0)
    twin = log[log["model"] == "m0"].assign(model="a twin")
    router = fit(AvengersRouter(2, n_nearest=1, random_state=0), pd.concat([log, twin]))
    points = decisions(router, np.eye(2)[:1])[0]
    assert router.models_.tolist() == ["a twin", "m0", "m1"]
    assert_allclose(points, [10, 10, 1 / 2.1], rtol=1e-6)


def test_new_models_change_ranks_and_no_bit_of_any_probability():
    log = make_log(1)
    router = fit(AvengersRouter(5, random_state=0), log)
    before, points = router.correctness_matrix(QUERIES), decisions(router, QUERIES)
    new = log[log["model"] == "m0"].assign(model="new")
    router.add_models(new, np.ones(len(new)))
    assert_array_equal(router.correctness_matrix(QUERIES)[:, :4], before)
    assert (decisions(router, QUERIES)[:, :4] <= points).all()
    assert (decisions(router, QUERIES)[:, :4] < points).any()


def test_the_order_of_rows_changes_no_bit():
    log = make_log(4, repeats=10)
    routers = [
        fit(AvengersRouter(6, random_state=0), rows) for rows in (log, shuffled(log, 1))
    ]
    assert_array_equal(*(router.correctness_matrix(QUERIES) for router in routers))
    assert_array_equal(*(decisions(router, QUERIES) for router in routers))


def test_a_dial_below_one_needs_the_cost_of_every_model():
    log = make_log(0)
    with pytest.raises(ValueError, match="costs"):
        fit(AvengersRouter(4, performance_weight=0.5), log)
    fewer = dict.fromkeys(("m0", "m1", "m2"), 1.0)
    with pytest.raises(ValueError, match="m3"):
        fit(AvengersRouter(4, performance_weight=0.5, costs=fewer), log)
    router = AvengersRouter(4, performance_weight=0.5, costs=COSTS, random_state=0)
    fit(router, log)
    new = log[log["model"] == "m0"].assign(model="new")
    with pytest.raises(ValueError, match="new"):
        router.add_models(new, new["score"])
    assert router.models_.tolist() == list(COSTS)
    # Quality alone needs no cost.
    fit(AvengersRouter(4, performance_weight=1.0), log)
