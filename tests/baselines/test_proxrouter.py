"""ProxRouter averages over clusters as documented and finds planted structure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, make_log, pool_of_parts, shuffled
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus import BestSingleRouter, KNNRouter, ProxRouter


def cosine_distances(x, others):
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(x)
    return 1 - others @ x / lengths


def plain_prediction(router, log, name, query, temperature, shrinkage):
    """The formula of the docstring, one query and cluster at a time."""
    centers = router.cluster_centers_.astype(float)
    rows = log[log["model"] == name]
    vectors = np.stack(rows["query"].tolist()).astype(float)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = ((units[:, None] - centers) ** 2).sum(axis=2)
    members, y = distances.argmin(axis=1), rows["score"].to_numpy()
    mean = (y.sum() + 2 * log["score"].mean()) / (len(y) + 2)
    above = below = 0.0
    for k, center in enumerate(centers):
        own = y[members == k]
        if len(own) == 0:
            continue
        value = (own.sum() + shrinkage * mean) / (len(own) + shrinkage)
        (distance,) = cosine_distances(query, center[None])
        weight = len(own) / router.spreads_[k] * np.exp(-distance / temperature)
        above += weight * value
        below += weight
    return above / below


@EXAMPLES
@given(
    seed=SEEDS,
    n_clusters=st.integers(1, 12),
    temperature=st.sampled_from([0.05, 0.4]),
    shrinkage=st.sampled_from([0.0, 4.0]),
)
def test_predictions_are_the_documented_formula(
    seed, n_clusters, temperature, shrinkage
):
    log = make_log(seed, n_queries=60)
    router = ProxRouter(
        n_clusters, temperature=temperature, shrinkage=shrinkage, random_state=0
    )
    router.fit(log, log["score"])
    queries = np.random.default_rng([seed, 1]).normal(size=(4, 16))
    expected = [
        [
            plain_prediction(router, log, name, query, temperature, shrinkage)
            for name in router.models_
        ]
        for query in queries
    ]
    assert_allclose(router.correctness_matrix(queries), expected, atol=1e-5)


def test_spreads_are_mean_cosine_distances_and_single_members_get_their_mean():
    # Two clusters of two, at 90 degrees, and one query alone on the third side.
    rows = [[1, 0.2, 0], [1, -0.2, 0], [0.4, 1, 0], [-0.4, 1, 0], [0, 0, 1.0]]
    vectors = [np.array(row) for row in rows]
    log = make_log(0, (5, 5), n_queries=5).assign(query=vectors * 2)
    log = log.assign(query_id=list(range(5)) * 2)
    router = ProxRouter(3, random_state=0).fit(log, log["score"])
    narrow, wide = 1 - 1 / np.hypot(1, 0.2), 1 - 1 / np.hypot(1, 0.4)
    expected = {0: narrow, 1: wide, 2: (narrow + wide) / 2}
    sides = router.cluster_centers_.argmax(axis=1)
    assert_allclose(router.spreads_, [expected[side] for side in sides], rtol=1e-5)


def test_clusters_without_any_spread_count_by_their_members():
    log = pool_of_parts(3, 0.0)
    directions = np.eye(3)[[row.argmax() for row in log["query"]]]
    log = log.assign(query=list(directions))
    router = ProxRouter(3, random_state=0).fit(log, log["score"])
    assert_array_equal(router.spreads_, 1)
    assert np.isfinite(router.correctness_matrix(np.ones((1, 3)))).all()


def planted(seed=0, n_models=5, n_parts=6, n_queries=360):
    """Scores of the method's own model: mixtures of clusters by proximity."""
    rng = np.random.default_rng(seed)
    sides = np.linalg.qr(rng.normal(size=(8, 8)))[0][:n_parts]
    first, second = rng.integers(n_parts, size=(2, n_queries))
    mix = rng.uniform(size=(n_queries, 1))
    queries = mix * sides[first] + (1 - mix) * sides[second]
    queries += rng.normal(scale=0.05, size=queries.shape)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    tilts = np.exp(-(1 - queries @ sides.T) / 0.05)
    tilts /= tilts.sum(axis=1, keepdims=True)
    chances = tilts @ rng.choice([0.1, 0.9], size=(n_parts, n_models))
    scores = (rng.random(chances.shape) < chances).astype(float)
    query, model = np.indices(scores.shape).reshape(2, -1)
    log = make_log(0, (1,)).iloc[:0].reindex(range(len(query)))
    log = log.assign(
        model=[f"m{i}" for i in model],
        query=list(queries[query]),
        query_id=query,
        score=scores.ravel(),
    )
    return log[query < 240], queries[240:], chances[240:]


def routed(router, queries, chances):
    columns = [int(label[1:]) for label in router.route(queries)]
    return chances[np.arange(len(queries)), columns].mean()


def test_mixtures_of_clusters_are_recovered():
    log, queries, chances = planted()
    router = ProxRouter(6, random_state=0).fit(log, log["score"])
    single = BestSingleRouter().fit(log, log["score"])
    assert routed(router, queries, chances) > routed(single, queries, chances) + 0.1
    assert np.abs(router.correctness_matrix(queries) - chances).mean() < 0.12
    means = single.correctness_matrix(queries)
    assert np.abs(means - chances).mean() > 0.2


def test_the_form_with_queries_is_knn_with_softmax_weights():
    log = make_log(3, (40, 40), n_queries=40)
    router = KNNRouter(10, weights="softmax", temperature=0.05)
    router.fit(log, log["score"])
    for x in np.random.default_rng(0).normal(size=(5, 16)):
        for column, name in enumerate(router.models_):
            rows = log[log["model"] == name]
            distances = cosine_distances(x, np.stack(rows["query"].tolist()))
            nearest = np.argsort(distances)[:10]
            weights = 0.1 * np.exp(-20 * distances[nearest])
            own = rows["score"].to_numpy()[nearest]
            expected = (weights * own).sum() / weights.sum()
            P = router.correctness_matrix(x[None])[0, column]
            assert pytest.approx(expected, abs=1e-5) == P


def test_new_models_change_no_bit_of_the_others():
    log = make_log(1)
    router = ProxRouter(5, random_state=0).fit(log, log["score"])
    queries = np.random.default_rng(0).normal(size=(50, 16))
    before = router.correctness_matrix(queries)
    new = make_log(2, (20, 9), n_queries=20)
    new = new.assign(model="new " + new["model"], query_id=new["query_id"] + 100)
    router.add_models(new, new["score"])
    assert_array_equal(router.correctness_matrix(queries)[:, :4], before)


def test_the_order_of_rows_changes_no_bit():
    log = make_log(4, repeats=10)
    queries = np.random.default_rng(0).normal(size=(9, 16))
    matrices = [
        ProxRouter(6, random_state=0)
        .fit(rows, rows["score"])
        .correctness_matrix(queries)
        for rows in (log, shuffled(log, 1))
    ]
    assert_array_equal(*matrices)


def test_a_model_far_from_a_query_has_its_mean():
    log = pool_of_parts(2, 0.1)
    side = np.array([row.argmax() for row in log["query"]])
    log = log[(log["model"] == "m0") | (side == 1)]
    router = ProxRouter(2, temperature=1e-4, random_state=0).fit(log, log["score"])
    P = router.correctness_matrix([[1.0, 0.0]])[0]
    own = log.loc[log["model"] == "m1", "score"]
    expected = (own.sum() + 2 * log["score"].mean()) / (len(own) + 2)
    assert P[1] == pytest.approx(expected, abs=1e-6)
