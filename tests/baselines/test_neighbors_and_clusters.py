"""KNNRouter and KMeansRouter average as documented and find planted structure."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, make_log, pool_of_parts
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus import KMeansRouter, KNNRouter, LinearRouter

AUTO = [
    KNNRouter("auto"),
    KNNRouter("auto", weights="distance"),
    KNNRouter("auto", weights="softmax", temperature="auto", shrinkage="auto"),
    KNNRouter("auto", tune_for="routing_accuracy"),
    KMeansRouter("auto", random_state=0),
    KMeansRouter("auto", shrinkage="auto", tune_for="routing_accuracy", random_state=0),
    LinearRouter(),
]


@pytest.mark.parametrize("router", AUTO, ids=repr)
def test_the_specialist_of_each_part_is_found(router):
    log = pool_of_parts(4, 0.1)
    router.fit(log, log["score"])
    rng = np.random.default_rng(1)
    queries = np.repeat(np.eye(4), 50, axis=0) + rng.normal(scale=0.05, size=(200, 4))
    routes = router.route(queries)
    assert np.mean(routes == np.repeat(router.models_, 50)) > 0.95
    P = router.correctness_matrix(queries).reshape(4, 50, 4).mean(axis=1)
    assert np.diag(P).min() > 0.5
    assert P[~np.eye(4, dtype=bool)].max() < 0.3


def plain_average(log, name, query, k, weigh, shrinkage):
    """The formula of the docstring, one query at a time."""
    rows = log[log["model"] == name]
    vectors = np.stack(rows["query"].tolist()).astype(float)
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    nearest = np.argsort(-cosines)[:k]
    w, y = weigh(cosines[nearest]), rows["score"].to_numpy()[nearest]
    effective = w.sum() ** 2 / (w**2).sum()
    mean = (rows["score"].sum() + 2 * log["score"].mean()) / (len(rows) + 2)
    average = (w * y).sum() / w.sum()
    return (effective * average + shrinkage * mean) / (effective + shrinkage)


WEIGHTS = {
    "uniform": np.ones_like,
    "distance": lambda cosines: 1 / (1 - cosines),
    "softmax": lambda cosines: np.exp(cosines / 0.3),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@EXAMPLES
@given(seed=SEEDS, k=st.integers(1, 25), shrinkage=st.sampled_from([0.0, 2.5]))
def test_weighted_averages_are_the_documented_formula(weights, seed, k, shrinkage):
    log = make_log(seed, n_queries=60)
    router = KNNRouter(k, weights=weights, temperature=0.3, shrinkage=shrinkage)
    router.fit(log, log["score"])
    queries = np.random.default_rng([seed, 1]).normal(size=(4, 16))
    expected = [
        [
            plain_average(log, name, query, k, WEIGHTS[weights], shrinkage)
            for name in router.models_
        ]
        for query in queries
    ]
    assert_allclose(router.correctness_matrix(queries), expected, atol=1e-5)


def test_exact_matches_leave_other_neighbours_no_weight():
    vectors = [np.array(v) for v in ([1.0, 0], [2.0, 0], [0.9, 0.1], [0, 1.0])]
    log = pd.DataFrame({"model": list("aaaabbbb"), "query": vectors * 2})
    router = KNNRouter(3, weights="distance")
    router.fit(log, [1, 0.5, 0, 0, 0, 0, 1, 1])
    # [1, 0] and [2, 0] have one direction: their scores are averaged.
    assert_array_equal(router.correctness_matrix([[3.0, 0]]), [[0.75, 0]])


def test_a_wide_softmax_is_uniform_and_a_narrow_one_the_nearest():
    log = make_log(0)
    queries = np.random.default_rng(0).normal(size=(9, 16))

    def matrix(k, **parameters):
        router = KNNRouter(k, **parameters).fit(log, log["score"])
        return router.correctness_matrix(queries)

    wide = matrix(8, weights="softmax", temperature=1e6)
    narrow = matrix(8, weights="softmax", temperature=1e-5)
    assert_allclose(wide, matrix(8), atol=1e-4)
    assert_allclose(narrow, matrix(1), atol=1e-4)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_shrinkage_leads_to_the_mean(weights):
    log = make_log(0)
    router = KNNRouter(3, weights=weights, shrinkage=1e9).fit(log, log["score"])
    own = log.groupby("model")["score"]
    means = (own.sum() + 2 * log["score"].mean()) / (own.size() + 2)
    P = router.correctness_matrix(np.random.default_rng(0).normal(size=(5, 16)))
    assert_allclose(P, np.tile(means.to_numpy(), (5, 1)), atol=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_newcomers_leave_shrunk_averages_alone(weights):
    log = make_log(1)
    router = KNNRouter(5, weights=weights, shrinkage=3).fit(log, log["score"])
    queries = np.random.default_rng(0).normal(size=(5, 16))
    before = router.correctness_matrix(queries)
    easy = make_log(2, (20,), n_queries=20).assign(model="new", score=1.0)
    easy["query_id"] += 100
    router.add_models(easy, easy["score"])
    assert_allclose(router.correctness_matrix(queries)[:, :4], before, atol=1e-6)
