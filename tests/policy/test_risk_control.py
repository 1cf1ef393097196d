"""Finite-sample bounds: p-values, sequences of tests, and the level of a floor."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit
from scipy.stats import binom

from skl_locus._policy.fitting import PolicyGoal
from skl_locus._policy.floors import start_of_tests, try_floors
from skl_locus._policy.held_out import HeldOutScores
from skl_locus._policy.risk_control import (
    certified_in_sequence,
    risk_p_value,
    smallest_sample,
)
from skl_locus._policy.scored_queries import ScoredQueries

# P-values


@pytest.mark.parametrize("binary", [True, False])
def test_no_loss_at_all_by_hand(binary):
    assert_allclose(risk_p_value(np.zeros(10), 0.2, binary=binary), 0.8**10)
    assert risk_p_value(np.empty(0), 0.2, binary=binary) == 1.0


def test_losses_by_hand():
    losses = np.array([1.0, 0, 0, 0])
    expected = 0.5**4 * (1 + 4)  # none or one of four
    assert_allclose(risk_p_value(losses, 0.5, binary=True), expected)
    # 4 * KL(1/4 || 1/2), which is less than e times the above
    divergence = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert_allclose(risk_p_value(losses, 0.5, binary=False), np.exp(-4 * divergence))
    assert risk_p_value(np.ones(4), 0.5, binary=False) == 1.0


@pytest.mark.parametrize("limit", [0.1, 0.5])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_the_smallest_sample_is_just_enough(limit, alpha):
    n = smallest_sample(limit, alpha)
    assert risk_p_value(np.zeros(n), limit, binary=True) <= alpha
    assert risk_p_value(np.zeros(n - 1), limit, binary=True) > alpha


@pytest.mark.parametrize("kind", ["binary", "graded", "even"])
@pytest.mark.parametrize("limit", [0.1, 0.3])
def test_p_values_of_true_hypotheses_are_not_too_small(kind, limit):
    rng = np.random.default_rng(0)
    n_samples, n = 1000, 60
    if kind == "binary":
        samples = (rng.random((n_samples, n)) < limit).astype(float)
    elif kind == "graded":
        samples = rng.beta(2 * limit, 2 * (1 - limit), (n_samples, n))
    else:
        samples = rng.uniform(0, 2 * limit, (n_samples, n))
    p_values = np.array(
        [risk_p_value(own, limit, binary=kind == "binary") for own in samples]
    )
    for level in (0.01, 0.05, 0.2):
        assert (p_values <= level).sum() <= binom.ppf(0.999, n_samples, level)
    assert kind != "binary" or (p_values <= 0.2).any()


def test_certified_before_the_first_failure():
    assert certified_in_sequence(np.array([0.01, 0.05, 0.06, 0.0]), 0.05) == 2
    assert certified_in_sequence(np.array([0.2, 0.0]), 0.05) == 0
    assert certified_in_sequence(np.array([0.0, 0.0]), 0.05) == 2
    assert certified_in_sequence(np.empty(0), 0.05) == 0


# The level of a floor

FLOOR = 0.8
N_MODELS = 20
COSTS = np.arange(N_MODELS, dtype=float)


def draw_routes(rng, n_queries, *, graded=False):
    """Draw queries of a router whose P is noisy, and the truth behind them."""
    true = np.tile(rng.normal(1.2, 1.0, size=(n_queries, 1)), N_MODELS)
    noisy = true + rng.normal(scale=1.2, size=true.shape)
    truth = expit(true)
    scores = (rng.random(truth.shape) < truth).astype(float)
    if graded:
        scores = rng.beta(3 * truth, 3 * (1 - truth))
    P = expit(noisy)
    outlook = ScoredQueries(
        index=None,
        labels=np.array([f"m{i}" for i in range(N_MODELS)], dtype=object),
        available=np.ones(N_MODELS, dtype=bool),
        substitutes=None,
        decisions=P,
        probabilities=P,
        costs=np.tile(COSTS, (n_queries, 1)),
    )
    return HeldOutScores(outlook, scores), truth


def aims(confidence):
    return PolicyGoal(
        cost_weight=None,
        min_correctness=FLOOR,
        target_quality=None,
        target_cost=None,
        tune="cost_weight",
        n_standard_errors=1.0,
        tolerance=0.0,
        confidence=confidence,
        calibration="sigmoid",
    )


def true_quality(settled, population, truth):
    """Return the expected score of routes that reach the threshold."""
    known = HeldOutScores(population.scored, truth).corrected(settled.calibration)
    return try_floors(known, np.array([settled.threshold]))["quality"].iloc[0]


@pytest.mark.filterwarnings("ignore::skl_locus.exceptions.UnreachedTargetWarning")
@pytest.mark.parametrize("graded", [False, True])
def test_a_certified_floor_falls_short_as_rarely_as_it_says(graded):
    rng = np.random.default_rng(1)
    population, truth = draw_routes(rng, 20_000)
    n_logs, confidence = 50, 0.9
    qualities = []
    for _ in range(n_logs):
        held_out, _ = draw_routes(rng, 800, graded=graded)
        settled = aims(confidence).settle(held_out, training=None)
        if np.isfinite(settled.threshold):
            qualities.append(true_quality(settled, population, truth))
    short = (np.array(qualities) < FLOOR).sum()
    assert short <= binom.ppf(0.999, n_logs, 1 - confidence)
    assert len(qualities) > n_logs / 2  # or the bound would be of no use


def test_the_floor_taken_at_its_word_falls_short():
    # What the bound and the raised threshold are for: P is calibrated over all models
    # and queries, but the first model that seems to reach a floor does not.
    rng = np.random.default_rng(2)
    held_out, _ = draw_routes(rng, 5000)
    settled = aims(None).settle(held_out, training=None)
    population, truth = draw_routes(rng, 20_000)
    known = HeldOutScores(population.scored, truth).corrected(settled.calibration)
    at_its_word = try_floors(known, np.array([FLOOR]))["quality"].iloc[0]
    assert at_its_word < FLOOR - 0.02
    assert true_quality(settled, population, truth) >= FLOOR - 0.01
    assert settled.threshold > FLOOR


def test_tests_start_where_the_design_says():
    rng = np.random.default_rng(3)
    design, _ = draw_routes(rng, 3000)
    start = start_of_tests(design, FLOOR, 1000)
    trials = try_floors(design, np.array([FLOOR, start, 0.995]))
    quality, n_routes = trials["quality"].to_numpy(), trials["n_routes"].to_numpy()
    assert quality[1] > quality[0]
    assert n_routes[1] > n_routes[2]


def test_routes_that_were_not_observed_do_not_count():
    rng = np.random.default_rng(4)
    held_out, _ = draw_routes(rng, 500)
    seen = rng.random(held_out.scores.shape) < 0.5
    partial = HeldOutScores(held_out.scored, np.where(seen, held_out.scores, np.nan))
    whole = try_floors(held_out, np.array([0.5]))
    half = try_floors(partial, np.array([0.5]))
    assert half["coverage"].iloc[0] == whole["coverage"].iloc[0]
    assert 0.3 < half["n_routes"].iloc[0] / whole["n_routes"].iloc[0] < 0.7


def test_thresholds_are_those_of_decisions():
    rng = np.random.default_rng(5)
    held_out, _ = draw_routes(rng, 200)
    for threshold in (0.3, 0.8, 0.99):
        trial = try_floors(held_out, np.array([threshold])).iloc[0]
        outcome = held_out.outcome(None, threshold)
        assert trial["quality"] == outcome["quality_reached"]
        assert trial["coverage"] == outcome["coverage"]
        assert trial["cost"] == outcome["cost"]
