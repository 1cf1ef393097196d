"""Weights of features and of the network, kept near what real logs gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

if TYPE_CHECKING:
    from skl_locus._evidence.config import EvidenceConfig


def fit_weights(
    values: np.ndarray, scores: np.ndarray, n_models: int, config: EvidenceConfig
) -> dict[str, float]:
    """Fit the weights of features in P(correct).

    Minimises the soft cross-entropy of ``size * (start + departures)`` with penalties
    on the departures and on how far ``size`` is from 1. The size is apart since it is
    one number, learned well from few evaluations, and the proportions are several.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        Values of the features for held-out evaluations.
    scores : ndarray of shape (n_rows,)
        Their scores.
    n_models : int
        Number of models.
    config : EvidenceConfig
        Starting weights and penalties.

    Returns
    -------
    dict of str to float
        Weight of each feature.
    """
    X, y = values.astype(np.float64), scores.astype(np.float64)
    start = np.array(list(config.weights.values()))
    size_penalty = config.size_penalty * n_models
    penalty = config.weight_penalty * n_models

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
    return _named(best[0] * (start + best[1:]), config)


def fit_decision_weights(
    values: np.ndarray,
    scores: np.ndarray,
    queries: np.ndarray,
    reliability: np.ndarray,
    n_models: int,
    config: EvidenceConfig,
) -> dict[str, float]:
    """Fit the weights of features in choices among models.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        Values of the features for held-out evaluations, the anchor first.
    scores : ndarray of shape (n_rows,)
        Their scores.
    queries : ndarray of shape (n_rows,), int
        Which query each of them is about.
    reliability : ndarray of shape (n_rows,)
        Weight of departures from the anchor.
    n_models : int
        Number of models.
    config : EvidenceConfig
        Starting weights and penalties.

    Returns
    -------
    dict of str to float
        Weight of the anchor, and of the departures of each other feature from it.
    """
    anchor = values[:, :1].astype(np.float64)
    departures = reliability[:, None] * (values[:, 1:] - anchor)
    # What makes a query hard for all models explains most of the scores and nothing
    # of the choice: differences within queries leave it out.
    X = config.steepness * _within(np.hstack([anchor, departures]), queries)
    y = _within(scores[:, None].astype(np.float64), queries)[:, 0]
    start = np.array(list(config.decision_weights.values()))
    penalty = config.decision_penalty * config.steepness * n_models
    ridge = penalty * np.eye(len(start))
    return _named(np.linalg.solve(X.T @ X + ridge, X.T @ y + ridge @ start), config)


def reliability_of(sizes: np.ndarray, decision_evaluations: float) -> np.ndarray:
    """Weigh departures from the mean in choices by evaluations, in [0, 1).

    The best of many estimates is too often the least certain one.
    """
    return sizes / (sizes + decision_evaluations)


def fit_share(
    evidence: np.ndarray,
    logits: np.ndarray,
    scores: np.ndarray,
    n_models: int,
    start: float,
    config: EvidenceConfig,
) -> float:
    """Fit the network's share by soft cross-entropy and a penalty near the start.

    Parameters
    ----------
    evidence, logits : ndarray of shape (n_rows,)
        Logits of the evidence (NaN where there is none) and of the network.
    scores : ndarray of shape (n_rows,)
        Scores of these evaluations.
    n_models : int
        Number of models.
    start : float
        Share before anything is learned.
    config : EvidenceConfig
        The penalty.

    Returns
    -------
    float
        The network's share, in [0, 1].
    """
    both = np.isfinite(evidence)
    origin, step = evidence[both], (logits - evidence)[both]
    y = scores[both].astype(np.float64)

    def objective(share: float) -> float:
        z = origin + share * step
        distance = share - start
        penalty = config.share_penalty * n_models / 2 * distance**2
        return float(np.sum(np.logaddexp(0, z) - y * z) + penalty)

    return float(minimize_scalar(objective, bounds=(0, 1), method="bounded").x)


def starting_share(n_queries: int, config: EvidenceConfig) -> float:
    """Return the network's share before anything is learned, in [0, 1]."""
    return config.network_share * n_queries / (n_queries + config.network_queries)


def _named(weights: np.ndarray, config: EvidenceConfig) -> dict[str, float]:
    return dict(zip(config.names, weights.tolist(), strict=True))


def _within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Take the mean of each group off the columns of (n_rows, n_columns)."""
    if not len(values):
        return values
    counts = np.bincount(groups)
    sums = np.stack([np.bincount(groups, column) for column in values.T], axis=1)
    return values - (sums / np.maximum(counts, 1)[:, None])[groups]
