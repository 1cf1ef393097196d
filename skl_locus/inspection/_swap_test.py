"""The test behind recognition: two sets of evaluations against swaps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skl_locus.inspection._exchange import Pairs, draw_swaps, embed_swapped

RIDGE = 0.05
"""Share of the mean variance added to every direction before whitening: directions
in which swaps hardly move the embedding must not decide by rounding."""

SAME = 1e-4
"""Relative difference up to which statistics count as equal: float32 embeddings of
one set of evaluations differ by rounding. Ties count against a difference."""

NO_DISTANCE = 1e-5
"""Differences of embeddings below this share of their length are rounding."""


@dataclass(frozen=True)
class DriftTest:
    """What `drift_test` has found.

    Parameters
    ----------
    statistic : float
        Squared distance of the two embeddings in units of what swaps give.
    p_value : float
        Probability of such a difference, or a larger one, of two sets of
        evaluations of one model.
    distance : float
        Euclidean distance of the embeddings of the two matched sets.
    n_pairs, n_shared : int
        Evaluations compared on each side, and how many of them on one query.
    null : ndarray of shape (n_resamples,)
        The statistic after random swaps.
    """

    statistic: float
    p_value: float
    distance: float
    n_pairs: int
    n_shared: int
    null: np.ndarray


def swap_test(
    router: Any, pairs: Pairs, n_resamples: int, rng: np.random.RandomState
) -> DriftTest:
    """Test whether the two sets of paired evaluations come from one model."""
    observed = np.zeros((1, len(pairs)), dtype=bool)
    swaps = np.concatenate([observed, draw_swaps(n_resamples, len(pairs), rng)])
    embeddings = embed_swapped(router, pairs, swaps)
    differences = embeddings[:, 0] - embeddings[:, 1]
    score_differences = _mean_score_differences(pairs, swaps)
    negligible = NO_DISTANCE * np.abs(embeddings).max()
    if np.abs(differences).max() <= negligible and not score_differences.any():
        statistics = np.zeros(len(differences))
    else:
        statistics = _whitened_lengths(_with_scores(differences, score_differences))
    as_large = statistics[1:] >= statistics[0] * (1 - SAME)
    return DriftTest(
        statistic=float(statistics[0]),
        p_value=float((1 + as_large.sum()) / (1 + n_resamples)),
        distance=float(np.linalg.norm(differences[0])),
        n_pairs=len(pairs),
        n_shared=pairs.n_shared,
        null=statistics[1:],
    )


def _mean_score_differences(pairs: Pairs, swaps: np.ndarray) -> np.ndarray:
    """Return the difference of the sets' mean scores after each swap: (n_swaps,)."""
    signs = np.where(swaps, -1.0, 1.0)
    return signs @ (pairs.scores[0].astype(np.float64) - pairs.scores[1]) / len(pairs)


def _with_scores(differences: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Append the scores as one more direction, of the same size as the others.

    A network that was trained on models of equal ability need not embed ability.
    """
    if not scores.any():
        return differences
    size = np.sqrt(np.mean(differences**2) / np.mean(scores**2))
    return np.column_stack([differences, size * scores])


def _whitened_lengths(differences: np.ndarray) -> np.ndarray:
    """Return d' S^-1 d of each difference, S from all of them, the observed too.

    Swapping all pairs turns d into -d, so that S is taken around zero. With the
    observed difference in S, all differences are treated alike, which is what makes
    the level exact.
    """
    covariance = differences.T @ differences / len(differences)
    width = len(covariance)
    covariance += RIDGE * np.trace(covariance) / width * np.eye(width)
    whitened = np.linalg.solve(covariance, differences.T)
    return np.einsum("ij,ji->i", differences, whitened)
