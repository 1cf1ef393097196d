"""Concentration of routing on few models: largest share and entropy of the choices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from skl_locus._data.pairs import EvaluatedPairs, coded_pairs

Statistic = Callable[[np.ndarray], float]
"""From the weights of queries, (n_queries,), to a value."""


def most_chosen_share(
    y_true: ArrayLike, y_score: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute the share of queries that go to the model chosen most often.

    ``max over models m of mean over queries q of [chosen(q) = m]``. A router has
    collapsed if nearly all queries go to one model although others are better on some
    of them; `gap_to_oracle` says whether that is so.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1]; they are checked and have no part in the share.
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; ties go to the
        smallest model label in sorted order.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Share in (0, 1], from 1 / n_models for choices spread evenly to 1 for a single
        model; lower is less collapsed.

    Raises
    ------
    ValueError
        As for `routing_accuracy_score`.

    Examples
    --------
    >>> from skl_locus.metrics import most_chosen_share
    >>> log = {"queries": ["q1", "q1", "q2", "q2"], "models": ["a", "b", "a", "b"]}
    >>> most_chosen_share([1, 0, 0, 1], [0.9, 0.4, 0.6, 0.5], **log)
    1.0
    >>> most_chosen_share([1, 0, 0, 1], [0.9, 0.4, 0.5, 0.6], **log)
    0.5
    """
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    share_at = most_chosen_statistic(pairs, pairs.columns["y_score"])
    return share_at(np.ones(pairs.n_queries))


def choice_entropy_score(
    y_true: ArrayLike, y_score: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute the entropy of the models chosen, as a share of the largest possible.

    ``-sum over models m of s_m log(s_m) / log(n_models)``, with ``s_m`` the share of
    queries that go to m, and the models that occur in the log.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1]; they are checked and have no part in the entropy.
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; ties go to the
        smallest model label in sorted order.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Entropy in [0, 1]: 0 if all queries go to one model, 1 if all models get
        equally many; higher is less collapsed. 0 in a log of one model.

    Raises
    ------
    ValueError
        As for `routing_accuracy_score`.

    Notes
    -----
    More entropy is no aim in itself: choices at random have the most.

    Examples
    --------
    >>> from skl_locus.metrics import choice_entropy_score
    >>> log = {"queries": ["q1", "q1", "q2", "q2"], "models": ["a", "b", "a", "b"]}
    >>> choice_entropy_score([1, 0, 0, 1], [0.9, 0.4, 0.6, 0.5], **log)
    0.0
    >>> choice_entropy_score([1, 0, 0, 1], [0.9, 0.4, 0.5, 0.6], **log)
    1.0
    """
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    entropy_at = choice_entropy_statistic(pairs, pairs.columns["y_score"])
    return entropy_at(np.ones(pairs.n_queries))


def most_chosen_statistic(pairs: EvaluatedPairs, decisions: np.ndarray) -> Statistic:
    """Return the largest share of a model, for any weights of the queries."""
    chosen = pairs.models[pairs.best(decisions)]
    return lambda weights: float(_shares(chosen, weights).max())


def choice_entropy_statistic(pairs: EvaluatedPairs, decisions: np.ndarray) -> Statistic:
    """Return the relative entropy of the choices, for any weights of the queries."""
    chosen = pairs.models[pairs.best(decisions)]
    largest = np.log(len(pairs.labels))

    def entropy(weights: np.ndarray) -> float:
        if largest == 0:
            return 0.0
        # Rounding may lead a hair above 1.
        return float(min(entr(_shares(chosen, weights)).sum() / largest, 1.0))

    return entropy


def _shares(chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    counts = np.bincount(chosen, weights)
    return counts / counts.sum()
