"""Logs of other kinds than the given ones: small pools, other scores, uneven sizes."""

from dataclasses import replace

import numpy as np
from protocol import keep_models

SEED = 11
FEWEST_EVALUATIONS = 16
"""Of a model, where their numbers are uneven."""

FLIPPED = 0.1
"""Share of scores that are turned around."""

JUDGE_LEVELS, JUDGE_MEAN, JUDGE_EFFECT, JUDGE_NOISE = 5, 0.35, 0.3, 0.15
"""A judge of few levels who seldom gives the extremes: mean score of a wrong answer,
what a right one adds, and the standard deviation of the rest."""


def few_models(log, count, seed):
    """Draw a pool of that many models; None keeps all."""
    rng = np.random.default_rng([seed, SEED])
    drawn = rng.permutation(len(log.models))[:count]
    return keep_models(log, np.isin(np.arange(len(log.models)), drawn))


def other_scores(log, kind, seed):
    """Turn right and wrong into scores of a kind in `SCORES`."""
    rng = np.random.default_rng([seed, SEED])
    return replace(log, scores=SCORES[kind](log.scores, rng))


def given(scores, rng):
    return scores


def graded(scores, rng):
    """Grade at random: right in [0.5, 1], wrong below."""
    return (scores + rng.uniform(size=scores.shape)) / 2


def judged(scores, rng):
    """Let a noisy judge give one of few levels."""
    noise = JUDGE_NOISE * rng.normal(size=scores.shape)
    steps = JUDGE_LEVELS - 1
    levels = np.round(steps * (JUDGE_MEAN + JUDGE_EFFECT * scores + noise))
    return levels.clip(0, steps) / steps


def flipped(scores, rng):
    """Turn a share of the scores around: right is wrong, and wrong is right."""
    return np.where(rng.uniform(size=scores.shape) < FLIPPED, 1 - scores, scores)


SCORES = {"given": given, "flipped": flipped, "graded": graded, "judged": judged}


def uneven(seen, seed):
    """Keep from a few to all of a model's scores, evenly on a logarithmic scale."""
    rng = np.random.default_rng([seed, SEED])
    least = np.log(FEWEST_EVALUATIONS / len(seen))
    shares = np.exp(rng.permutation(np.linspace(least, 0, seen.shape[1])))
    return np.where(rng.uniform(size=seen.shape) < shares, seen, np.nan)
