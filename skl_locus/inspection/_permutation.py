"""Permutation test of whether two sets of evaluations come from one model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skl_locus._routing.access import (
    embedding_pool,
    exchange_effects,
    network_embeddings,
)
from skl_locus.inspection._matched_pairs import MatchedPairs, embed_sets

N_DIRECTIONS = 16
"""Directions of the network's embedding that are looked at. Sixteen tell models apart
as often as all 128 do on real logs, in an eighth of the time."""

RIDGE = 0.05
"""Share of the mean variance added to every direction before whitening: directions
in which swaps hardly move the embedding must not decide by rounding."""

UNKNOWN = 0.5
"""Expected score where there is no other model to predict it."""

SAME = 1e-9
"""Relative difference up to which statistics count as equal, which is a multiple of
their rounding. Ties count against a difference."""

CHUNK_SIGNS = 4_000_000
"""Signs of pairs that are held in memory at a time; 32 MB."""


@dataclass(frozen=True)
class DriftTest:
    """What `drift_test` has found.

    Parameters
    ----------
    statistic : float
        Squared difference of the two sets in units of what swaps give.
    p_value : float
        Probability of such a difference, or a larger one, of two sets of
        evaluations of one model.
    distance : float
        Euclidean distance of the embeddings of the two matched sets.
    agreement : float
        One less the mean difference of scores on the shared queries (for 0/1 scores
        the share of them with the same score); NaN without shared queries.
    n_pairs, n_shared : int
        Evaluations compared on each side, and how many of them on one query.
    null : ndarray of shape (n_resamples,)
        The statistic after random swaps.
    """

    statistic: float
    p_value: float
    distance: float
    agreement: float
    n_pairs: int
    n_shared: int
    null: np.ndarray = field(repr=False)


def swap_test(
    router: Any,
    known: Any,
    pairs: MatchedPairs,
    compared: Collection,
    n_resamples: int,
    rng: np.random.RandomState,
) -> DriftTest:
    """Test whether the two sets of paired evaluations come from one model.

    Parameters
    ----------
    router : LocusRouter
        Fitted.
    known : KnownModels
        Its models as `skl_locus._routing.access.known_models` returns them.
    pairs : MatchedPairs
        Evaluations of both sets.
    compared : collection of labels
        Models of the router whose evaluations are in the sets.
    n_resamples : int
        Number of random swaps.
    rng : RandomState
        Draws them.

    Returns
    -------
    DriftTest
        Statistic and p-value.
    """
    if pairs.n_shared == len(pairs):
        effects = _effects_on_scores(known, pairs, compared)
    else:
        effects = _effects_on_embedding(router, pairs, compared)
    embeddings = embed_sets(router, pairs.queries, pairs.codes, pairs.scores)
    statistic, null = _statistics(effects, n_resamples, rng)
    return DriftTest(
        statistic=statistic,
        p_value=p_value_of(statistic, null),
        distance=float(np.linalg.norm(embeddings[0] - embeddings[1])),
        agreement=pairs.agreement,
        n_pairs=len(pairs),
        n_shared=pairs.n_shared,
        null=null,
    )


def p_value_of(statistic: float, null: np.ndarray) -> float:
    """Compare a statistic with its values after random swaps."""
    as_large = int((null >= statistic * (1 - SAME)).sum())
    # What was observed is one of the equally likely swaps, so that it counts too:
    # P(p <= alpha) <= alpha holds exactly, for any number of resamples.
    return (1 + as_large) / (1 + len(null))


def _effects_on_scores(
    known: Any, pairs: MatchedPairs, compared: Collection
) -> np.ndarray:
    """Return what exchanging each pair does to ability, discrimination and factors.

    Up to constants, the gradient of the factor model's likelihood by the difference of
    the two sides. Only on shared queries: factors of queries that the pool has not
    answered are less certain, so that the sides of a pair could not be exchanged.
    """
    asked = np.unique(pairs.codes[0])
    # The compared model's own answers have shaped the factors of the queries that it
    # was evaluated on, so that its side could be known by them: they are left out.
    directions = known.directions(pairs.queries.take(asked), compared)
    places = np.searchsorted(asked, pairs.codes[0])
    return pairs.score_differences[:, None] * directions[places]


def _effects_on_embedding(
    router: Any, pairs: MatchedPairs, compared: Collection
) -> np.ndarray:
    """Return what exchanging each pair does to the network's embedding and the mean.

    To first order, exchanging several pairs moves the difference of the embeddings by
    the sum of their single movements. So a swap costs a sign and no embedding.
    """
    expected = _expected_scores(router, pairs, compared)
    moves, _ = exchange_effects(
        router,
        pairs.queries,
        pairs.codes,
        pairs.scores,
        expected,
        _directions(router, compared),
    )
    return _with_scores(moves, pairs.score_differences - np.subtract(*expected))


def _expected_scores(
    router: Any, pairs: MatchedPairs, compared: Collection
) -> np.ndarray:
    """Return what the other models are predicted to score on average: (2, n_pairs).

    That one side was asked harder questions must not look like another model. On
    shared queries nothing has to be expected.
    """
    pool = embedding_pool(router)
    others = _others(pool, compared)
    expected = np.full(pairs.codes.shape, UNKNOWN, dtype=np.float32)
    if pairs.n_shared < len(pairs) and len(others):
        codes, places = np.unique(pairs.codes, return_inverse=True)
        probabilities = pool.correctness(pairs.queries.vectors(codes), others)
        means = probabilities.mean(axis=1)
        expected[:] = means[places.reshape(expected.shape)]
    return expected


def _directions(router: Any, compared: Collection) -> np.ndarray:
    """Return the directions in which the other models of the pool differ most.

    Where the others span fewer directions, arbitrary ones follow.
    """
    others = _others(embedding_pool(router), compared)
    embeddings = network_embeddings(router)[others]
    if len(embeddings):
        embeddings -= embeddings.mean(axis=0)
    ascending = np.linalg.eigh(embeddings.T @ embeddings)[1]
    return ascending[:, ::-1].T[:N_DIRECTIONS]


def _others(pool: Any, compared: Collection) -> np.ndarray:
    """Return the models that are not compared: columns of the pool.

    The null must be exchangeable: the compared models are left out of directions and
    expectations, which would otherwise change with whose evaluations are whose.
    """
    return np.flatnonzero([name not in compared for name in pool.models])


def _with_scores(moves: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Append the scores as one more direction, of the same size as the others.

    A network that was trained on models of equal ability need not embed ability.
    """
    if moves.any() and scores.any():
        scores = scores * np.sqrt(np.mean(moves**2) / np.mean(scores**2))
    return np.column_stack([moves, scores])


def _statistics(
    effects: np.ndarray, n_resamples: int, rng: np.random.RandomState
) -> tuple[float, np.ndarray]:
    """Return d' S^-1 d as observed, and after random swaps.

    d is the sum of the effects, S its covariance under swaps: as swaps turn signs
    independently of each other, the sum of the effects' squares. It is the same for
    all swaps, which is what makes the level exact.
    """
    covariance = effects.T @ effects
    width = len(covariance)
    ridge = RIDGE * np.trace(covariance) / width
    if ridge == 0:
        return 0.0, np.zeros(n_resamples)
    # With L L' = S^-1, the squared length of d' L is d' S^-1 d.
    whitening = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(width)))
    whitened = effects @ whitening
    observed = float(np.square(whitened.sum(axis=0)).sum())
    step = max(1, CHUNK_SIGNS // len(effects))
    null = np.empty(n_resamples)
    for start in range(0, n_resamples, step):
        chunk = null[start : start + step]
        signs = 2.0 * rng.randint(2, size=(len(chunk), len(effects))) - 1
        chunk[:] = np.square(signs @ whitened).sum(axis=1)
    return observed, null
