"""The network: equal to the plain reference, whole on any device, touching nothing."""

from dataclasses import replace

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from skl_locus._data.evaluations import combine_rows
from skl_locus._data.queries import QuerySet
from skl_locus._networks.locus_state import MIN_REDUCED, InputMap, NetworkState
from skl_locus._torch.device import Placement
from skl_locus._torch.fit_locus import new_network
from skl_locus._torch.inference import embed, load_network
from skl_locus._torch.network import LocusNetwork, NetworkConfig
from skl_locus._torch.training import soft_cross_entropy
from skl_locus._torch.weights import network_weights

CPU = torch.device("cpu")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
N_FEATURES = 7


def make_state(attention="latent", dtype=np.float64, bilinear=True):
    config = NetworkConfig(
        n_features=N_FEATURES,
        n_components=12,
        n_latents=5,
        n_layers=2,
        n_heads=3,
        dim_feedforward=20,
        attention=attention,
        predictor_hidden=6,
        bilinear=bilinear,
    )
    placement = Placement(CPU, getattr(torch, np.dtype(dtype).name), amp=False)
    network = new_network(config, torch.Generator().manual_seed(3), placement)
    identity = InputMap(np.zeros(N_FEATURES, dtype), np.eye(N_FEATURES, dtype=dtype))
    return NetworkState(vars(config), identity, network_weights(network)), placement


def make_evaluations(sizes, seed, *, graded):
    rng = np.random.default_rng(seed)
    n_queries = max(sizes)
    queries = QuerySet(
        np.array([f"{i:05d}" for i in range(n_queries)], dtype="S16"),
        np.arange(n_queries, dtype=np.int32),
        rng.normal(size=(n_queries, N_FEATURES)).astype(np.float32),
    )
    models = np.repeat(np.arange(len(sizes)), sizes)
    codes = np.concatenate([rng.permutation(n_queries)[:n] for n in sizes])
    scores = rng.uniform(size=len(codes))
    scores = (scores if graded else scores.round()).astype(np.float32)
    return combine_rows(
        [f"m{i}" for i in range(len(sizes))],
        queries,
        models,
        codes,
        scores,
        np.ones(len(codes), dtype=int),
        "raise",
    )


def reference_embeddings(state, evaluations):
    rows = [slice(*evaluations.offsets[i : i + 2]) for i in range(evaluations.n_models)]
    return np.array(
        [
            reference.embedding(
                state.weights,
                state.config,
                evaluations.queries.vectors(evaluations.query_codes[some]).astype(
                    np.float64
                ),
                evaluations.scores[some].astype(np.float64),
            )
            for some in rows
        ]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("attention", ["latent", "full"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    graded=st.booleans(),
)
def test_embeddings_equal_the_reference(attention, dtype, sizes, seed, graded):
    state, placement = make_state(attention, dtype)
    evaluations = make_evaluations(sizes, seed, graded=graded)
    np.testing.assert_allclose(
        embed(state, evaluations, placement),
        reference_embeddings(state, evaluations),
        atol=TOLERANCE[dtype] * 10,
        rtol=TOLERANCE[dtype],
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bilinear", [True, False])
def test_packed_predictor_equals_the_reference(dtype, bilinear):
    state, _ = make_state(dtype=dtype, bilinear=bilinear)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(4, 12)).astype(dtype)
    encodings = rng.normal(size=(9, N_FEATURES)).astype(dtype)
    expected = [
        [reference.logit(state.weights, state.config, z, phi) for z in embeddings]
        for phi in encodings
    ]
    np.testing.assert_allclose(
        state.pack(embeddings).logits(encodings), expected, atol=TOLERANCE[dtype]
    )


def test_packed_predictor_equals_the_trained_one():
    state, placement = make_state()
    rng = np.random.default_rng(1)
    embeddings, encodings = rng.normal(size=(3, 12)), rng.normal(size=(5, N_FEATURES))
    predictor = load_network(state, placement).predictor
    index = torch.arange(5).expand(3, -1)
    with torch.no_grad():
        logits = predictor(torch.tensor(embeddings), torch.tensor(encodings), index)
    np.testing.assert_allclose(
        state.pack(embeddings).logits(encodings), logits.T, atol=1e-12
    )


@pytest.mark.parametrize(("columns", "elements"), [(1, 1), (13, 40), (18, 10_000)])
def test_packed_predictor_in_small_tiles_is_the_same(monkeypatch, columns, elements):
    state, _ = make_state()
    rng = np.random.default_rng(2)
    packed = state.pack(rng.normal(size=(6, 12)))
    encodings = rng.normal(size=(11, N_FEATURES))
    whole = packed.logits(encodings)
    monkeypatch.setattr("skl_locus._networks.locus_state.TILE_COLUMNS", columns)
    monkeypatch.setattr("skl_locus._networks.locus_state.TILE_ELEMENTS", elements)
    np.testing.assert_allclose(packed.logits(encodings), whole, atol=1e-12)
    some = packed.take(np.array([4, 1])).logits(encodings)
    np.testing.assert_allclose(some, whole[:, [4, 1]], atol=1e-12)


@pytest.mark.parametrize("bilinear", [True, False])
def test_packed_predictor_scores_many_queries_by_way_of_their_inputs(bilinear):
    rng = np.random.default_rng(4)
    state, _ = make_state(bilinear=bilinear)
    # As fitted: more features than inputs, and a mean to be taken off.
    to_inputs = InputMap(rng.normal(size=20), rng.normal(size=(20, N_FEATURES)) / 4)
    packed = replace(state, input_map=to_inputs).pack(rng.normal(size=(5, 12)))
    encodings = rng.normal(size=(MIN_REDUCED, 20))
    products = Products(packed.inputs.input_map)
    many = replace(packed, inputs=replace(packed.inputs, input_map=products))
    found = many.logits(encodings)
    assert products.used
    as_before = replace(packed, inputs=None)
    np.testing.assert_allclose(found, as_before.logits(encodings), atol=1e-12)
    few = packed.logits(encodings[: MIN_REDUCED - 1])
    np.testing.assert_allclose(few, found[:-1], atol=1e-12)


class Products:
    """A matrix that remembers whether something was multiplied by it."""

    __array_ufunc__ = None

    def __init__(self, matrix):
        self.matrix, self.used = matrix, False

    def __rmatmul__(self, other):
        self.used = True
        return other @ self.matrix


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_predictor_scores_one_query_as_many(dtype):
    # Fewer queries than models take another order of the products.
    state, _ = make_state(dtype=dtype)
    rng = np.random.default_rng(3)
    packed = state.pack(rng.normal(size=(6, 12)).astype(dtype))
    encodings = rng.normal(size=(9, N_FEATURES)).astype(dtype)
    whole = packed.logits(encodings)
    assert whole.dtype == dtype
    for n in (1, 5):
        some = packed.logits(encodings[:n])
        assert some.dtype == dtype
        np.testing.assert_allclose(some, whole[:n], atol=TOLERANCE[dtype])
    assert packed.logits(encodings[:0]).shape == (0, 6)


def step_inputs(device):
    long = {"dtype": torch.long, "device": device}
    encodings = torch.ones(6, N_FEATURES, device=device)
    context = torch.ones(2, 4, **long)
    scores = torch.ones(2, 4, device=device)
    mask = torch.ones(2, 4, dtype=torch.bool, device=device)
    return encodings, context, scores, mask, torch.ones(2, 3, **long)


@pytest.mark.parametrize("attention", ["latent", "full"])
def test_gradients_flow_to_every_parameter(attention):
    state, placement = make_state(attention)
    network = load_network(state, placement).requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    encodings = torch.randn(6, N_FEATURES, generator=generator, dtype=torch.float64)
    index = torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5]])
    scores = torch.tensor([[0, 1, 1, 0], [1, 0, 0.5, 1]], dtype=torch.float64)
    logits = network(encodings, index, scores, None, index)
    soft_cross_entropy(logits, 1 - scores, torch.ones_like(scores)).backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert without == []


@pytest.mark.parametrize("attention", ["latent", "full"])
def test_a_whole_step_runs_on_the_meta_device(attention):
    # Any tensor made on another device raises here.
    state, _ = make_state(attention)
    with torch.device("meta"):
        network = LocusNetwork(NetworkConfig(**state.config)).train()
    logits = network(*step_inputs("meta"))
    targets = torch.ones(2, 3, device="meta")
    soft_cross_entropy(logits, targets, targets).backward()
    assert all(p.grad.device.type == "meta" for p in network.parameters())


@pytest.mark.parametrize("attention", ["latent", "full"])
def test_forward_stays_on_a_pretended_cuda_device(attention):
    state, _ = make_state(attention)
    with torch.device("meta"):
        network = LocusNetwork(NetworkConfig(**state.config)).eval()
    with FakeTensorMode(), torch.no_grad():
        weights = {
            name: torch.empty(value.shape, device="cuda")
            for name, value in state.weights.items()
        }
        logits = functional_call(network, weights, step_inputs("cuda"))
    assert logits.device.type == "cuda"
    assert logits.shape == (2, 3)


def test_input_map_conditions_and_is_affine():
    rng = np.random.default_rng(0)
    scales = np.array([10.0, 1.0, 0.1])
    X = (rng.normal(size=(500, 3)) * scales + 5).astype(np.float32)
    mapped = InputMap.fit(X, n_inputs=3)(X)
    deviations = mapped.std(axis=0)
    assert np.isclose((deviations**2).mean(), 1, atol=0.05)
    # Half whitening: a ratio of 100 between deviations becomes 10.
    assert np.isclose(deviations[0] / deviations[2], 10, rtol=0.1)


@pytest.mark.parametrize("shape", [(1, 4), (5, 1), (3, 8)])
def test_input_map_takes_degenerate_encodings(shape):
    X = np.ones(shape, dtype=np.float32)
    assert np.isfinite(InputMap.fit(X, n_inputs=2)(X)).all()
