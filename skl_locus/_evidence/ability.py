"""Rasch difficulties of queries and abilities of models."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.linear_solvers import LinearPredictors

PRIOR_EVALUATIONS = 2.0
"""Evaluations that the regression counts for in how easy a query is."""

PRIOR_PRECISION = 0.5
"""Of abilities, before their spread in the pool is known."""

SMALLEST_VARIANCE = 0.05
"""Of abilities in a pool, so that a model may differ from a pool of equals."""

STEPS = 12
"""Newton steps, always as many, so that no model's result depends on another's."""

LARGEST_STEP = 2.0
"""Steps are cut there: far from the optimum the logistic loss is nearly straight."""

MAX_QUADRATURE_POINTS = 256
"""Queries by which the pool's queries are represented where means are taken."""

PROBABILITY_CLIP = 0.01
"""Means are kept this far from 0 and 1 before their logit is taken."""


@dataclass(frozen=True)
class RaschDifficulties:
    """How often the pool's average model answers each query, as a logit.

    A model's answers to easy queries tell less good of it than those to hard ones. Its
    ability a is the optimum of the log loss of expit(a + b_q) over its evaluations
    plus a normal prior with the mean and the variance of the abilities in the pool;
    its adjusted mean is the average of expit(a + b_q) over the pool's queries: what it
    would have scored on all of them. (A model of the pool has its part in b_q. Without
    it, abilities would be told a little better, but a model that is added with the
    very evaluations of another would be told otherwise than that one.)

    Parameters
    ----------
    keys : ndarray of shape (n_queries,)
        Digests of the pool's queries, ascending.
    logits : ndarray of shape (n_queries,)
        b_q for each of them.
    common : Lines of one model
        The average model's regression, which gives b_q for all other queries.
    quadrature_logits : ndarray of shape (n_stand_ins,)
        Evenly spaced quantiles of b_q over the pool's queries.
    center, precision : float
        Mean, and inverse of the variance, of the abilities in the pool.
    """

    keys: np.ndarray
    logits: np.ndarray
    common: LinearPredictors
    quadrature_logits: np.ndarray
    center: float = 0.0
    precision: float = PRIOR_PRECISION

    @classmethod
    def learn(
        cls, evaluations: EvaluationSet, common: LinearPredictors
    ) -> RaschDifficulties:
        """Learn from the evaluations of a pool and the average model's regression."""
        codes, queries = evaluations.query_codes, evaluations.queries
        expected = expit(common.values(queries.vectors())[:, 0])
        sums = np.bincount(codes, evaluations.scores.astype(np.float64), len(queries))
        counts = np.bincount(codes, minlength=len(queries))
        means = (sums + PRIOR_EVALUATIONS * expected) / (counts + PRIOR_EVALUATIONS)
        logits = logit_of(means)
        start = cls(queries.keys, logits, common, _quantiles(logits))
        abilities = start.abilities(evaluations)
        variance = max(float(abilities.var()), SMALLEST_VARIANCE)
        return replace(start, center=float(abilities.mean()), precision=1 / variance)

    def of(self, queries: QuerySet) -> np.ndarray:
        """Return b_q of queries: (n_queries,)."""
        logits = self.common.values(queries.vectors())[:, 0]
        places = np.searchsorted(self.keys, queries.keys).clip(max=len(self.keys) - 1)
        known = self.keys[places] == queries.keys
        return np.where(known, self.logits[places], logits)

    def abilities(self, evaluations: EvaluationSet) -> np.ndarray:
        """Return the ability of each model: (n_models,)."""
        offsets = self.of(evaluations.queries)[evaluations.query_codes]
        models, scores = evaluations.model_codes, evaluations.scores.astype(np.float64)
        abilities = np.full(evaluations.n_models, self.center)
        for _ in range(STEPS):
            p = expit(abilities[models] + offsets)
            shrinkage = self.precision * (abilities - self.center)
            gradient = np.bincount(models, scores - p) - shrinkage
            curvature = np.bincount(models, p * (1 - p)) + self.precision
            step = gradient / curvature
            abilities = abilities + step.clip(-LARGEST_STEP, LARGEST_STEP)
        return abilities

    def adjusted_means(self, evaluations: EvaluationSet) -> np.ndarray:
        """Return what each model would score on all the pool's queries: (n_models,)."""
        abilities = self.abilities(evaluations)
        return expit(abilities[:, None] + self.quadrature_logits).mean(axis=1)


def logit_of(means: np.ndarray) -> np.ndarray:
    """Return the logit of means, which are kept away from 0 and 1."""
    return logit(np.clip(means, PROBABILITY_CLIP, 1 - PROBABILITY_CLIP))


def _quantiles(values: np.ndarray) -> np.ndarray:
    count = min(len(values), MAX_QUADRATURE_POINTS)
    return np.quantile(values, (np.arange(count) + 0.5) / count)
