"""Networks of free vectors: equal in numpy and torch, and how they are trained."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import skl_locus._networks.vector_state
from skl_locus._networks.vector_state import (
    ItemResponsePredictor,
    ItemResponseShape,
    ProductPredictor,
    ProductShape,
)
from skl_locus._torch.device import Placement
from skl_locus._torch.fit_vectors import _batches, _initialize
from skl_locus._torch.training import TrainingOptions, train
from skl_locus._torch.vector_networks import VectorNetwork, make_predictor
from skl_locus._torch.weights import network_weights, new_module

N_FEATURES, N_COMPONENTS = 7, 6
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
PREDICTORS = {
    "EmbedLLM": (ProductPredictor, ProductShape(N_FEATURES, N_COMPONENTS, 0, 5)),
    "EmbedLLM+": (ProductPredictor, ProductShape(N_FEATURES, N_COMPONENTS, 1, 5)),
    "EmbedLLM++": (ProductPredictor, ProductShape(N_FEATURES, N_COMPONENTS, 2, 5)),
    "IRT-Net": (
        ItemResponsePredictor,
        ItemResponseShape(N_FEATURES, N_COMPONENTS, 3, 4),
    ),
}
every_predictor = pytest.mark.parametrize("name", PREDICTORS)


# Networks


def make_network(shape, dtype="float64"):
    placement = Placement(torch.device("cpu"), getattr(torch, dtype), amp=False)
    return new_module(
        lambda: VectorNetwork(4, N_COMPONENTS, make_predictor(shape)),
        _initialize,
        torch.Generator().manual_seed(3),
        placement,
    )


def draw_encodings(dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, N_FEATURES)).astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@every_predictor
def test_prediction_in_numpy_equals_the_network(name, dtype, monkeypatch):
    cls, shape = PREDICTORS[name]
    network = make_network(shape, dtype)
    for bias in (p for p in network.parameters() if p.dim() == 1):
        torch.nn.init.constant_(bias, 0.3)
    encodings = draw_encodings(dtype)
    index, models = np.indices((9, 4)).reshape(2, -1)
    with torch.no_grad():
        features = network.predictor.features(torch.tensor(encodings))
        expected = network(torch.tensor(models), features, torch.tensor(index))
    expected = expected.numpy().reshape(9, 4)
    vectors = network.vectors.detach().numpy()
    predictor = cls(shape, network_weights(network.predictor))
    logits = predictor.logits(encodings, vectors)
    assert logits.dtype == dtype
    assert_allclose(logits, expected, atol=TOLERANCE[dtype])
    monkeypatch.setattr(skl_locus._networks.vector_state, "CHUNK_ELEMENTS", 50)
    assert_allclose(
        predictor.logits(encodings, vectors), expected, atol=TOLERANCE[dtype]
    )


def test_embedllm_is_trained_on_the_cross_entropy_of_two_classes():
    network = make_network(PREDICTORS["EmbedLLM"][1]).predictor
    vectors, features = torch.eye(N_COMPONENTS).double().expand(2, -1, -1)
    scores = torch.linspace(0, 1, N_COMPONENTS).double()
    two_classes = torch.nn.functional.cross_entropy(
        network.out(vectors * features), torch.stack([1 - scores, scores], dim=1)
    )
    one_logit = torch.nn.functional.binary_cross_entropy_with_logits(
        network(vectors, features), scores
    )
    assert_allclose(one_logit.item(), two_classes.item(), atol=1e-12)


def test_item_response_by_hand():
    cls, shape = PREDICTORS["IRT-Net"]
    network = make_network(shape)
    predictor = cls(shape, network_weights(network.predictor))
    x, theta = draw_encodings(), network.vectors.detach().numpy()
    w = predictor.weights
    gate = np.exp(x @ w["gate.weight"].T)
    gate /= gate.sum(axis=1, keepdims=True)
    items = 0
    for expert, (layer, out) in enumerate(
        zip(
            np.split(w["hidden.weight"], 3),
            np.split(w["out.weight"], 3, axis=1),
            strict=True,
        )
    ):
        item = np.maximum(x @ layer.T, 0) @ out.T + w["offset.weight"][:, expert]
        items = items + gate[:, [expert]] * item
    a, b = items[:, :-1], items[:, [-1]]
    assert_allclose(predictor.logits(x, theta), a @ theta.T - b, atol=1e-12)


@every_predictor
def test_gradients_flow_to_every_parameter(name):
    network = make_network(PREDICTORS[name][1])
    features = network.predictor.features(torch.tensor(draw_encodings()))
    index = torch.arange(9)
    network(index % 4, features, index).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


@every_predictor
def test_a_step_runs_on_the_meta_device(name):
    # Any tensor made on another device raises here.
    with torch.device("meta"):
        network = VectorNetwork(4, N_COMPONENTS, make_predictor(PREDICTORS[name][1]))
        encodings, index = torch.ones(9, N_FEATURES), torch.ones(5, dtype=torch.long)
    features = network.predictor.features(encodings)
    network(index, features, index).sum().backward()
    assert all(p.grad.device.type == "meta" for p in network.parameters())


# Training


def test_the_loop_can_be_plain_adam():
    def make():
        layer = torch.nn.Linear(3, 1).double()
        for parameter in layer.parameters():
            torch.nn.init.constant_(parameter, 0.5)
        X = torch.tensor(draw_encodings()[:, :3])
        return layer, lambda: 100 * (layer(X) - X[:, :1].exp()).square().mean()

    layer, loss = make()
    options = TrainingOptions(
        max_iter=20,
        learning_rate_init=0.05,
        alpha=0.0,
        ema_decay=0.0,
        n_iter_no_change=1,
        tol=0.0,
        validate_every=20,
        schedule="constant",
        max_gradient_norm=np.inf,
    )
    history = train(layer, lambda: [loss], None, options)
    assert history.n_iter == history.best_iter == 20
    expected, loss = make()
    adam = torch.optim.Adam(expected.parameters(), lr=0.05)
    for _ in range(20):
        adam.zero_grad()
        loss().backward()
        adam.step()
    assert_allclose(
        layer.weight.detach().numpy(), expected.weight.detach().numpy(), atol=1e-9
    )


@given(n_rows=st.integers(1, 40), batch_size=st.integers(1, 50))
@settings(max_examples=30)
def test_every_epoch_has_every_row_once(n_rows, batch_size):
    per_epoch = -(-n_rows // batch_size)
    batches = _batches(n_rows, batch_size, np.random.default_rng(0))
    for _ in range(2):
        epoch = list(islice(batches, per_epoch))
        assert sorted(torch.cat(epoch).tolist()) == list(range(n_rows))
        assert all(0 < len(batch) <= batch_size for batch in epoch)
