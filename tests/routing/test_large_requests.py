"""Routes and ranks of many models and queries, block by block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from small import SMALL

from skl_locus import BestSingleRouter, CostModel, KNNRouter, LocusRouter
from skl_locus._routing import decisions as _decisions
from skl_locus._routing import embedding_base as _embedding_routing
from skl_locus._routing.decisions import nearest_others, query_blocks, top_k
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=7, n_queries=40, observed=0.7, random_state=0)
LOG = POOL.evaluations
QUERIES = POOL.encodings[[3, 1, 3, *range(20)]]
COSTS = np.random.default_rng(1).random((len(QUERIES), 7))
ROUTERS = {
    "best": BestSingleRouter(),
    "knn": KNNRouter(3),
    "locus": LocusRouter(**SMALL),
}

FEW_VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.5, 1.0])
SCORES = arrays(
    np.float32, st.tuples(st.integers(0, 4), st.integers(1, 9)), elements=FEW_VALUES
)


@given(SCORES, st.data())
def test_top_k_is_the_beginning_of_a_stable_sort(scores, data):
    k = data.draw(st.integers(1, scores.shape[1]))
    order = np.argsort(-scores, axis=1, kind="stable")
    assert_array_equal(top_k(scores, k), order[:, :k])


def test_top_k_of_many_columns_and_ties():
    rng = np.random.default_rng(0)
    for n_values in (3, 100, 10_000):
        scores = rng.integers(n_values, size=(20, 5_000)).astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")
        for k in (1, 10, 4_999):
            assert_array_equal(top_k(scores, k), order[:, :k])


@given(st.integers(0, 20), st.integers(1, 20), st.integers(1, 40))
def test_blocks_cover_all_queries_and_are_bounded(n_queries, n_models, entries):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decisions, "CHUNK_SCORES", entries)
        blocks = list(query_blocks(n_queries, n_models))
    covered = [i for block in blocks for i in range(block.start, block.stop)]
    assert covered == list(range(n_queries))
    sizes = [block.stop - block.start for block in blocks]
    assert all(size == 1 or size * n_models <= entries for size in sizes)


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(router).fit(LOG, LOG.score) for name, router in ROUTERS.items()}


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("entries", [1, 14, 50])
def test_blocks_change_no_answer(fitted, name, entries, monkeypatch):
    router = fitted[name]
    routes, (labels, probabilities) = router.route(QUERIES), router.rank(QUERIES, 3)
    detour = router.route(QUERIES, unavailable=routes[:1])
    monkeypatch.setattr(_decisions, "CHUNK_SCORES", entries)
    assert_array_equal(router.route(QUERIES), routes)
    assert_array_equal(router.route(QUERIES, unavailable=routes[:1]), detour)
    ranking = router.rank(QUERIES, 3)
    assert_array_equal(ranking.labels, labels)
    assert_allclose(ranking.probabilities, probabilities, atol=1e-6)


@pytest.mark.parametrize("name", ROUTERS)
def test_no_matrix_is_larger_than_a_block(fitted, name, monkeypatch):
    pool_class = type(fitted[name]._pool)
    scores_and_probabilities, shapes = pool_class.scores_and_probabilities, []

    def watched(self, encodings, columns):
        shapes.append((len(encodings), len(columns)))
        return scores_and_probabilities(self, encodings, columns)

    monkeypatch.setattr(pool_class, "scores_and_probabilities", watched)
    monkeypatch.setattr(_decisions, "CHUNK_SCORES", 14)
    fitted[name].rank(QUERIES, 2)
    fitted[name].route(QUERIES)
    n_distinct = len(np.unique(QUERIES, axis=0))
    assert shapes == [(2, 7)] * n_distinct  # twice half as many blocks as queries
    shapes.clear()
    fitted[name].route(QUERIES, costs=COSTS, cost_weight=0.1)
    assert max(n_queries for n_queries, _ in shapes) <= 2


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("trade", [{"cost_weight": 0.3}, {"min_correctness": 0.5}])
@pytest.mark.parametrize("entries", [1, 14, 50])
def test_blocks_change_no_answer_with_costs(fitted, name, trade, entries, monkeypatch):
    router = fitted[name]
    routes = router.route(QUERIES, costs=COSTS, **trade)
    ranking = router.rank(QUERIES, 3, costs=COSTS, **trade)
    assert len(set(routes)) > 1
    monkeypatch.setattr(_decisions, "CHUNK_SCORES", entries)
    assert_array_equal(router.route(QUERIES, costs=COSTS, **trade), routes)
    in_blocks = router.rank(QUERIES, 3, costs=COSTS, **trade)
    assert_array_equal(in_blocks.labels, ranking.labels)
    assert_allclose(in_blocks.probabilities, ranking.probabilities, atol=1e-6)


@pytest.mark.parametrize("name", ROUTERS)
def test_no_queries_have_no_routes(fitted, name):
    assert fitted[name].route(QUERIES[:0]).shape == (0,)
    labels, probabilities = fitted[name].rank(QUERIES[:0], 2)
    assert labels.shape == probabilities.shape == (0, 2)


@pytest.mark.parametrize("name", ROUTERS)
def test_no_queries_cost_nothing(fitted, name):
    router = fitted[name]
    costs = CostModel(prices=dict.fromkeys(router.models_, (1.0, 2.0))).fit()
    assert router.route([], costs=costs, cost_weight=0.1).shape == (0,)
    ranking = router.rank([], 2, costs=costs, min_correctness=0.5)
    assert ranking.labels.shape == ranking.reached.shape == (0, 2)


@given(SCORES, st.integers(1, 9), st.integers(0, 8))
def test_nearest_others_are_the_beginning_of_a_stable_sort(distances, k, own):
    own = np.full(len(distances), own % distances.shape[1])
    order = np.argsort(distances, axis=1, kind="stable")
    others = order[order != own[:, None]].reshape(len(order), distances.shape[1] - 1)
    assert_array_equal(nearest_others(distances, own, k), others[:, :k])


def test_a_fallback_table_is_made_in_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(2_000, 8)).astype(np.float32)
    both = embeddings, embeddings
    whole = _embedding_routing.nearest_models(*both, 3, "euclidean")
    monkeypatch.setattr(_embedding_routing, "CHUNK_MIB", 1)
    chunked = _embedding_routing.nearest_models(*both, 3, "euclidean")
    assert_array_equal(whole, chunked)
