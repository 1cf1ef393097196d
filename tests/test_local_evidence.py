"""Local evidence: its parts by hand, its weights, and what a new model changes."""

import copy

import numpy as np
import pytest
from scipy.special import expit, logit
from small import SMALL

from skl_locus import BestSingleRouter, LinearRouter, LocusRouter
from skl_locus._local import (
    CERTAIN,
    DECISION_NETWORK_SHARE,
    DECISION_WEIGHTS,
    NETWORK_SHARE,
    WEIGHTS,
    _fit_share,
    _fit_weights,
)
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import soft_log_loss

POOL = make_evaluations(n_models=6, n_queries=120, random_state=0)
LOG = POOL.evaluations
MODELS = np.arange(6)


@pytest.fixture(scope="module")
def router():
    return LocusRouter(**SMALL).fit(LOG, LOG["score"])


def parts(router):
    pool = router._fitted_pool()
    features = pool.local.features(POOL.encodings, MODELS)
    return pool.local, features, pool.predictor.logits(POOL.encodings)


def test_probabilities_and_decisions_are_the_documented_sums(router):
    local, features, network = parts(router)
    evidence = features @ local.weights
    h = local.network_share
    assert router.correctness_matrix(POOL.encodings) == pytest.approx(
        expit((1 - h) * evidence + h * network), abs=1e-6
    )
    h = DECISION_NETWORK_SHARE
    decisions = (1 - h) * (features @ np.array(DECISION_WEIGHTS)) + h * network
    best = router.models_[decisions.argmax(axis=1)]
    assert router.route(POOL.encodings).tolist() == best.tolist()


def test_the_first_part_is_the_mean_and_the_last_the_regression(router):
    _, features, _ = parts(router)
    single = BestSingleRouter().fit(LOG, LOG["score"])
    means = single.correctness_matrix(POOL.encodings)
    assert features[..., 0] == pytest.approx(logit(means), abs=1e-5)
    lines = LinearRouter().fit(LOG, LOG["score"])
    assert router._fitted_pool().local.regression.alpha == lines.alpha_
    values = lines.correctness_matrix(POOL.encodings).clip(CERTAIN, 1 - CERTAIN)
    assert features[..., -1] == pytest.approx(logit(values), abs=1e-4)


def test_cluster_means_lie_between_the_models_extremes(router):
    local, features, _ = parts(router)
    for i, clusters in enumerate(local.clusterings, start=1):
        assert len(np.unique(features[:, 0, i])) <= len(clusters)
    assert (np.abs(features) <= logit(1 - CERTAIN) + 1e-5).all()


def test_without_evaluations_weights_and_share_stay_where_they_start():
    none = np.empty((0, 5)), np.empty(0)
    assert _fit_weights(*none, 6) == pytest.approx(WEIGHTS)
    share = _fit_share(np.empty(0), np.empty(0), np.empty(0), 6)
    assert share == pytest.approx(NETWORK_SHARE, abs=1e-4)


def test_weights_move_to_what_predicts():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 5))
    scores = rng.random(20_000) < expit(2 * features[:, 1])
    weights = _fit_weights(features, scores.astype(float), 1)
    assert weights == pytest.approx([0, 2, 0, 0, 0], abs=0.1)


@pytest.mark.parametrize(("truth", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_share_moves_to_the_better_predictor(truth, expected):
    rng = np.random.default_rng(0)
    evidence, network = rng.normal(size=(2, 20_000))
    p = expit(evidence + truth * (network - evidence))
    scores = (rng.random(20_000) < p).astype(float)
    share = _fit_share(evidence, network, scores, 1)
    assert share == pytest.approx(expected, abs=0.05)


def test_it_predicts_better_than_the_network_alone_from_few_queries():
    pool = make_evaluations(n_models=12, n_queries=600, random_state=1)
    train = pool.evaluations["query_id"].isin(pool.queries["query_id"][:150])
    log, test = pool.evaluations[train], pool.evaluations[~train]
    losses = [
        soft_log_loss(
            test["score"],
            LocusRouter(**{**SMALL, "max_iter": 60, "local_evidence": evidence})
            .fit(log, log["score"])
            .predict_proba(test),
        )
        for evidence in (True, False)
    ]
    assert losses[0] < losses[1] - 0.01


def test_a_new_model_changes_nothing_for_the_others(router):
    few = LOG[LOG["model"] == "model-1"].head(30).assign(model="new")
    pool = copy.copy(router).add_models(few, few["score"])._fitted_pool()
    known = router._fitted_pool()
    assert pool.local.weights is known.local.weights
    before = known.judge(POOL.encodings, MODELS)
    for old, new in zip(before, pool.judge(POOL.encodings, MODELS), strict=True):
        assert np.array_equal(old, new)
