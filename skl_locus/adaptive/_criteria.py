"""Criteria of the next query: D-optimal, V-optimal and mutual information."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

N_SCENARIOS = 16
"""Imagined courses of the answers to a batch, over which information is averaged."""


def d_optimal_gains(directions: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Rate queries by the volume of uncertainty about theta that they take away.

    gain(q) = log det(J + u_q u_q^T) - log det J = log(1 + u_q^T C u_q),
    where J is the information so far and C its inverse.

    Parameters
    ----------
    directions : ndarray of shape (n_queries, n_states)
        u_q.
    covariance : ndarray of shape (n_states, n_states)
        C.

    Returns
    -------
    ndarray of shape (n_queries,)
        Gains.
    """
    return np.log1p(_quadratic(directions, covariance))


def v_optimal_gains(
    directions: np.ndarray, covariance: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Rate queries by the predictive variance on targets that they take away.

    gain(q) = sum_t w_t (g_t^T C u_q)^2 / (1 + u_q^T C u_q)
            = u_q^T C G C u_q / (1 + u_q^T C u_q),  G = sum_t w_t g_t g_t^T,
    where g_t is the gradient of the expected score on target t. For the mean score
    alone, G = g g^T with g the mean gradient.

    Parameters
    ----------
    directions : ndarray of shape (n_queries, n_states)
        u_q.
    covariance : ndarray of shape (n_states, n_states)
        C.
    targets : ndarray of shape (n_states, n_states)
        G.

    Returns
    -------
    ndarray of shape (n_queries,)
        Gains.
    """
    taken = _quadratic(directions, covariance @ targets @ covariance)
    return taken / (1 + _quadratic(directions, covariance))


def mutual_information(
    weights: np.ndarray,
    probabilities: np.ndarray,
    entropies: np.ndarray | None = None,
) -> np.ndarray:
    """Rate queries by what their answer is expected to say of who answers.

    gain(q) = H(sum_m w_m p_mq) - sum_m w_m H(p_mq),  H(p) = -p log p - (1-p) log(1-p),
    with the known models m as particles, averaged over sets of weights.

    Parameters
    ----------
    weights : ndarray of shape (n_sets, n_models)
        Probabilities that it is model m; each set sums to one.
    probabilities : ndarray of shape (n_models, n_queries)
        p_mq, that model m answers q rightly.
    entropies : ndarray of shape (n_models, n_queries), default=None
        H(p_mq), where they are known already.

    Returns
    -------
    ndarray of shape (n_queries,)
        Gains in nats.
    """
    if entropies is None:
        entropies = _entropy(probabilities)
    mixed = _entropy(weights @ probabilities).mean(axis=0)
    return mixed - weights.mean(axis=0) @ entropies


class VarianceCriterion:
    """V-optimal gains for a batch, each choice updating the covariance.

    Parameters
    ----------
    directions, covariance, targets
        As for `v_optimal_gains`.
    """

    def __init__(
        self, directions: np.ndarray, covariance: np.ndarray, targets: np.ndarray
    ) -> None:
        self.directions = directions
        self.covariance = covariance
        self.targets = targets

    def gains(self) -> np.ndarray:
        """Return the gain of each query, given those that were taken."""
        return v_optimal_gains(self.directions, self.covariance, self.targets)

    def take(self, query: int) -> None:
        """Take a query: its answer will reduce the covariance, whatever it is."""
        u = self.directions[query]
        cu = self.covariance @ u
        self.covariance = self.covariance - np.outer(cu, cu) / (1 + u @ cu)


class DeterminantCriterion(VarianceCriterion):
    """D-optimal gains for a batch; no targets are looked at."""

    def __init__(self, directions: np.ndarray, covariance: np.ndarray) -> None:
        super().__init__(directions, covariance, np.zeros_like(covariance))

    def gains(self) -> np.ndarray:
        """Return the gain of each query, given those that were taken."""
        return d_optimal_gains(self.directions, self.covariance)


class IdentityCriterion:
    """Mutual information for a batch, averaged over imagined answers to its queries.

    Parameters
    ----------
    log_weights : ndarray of shape (n_models,)
        Log-probabilities that it is model m.
    probabilities : ndarray of shape (n_models, n_queries)
        That model m answers a query rightly.
    rng : numpy Generator
        Draws the imagined answers.
    """

    def __init__(
        self,
        log_weights: np.ndarray,
        probabilities: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        self.log_weights = (log_weights - logsumexp(log_weights))[None]
        # Single precision halves the time, and gains need no more.
        self.probabilities = probabilities.astype(np.float32, copy=False)
        self.rng = rng
        self.entropies = _entropy(self.probabilities)
        self.who: np.ndarray | None = None

    def gains(self) -> np.ndarray:
        """Return the gain of each query, given those that were taken."""
        weights = np.exp(self.log_weights).astype(np.float32)
        return mutual_information(weights, self.probabilities, self.entropies)

    def take(self, query: int) -> None:
        """Take a query: imagine its answer in each scenario, and learn from it."""
        if self.who is None:
            self._imagine()
        p = self.probabilities[:, query]
        is_right = self.rng.random(N_SCENARIOS) < p[self.who]
        # In each scenario one of the models answers all queries of the batch.
        likelihoods = np.where(is_right[:, None], p, 1 - p)
        log_weights = self.log_weights + np.log(likelihoods)
        self.log_weights = log_weights - logsumexp(log_weights, axis=1, keepdims=True)

    def _imagine(self) -> None:
        weights = np.exp(self.log_weights[0])
        # Evenly spaced quantiles represent the weights better than independent draws.
        points = (np.arange(N_SCENARIOS) + self.rng.random()) / N_SCENARIOS
        who = np.searchsorted(np.cumsum(weights), points)
        self.who = who.clip(max=len(weights) - 1)
        self.log_weights = np.repeat(self.log_weights, N_SCENARIOS, axis=0)


def _quadratic(directions: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return u^T M u of each direction: (n_queries,)."""
    return np.einsum("qi,qi->q", directions @ matrix, directions)


def _entropy(p: np.ndarray) -> np.ndarray:
    # Expected scores are kept away from 0 and 1, so that logarithms are finite.
    return -p * np.log(p) - (1 - p) * np.log1p(-p)
