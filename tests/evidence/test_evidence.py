"""Local evidence: its parts by hand, its weights, and what a new model changes."""

import copy

import numpy as np
import pytest
from scipy.special import expit
from small import SMALL

from skl_locus import BestSingleRouter, LinearRouter, LocusRouter
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.features import SHRINKAGE_RANGE, _shrinkage
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.weights import (
    DECISION_EVALUATIONS,
    DECISION_WEIGHTS,
    NETWORK_SHARE,
    WEIGHTS,
    fit_decision_weights,
    fit_share,
    fit_weights,
    reliability_of,
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


def trust_of(local, encodings):
    shared = local.shared
    middle = shared.clusterings[shared.middle]
    squares = middle.squared_distances(encodings).min(axis=1)
    return shared.reach.trust(np.sqrt(squares))[:, None]


def documented(router, encodings):
    """Return P and decision scores by the formula of the documentation."""
    pool = router._fitted_pool()
    local, h = pool.local, pool.local.shared.network_share
    features = local.features(encodings, MODELS).astype(float)
    network, mean = pool.predictor.logits(encodings), features[..., 0]
    trust = trust_of(local, encodings)
    evidence = (features @ local.shared.weights).clip(-MAX_LOGIT, MAX_LOGIT)
    P = expit(mean + trust * ((1 - h) * evidence + h * network - mean))
    of_mean, *of_others = local.shared.decision_weights
    departures = (features[..., 1:] - mean[..., None]) @ of_others
    departures = (1 - h) * departures + h * sum(of_others) * (network - mean)
    reliability = local.sizes / (local.sizes + DECISION_EVALUATIONS)
    return P, of_mean * mean + trust * reliability * departures


@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_probabilities_and_decisions_are_the_documented_sums(router, moved):
    encodings = POOL.encodings + np.float32(moved)
    P, decisions = documented(router, encodings)
    assert router.correctness_matrix(encodings) == pytest.approx(P, abs=1e-5)
    best = router.models_[decisions.argmax(axis=1)]
    assert router.route(encodings).tolist() == best.tolist()


def test_far_from_all_known_queries_only_a_models_mean_counts(router):
    local = router._fitted_pool().local
    P = router.correctness_matrix(POOL.encodings[:5] + 50)
    assert pytest.approx(np.tile(expit(local.mean_logits), (5, 1)), abs=1e-5) == P


def test_parts_are_the_mean_the_average_regression_and_the_models_own(router):
    local, features, _ = parts(router)
    means = LOG.groupby("model")["score"].mean().to_numpy()
    assert expit(features[0, :, 0]) == pytest.approx(means, abs=0.05)
    gaps = features[..., 4] - features[..., 0]
    assert np.ptp(gaps, axis=1) == pytest.approx(0, abs=1e-5)
    lines = LinearRouter().fit(LOG, LOG["score"])
    assert local.shared.regression.alpha == lines.alpha_
    values = lines.correctness_matrix(POOL.encodings)
    assert expit(features[..., 5]) == pytest.approx(values, abs=1e-4)


def test_cluster_means_follow_the_clusters(router):
    local, features, _ = parts(router)
    for i, clusters in enumerate(local.shared.clusterings, start=1):
        assert len(np.unique(features[:, 0, i])) <= len(clusters)
    assert (np.abs(features[..., :4]) <= MAX_LOGIT + 1e-5).all()


@pytest.mark.parametrize(
    ("specialization", "least", "most"), [(0.0, 25, 40), (6.0, 1, 10)]
)
def test_clusters_speak_where_models_differ_between_them(specialization, least, most):
    pool = make_evaluations(
        n_models=16, n_queries=400, specialization=specialization, random_state=0
    )
    log = pool.evaluations
    router = LocusRouter(**SMALL).fit(log, log["score"])
    shrinkages = router._fitted_pool().local.shared.shrinkages
    assert all(least <= shrinkage <= most for shrinkage in shrinkages)
    assert SHRINKAGE_RANGE == (1, 40)


@pytest.mark.parametrize("graded", [False, True])
def test_clusters_of_one_query_tell_nothing(graded):
    pool = make_evaluations(n_models=4, n_queries=40, graded=graded, random_state=0)
    evaluations = (
        BestSingleRouter()
        .fit(pool.evaluations, pool.evaluations["score"])
        ._fitted_pool()
        .evaluations
    )
    each = QueryClusters(pool.encodings.astype(np.float32))
    expected = np.full((40, 4), 0.5)
    sums, counts = each.totals(evaluations)
    assert (
        SHRINKAGE_RANGE[0]
        <= _shrinkage(sums, sums**2, counts, expected)
        <= SHRINKAGE_RANGE[1]
    )


def test_without_evaluations_weights_and_share_stay_where_they_start():
    none = np.empty((0, 6)), np.empty(0)
    assert fit_weights(*none, 6) == pytest.approx(WEIGHTS)
    no_rows = np.empty(0, dtype=int), np.empty(0)
    assert fit_decision_weights(*none, *no_rows, 6) == pytest.approx(DECISION_WEIGHTS)
    share = fit_share(np.empty(0), np.empty(0), np.empty(0), 6)
    assert share == pytest.approx(NETWORK_SHARE, abs=1e-4)


def test_weights_move_to_what_predicts():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 6))
    scores = rng.random(20_000) < expit(2 * features[:, 1])
    weights = fit_weights(features, scores.astype(float), 1)
    assert weights == pytest.approx([0, 2, 0, 0, 0, 0], abs=0.1)


def test_choices_are_weighed_by_differences_within_queries_only():
    rng = np.random.default_rng(0)
    queries = np.repeat(np.arange(4000), 5)
    features = rng.normal(size=(20_000, 6))
    # The second part tells queries apart, the third what models do on each of them.
    features[:, 0] = 0.0
    features[:, 1] = rng.normal(size=4000)[queries]
    p = expit(features[:, 1] + features[:, 2])
    scores = (rng.random(20_000) < p).astype(float)
    reliability = reliability_of(np.full(20_000, 10_000))
    weights = fit_decision_weights(features, scores, queries, reliability, 1)
    assert weights[2] > 0.5
    assert np.abs(weights[3:]).max() < 0.1
    # Nothing was learned of what does not differ between models.
    assert weights[:2] == pytest.approx(DECISION_WEIGHTS[:2])


def test_choices_trust_departures_of_models_with_few_evaluations_less(router):
    few = LOG[LOG["model"] == "model-1"].head(8).assign(model="few")
    pool = copy.copy(router).add_models(few, few["score"])._fitted_pool()
    reliability = dict(zip(pool.models, pool.evidence.reliability, strict=True))
    assert reliability["few"] == pytest.approx(8 / 108)
    assert reliability["model-1"] == pytest.approx(120 / 220)


def test_an_unknown_model_with_one_evaluation_is_taken_for_an_average_one(router):
    one = LOG.head(1).assign(model="one")
    pool = copy.copy(router).add_models(one, one["score"])._fitted_pool()
    P = pool.correctness(POOL.encodings, np.arange(7))
    assert abs(P[:, 6].mean() - P[:, :6].mean()) < 0.2


@pytest.mark.parametrize(("truth", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_share_moves_to_the_better_predictor(truth, expected):
    rng = np.random.default_rng(0)
    evidence, network = rng.normal(size=(2, 20_000))
    p = expit(evidence + truth * (network - evidence))
    scores = (rng.random(20_000) < p).astype(float)
    share = fit_share(evidence, network, scores, 1)
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
    assert pool.local.shared is known.local.shared
    before = known.scores_and_probabilities(POOL.encodings, MODELS)
    for old, new in zip(
        before, pool.scores_and_probabilities(POOL.encodings, MODELS), strict=True
    ):
        assert np.array_equal(old, new)
