"""The criteria against their definitions, and the model behind them."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit

from skl_locus._estimation.factors import score_deviations
from skl_locus.adaptive._criteria import (
    DeterminantCriterion,
    IdentityCriterion,
    VarianceCriterion,
    d_optimal_gains,
    mutual_information,
    v_optimal_gains,
)
from skl_locus.adaptive._responses import ResponseModel

RNG = np.random.default_rng(0)
N, K = 30, 3
DIRECTIONS = RNG.standard_normal((N, K))
ROOT = RNG.standard_normal((K, K))
COVARIANCE = ROOT @ ROOT.T / 3
TARGETS = RNG.standard_normal((7, K))
G = TARGETS.T @ TARGETS / 7


def after(covariance, u):
    return np.linalg.inv(np.linalg.inv(covariance) + np.outer(u, u))


def test_d_optimal_gains_are_gains_of_the_log_determinant():
    before = np.linalg.slogdet(np.linalg.inv(COVARIANCE))[1]
    expected = [
        np.linalg.slogdet(np.linalg.inv(after(COVARIANCE, u)))[1] - before
        for u in DIRECTIONS
    ]
    assert d_optimal_gains(DIRECTIONS, COVARIANCE) == pytest.approx(expected)


def test_v_optimal_gains_are_drops_of_the_predictive_variance():
    expected = [
        np.mean([t @ (COVARIANCE - after(COVARIANCE, u)) @ t for t in TARGETS])
        for u in DIRECTIONS
    ]
    assert v_optimal_gains(DIRECTIONS, COVARIANCE, G) == pytest.approx(expected)


def test_mutual_information_is_that_of_the_joint_distribution():
    weights = RNG.dirichlet(np.ones(5))
    p = RNG.uniform(0.05, 0.95, (5, N))
    joint = np.stack([weights[:, None] * p, weights[:, None] * (1 - p)])
    of_answers = joint.sum(axis=1, keepdims=True)
    ratios = joint / (of_answers * weights[:, None])
    expected = (joint * np.log(ratios)).sum(axis=(0, 1))
    assert mutual_information(weights[None], p) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["variance", "determinant"])
def test_taking_a_query_is_learning_from_it(kind):
    if kind == "variance":
        criterion = VarianceCriterion(DIRECTIONS, COVARIANCE, G)
    else:
        criterion = DeterminantCriterion(DIRECTIONS, COVARIANCE)
    for query in (4, 4, 9):
        criterion.take(query)
    covariance = COVARIANCE
    for query in (4, 4, 9):
        covariance = after(covariance, DIRECTIONS[query])
    assert criterion.covariance == pytest.approx(covariance)
    expected = (
        v_optimal_gains(DIRECTIONS, covariance, G)
        if kind == "variance"
        else d_optimal_gains(DIRECTIONS, covariance)
    )
    assert criterion.gains() == pytest.approx(expected)


def test_a_query_that_repeats_another_gains_less():
    p = RNG.uniform(0.03, 0.97, (12, N))
    # Known answers repeat: two queries on which all models are sure and agree.
    p[:, 0] = p[:, 1] = np.where(np.arange(12) < 6, 0.97, 0.03)
    criterion = IdentityCriterion(np.zeros(12), p, np.random.default_rng(0))
    before = criterion.gains()
    assert before == pytest.approx(
        mutual_information(np.full((1, 12), 1 / 12), p), abs=1e-5
    )
    assert before.argmax() in (0, 1)
    criterion.take(0)
    assert criterion.gains()[1] < 0.4 * before[1]
    assert np.delete(criterion.gains(), [0, 1]).min() > -1e-6


def responses(n=80, k=2):
    rng = np.random.default_rng(1)
    return ResponseModel(
        easiness=rng.standard_normal(n),
        factors=rng.standard_normal((n, k)),
        noise=rng.uniform(0.5, 1.0, n),
        center=np.array([0.5, *np.zeros(k)]),
        variances=np.array([0.8, *np.full(k, 0.1)]),
    )


def test_gradients_are_those_of_the_expected_scores():
    model = responses()
    theta = np.array([0.3, 0.0, 0.0])
    for query in (0, 5, 9):
        numeric = approx_fprime(theta, lambda t, q=query: model.expected(t)[q], 1e-6)
        assert model.gradients(theta)[query] == pytest.approx(numeric, abs=2e-3)


def test_the_posterior_finds_the_state():
    model = responses(n=4000)
    rng = np.random.default_rng(2)
    theta = np.array([-0.4, 0.2, -0.15])
    scores = (rng.random(4000) < model.expected(theta)).astype(float)
    posterior = model.posterior(scores)
    errors = (posterior.theta - theta) / np.sqrt(np.diag(posterior.covariance))
    assert np.abs(errors).max() < 4
    assert np.sqrt(np.diag(posterior.covariance)).max() < 0.06


def test_the_posterior_without_factors_is_that_of_the_rasch_model():
    model = responses(k=0)
    ones = ResponseModel(
        model.easiness, model.factors, np.ones(80), model.center, model.variances
    )
    scores = np.full(80, np.nan)
    scores[:20] = np.arange(20) % 3 == 0

    def loss(a):
        p = expit(a + model.easiness[:20])
        y = scores[:20]
        return -np.sum(y * np.log(p) + (1 - y) * np.log1p(-p)) + np.sum(
            (a - 0.5) ** 2 / (2 * 0.8)
        )

    best = minimize(loss, [0.0], tol=1e-10).x[0]
    assert (score_deviations(expit(best + model.easiness[:20])) > 0.224).all()
    assert ones.posterior(scores).theta[0] == pytest.approx(best, abs=1e-4)


def test_without_scores_the_posterior_is_the_prior():
    model = responses()
    posterior = model.posterior(np.full(80, np.nan))
    assert posterior.theta == pytest.approx(model.center)
    assert posterior.covariance == pytest.approx(np.diag(model.variances))
