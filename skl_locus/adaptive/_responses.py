"""Answers of a new model as the factor model of a pool expects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import score_deviations

NEWTON_STEPS = 12
"""Gauss-Newton steps, always as many, so that results do not depend on a tolerance."""

LARGEST_STEP = 2.0
"""Steps are cut there: far from the optimum the model is not nearly linear."""


@dataclass(frozen=True)
class ResponseModel:
    """Queries as a new model meets them.

    A model with ability a and factor scores w answers query q with the score

        y_q = p_q + s_q (w . f_q + e_q),  p_q = expit(a + b_q),  s_q^2 = p_q (1 - p_q),

    where e_q has the variance v_q: that of the noise, and what the uncertainty of f_q
    adds to it. The state theta = (a, w) has a normal prior, that of the pool's models.

    Parameters
    ----------
    easiness : ndarray of shape (n_queries,)
        b_q.
    factors : ndarray of shape (n_queries, n_factors)
        f_q.
    noise : ndarray of shape (n_queries,)
        v_q.
    center : ndarray of shape (1 + n_factors,)
        Prior mean of theta.
    variances : ndarray of shape (1 + n_factors,)
        Prior variances of theta.
    """

    easiness: np.ndarray
    factors: np.ndarray
    noise: np.ndarray
    center: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, model: Any, queries: QuerySet) -> ResponseModel:
        """Take the parameters of queries from a `FactorModel`, known or predicted."""
        easiness, factors, moments = model.parameters_of(queries)
        # Factors that few models' answers say little of are noise to a new model, so
        # that queries with large estimates by chance are not the most informative.
        spread = np.einsum("qkk->qk", moments) - factors**2
        noise = model.noise + spread.clip(min=0) @ model.scales
        center = np.append(model.center, np.zeros(factors.shape[1]))
        variances = np.append(1 / model.precision, model.scales)
        return cls(easiness, factors, noise, center, variances)

    def __len__(self) -> int:
        return len(self.easiness)

    def take(self, rows: np.ndarray) -> ResponseModel:
        """Keep some queries."""
        return ResponseModel(
            self.easiness[rows],
            self.factors[rows],
            self.noise[rows],
            self.center,
            self.variances,
        )

    def expected(self, theta: np.ndarray) -> np.ndarray:
        """Return the expected score on each query: (n_queries,)."""
        p = expit(theta[0] + self.easiness)
        deviations = score_deviations(p) * (self.factors @ theta[1:])
        return np.clip(p + deviations, 0, 1)

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Return how expected scores change with theta: (n_queries, 1 + n_factors)."""
        p = expit(theta[0] + self.easiness)
        s = score_deviations(p)
        return np.column_stack([p * (1 - p), s[:, None] * self.factors])

    def answer_variances(self, theta: np.ndarray) -> np.ndarray:
        """Return the variance of each answer around its expectation: (n_queries,)."""
        p = expit(theta[0] + self.easiness)
        return score_deviations(p) ** 2 * self.noise

    def directions(self, theta: np.ndarray) -> np.ndarray:
        """Return u_q, with which an answer adds u u^T to what is known of theta.

        The Fisher information of an answer: gradients over standard deviations.
        """
        deviations = np.sqrt(self.answer_variances(theta))
        return self.gradients(theta) / deviations[:, None]

    def posterior(self, scores: np.ndarray) -> Posterior:
        """Infer theta from some answers.

        Parameters
        ----------
        scores : ndarray of shape (n_queries,)
            Scores in [0, 1], NaN where there is none.

        Returns
        -------
        Posterior
            Mode and covariance (Laplace's approximation).
        """
        answered = np.flatnonzero(np.isfinite(scores))
        asked, y = self.take(answered), scores[answered]
        theta, prior = self.center, np.diag(1 / self.variances)
        # Ability and factor scores are found together: queries that are chosen for
        # their factors do not have them in balance, and an ability that is found first
        # takes part of their effect.
        for _ in range(NEWTON_STEPS):
            u = asked.directions(theta)
            p = expit(theta[0] + asked.easiness)
            expected = p + score_deviations(p) * (asked.factors @ theta[1:])
            misses = (y - expected) / np.sqrt(asked.answer_variances(theta))
            slope = u.T @ misses - (theta - self.center) / self.variances
            step = np.linalg.solve(u.T @ u + prior, slope)
            theta = theta + step.clip(-LARGEST_STEP, LARGEST_STEP)
        u = asked.directions(theta)
        return Posterior(theta, np.linalg.inv(u.T @ u + prior))


@dataclass(frozen=True)
class Posterior:
    """What is known of a new model.

    Parameters
    ----------
    theta : ndarray of shape (1 + n_factors,)
        Ability and factor scores.
    covariance : ndarray of shape (1 + n_factors, 1 + n_factors)
        Their uncertainty.
    """

    theta: np.ndarray
    covariance: np.ndarray
