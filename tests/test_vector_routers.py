"""Routers with one free vector per model: networks, learning and onboarding."""

import copy
import pickle
import subprocess
import sys
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from small import SMALL_VECTORS

import skl_locus._vector_predictors
from skl_locus import BestSingleRouter, EmbedLLMRouter, IRTRouter
from skl_locus._torch.comparators import VectorNetwork, make_predictor
from skl_locus._torch.device import Placement
from skl_locus._torch.training import TrainingOptions, train
from skl_locus._torch.vectors import _batches, _initialize
from skl_locus._torch.weights import network_weights, new_module
from skl_locus._vector_predictors import (
    ItemResponsePredictor,
    ItemResponseShape,
    ProductPredictor,
    ProductShape,
)
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import soft_log_loss

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
ROUTERS = {
    "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
    "embedllm+": EmbedLLMRouter(**SMALL_VECTORS, n_hidden_layers=1),
    "irt": IRTRouter(**SMALL_VECTORS),
}
every_predictor = pytest.mark.parametrize("name", PREDICTORS)
every_router = pytest.mark.parametrize("name", ROUTERS)

POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
QUERIES = POOL.encodings[:20]


def of(name, **columns):
    return LOG[LOG.model == name].assign(**columns)


def fit(router, log):
    return clone(router).fit(log, log["score"])


@pytest.fixture(params=ROUTERS)
def router(request):
    return fit(ROUTERS[request.param], LOG)


# Networks


def make_network(shape, dtype="float64"):
    placement = Placement(torch.device("cpu"), getattr(torch, dtype), mixed=False)
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
    monkeypatch.setattr(skl_locus._vector_predictors, "CHUNK_ELEMENTS", 50)
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
    history = train(layer, loss, None, options)
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
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_epoch_has_every_row_once(n_rows, batch_size):
    per_epoch = -(-n_rows // batch_size)
    batches = _batches(n_rows, batch_size, np.random.default_rng(0))
    for _ in range(2):
        epoch = list(islice(batches, per_epoch))
        assert sorted(torch.cat(epoch).tolist()) == list(range(n_rows))
        assert all(0 < len(batch) <= batch_size for batch in epoch)


@every_router
def test_the_best_weights_are_kept(name):
    params = {"max_iter": 300, "n_iter_no_change": 3, "learning_rate_init": 0.05}
    router = fit(clone(ROUTERS[name]).set_params(**params), LOG)
    checks = 1 + np.argmax(router.validation_scores_)
    assert router.best_iter_ == checks * 3
    assert len(router.loss_curve_) == router.n_iter_ < 300


@every_router
def test_without_early_stopping_all_steps_are_done(name):
    router = fit(clone(ROUTERS[name]).set_params(early_stopping=False), LOG)
    assert router.n_iter_ == router.best_iter_ == SMALL_VECTORS["max_iter"]
    assert router.validation_scores_ == []


@every_router
def test_small_batches_train_too(name):
    router = fit(clone(ROUTERS[name]).set_params(batch_size=32), LOG)
    again = fit(router, LOG)
    assert_array_equal(again.embeddings_, router.embeddings_)
    assert np.isfinite(router.embeddings_).all()


@every_router
def test_training_changes_nothing_global_and_is_reproducible(name):
    before = torch.get_rng_state()
    first = fit(ROUTERS[name], LOG)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    second = fit(ROUTERS[name], LOG)
    assert second.loss_curve_ == first.loss_curve_
    assert_array_equal(second.embeddings_, first.embeddings_)
    other = fit(clone(ROUTERS[name]).set_params(random_state=1), LOG)
    assert not np.array_equal(other.embeddings_, first.embeddings_)


@every_router
def test_precision(name):
    single = fit(ROUTERS[name], LOG)
    double = fit(clone(ROUTERS[name]).set_params(precision="float64"), LOG)
    assert single.embeddings_.dtype == np.float32
    assert double.embeddings_.dtype == np.float64
    new = of("model-1", model="new")
    for router in (single, double):
        expected = router.embeddings_.dtype
        router.add_models(new, new.score)
        assert router.embeddings_.dtype == expected
        assert router.embeddings_.shape == (7, SMALL_VECTORS["n_components"])


# Planted structure


def two_groups(n_models=8, n_queries=240, seed=0):
    """Log of two groups: right on one half of the queries and wrong on the other."""
    rng = np.random.default_rng(seed)
    encodings = rng.normal(size=(n_queries, 6)).astype(np.float32)
    skill = np.arange(n_models) % 2
    chances = np.where((encodings[:, :1] > 0) == skill, 0.9, 0.2)
    scores = (rng.uniform(size=chances.shape) < chances).astype(float)
    query, model = np.indices(scores.shape).reshape(2, -1)
    log = pd.DataFrame(
        {
            "model": [f"m{i}" for i in model],
            "query": list(encodings[query]),
            "query_id": query,
            "score": scores.ravel(),
        }
    )
    return log[query < 160], encodings[160:], chances[160:]


LEARNING = {"max_iter": 400, "learning_rate_init": 0.01}


@pytest.fixture(scope="module", params=ROUTERS)
def planted(request):
    log, queries, chances = two_groups()
    router = fit(clone(ROUTERS[request.param]).set_params(**LEARNING), log)
    return router, log, queries, chances


def test_routing_finds_who_is_good_at_what(planted):
    router, log, queries, chances = planted

    def routed(some):
        columns = [int(label[1:]) for label in some.route(queries)]
        return chances[np.arange(len(queries)), columns].mean()

    assert routed(router) > 0.8
    assert routed(fit(BestSingleRouter(), log)) < 0.6


def test_models_of_a_group_are_predicted_alike(planted):
    # Free vectors keep much of their random start, so that vectors of a group need
    # not be near each other (LOCUS paper, Appendix F): look at predictions.
    router, _, queries, _ = planted
    similarity = np.corrcoef(router.correctness_matrix(queries).T)
    group = np.arange(8) % 2
    same = group[:, None] == group
    assert similarity[same].min() > 0.5
    assert similarity[~same].max() < -0.5


def test_a_new_model_is_learned_with_all_else_frozen(planted):
    router, log, queries, chances = planted
    router = copy.deepcopy(router)
    new = log[log.model == "m1"].head(64).assign(model="new")
    router.add_models(new, new.score)
    predicted = router.correctness_matrix(queries, ["new"])[:, 0]
    flat = np.full(len(queries), new.score.mean())
    truth = chances[:, 1]
    assert soft_log_loss(truth, predicted) < soft_log_loss(truth, flat) - 0.1


@every_router
def test_soft_scores_are_predicted_as_such(name):
    log, queries, _ = two_groups()
    log = log.assign(score=expit(np.stack(log["query"].to_list())[:, 0]))
    router = fit(clone(ROUTERS[name]).set_params(**LEARNING), log)
    error = router.correctness_matrix(queries) - expit(queries[:, :1])
    assert np.abs(error).mean() < 0.04  # the mean score is wrong by 0.17


# Onboarding


def predictor_bytes(router):
    return {k: v.tobytes() for k, v in router._pool.predictor.weights.items()}


def test_onboarding_changes_no_bit_of_anything_else(router):
    vectors, weights = router.embeddings_.copy(), predictor_bytes(router)
    new = of("model-2", model="new")
    router.add_models(new, new.score)
    router.add_models(of("model-0"), 1 - of("model-0").score, replace=True)
    assert predictor_bytes(router) == weights
    assert_array_equal(router.embeddings_[1:6], vectors[1:])
    assert not np.array_equal(router.embeddings_[0], vectors[0])
    assert router.loss_curve_ == fit(router, LOG).loss_curve_


def test_a_new_vector_depends_on_its_own_evaluations_only(router):
    a, b = of("model-1", model="a"), of("model-4", model="b")
    alone = copy.deepcopy(router).add_models(b, b.score).embeddings_[-1]
    both = pd.concat([a, b]).sample(frac=1, random_state=0)
    together = copy.deepcopy(router).add_models(both, both.score)
    assert_array_equal(together.embeddings_[-1], alone)
    later = copy.deepcopy(router).remove_models(["model-0", "model-5"])
    later.add_models(a, a.score).add_models(b, b.score)
    assert_array_equal(later.embeddings_[-1], alone)
    renamed = copy.deepcopy(router).add_models(b.assign(model="0"), b.score)
    assert_array_equal(renamed.embeddings_[-1], alone)


def test_regenerated_vectors_differ_from_the_original_by_training_alone(router):
    same = copy.deepcopy(router).add_models(LOG, LOG.score, replace=True)
    clones = LOG.assign(model="clone of " + LOG.model)
    router.add_models(clones, clones.score)
    assert_array_equal(same.embeddings_, router.embeddings_[6:])
    assert not np.array_equal(same.embeddings_, router.embeddings_[:6])
    assert predictor_bytes(same) == predictor_bytes(router)


def test_refining_is_onboarding_with_the_union(router):
    new = of("model-3", model="new")
    halves = new[::2], new[1::2]
    once = copy.deepcopy(router).add_models(new, new.score)
    for half in halves:
        router.add_models(half, half.score)
    assert_array_equal(router.embeddings_, once.embeddings_)
    router.add_models(halves[1], halves[1].score, replace=True)
    alone = copy.deepcopy(once).remove_models(["new"])
    alone.add_models(halves[1], halves[1].score)
    assert_array_equal(router.embeddings_, alone.embeddings_)
    assert not np.array_equal(router.embeddings_, once.embeddings_)


def test_predictions_are_those_of_the_embeddings(router):
    new = of("model-3", model="new")
    router.add_models(new, new.score)
    logits = router._pool.predictor.logits(QUERIES, router.embeddings_)
    assert_allclose(router.correctness_matrix(QUERIES), expit(logits), atol=1e-6)


# Persistence

LOAD_AND_PREDICT = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    router, queries = pickle.load(file)
router.correctness_matrix(queries), router.route(queries)
router.remove_models(["model-0"]).neighbors("model-1")
assert "torch" not in sys.modules
"""


def test_loading_and_predicting_need_no_torch(router, tmp_path):
    path = tmp_path / "router.pkl"
    path.write_bytes(pickle.dumps((router, QUERIES)))
    subprocess.run([sys.executable, "-c", LOAD_AND_PREDICT, path], check=True)
