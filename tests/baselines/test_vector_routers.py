"""Routers with one free vector per model: learning and onboarding."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from small import SMALL_VECTORS

from skl_locus import BestSingleRouter, EmbedLLMRouter, IRTRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import soft_log_loss

ROUTERS = {
    "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
    "embedllm+": EmbedLLMRouter(**SMALL_VECTORS, n_hidden_layers=1),
    "irt": IRTRouter(**SMALL_VECTORS),
}
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


# Training


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
