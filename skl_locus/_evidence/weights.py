"""Weights of local evidence and the network, kept near what real logs gave."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

WEIGHTS = (-0.2, 0.25, 0.2, 0.1, 0.325, 0.325)
"""Weights of a model's mean, its three cluster means, the average model's regression
and its own, where held-out evaluations do not tell otherwise."""

DECISION_WEIGHTS = (1.0, 0.3, 0.3, 0.1, 0.0, 0.3)
"""The same for choosing among models: of a model's mean, and of how far the others are
from it. The best probabilities are not the best choices: weights made for log loss
lean on the regression, whose errors models share, and choices do better with several
kinds of evidence about even."""

DECISION_PENALTY = 6.0
"""Penalty, per model, that keeps the weights for choosing near them."""

STEEPNESS = 0.2
"""Probability per unit of a logit, on average: p (1 - p)."""

DECISION_EVALUATIONS = 100.0
"""Evaluations at which a choice trusts what is known near a query half."""

WEIGHT_PENALTY = 10.0
"""Penalty, per model, that keeps the weights in these proportions. The evaluations of
one query are not independent, so that more models tell less than more queries do."""

SIZE_PENALTY = 3.0
"""Penalty, per model, that keeps their common size."""

NETWORK_SHARE = 0.2
"""Share of the network's logit where held-out evaluations do not tell otherwise."""

SHARE_PENALTY = 20.0
"""Penalty, per model, that keeps the share near it. The held-out queries also stopped
the network's training, which flatters it there."""


def fit_weights(features: np.ndarray, scores: np.ndarray, n_models: int) -> np.ndarray:
    """Minimise soft cross-entropy over sizes times (`WEIGHTS` plus departures).

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_parts)
        Evidence about held-out evaluations.
    scores : ndarray of shape (n_rows,)
        Their scores.
    n_models : int
        Number of models.

    Returns
    -------
    ndarray of shape (n_parts,)
        Weights.
    """
    X, y, start = features.astype(np.float64), scores.astype(np.float64), WEIGHTS
    size_penalty, penalty = SIZE_PENALTY * n_models, WEIGHT_PENALTY * n_models

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        size, departures = parameters[0], parameters[1:]
        proportions = start + departures
        z = X @ (size * proportions)
        loss = np.sum(np.logaddexp(0, z) - y * z)
        loss += size_penalty / 2 * (size - 1) ** 2
        loss += penalty / 2 * departures @ departures
        slope = X.T @ (expit(z) - y)
        by_size = slope @ proportions + size_penalty * (size - 1)
        return loss, np.append(by_size, size * slope + penalty * departures)

    initial = np.append(1.0, np.zeros(len(start)))
    best = minimize(objective, initial, jac=True, method="L-BFGS-B").x
    return best[0] * (start + best[1:])


def fit_decision_weights(
    features: np.ndarray,
    scores: np.ndarray,
    queries: np.ndarray,
    reliability: np.ndarray,
    n_models: int,
) -> np.ndarray:
    """Regress differences between models on the same query, near `DECISION_WEIGHTS`.

    What makes a query hard for all models explains most of the scores and nothing of
    the choice: least squares within queries leaves it out.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_parts)
        Evidence about held-out evaluations, a model's mean first.
    scores : ndarray of shape (n_rows,)
        Their scores.
    queries : ndarray of shape (n_rows,), int
        Which query each of them is about.
    reliability : ndarray of shape (n_rows,)
        Trust in the departures from the mean.
    n_models : int
        Number of models.

    Returns
    -------
    ndarray of shape (n_parts,)
        Weights of the mean and of the departures from it.
    """
    mean = features[:, :1].astype(np.float64)
    departures = reliability[:, None] * (features[:, 1:] - mean)
    X = STEEPNESS * _within(np.hstack([mean, departures]), queries)
    y = _within(scores[:, None].astype(np.float64), queries)[:, 0]
    start = np.array(DECISION_WEIGHTS)
    penalty = DECISION_PENALTY * STEEPNESS * n_models * np.eye(len(start))
    return np.linalg.solve(X.T @ X + penalty, X.T @ y + penalty @ start)


def reliability_of(sizes: np.ndarray) -> np.ndarray:
    """Tell how far choices trust what models did near a query, in [0, 1).

    The best of many estimates is too often the least certain one.
    """
    return sizes / (sizes + DECISION_EVALUATIONS)


def _within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Take the mean of each group off the columns of (n_rows, n_columns)."""
    if not len(values):
        return values
    counts = np.bincount(groups)
    sums = np.stack([np.bincount(groups, column) for column in values.T], axis=1)
    return values - (sums / np.maximum(counts, 1)[:, None])[groups]


def fit_share(
    evidence: np.ndarray, logits: np.ndarray, scores: np.ndarray, n_models: int
) -> float:
    """Minimise soft cross-entropy plus a penalty around `NETWORK_SHARE`.

    Parameters
    ----------
    evidence, logits : ndarray of shape (n_rows,)
        What the evidence (NaN where it says nothing) and the network say.
    scores : ndarray of shape (n_rows,)
        Scores of these evaluations.
    n_models : int
        Number of models.

    Returns
    -------
    float
        The network's share, in [0, 1].
    """
    both = np.isfinite(evidence)
    start, step = evidence[both], (logits - evidence)[both]
    y = scores[both].astype(np.float64)

    def objective(share: float) -> float:
        z = start + share * step
        penalty = SHARE_PENALTY * n_models / 2 * (share - NETWORK_SHARE) ** 2
        return float(np.sum(np.logaddexp(0, z) - y * z) + penalty)

    return float(minimize_scalar(objective, bounds=(0, 1), method="bounded").x)
