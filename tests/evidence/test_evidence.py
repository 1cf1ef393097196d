"""Stacked evidence: its features by hand, its weights, and what a new model changes."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from small import SMALL

from skl_locus import BestSingleRouter, LocusRouter
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._estimation.linear_models import (
    choose_alpha,
    choose_common_alpha,
    fit_each,
    stack,
)
from skl_locus._evidence.cluster_means import shares_of, shrinkage_by_moments
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.weights import (
    fit_decision_weights,
    fit_share,
    fit_weights,
    reliability_of,
    starting_share,
)
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import soft_log_loss

POOL = make_evaluations(n_models=6, n_queries=120, random_state=0)
LOG = POOL.evaluations
MODELS = np.arange(6)
CONFIG = EvidenceConfig()
NAMES = list(CONFIG.names)


@pytest.fixture(scope="module")
def router():
    return LocusRouter(**SMALL).fit(LOG, LOG["score"])


def parts(router):
    pool = router._fitted_pool()
    values = pool.evidence.values(POOL.encodings, MODELS)
    return pool.evidence, dict(zip(NAMES, np.moveaxis(values, -1, 0), strict=True))


def novelty_weights(evidence, encodings):
    novelty = evidence.shared.novelty
    squares = novelty.clusters.squared_distances(encodings).min(axis=1)
    return novelty.weight(np.sqrt(squares))[:, None]


def documented(router, encodings):
    """Return P and decision scores by the formula of the documentation."""
    pool = router._fitted_pool()
    evidence, shared = pool.evidence, pool.evidence.shared
    h, w, d = shared.network_share, shared.weights, dict(shared.decision_weights)
    values = evidence.values(encodings, MODELS).astype(float)
    values = dict(zip(NAMES, np.moveaxis(values, -1, 0), strict=True))
    network, mean = pool.predictor.logits(encodings), values["mean"]
    known = novelty_weights(evidence, encodings)
    stacked = sum(w[name] * values[name] for name in NAMES)
    stacked = stacked.clip(-MAX_LOGIT, MAX_LOGIT)
    P = expit(mean + known * ((1 - h) * stacked + h * network - mean))
    of_mean = d.pop("mean")
    departures = sum(d[name] * (values[name] - mean) for name in d)
    departures = (1 - h) * departures + h * sum(d.values()) * (network - mean)
    reliability = evidence.sizes / (evidence.sizes + 100)
    return P, of_mean * mean + known * reliability * departures


@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_probabilities_and_decisions_are_the_documented_sums(router, moved):
    encodings = POOL.encodings + np.float32(moved)
    P, decisions = documented(router, encodings)
    assert router.correctness_matrix(encodings) == pytest.approx(P, abs=1e-5)
    best = router.models_[decisions.argmax(axis=1)]
    assert router.route(encodings).tolist() == best.tolist()


def test_far_from_all_known_queries_only_a_models_mean_counts(router):
    evidence = router._fitted_pool().evidence
    P = router.correctness_matrix(POOL.encodings[:5] + 50)
    means = np.tile(expit(evidence.anchor_logits), (5, 1))
    assert pytest.approx(means, abs=1e-5) == P


def test_features_are_the_mean_and_the_models_own_regression(router):
    evidence, values = parts(router)
    means = LOG.groupby("model")["score"].mean().to_numpy()
    assert expit(values["mean"][0]) == pytest.approx(means, abs=0.05)
    regression = evidence.shared.features["own_regression"].regression
    lines = fit_each(regression, router.models_, router._fitted_pool().evaluations)
    own = stack(lines, router.models_).values(POOL.encodings)
    assert values["own_regression"] == pytest.approx(own, abs=1e-5)


def test_the_average_model_has_a_penalty_of_its_own():
    # All models find the same queries hard: there is much to learn from all of them
    # together, and nothing of any one alone.
    rng = np.random.default_rng(0)
    encodings = rng.normal(size=(300, 4)).astype(np.float32)
    p = expit(2 * encodings[:, [0]] + rng.normal(size=(1, 12)))
    rows, models = np.indices((300, 12)).reshape(2, -1)
    log = pd.DataFrame(encodings[rows], columns=list("abcd"))
    log = log.assign(model=models.astype(str), query_id=rows.astype(str))
    evaluations = (
        BestSingleRouter()
        .fit(log, (rng.random((300, 12)) < p).ravel().astype(float))
        ._fitted_pool()
        .evaluations
    )
    common = choose_common_alpha(evaluations, "log_loss", "log_loss")
    own = choose_alpha(evaluations, "log_loss", "mean", "log_loss", common)
    assert own >= 10 * common


def test_cluster_means_are_averages_over_the_clusterings(router):
    evidence, values = parts(router)
    feature = evidence.shared.features["clusters"]
    assert sum(feature.shares) == pytest.approx(1)
    assert min(feature.shares) >= CONFIG.least_share
    cells = np.stack([part.clusters.assign(POOL.encodings) for part in feature.parts])
    n_cells = len(np.unique(cells, axis=1).T)
    assert len(np.unique(values["clusters"][:, 0].round(5))) <= n_cells
    assert (np.abs(values["clusters"]) <= MAX_LOGIT + 1e-5).all()


def test_clusterings_share_by_their_held_out_loss():
    config = EvidenceConfig(share_temperature=2.0, least_share=0.1)
    shares = shares_of(np.array([10.0, 12.0, 50.0]), config)
    assert shares == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0])
    assert shares_of(np.array([3.0]), config) == pytest.approx([1.0])


@pytest.mark.parametrize("n_groups", [4, 32])
def test_the_clusterings_that_fit_the_log_get_the_largest_share(n_groups):
    # Models are right or wrong on whole groups of queries.
    rng = np.random.default_rng(0)
    groups = np.arange(640) % n_groups
    encodings = 5 * rng.normal(size=(n_groups, 8))[groups]
    encodings = (encodings + rng.normal(size=(640, 8))).astype(np.float32)
    p = np.where(rng.random((n_groups, 6)) < 0.5, 0.1, 0.9)[groups]
    rows, models = np.indices((640, 6)).reshape(2, -1)
    log = pd.DataFrame(encodings[rows]).rename(columns=str)
    log = log.assign(model=models.astype(str), query_id=rows.astype(str))
    scores = (rng.random((640, 6)) < p).ravel().astype(float)
    router = LocusRouter(**SMALL).fit(log, scores)
    feature = router._fitted_pool().evidence.shared.features["clusters"]
    best = feature.parts[int(np.argmax(feature.shares))]
    assert n_groups / 2 <= len(best.clusters) <= 2 * n_groups


@pytest.mark.parametrize(
    ("specialization", "least", "most"), [(0.0, 25, 40), (6.0, 1, 10)]
)
def test_clusters_speak_where_models_differ_between_them(specialization, least, most):
    pool = make_evaluations(
        n_models=16, n_queries=400, specialization=specialization, random_state=0
    )
    log = pool.evaluations
    router = LocusRouter(**SMALL).fit(log, log["score"])
    parts = router._fitted_pool().evidence.shared.features["clusters"].parts
    assert all(least <= part.shrinkage <= most for part in parts)
    assert CONFIG.shrinkage_range == (1, 40)


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
    shrinkage = shrinkage_by_moments(sums, sums**2, counts, expected, (1, 40))
    assert 1 <= shrinkage <= 40


def test_without_evaluations_weights_and_share_stay_where_they_start():
    none = np.empty((0, len(NAMES))), np.empty(0)
    assert fit_weights(*none, 6, CONFIG) == pytest.approx(CONFIG.weights)
    no_rows = np.empty(0, dtype=int), np.empty(0)
    decision_weights = fit_decision_weights(*none, *no_rows, 6, CONFIG)
    assert decision_weights == pytest.approx(CONFIG.decision_weights)
    share = fit_share(np.empty(0), np.empty(0), np.empty(0), 6, 0.15, CONFIG)
    assert share == pytest.approx(0.15, abs=1e-4)


def test_the_network_starts_with_a_share_that_grows_with_the_queries():
    shares = [starting_share(n, CONFIG) for n in (0, 1000, 10**9)]
    full = CONFIG.network_share
    assert shares == pytest.approx([0, full / 2, full])


def test_weights_move_to_what_predicts():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, len(NAMES)))
    scores = rng.random(20_000) < expit(2 * values[:, 1])
    weights = fit_weights(values, scores.astype(float), 1, CONFIG)
    expected = {**dict.fromkeys(NAMES, 0), NAMES[1]: 2}
    assert weights == pytest.approx(expected, abs=0.1)


def test_choices_are_weighed_by_differences_within_queries_only():
    rng = np.random.default_rng(0)
    queries = np.repeat(np.arange(4000), 5)
    values = rng.normal(size=(20_000, len(NAMES)))
    # The second feature tells queries apart, the third what models do on each of them.
    values[:, 0] = 0.0
    values[:, 1] = rng.normal(size=4000)[queries]
    p = expit(values[:, 1] + values[:, 2])
    scores = (rng.random(20_000) < p).astype(float)
    reliability = reliability_of(np.full(20_000, 10_000), 100.0)
    weights = fit_decision_weights(values, scores, queries, reliability, 1, CONFIG)
    fitted, start = list(weights.values()), list(CONFIG.decision_weights.values())
    assert fitted[2] > 0.5
    # Nothing was learned of what does not differ between models.
    assert fitted[:2] == pytest.approx(start[:2])


def test_departures_of_models_with_few_evaluations_count_less_in_choices(router):
    few = LOG[LOG["model"] == "model-1"].head(8).assign(model="few")
    pool = copy.copy(router).add_models(few, few["score"])._fitted_pool()
    reliabilities = pool.packed_evidence.reliability
    reliability = dict(zip(pool.models, reliabilities, strict=True))
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
    share = fit_share(evidence, network, scores, 1, 0.2, CONFIG)
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
    assert pool.evidence.shared is known.evidence.shared
    before = known.scores_and_probabilities(POOL.encodings, MODELS)
    for old, new in zip(
        before, pool.scores_and_probabilities(POOL.encodings, MODELS), strict=True
    ):
        assert np.array_equal(old, new)
