"""Large blocks on a device: the same numbers, no trace of it, the processor elsewhere.

Any device runs the same code: here it is torch's CPU, for which routers pretend to have
been fitted on a GPU, or the meta device, which computes nothing.
"""

import copy
import gc
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from logs import make_log, shuffled
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from small import SMALL
from torch.utils._python_dispatch import TorchDispatchMode

from skl_locus import LocusRouter
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._torch import device_pool
from skl_locus._torch.device import inference_placement
from skl_locus._torch.device_pool import DevicePool

CPU = torch.device("cpu")
N_QUERIES = 40
QUERIES = np.random.default_rng(0).normal(size=(N_QUERIES, 16)).astype(np.float32)
FORMS = {
    "default": {},
    "network alone": {"local_evidence": False},
    "no bilinear term": {"bilinear": False},
    "all inputs": {"n_inputs": None, "n_components": 8},
}


def fitted(**parameters):
    log = make_log(0)
    router = LocusRouter(**{**SMALL, **parameters}).fit(log, log.score)
    # As if it had been fitted there: nothing else in a router depends on it.
    router.device_ = "cuda"
    router._pool = replace(router._pool, device="cuda")
    return router


@pytest.fixture(scope="module", params=FORMS)
def router(request):
    return fitted(**FORMS[request.param])


@pytest.fixture(scope="module")
def default_router():
    return fitted()


@pytest.fixture
def on_device(monkeypatch):
    """Compute any block by the code for devices, on torch's CPU."""
    used = []

    def choose(name):
        used.append(name)
        return CPU

    monkeypatch.setattr(device_pool, "chosen_device", choose)
    monkeypatch.setattr("skl_locus._locus.router.MIN_SCORES_ON_DEVICE", 1)
    return used


def test_results_are_those_of_numpy(router, on_device):
    plain = copy.copy(router)
    plain._pool = replace(router._pool, device="cpu")
    some = router.models_[[2, 0]]
    for models in (None, some):
        assert_allclose(
            router.correctness_matrix(QUERIES, models),
            plain.correctness_matrix(QUERIES, models),
            atol=1e-5,
        )
        found, expected = (r.rank(QUERIES, models=models) for r in (router, plain))
        assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        assert_array_equal(found.labels, expected.labels)
    assert_array_equal(router.route(QUERIES), plain.route(QUERIES))
    assert on_device == ["cuda"] * 5


def test_far_queries_are_discounted_as_by_numpy(default_router, on_device):
    far = 50 * QUERIES
    found = default_router.correctness_matrix(far)
    plain = replace(default_router._pool, device="cpu")
    columns = np.arange(len(plain.models))
    assert_allclose(found, plain.correctness(far, columns), atol=1e-5)


def test_parts_of_a_block_are_the_whole(default_router, on_device, monkeypatch):
    whole = default_router.correctness_matrix(QUERIES)
    monkeypatch.setattr(device_pool, "ROWS_AT_A_TIME", 7)
    monkeypatch.setattr(device_pool, "MAX_HIDDEN", 100)
    assert_allclose(default_router.correctness_matrix(QUERIES), whole, atol=1e-6)


def test_rows_in_another_order_change_no_bit(default_router, on_device):
    order = np.random.default_rng(1).permutation(N_QUERIES)
    whole = default_router.correctness_matrix(QUERIES)
    assert_array_equal(default_router.correctness_matrix(QUERIES[order]), whole[order])
    log = shuffled(make_log(0), 2)
    again = LocusRouter(**SMALL).fit(log, log.score)
    again._pool = replace(again._pool, device="cuda")
    assert_array_equal(again.correctness_matrix(QUERIES), whole)


def test_one_query_and_a_block_agree(default_router, on_device):
    block = default_router.correctness_matrix(QUERIES)
    single = [default_router.correctness_matrix(query[None]) for query in QUERIES]
    assert_allclose(np.concatenate(single), block, atol=1e-5)


def test_small_requests_stay_on_the_processor(default_router, on_device, monkeypatch):
    n_models = len(default_router.models_)
    least = "skl_locus._locus.router.MIN_SCORES_ON_DEVICE"
    monkeypatch.setattr(least, N_QUERIES * n_models + 1)
    default_router.correctness_matrix(QUERIES)
    assert on_device == []
    monkeypatch.setattr(least, N_QUERIES * n_models)
    default_router.correctness_matrix(QUERIES)
    assert on_device == ["cuda"]


def test_copies_are_made_once_and_replaced_with_the_pool(on_device, monkeypatch):
    router, made = fitted(), []
    make = DevicePool.of

    def counted(*arguments):
        made.append(1)
        return make(*arguments)

    monkeypatch.setattr(DevicePool, "of", counted)
    before = router.correctness_matrix(QUERIES)
    router.correctness_matrix(QUERIES)
    assert len(made) == 1
    new = make_log(0)
    new = new[new.model == new.model.iloc[0]].assign(model="new")
    router.add_models(new, new.score)
    after = router.correctness_matrix(QUERIES)
    assert len(made) == 2
    assert after.shape[1] == before.shape[1] + 1
    assert_allclose(after[:, :-1], before, atol=1e-6)


def test_copies_are_gone_with_their_pool(on_device):
    gc.collect()
    before = len(device_pool._copies)
    router = fitted()
    router.correctness_matrix(QUERIES)
    assert len(device_pool._copies) == before + 1
    del router
    gc.collect()
    assert len(device_pool._copies) == before


def test_pickles_copies_and_clones_have_no_tensors(on_device):
    router = fitted()
    state = pickle.dumps(router)
    router.correctness_matrix(QUERIES)
    assert pickle.dumps(router) == state
    assert b"torch" not in state
    n_copies = len(device_pool._copies)
    twins = pickle.loads(state), copy.deepcopy(router)
    assert len(device_pool._copies) == n_copies
    for twin in twins:
        assert_array_equal(
            twin.correctness_matrix(QUERIES), router.correctness_matrix(QUERIES)
        )
    assert not hasattr(clone(router), "_pool")


def test_without_such_a_device_the_processor_computes(default_router, monkeypatch):
    monkeypatch.setattr("skl_locus._locus.router.MIN_SCORES_ON_DEVICE", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plain = replace(default_router._pool, device="cpu")
    columns = np.arange(len(plain.models))
    assert_array_equal(
        default_router._pool.correctness(QUERIES, columns),
        plain.correctness(QUERIES, columns),
    )


def test_read_only_encodings_are_taken(default_router, on_device, recwarn):
    frozen = QUERIES.copy()
    frozen.setflags(write=False)
    pool, columns = default_router._pool, np.arange(3)
    assert_array_equal(
        pool.correctness(frozen, columns), pool.correctness(QUERIES, columns)
    )
    assert not len(recwarn)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_computes_on_the_processor(default_router, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_pool.chosen_device("cuda") == torch.device("cuda")
    child = os.fork()
    if child == 0:
        placed = inference_placement("cuda", "auto").device == CPU
        os._exit(0 if placed and device_pool.chosen_device("cuda") is None else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_float64_is_never_rounded_on_a_device():
    log = make_log(0)
    router = LocusRouter(**{**SMALL, "precision": "float64"}).fit(log, log.score)
    router.device_ = "cuda"
    assert router._serving_device() == "cpu"


class NoFloat64(TorchDispatchMode):
    """Refuse what Apple's GPUs have no arithmetic for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = result if isinstance(result, (list, tuple)) else [result]
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor):
                assert tensor.dtype != torch.float64, function
        return result


def test_nothing_is_computed_in_float64(router, on_device):
    with NoFloat64():
        router.correctness_matrix(QUERIES)
        router.rank(QUERIES, models=router.models_[:2])


def test_training_and_embedding_are_not_in_float64():
    log = make_log(0)
    router = LocusRouter(**SMALL, geometry="network")
    with NoFloat64():
        router.fit(log, log.score).embedder_.transform(log)


def test_float64_would_be_noticed():
    with NoFloat64(), pytest.raises(AssertionError):
        torch.ones(2) + torch.ones(2, dtype=torch.float64)


def test_everything_stays_on_the_device(router):
    # Nothing is computed there, but a tensor of another device fails.
    pool, meta = router._pool, torch.device("meta")
    copies = DevicePool.of(pool.predictor, pool.packed_evidence, MAX_LOGIT, meta)
    encodings = torch.empty(6, 16, device=meta)
    check_shapes(copies, encodings, torch.empty(2, dtype=torch.int64, device=meta))


def check_shapes(copies, encodings, columns):
    n_models = len(copies.predictor.embeddings)
    for some, n_columns in ((copies, n_models), (taken(copies, columns), 2)):
        for found in (some._correctness(encodings), *some._both(encodings)):
            assert found.shape == (len(encodings), n_columns)
            assert found.device.type == encodings.device.type
            assert found.dtype == torch.float32


def taken(copies, columns):
    evidence = copies.evidence
    return DevicePool(
        copies.predictor.take(columns),
        None if evidence is None else evidence.take(columns),
    )
