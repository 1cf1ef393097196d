"""The factor model finds planted factors and estimates new models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet, combine_rows, label_array
from skl_locus._data.queries import QuerySet
from skl_locus._estimation import factors
from skl_locus._estimation.factors import FactorModel

N_QUERIES, N_FEATURES = 300, 6


def query_set(n_queries=N_QUERIES, seed=0, prefix=b""):
    """Make queries with random encodings, whose keys are their numbers."""
    vectors = np.random.default_rng(seed).normal(size=(n_queries, N_FEATURES))
    keys = np.array([prefix + b"%08d" % i for i in range(n_queries)], dtype="S16")
    return QuerySet(keys, np.arange(n_queries, dtype=np.int32), np.float32(vectors))


def evaluations_of(scores, queries=None, names=None):
    """Turn a matrix (n_models, n_queries) with NaN for gaps into evaluations."""
    queries = query_set(scores.shape[1]) if queries is None else queries
    models, codes = np.nonzero(np.isfinite(scores))
    names = [f"m{i:03d}" for i in range(len(scores))] if names is None else names
    return combine_rows(
        names,
        queries,
        models,
        codes,
        scores[models, codes].astype(np.float32),
        np.ones(len(models), dtype=np.int32),
        "mean",
    )


def planted(n_models=24, n_queries=N_QUERIES, strength=2.0, seed=0):
    """Draw scores with two factors beside ability: (scores, probabilities)."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=(n_models, 1))
    difficulty = rng.normal(size=n_queries)
    skills = rng.normal(size=(n_models, 2))
    demands = rng.normal(size=(2, n_queries))
    P = expit(ability - difficulty + strength * skills @ demands / np.sqrt(2))
    return (rng.random(P.shape) < P).astype(float), P


def hidden(scores, share, seed=1):
    """Hide a share of the scores: (what is left, mask of the hidden ones)."""
    mask = np.random.default_rng(seed).random(scores.shape) < share
    return np.where(mask, np.nan, scores), mask


def log_loss(scores, P):
    P = np.clip(P, 0.01, 0.99)
    return -np.mean(scores * np.log(P) + (1 - scores) * np.log(1 - P))


def expected_scores(model, evaluations):
    abilities, factor_scores, _ = model.scores(evaluations)
    return model.expected_scores(abilities, factor_scores)


def test_planted_factors_predict_hidden_scores_better_than_ability():
    scores, P = planted()
    seen, mask = hidden(scores, 0.3)
    evaluations = evaluations_of(seen)
    model = FactorModel.fit(evaluations)
    abilities, factor_scores, _ = model.scores(evaluations)
    with_factors = model.expected_scores(abilities, factor_scores)
    without = model.expected_scores(abilities, np.zeros_like(factor_scores))
    gained = log_loss(scores[mask], without[mask]) - log_loss(
        scores[mask], with_factors[mask]
    )
    possible = log_loss(scores[mask], without[mask]) - log_loss(scores[mask], P[mask])
    assert gained > possible / 3


def test_without_factors_their_scores_vanish():
    scores, _ = planted(strength=0.0)
    model = FactorModel.fit(evaluations_of(scores))
    strong = FactorModel.fit(evaluations_of(planted()[0]))
    assert np.sqrt(model.scales).max() < np.sqrt(strong.scales).max() / 3


def test_a_new_model_is_recognised_on_other_queries():
    scores, P = planted(n_models=40)
    model = FactorModel.fit(evaluations_of(scores[:30]))
    halves = []
    for start in (0, 1):
        part = np.full((10, N_QUERIES), np.nan)
        part[:, start::2] = scores[30:, start::2]
        halves.append(expected_scores(model, evaluations_of(part)))
    distances = np.square(halves[0][:, None] - halves[1]).mean(axis=2)
    assert (distances.argmin(axis=1) == np.arange(10)).mean() >= 0.7
    # They are nearer to the truth than a model's ability alone would be.
    abilities = model.scores(evaluations_of(scores[30:]))[0]
    nothing = np.zeros((10, len(model.scales)))
    by_ability = model.expected_scores(abilities, nothing)
    errors = [np.square(E - P[30:]).mean() for E in (halves[0], by_ability)]
    assert errors[0] < 0.7 * errors[1]


def test_models_alone_and_together_are_the_same():
    scores, _ = planted()
    model = FactorModel.fit(evaluations_of(scores))
    evaluations = evaluations_of(hidden(scores, 0.5)[0])
    together = model.scores(evaluations)
    alone = model.scores(evaluations.only_models(["m005"]))
    for many, one in zip(together, alone, strict=True):
        assert_allclose(one[0], many[5], rtol=1e-9, atol=1e-12)


def test_more_evaluations_make_factor_scores_more_certain():
    scores, _ = planted()
    model = FactorModel.fit(evaluations_of(scores))
    few, many = (
        model.scores(evaluations_of(hidden(scores, share)[0]))[2]
        for share in (0.9, 0.2)
    )
    traces = few.trace(axis1=1, axis2=2) / many.trace(axis1=1, axis2=2)
    assert (traces > 1.2).all()
    assert np.linalg.eigvalsh(few).min() > 0


def test_queries_are_known_by_their_encoding_under_other_ids():
    scores, _ = planted()
    model = FactorModel.fit(evaluations_of(scores))
    renamed = evaluations_of(scores, query_set(prefix=b"other-"))
    for new, old in zip(
        model.scores(renamed), model.scores(evaluations_of(scores)), strict=True
    ):
        assert_array_equal(new, old)


def test_factors_of_unknown_queries_follow_from_their_encoding():
    queries = query_set()
    rng = np.random.default_rng(3)
    skills = rng.normal(size=(30, N_FEATURES))
    P = expit(2 * skills @ queries.vectors().T)
    scores = (rng.random(P.shape) < P).astype(float)
    model = FactorModel.fit(
        evaluations_of(scores[:, :200], queries.take(np.arange(200)))
    )
    rest = np.full(scores.shape, np.nan)
    rest[:, 200:] = scores[:, 200:]
    expected = expected_scores(model, evaluations_of(rest, queries))
    abilities = model.scores(evaluations_of(rest, queries))[0]
    alone = model.expected_scores(abilities, np.zeros((30, len(model.scales))))
    assert log_loss(scores[:, :200], expected) < log_loss(scores[:, :200], alone) - 0.02


@given(
    n_models=st.integers(2, 5),
    n_queries=st.integers(1, 6),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["any", "right", "wrong", "graded"]),
)
def test_any_log_gives_finite_scores(n_models, n_queries, seed, kind):
    rng = np.random.default_rng(seed)
    scores = {
        "any": rng.integers(2, size=(n_models, n_queries)).astype(float),
        "right": np.ones((n_models, n_queries)),
        "wrong": np.zeros((n_models, n_queries)),
        "graded": rng.random((n_models, n_queries)),
    }[kind]
    gaps = rng.random(scores.shape) < 0.3
    gaps[:, 0] = False
    evaluations = evaluations_of(np.where(gaps, np.nan, scores))
    model = FactorModel.fit(evaluations)
    expected = expected_scores(model, evaluations)
    assert expected.shape == (n_models, len(model.keys))
    assert np.isfinite(expected).all()
    assert ((expected >= 0) & (expected <= 1)).all()


def test_large_logs_are_learned_from_in_part(monkeypatch):
    monkeypatch.setattr(factors, "MAX_MODELS", 10)
    monkeypatch.setattr(factors, "MAX_QUERIES", 100)
    evaluations = evaluations_of(planted()[0])
    model = FactorModel.fit(evaluations)
    assert len(model.keys) == 100
    assert expected_scores(model, evaluations).shape == (24, 100)


def test_labels_of_any_kind_and_one_evaluation():
    scores = np.array([[1.0, np.nan], [np.nan, 0.0]])
    evaluations = evaluations_of(scores, names=label_array([1, "a"]))
    assert isinstance(evaluations, EvaluationSet)
    assert np.isfinite(expected_scores(FactorModel.fit(evaluations), evaluations)).all()


@pytest.mark.parametrize("n_factors", [1, 3, 50])
def test_the_number_of_factors_is_limited_by_the_models(n_factors):
    model = FactorModel.fit(evaluations_of(planted(n_models=6)[0]), n_factors)
    assert model.factors.shape == (N_QUERIES, min(n_factors, 5))


def test_factors_of_queries_follow_from_models_that_are_known():
    scores, _ = planted(n_models=60)
    log = evaluations_of(scores)
    model = FactorModel.fit(log, 2)
    abilities, factor_scores, _ = model.scores(log)
    again = model.factors_from(log, abilities, factor_scores)
    for k in range(2):
        assert np.corrcoef(again[:, k], model.factors[:, k])[0, 1] > 0.95
    # Half of the models say much the same, of queries that the fit has not seen too.
    half = evaluations_of(scores[:30])
    by_half = model.factors_from(half, abilities[:30], factor_scores[:30])
    other = evaluations_of(scores[30:])
    by_others = model.factors_from(other, abilities[30:], factor_scores[30:])
    for k in range(2):
        assert np.corrcoef(by_half[:, k], by_others[:, k])[0, 1] > 0.3


def test_expected_scores_on_chosen_queries_are_those_on_all():
    scores, _ = planted()
    log = evaluations_of(scores)
    model = FactorModel.fit(log)
    abilities, factor_scores, _ = model.scores(log)
    expected = model.expected_scores(abilities, factor_scores)
    chosen = np.arange(0, N_QUERIES, 7)
    some = model.expected_scores(abilities, factor_scores, log.queries.take(chosen))
    assert_allclose(some, expected[:, chosen], rtol=1e-12)
