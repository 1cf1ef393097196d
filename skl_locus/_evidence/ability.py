"""Rasch difficulties of queries and abilities of models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._estimation.rasch import posterior_modes

if TYPE_CHECKING:
    from skl_locus._evidence.config import EvidenceConfig

MAX_QUADRATURE_POINTS = 256
"""Quadrature points for averages over the pool's queries; with more, means change by
less than a thousandth."""

PROBABILITY_CLIP_MEANS = 0.01
"""Means are kept this far from 0 and 1 before their logit is taken: the means that
evidence is made of are seldom known more closely."""


@dataclass(frozen=True)
class RaschDifficulties:
    """How often the pool's average model answers each query, as a logit.

    The Rasch (1PL) model with the difficulties -b_q known: a model's ability a is the
    optimum of the log loss of expit(a + b_q) over its evaluations plus a normal prior
    with the mean and the variance of the abilities in the pool. Its adjusted mean is
    the average of expit(a + b_q) over the pool's queries: what it would have scored on
    all of them.

    Parameters
    ----------
    keys : ndarray of shape (n_queries,)
        Digests of the pool's queries, ascending.
    logits : ndarray of shape (n_queries,)
        b_q for each of them.
    common : LinearPredictors of one model
        The average model's regression, which gives b_q for all other queries.
    quadrature_logits : ndarray of shape (n_points,)
        Evenly spaced quantiles of b_q over the pool's queries.
    center, precision : float
        Mean, and inverse of the variance, of the abilities in the pool.
    """

    keys: np.ndarray
    logits: np.ndarray
    common: LinearPredictors
    quadrature_logits: np.ndarray
    center: float
    precision: float

    @classmethod
    def fit(
        cls,
        evaluations: EvaluationSet,
        common: LinearPredictors,
        config: EvidenceConfig,
    ) -> RaschDifficulties:
        """Learn from the evaluations of a pool and the average model's regression."""
        # A model of the pool has its part in b_q. Without it abilities would come out
        # a little better, but a model that is added with the very evaluations of
        # another would get another ability than that one.
        logits = _query_logits(evaluations, common, config.difficulty_shrinkage)
        start = cls(
            evaluations.queries.keys,
            logits,
            common,
            _quantiles(logits),
            center=0.0,
            precision=config.ability_precision,
        )
        # Empirical Bayes: abilities under a wide prior give the prior for new models.
        abilities = start.abilities(evaluations)
        variance = max(float(abilities.var()), config.min_ability_variance)
        return replace(start, center=float(abilities.mean()), precision=1 / variance)

    def logits_of(self, queries: QuerySet) -> np.ndarray:
        """Return b_q of queries: (n_queries,)."""
        logits = self.common.values(queries.vectors())[:, 0]
        places = find_sorted(self.keys, queries.keys)
        return np.where(places < 0, logits, self.logits[places])

    def abilities(self, evaluations: EvaluationSet) -> np.ndarray:
        """Return the ability of each model: (n_models,)."""
        return posterior_modes(
            evaluations.model_codes,
            self.logits_of(evaluations.queries)[evaluations.query_codes],
            evaluations.scores.astype(np.float64),
            evaluations.n_models,
            self.center,
            self.precision,
        )

    def adjusted_means(self, evaluations: EvaluationSet) -> np.ndarray:
        """Return what each model would score on all the pool's queries: (n_models,)."""
        abilities = self.abilities(evaluations)
        return expit(abilities[:, None] + self.quadrature_logits).mean(axis=1)


def logit_of(means: np.ndarray) -> np.ndarray:
    """Return the logit of means, which are kept away from 0 and 1."""
    return logit(np.clip(means, PROBABILITY_CLIP_MEANS, 1 - PROBABILITY_CLIP_MEANS))


def _query_logits(
    evaluations: EvaluationSet, common: LinearPredictors, shrinkage: float
) -> np.ndarray:
    """Return the logit of each query's mean, shrunk to the regression."""
    codes, queries = evaluations.query_codes, evaluations.queries
    expected = expit(common.values(queries.vectors())[:, 0])
    sums = np.bincount(codes, evaluations.scores.astype(np.float64), len(queries))
    counts = np.bincount(codes, minlength=len(queries))
    return logit_of((sums + shrinkage * expected) / (counts + shrinkage))


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return midpoints of equally likely parts: a quadrature of equal weights."""
    count = min(len(values), MAX_QUADRATURE_POINTS)
    return np.quantile(values, (np.arange(count) + 0.5) / count)
