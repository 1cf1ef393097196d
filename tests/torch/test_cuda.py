"""Training and embedding on a CUDA device: ``python -m pytest -m cuda``."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations

pytestmark = pytest.mark.cuda

POOL = make_evaluations(n_models=8, n_queries=120, random_state=0)
LOG = POOL.evaluations
ROUTER = LocusRouter(max_iter=24, device="cuda", random_state=0)


@pytest.fixture(scope="module")
def router():
    return clone(ROUTER).fit(LOG, LOG["score"])


def test_the_same_seed_gives_the_same_bits(router):
    again = clone(ROUTER).fit(LOG, LOG["score"])
    assert_array_equal(
        again.correctness_matrix(POOL.encodings),
        router.correctness_matrix(POOL.encodings),
    )


def test_rows_in_another_order_change_no_bit(router):
    mixed = LOG.sample(frac=1, random_state=1)
    again = clone(ROUTER).fit(mixed, mixed["score"])
    assert_array_equal(again.embeddings_, router.embeddings_)
    embedder = router.embedder_
    assert_array_equal(embedder.transform(mixed), embedder.transform(LOG))


def test_a_pickle_holds_no_tensors(router):
    assert b"torch" not in pickle.dumps(router)
    again = pickle.loads(pickle.dumps(router))
    assert_array_equal(
        again.correctness_matrix(POOL.encodings),
        router.correctness_matrix(POOL.encodings),
    )


def test_models_that_are_added_leave_the_others_alone(router):
    new = LOG[LOG["model"] == "model-0"].assign(model="new")
    more = pickle.loads(pickle.dumps(router)).add_models(new, new["score"])
    assert_array_equal(more.embeddings_[:8], router.embeddings_)
    assert_array_equal(
        more.correctness_matrix(POOL.encodings)[:, :8],
        router.correctness_matrix(POOL.encodings),
    )


def test_one_query_and_a_block_agree(router):
    block = router.correctness_matrix(POOL.encodings)
    single = [router.correctness_matrix(query[None]) for query in POOL.encodings]
    assert_allclose(np.concatenate(single), block, atol=1e-5)


def test_embeddings_are_those_of_the_processor(router):
    there = clone(ROUTER).set_params(geometry="network").fit(LOG, LOG["score"])
    on_cuda = there.embedder_.transform(LOG)
    embedder = there.embedder_
    embedder.device_ = "cpu"
    assert_allclose(embedder.transform(LOG), on_cuda, atol=5e-3)


@pytest.fixture
def any_block(monkeypatch):
    """Score blocks of any size on the device."""
    monkeypatch.setattr("skl_locus._locus.router.MIN_SCORES_ON_DEVICE", 1)


def test_blocks_on_the_device_are_those_of_the_processor(router, any_block):
    there = router.correctness_matrix(POOL.encodings)
    here = replace(router._pool, device="cpu")
    columns = np.arange(len(router.models_))
    queries = POOL.encodings.astype(np.float32)
    assert_allclose(there, here.correctness(queries, columns), atol=1e-5)
    best, P = router.rank(POOL.encodings)
    assert_array_equal(router.route(POOL.encodings), best[:, 0])
    assert_allclose(np.sort(P), np.sort(there), atol=1e-5)


def test_queries_in_another_order_change_no_bit_on_the_device(router, any_block):
    order = np.random.default_rng(0).permutation(len(POOL.encodings))
    whole = router.correctness_matrix(POOL.encodings)
    mixed = router.correctness_matrix(POOL.encodings[order])
    assert_array_equal(mixed, whole[order])


def test_a_pickle_holds_no_copy_of_the_device(router, any_block):
    router.correctness_matrix(POOL.encodings)
    assert b"torch" not in pickle.dumps(router)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_scores_on_the_processor(router, any_block):
    expected = router.correctness_matrix(POOL.encodings)
    child = os.fork()
    if child == 0:
        try:
            found = router.correctness_matrix(POOL.encodings)
            os._exit(0 if np.allclose(found, expected, atol=1e-5) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
