"""Choice of the best models by score: of one, of k, of those that are available."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

CHUNK_SCORES = 4_000_000
"""Entries of a (query, model) matrix that are computed at a time."""


def query_blocks(n_queries: int, n_models: int) -> Iterator[slice]:
    """Cut queries into blocks of at most `CHUNK_SCORES` scores, or of one query."""
    step = max(1, CHUNK_SCORES // n_models)
    for start in range(0, n_queries, step):
        yield slice(start, min(start + step, n_queries))


def best_available(scores: np.ndarray, available: np.ndarray) -> np.ndarray:
    """Choose the best available model for each query.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_models)
        What to maximise; ties go to the first model.
    available : ndarray of shape (n_models,), bool
        Models that may be chosen; at least one.

    Returns
    -------
    ndarray of shape (n_queries,)
        Chosen columns.
    """
    return np.where(available, scores, -np.inf).argmax(axis=1)


def choose_best(
    scores: np.ndarray, available: np.ndarray, substitutes: np.ndarray | None
) -> np.ndarray:
    """Choose the best available model, or the one that answers for the best.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_models)
        What to maximise; ties go to the first model.
    available : ndarray of shape (n_models,), bool
        Models that may be chosen; at least one.
    substitutes : ndarray of shape (n_models,) or None
        Column that answers for each: its own, or another where it is down.

    Returns
    -------
    ndarray of shape (n_queries,)
        Chosen columns.
    """
    if substitutes is None:
        return best_available(scores, available)
    return substitutes[scores.argmax(axis=1)]


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Order the k best columns of each row, best first, ties by column.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_models)
        What to order by.
    k : int
        Number of columns, at most n_models.

    Returns
    -------
    ndarray of shape (n_queries, k)
        Columns.
    """
    losses = -scores  # a stable sort is ascending, and ties go to the first column
    if k < scores.shape[1]:
        columns = _smallest(losses, k)
        losses = np.take_along_axis(losses, columns, axis=1)
        order = np.argsort(losses, axis=1, kind="stable")
        return np.take_along_axis(columns, order, axis=1)
    return np.argsort(losses, axis=1, kind="stable")


def _smallest(losses: np.ndarray, k: int) -> np.ndarray:
    """Find the k smallest of each row, ties by column: (n_rows, k), ascending."""
    # The k-th smallest loss of a row is a limit; ties at the limit may be too many.
    limit = np.partition(losses, k - 1, axis=1)[:, [k - 1]]
    wanted = losses <= limit
    crowded = np.flatnonzero(np.count_nonzero(wanted, axis=1) > k)
    # Where they are, all below the limit stay, and the first ones at it fill the rest.
    tied = losses[crowded] == limit[crowded]
    room = k - np.count_nonzero(wanted[crowded] & ~tied, axis=1)
    wanted[crowded] &= ~tied | (np.cumsum(tied, axis=1) <= room[:, None])
    return np.nonzero(wanted)[1].reshape(-1, k)


def vote_shares(probabilities: np.ndarray) -> np.ndarray:
    """Scale P(correct) of shape (n_queries, n_models) to weights that sum to 1."""
    # Where every model is sure to be wrong, all votes count the same.
    totals = probabilities.sum(axis=1, keepdims=True)
    even = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.divide(probabilities, totals, out=even, where=totals > 0)


def nearest_others(distances: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """Order the k nearest columns of each row but its own, ties by column.

    Parameters
    ----------
    distances : ndarray of shape (n_rows, n_models)
        Distances.
    own : ndarray of shape (n_rows,)
        Column that each row stands for.
    k : int
        Number of columns; fewer come back where there are fewer.

    Returns
    -------
    ndarray of shape (n_rows, k)
        Columns.
    """
    # One more than k, since the row's own column may be among the nearest. Where it is
    # not (it has many equals), the last column goes instead: each row loses one.
    order = top_k(-distances, min(k + 1, distances.shape[1]))
    others = order != own[:, None]
    others[others.all(axis=1), -1] = False
    return order[others].reshape(len(order), order.shape[1] - 1)
