"""Abilities given the difficulty of the queries: by hand, and what they promise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from skl_locus import BestSingleRouter
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._estimation.rasch import NEWTON_STEPS
from skl_locus._evidence.ability import RaschDifficulties
from skl_locus._evidence.config import EvidenceConfig

CONFIG = EvidenceConfig()

FLAT = LinearPredictors(np.zeros((1, 2)), np.array([0.4]))
"""An average model that finds all queries equally easy."""


def evaluations_of(scores):
    """Put a matrix (n_queries, n_models), NaN where unobserved, into a set."""
    query, model = np.nonzero(np.isfinite(scores))
    table = pd.DataFrame(
        {
            "model": [f"m{i}" for i in model],
            "query": [np.array([i, i % 3], dtype=float) for i in query],
            "query_id": query,
        }
    )
    router = BestSingleRouter().fit(table, scores[query, model])
    return router._fitted_pool().evaluations


def planted(n_queries=400, n_models=6, seed=0, observed=1.0):
    rng = np.random.default_rng(seed)
    hard, able = rng.normal(size=(n_queries, 1)) * 1.5, np.linspace(-1, 1, n_models)
    scores = (rng.random((n_queries, n_models)) < expit(able - hard)).astype(float)
    scores[rng.random(scores.shape) > observed] = np.nan
    return scores, hard[:, 0], able


def test_the_logit_of_a_query_is_that_of_its_shrunk_mean():
    evaluations = evaluations_of(np.array([[1.0, 1.0], [0.0, 1.0]]))
    difficulties = RaschDifficulties.fit(evaluations, FLAT, CONFIG)
    totals = np.bincount(evaluations.query_codes, evaluations.scores)
    shrinkage = CONFIG.difficulty_shrinkage
    means = (totals + shrinkage * expit(0.4)) / (2 + shrinkage)
    assert difficulties.logits_of(evaluations.queries) == pytest.approx(logit(means))


def test_queries_not_of_the_pool_are_as_easy_as_the_regression_says():
    difficulties = RaschDifficulties.fit(evaluations_of(planted(30)[0]), FLAT, CONFIG)
    other = evaluations_of(planted(400)[0])
    known = np.isin(other.queries.keys, difficulties.keys)
    assert known.sum() == 30
    assert difficulties.logits_of(other.queries)[~known] == pytest.approx(0.4)


def test_abilities_are_the_penalised_optimum():
    evaluations = evaluations_of(planted()[0])
    difficulties = RaschDifficulties.fit(evaluations, FLAT, CONFIG)
    abilities = difficulties.abilities(evaluations)
    offsets = difficulties.logits_of(evaluations.queries)[evaluations.query_codes]
    p = expit(abilities[evaluations.model_codes] + offsets)
    gradient = np.bincount(evaluations.model_codes, evaluations.scores - p)
    gradient -= difficulties.precision * (abilities - difficulties.center)
    assert gradient == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_models_without_variation_settle_within_the_steps(score):
    scores = planted(40)[0]
    scores[:, 0] = score
    evaluations = evaluations_of(scores)
    difficulties = RaschDifficulties.fit(evaluations, FLAT, CONFIG)
    abilities = difficulties.abilities(evaluations)
    assert NEWTON_STEPS < 20
    assert np.isfinite(abilities).all()
    extreme = abilities.argmax() if score else abilities.argmin()
    assert extreme == 0


def test_two_models_asked_queries_of_unlike_difficulty_are_told_apart():
    scores, hard, _ = planted(n_queries=300, n_models=10, seed=1)
    order = np.argsort(hard)
    easy, difficult = order[:150], order[150:]
    # The weaker model is asked easy queries only, the stronger one hard ones only.
    scores[difficult, 3] = np.nan
    scores[easy, 6] = np.nan
    evaluations = evaluations_of(scores)
    raw = evaluations.model_means()
    adjusted = RaschDifficulties.fit(evaluations, FLAT, CONFIG).adjusted_means(
        evaluations
    )
    assert raw[3] > raw[6] + 0.2
    assert adjusted[3] < adjusted[6]


def test_adjusted_means_are_nearer_to_the_whole_log_than_means():
    whole, *_ = planted(n_queries=600, n_models=24, seed=2)
    errors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        few = np.where(rng.random(whole.shape) < 0.2, whole, np.nan)
        few[rng.integers(0, 600, 24), np.arange(24)] = whole[0]
        evaluations = evaluations_of(few)
        level = LinearPredictors(np.zeros((1, 2)), logit([evaluations.scores.mean()]))
        difficulties = RaschDifficulties.fit(evaluations, level, CONFIG)
        truth = whole.mean(axis=0)[[int(m[1:]) for m in evaluations.model_names]]
        adjusted = difficulties.adjusted_means(evaluations)
        gaps = [evaluations.model_means() - truth, adjusted - truth]
        errors.append([np.square(gap).mean() for gap in gaps])
    raw, adjusted = np.mean(errors, axis=0)
    assert adjusted < 0.9 * raw


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0))
def test_no_ability_depends_on_other_models(seed, observed):
    scores, *_ = planted(n_queries=40, n_models=5, seed=seed, observed=observed)
    scores[0] = 1.0
    scores[1] = 0.0
    evaluations = evaluations_of(scores)
    difficulties = RaschDifficulties.fit(evaluations, FLAT, CONFIG)
    together = difficulties.abilities(evaluations)
    alone = difficulties.abilities(evaluations.only_models(["m3"]))
    assert alone[0] == together[3]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 39))
def test_a_better_answer_never_lowers_a_mean(seed, query):
    scores, *_ = planted(n_queries=40, n_models=5, seed=seed)
    difficulties = RaschDifficulties.fit(evaluations_of(scores), FLAT, CONFIG)
    lower, higher = scores.copy(), scores.copy()
    lower[query, 2], higher[query, 2] = 0.0, 1.0
    means = [
        difficulties.adjusted_means(evaluations_of(changed))
        for changed in (lower, higher)
    ]
    assert means[0][2] < means[1][2]
