"""JEIRTRouter and MIRTRouter: formulas, planted structure, convex onboarding."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from small import SMALL_VECTORS

from skl_locus import BestSingleRouter, JEIRTRouter, MIRTRouter
from skl_locus._estimation.model_vectors import posterior_vector
from skl_locus._torch.device import resolve_placement
from skl_locus._torch.vector_networks import make_predictor
from skl_locus._torch.weights import load_module, to_tensor
from skl_locus.datasets import make_evaluations

PARAMETERS = {key: SMALL_VECTORS[key] for key in SMALL_VECTORS if key != "hidden_size"}
ROUTERS = {
    "je-irt": JEIRTRouter(**SMALL_VECTORS),
    "mirt": MIRTRouter(**PARAMETERS),
}
every_router = pytest.mark.parametrize("name", ROUTERS)

POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
QUERIES = POOL.encodings[:20]


def fit(router, log):
    return clone(router).fit(log, log["score"])


def weights_of(router):
    return router._pool.predictor.weights


# The formulas


def test_je_irt_is_the_documented_formula():
    router = fit(ROUTERS["je-irt"], LOG)
    weights = weights_of(router)
    hidden = QUERIES @ weights["hidden.weight"].T + weights["hidden.bias"]
    b = hidden.clip(min=0) @ weights["out.weight"].T + weights["out.bias"]
    norms = np.sqrt((b**2).sum(axis=1) + 1e-6)
    for column, theta in enumerate(router.embeddings_):
        logits = b @ theta / norms - norms
        P = router.correctness_matrix(QUERIES)[:, column]
        assert_allclose(P, expit(logits), atol=1e-5)
    assert_allclose(router.difficulty(QUERIES), norms, rtol=1e-4)
    assert router.difficulty([]).shape == (0,)


def test_mirt_is_the_documented_formula():
    router = fit(ROUTERS["mirt"], LOG)
    weights = weights_of(router)
    a = np.log1p(np.exp(QUERIES @ weights["discrimination.weight"].T))
    b = QUERIES @ weights["difficulty.weight"].T
    expected = expit(a @ router.embeddings_.T - b)
    assert (a > 0).all()
    assert_allclose(router.correctness_matrix(QUERIES), expected, atol=1e-5)


@every_router
def test_arrays_predict_as_the_network_does(name):
    router = fit(ROUTERS[name], LOG)
    predictor = router._pool.predictor
    placement = resolve_placement("cpu", "float32")
    network = load_module(
        lambda: make_predictor(predictor.shape), predictor.weights, placement
    )
    features = network.features(to_tensor(QUERIES, placement))
    for vector in router.embeddings_:
        vectors = torch.tensor(vector).expand(len(QUERIES), -1)
        expected = network(vectors, features).numpy()
        found = predictor.logits(QUERIES, vector[None])[:, 0]
        assert_allclose(found, expected, atol=1e-5)


def test_the_hidden_layer_is_twice_as_wide_as_an_encoding():
    router = fit(JEIRTRouter(max_iter=2, random_state=0), LOG)
    n_features = router.n_features_in_
    assert weights_of(router)["hidden.weight"].shape == (2 * n_features, n_features)
    assert router.embeddings_.shape == (6, 128)


def test_dropout_changes_the_training_alone():
    with_it = fit(ROUTERS["je-irt"], LOG)
    without = fit(clone(ROUTERS["je-irt"]).set_params(dropout=0.0), LOG)
    assert with_it.loss_curve_ != without.loss_curve_
    P = with_it.correctness_matrix(QUERIES)
    assert_array_equal(with_it.correctness_matrix(QUERIES), P)


def test_queries_without_any_known_word_are_trained_on():
    log = LOG.assign(query=[np.zeros(4)] * len(LOG), query_id=LOG["query_id"])
    log = log[log["query_id"].isin(log["query_id"].unique()[:20])]
    varied = LOG.assign(query=[cell[:4] for cell in LOG["query"]])
    log = pd.concat([log.assign(query_id="zero " + log["query_id"]), varied])
    router = fit(ROUTERS["je-irt"], log)
    assert np.isfinite(router.loss_curve_).all()
    assert np.isfinite(router.correctness_matrix(np.zeros((1, 4)))).all()


# Planted structure


def long_form(queries, chances, rng):
    scores = (rng.random(chances.shape) < chances).astype(float)
    query, model = np.indices(scores.shape).reshape(2, -1)
    return pd.DataFrame(
        {
            "model": [f"m{i}" for i in model],
            "query": list(queries[query]),
            "query_id": query,
            "score": scores.ravel(),
        }
    )


def projected(rng):
    """Vectors of the queries are their encodings, models prefer a topic each."""
    queries = rng.normal(size=(500, 4))
    b = 1.5 * queries
    thetas = 4 * np.vstack([np.eye(4), -np.eye(4)])
    norms = np.linalg.norm(b, axis=1, keepdims=True)
    return queries, expit(b / norms @ thetas.T - norms + 1.5)


def multidimensional(rng):
    """Positive discriminations of two abilities, of which models have one."""
    queries = rng.normal(size=(500, 4))
    a = np.logaddexp(3 * queries[:, :2], 0)
    thetas = np.tile([[1.5, -1.5], [-1.5, 1.5]], (4, 1))
    return queries, expit(a @ thetas.T - queries[:, 2:3])


LEARNING = {
    "je-irt": JEIRTRouter(
        n_components=8,
        hidden_size=32,
        dropout=0.1,
        max_iter=1500,
        learning_rate_init=0.01,
        random_state=0,
    ),
    "mirt": MIRTRouter(
        n_components=8, max_iter=1500, learning_rate_init=0.01, random_state=0
    ),
}


@pytest.fixture(
    scope="module", params=[("je-irt", projected), ("mirt", multidimensional)]
)
def planted(request):
    name, make = request.param
    rng = np.random.default_rng(0)
    queries, chances = make(rng)
    log = long_form(queries, chances, rng)
    known = (log["query_id"] < 400) & (log["model"] != "m7")
    router = fit(LEARNING[name], log[known])
    return name, router, log, queries[400:], chances[400:]


def mean_error(router, queries, chances, models):
    P = router.correctness_matrix(queries, [f"m{i}" for i in models])
    return np.abs(P - chances[:, models]).mean()


def test_the_methods_own_model_is_recovered(planted):
    _, router, log, queries, chances = planted
    known = (log["query_id"] < 400) & (log["model"] != "m7")
    single = fit(BestSingleRouter(), log[known])
    error = mean_error(router, queries, chances, range(7))
    assert error < 0.5 * mean_error(single, queries, chances, range(7))

    def routed(some):
        columns = [int(label[1:]) for label in some.route(queries)]
        return chances[np.arange(len(queries)), columns].mean()

    assert routed(router) > routed(single) + 0.1


def test_difficulty_is_recovered(planted):
    name, router, _, queries, _ = planted
    if name == "je-irt":
        norms = np.linalg.norm(queries, axis=1)
        assert np.corrcoef(router.difficulty(queries), norms)[0, 1] > 0.5


def test_a_new_model_is_learned_and_changes_no_bit_of_the_others(planted):
    _, router, log, queries, chances = planted
    weights = {key: value.copy() for key, value in weights_of(router).items()}
    vectors = router.embeddings_.copy()
    new = log[(log["model"] == "m7") & (log["query_id"] < 100)]
    router.add_models(new, new["score"])
    assert_array_equal(router.embeddings_[:7], vectors)
    for key, value in weights.items():
        assert_array_equal(weights_of(router)[key], value)
    flat = np.abs(new["score"].mean() - chances[:, 7]).mean()
    assert mean_error(router, queries, chances, [7]) < 0.6 * flat
    router.remove_models(["m7"])


# Onboarding


@pytest.mark.parametrize("n_queries", [1, 5, 40])
def test_a_new_vector_minimises_the_documented_loss(n_queries):
    rng = np.random.default_rng(n_queries)
    A, offsets = rng.normal(size=(n_queries, 12)), rng.normal(size=n_queries)
    y, center, precision = rng.random(n_queries), rng.normal(size=12), 0.7

    def loss(v):
        logits = A @ v + offsets
        losses = np.logaddexp(0, logits) - y * logits
        return losses.sum() + precision / 2 * ((v - center) ** 2).sum()

    found = posterior_vector(A, offsets, y, center, precision)
    expected = minimize(loss, center, tol=1e-12).x
    assert_allclose(found, expected, atol=1e-4)
    assert loss(found) <= loss(expected) + 1e-9


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_model_that_is_always_right_has_a_finite_vector(scale):
    rng = np.random.default_rng(0)
    A = scale * rng.normal(size=(30, 4))
    found = posterior_vector(A, -50 * np.ones(30), np.ones(30), np.zeros(4), 0.01)
    assert np.isfinite(found).all()
    P = expit(A @ found - 50)
    gradient = A.T @ (P - 1) + 0.01 * found
    assert np.abs(gradient).max() < 1e-3 * scale


@every_router
def test_a_vector_needs_few_evaluations_and_no_torch(name, monkeypatch):
    router = fit(ROUTERS[name], LOG)
    monkeypatch.setattr(torch, "tensor", None)
    new = LOG[LOG["model"] == "model-2"].head(1).assign(model="new")
    router.add_models(new, new["score"])
    # One evaluation moves the vector a little from the mean of the pool.
    mean = router.embeddings_[:6].mean(axis=0)
    spread = np.linalg.norm(router.embeddings_[:6] - mean, axis=1).mean()
    assert 0 < np.linalg.norm(router.embeddings_[6] - mean) < spread
