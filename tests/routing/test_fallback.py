"""Substitutes for models that are down."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import pairwise_distances
from small import SMALL, SMALL_VECTORS

from skl_locus import EmbedLLMRouter, IRTRouter, KNNRouter, LocusRouter
from skl_locus._routing import embedding_base as _embedding_routing
from skl_locus._routing.decisions import choose_best, nearest_others
from skl_locus._routing.embedding_base import _nearest_available
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=6, n_queries=60, random_state=0)
LOG = POOL.evaluations


EMBEDDING = [
    LocusRouter(**SMALL),
    EmbedLLMRouter(**SMALL_VECTORS),
    IRTRouter(**SMALL_VECTORS),
]


@pytest.fixture(scope="module", params=EMBEDDING, ids=lambda r: type(r).__name__)
def router(request):
    return clone(request.param).fit(LOG, LOG["score"])


def test_by_hand_the_nearest_available_model_answers():
    scores = np.array([[0.9, 0.5, 0.8], [0.1, 0.7, 0.2]])
    available = np.array([False, True, True])
    embeddings = np.array([[0.0], [1.0], [2.0]])
    substitutes = _nearest_available(embeddings, embeddings, available)
    assert substitutes.tolist() == [1, 1, 2]
    assert choose_best(scores, available, substitutes).tolist() == [1, 1]


def test_substitutes_are_sought_among_few_distances_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(500, 3))
    available = rng.random(500) < 0.5
    expected = _nearest_available(embeddings, embeddings, available)
    distances = np.where(available, pairwise_distances(embeddings), np.inf)
    np.testing.assert_array_equal(expected[~available], distances.argmin(1)[~available])
    monkeypatch.setattr(_embedding_routing, "CHUNK_MIB", 0.01)
    tracemalloc.start()
    found = _nearest_available(embeddings, embeddings, available)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, expected)
    assert peak < distances.nbytes / 4


def test_by_hand_others_are_ordered_with_ties_by_column():
    distances = np.array([[0.0, 2.0, 1.0, 1.0], [2.0, 0.0, 0.0, 5.0]])
    others = nearest_others(distances, np.array([0, 1]), 2)
    assert others.tolist() == [[2, 3], [2, 0]]


def test_route_follows_the_fallback_table(router):
    table = router.fallback_table(5)
    first = router.route(POOL.encodings)
    down = set(first[:1])
    substitute = table.loc[first[0], 1]
    routed = router.route(POOL.encodings, unavailable=down, fallback="neighbor")
    assert (routed[first == first[0]] == substitute).all()
    assert (routed[first != first[0]] == first[first != first[0]]).all()


def test_the_table_orders_all_other_models_by_distance(router):
    table = router.fallback_table(99)
    assert table.shape == (6, 5)
    assert table.index.tolist() == router.models_.tolist()
    distances = pairwise_distances(router.embeddings_)
    for name, row in table.iterrows():
        columns = [router.models_.tolist().index(other) for other in row]
        own = distances[router.models_.tolist().index(name)]
        assert (np.diff(own[columns]) >= 0).all()
        assert name not in set(row)
        assert router.neighbors(name, 5).index.tolist() == row.tolist()


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_a_senseless_number_of_substitutes_is_refused(router, k):
    with pytest.raises(ValueError, match="k must be an integer"):
        router.fallback_table(k)
    with pytest.raises(ValueError, match="k must be an integer"):
        router.neighbors(router.models_[0], k)


def test_a_router_without_embeddings_says_so():
    router = KNNRouter().fit(LOG, LOG["score"])
    with pytest.raises(ValueError, match="needs embeddings"):
        router.route(POOL.encodings, unavailable=["model-0"], fallback="neighbor")
