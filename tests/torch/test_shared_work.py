"""What the network computes once it does not compute again, and memory is bounded."""

import copy
import gc
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import make_log
from numpy.testing import assert_allclose, assert_array_equal
from small import SMALL

import skl_locus._torch.inference as inference
from skl_locus import LocusRouter
from skl_locus._data.evaluations import combine_rows
from skl_locus._data.queries import QuerySet
from skl_locus._networks.locus_state import InputMap, NetworkState
from skl_locus._torch.attention import Aggregation, TokenBlock
from skl_locus._torch.device import Placement
from skl_locus._torch.fit_locus import new_network
from skl_locus._torch.inference import embed
from skl_locus._torch.network import EvaluationTokenizer, NetworkConfig
from skl_locus._torch.shared_pairs import DistinctPairs
from skl_locus._torch.threads import parallel_map
from skl_locus._torch.weights import network_weights

N_FEATURES = 5
PLACEMENT = Placement(torch.device("cpu"), torch.float64, amp=False)


def make_state(placement=PLACEMENT, **shape):
    shape = {
        "n_components": 8,
        "n_latents": 3,
        "n_heads": 2,
        "dim_feedforward": 12,
    } | shape
    network = new_network(
        NetworkConfig(N_FEATURES, **shape), torch.Generator().manual_seed(0), placement
    )
    dtype = str(placement.dtype).removeprefix("torch.")
    identity = InputMap(np.zeros(N_FEATURES, dtype), np.eye(N_FEATURES, dtype=dtype))
    return NetworkState(vars(network.config), identity, network_weights(network))


def make_evaluations(sizes, levels, seed=0):
    """Make models that saw the first ``sizes`` queries, with scores of some levels."""
    rng = np.random.default_rng(seed)
    n_queries = max(sizes)
    queries = QuerySet(
        np.array([f"{i:05d}" for i in range(n_queries)], dtype="S16"),
        np.arange(n_queries, dtype=np.int32),
        rng.normal(size=(n_queries, N_FEATURES)).astype(np.float32),
    )
    codes = np.concatenate([np.arange(size) for size in sizes])
    scores = rng.integers(levels, size=len(codes)) / (levels - 1)
    return combine_rows(
        [f"m{i}" for i in range(len(sizes))],
        queries,
        np.repeat(np.arange(len(sizes)), sizes),
        codes,
        scores.astype(np.float32),
        np.ones(len(codes), dtype=int),
        "raise",
    )


@settings(max_examples=30)
@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 2**31 - 1), st.floats(0, 1, width=32)), min_size=1
    )
)
def test_distinct_pairs_give_back_what_they_were_made_of(pairs):
    queries = np.array([query for query, _ in pairs])
    scores = np.array([score for _, score in pairs], dtype=np.float32)
    distinct = DistinctPairs.of(queries, scores)
    assert_array_equal(distinct.used[distinct.queries[distinct.index]], queries)
    assert_array_equal(distinct.scores[distinct.index], scores)
    assert len(distinct.scores) == len(set(zip(queries, scores, strict=True)))
    assert_array_equal(distinct.used, np.unique(queries))


@pytest.fixture
def projected(monkeypatch):
    """Count rows that are projected: encodings by the tokenizer, tokens by blocks."""
    rows = {"encodings": 0, "first block": []}
    project = EvaluationTokenizer.project

    def count_encodings(self, encodings):
        rows["encodings"] += len(encodings)
        return project(self, encodings)

    monkeypatch.setattr(EvaluationTokenizer, "project", count_encodings)
    for block in TokenBlock.__subclasses__():

        def count_tokens(self, tokens, project=block.project):
            rows["first block"].append(tokens.numel() // tokens.shape[-1])
            return project(self, tokens)

        monkeypatch.setattr(block, "project", count_tokens)
    return rows


@pytest.mark.parametrize("attention", ["latent", "full"])
@pytest.mark.parametrize(("levels", "n_pairs"), [(2, 2 * 30), (3, 3 * 30)])
def test_encodings_and_pairs_are_projected_once(projected, attention, levels, n_pairs):
    state = make_state(attention=attention, n_layers=1)
    evaluations = make_evaluations([30] * 40, levels)
    embed(state, evaluations, PLACEMENT)
    assert projected["encodings"] == 30
    assert projected["first block"] == [n_pairs]


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    levels=st.integers(2, 9),
    bounds=st.tuples(*[st.integers(1, 30)] * 3),
)
def test_bounds_on_memory_change_no_embedding(sizes, levels, bounds):
    state, evaluations = make_state(), make_evaluations(sizes, levels)
    expected = embed(state, evaluations, PLACEMENT)
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in zip(
            ("MAX_PAIRS", "CHUNK_TOKENS", "CHUNK_ENCODINGS"), bounds, strict=True
        ):
            patch.setattr(inference, name, bound)
        assert_allclose(embed(state, evaluations, PLACEMENT), expected, atol=1e-10)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("reduced", [False, True])
def test_chunks_are_embedded_side_by_side_by_one_thread_each(
    monkeypatch, set_threads, n_threads, reduced
):
    state = make_state(Placement(torch.device("cpu"), torch.float32, amp=False))
    placement = replace(PLACEMENT, dtype=torch.float32, bfloat16_inference=reduced)
    evaluations = make_evaluations([9, 30, 4, 30, 17, 1, 22], 3)
    monkeypatch.setattr(inference, "CHUNK_TOKENS", 30)
    expected, seen = embed(state, evaluations, placement), set()
    attend = Aggregation.forward

    def watched(self, *arguments):
        seen.add((torch.get_num_threads(), torch.is_autocast_enabled("cpu")))
        return attend(self, *arguments)

    monkeypatch.setattr(Aggregation, "forward", watched)
    set_threads(n_threads)
    found = embed(state, evaluations, placement)
    assert torch.get_num_threads() == n_threads
    assert seen == {(1, reduced)}
    assert_allclose(found, expected, atol=1e-6)


def test_an_error_in_a_thread_is_raised(set_threads):
    def fail(task):
        raise MemoryError(f"task {task}")

    set_threads(2)
    with pytest.raises(MemoryError, match="task 0"):
        parallel_map(fail, range(4), torch.device("cpu"))


@pytest.mark.parametrize("shape", [(400, 200), (3, 20_000)])
def test_scoring_holds_few_hidden_units_at_a_time(shape):
    n_queries, n_models = shape
    state = make_state(Placement(torch.device("cpu"), torch.float32, amp=False))
    rng = np.random.default_rng(0)
    packed = state.pack(rng.normal(size=(n_models, 8)).astype(np.float32))
    encodings = rng.normal(size=(n_queries, N_FEATURES)).astype(np.float32)
    tracemalloc.start()
    logits = packed.logits(encodings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    all_hidden = logits.nbytes * len(packed.out)
    assert peak < 2 * logits.nbytes + 2**21 < all_hidden / 4


def test_bfloat16_is_for_embedding_alone():
    log = make_log(0)
    by_network = SMALL | {"geometry": "network"}
    full = LocusRouter(**by_network).fit(log, log.score)
    rounded = LocusRouter(**by_network, precision="bfloat16").fit(log, log.score)
    assert rounded.loss_curve_ == full.loss_curve_
    assert rounded.embeddings_.dtype == np.float32
    assert not np.array_equal(rounded.embeddings_, full.embeddings_)
    assert_allclose(rounded.embeddings_, full.embeddings_, atol=0.1)
    queries = np.stack(log["query"].tolist())
    assert_allclose(
        rounded.correctness_matrix(queries), full.correctness_matrix(queries), atol=0.02
    )


def test_a_network_is_rebuilt_once_and_gone_with_its_state(monkeypatch):
    log, loaded = make_log(0), []
    load = inference.load_network

    def counted(state, placement):
        loaded.append(placement.dtype)
        return load(state, placement)

    router = LocusRouter(**SMALL, geometry="network").fit(log, log.score)
    twin = copy.deepcopy(router)
    monkeypatch.setattr(inference, "load_network", counted)
    first = twin.embedder_.transform(log)
    pickled = pickle.dumps(twin)
    assert_array_equal(twin.embedder_.transform(log), first)
    assert loaded == [torch.float32]
    assert b"torch" not in pickled
    # Another precision is another network.
    twin.embedder_.precision = "float64"
    twin.embedder_.transform(log)
    assert loaded == [torch.float32, torch.float64]
    n_kept = len(inference._networks)
    del twin
    gc.collect()
    assert len(inference._networks) == n_kept - 1
