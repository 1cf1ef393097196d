"""Quality of the models that a router chooses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skl_locus._data.pairs import EvaluatedPairs, coded_pairs
from skl_locus._data.scores import CORRECT_FROM
from skl_locus._utils.statistics import stable_mean
from skl_locus._utils.validation import check_at_least


def routing_accuracy_score(
    y_true: ArrayLike, y_score: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute the mean score of the models chosen, one for each query.

    ``mean over queries q of y[q, argmax over m in M(q) of s[q, m]]``, where M(q)
    are the models with a row for the query: in a partial log the choice is among
    the models observed. With 0/1 scores this is the share of queries that the
    chosen model answers correctly. Rows are in long form, one per evaluation.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; the largest of a
        query decides. Of equal ones, the smallest model label in sorted order
        is chosen, so that the order of the rows never matters.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Routing accuracy in [0, 1], higher is better.

    Raises
    ------
    ValueError
        If an argument is empty, has another length than ``y_true`` or has
        missing or infinite values, or if ``y_true`` lies outside [0, 1].

    Notes
    -----
    Both the evaluation scores and the decision scores of repeated
    (query, model) rows are averaged before the choice.

    Examples
    --------
    On the first query the better model is chosen, on the second the worse one:

    >>> from skl_locus.metrics import routing_accuracy_score
    >>> routing_accuracy_score(
    ...     [1, 0, 0, 1],
    ...     [0.9, 0.4, 0.6, 0.5],
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ... )
    0.5
    """
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    # The mean is exact: it does not depend on the order of the queries.
    return stable_mean(chosen_scores(pairs, pairs.columns["y_score"]))


def chosen_scores(pairs: EvaluatedPairs, decisions: np.ndarray) -> np.ndarray:
    """Return the score of the model chosen for each query: (n_queries,)."""
    return pairs.scores[pairs.best(decisions)]


def hit_at_k_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    k: int = 1,
) -> float:
    """Compute how often one of the k best-ranked models is correct.

    ``mean over queries q of max over m in top_k(q) of [y[q, m] >= 0.5]``, where
    top_k(q) are the k models of largest decision score among those with a row for
    the query, or all of them where there are fewer. It is the accuracy of asking k
    models where a correct answer is recognised when it is there.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1]. A model is correct from 0.5 on: a soft score
        counts as a whole hit or as none, so that for k=1 this equals
        `routing_accuracy_score` for 0/1 scores only.
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; ties go to the
        smallest model label in sorted order.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    k : int, default=1
        Number of models asked.

    Returns
    -------
    float
        Share of queries in [0, 1], higher is better; not decreasing in k.

    Raises
    ------
    ValueError
        If k is no integer of at least 1, or as for `routing_accuracy_score`.

    Notes
    -----
    Repeated (query, model) rows are averaged first.

    Examples
    --------
    >>> from skl_locus.metrics import hit_at_k_score
    >>> log = {
    ...     "queries": ["q1", "q1", "q2", "q2"],
    ...     "models": ["a", "b", "a", "b"],
    ... }
    >>> hit_at_k_score([1, 0, 0, 1], [0.9, 0.4, 0.6, 0.5], k=1, **log)
    0.5
    >>> hit_at_k_score([1, 0, 0, 1], [0.9, 0.4, 0.6, 0.5], k=2, **log)
    1.0
    """
    check_at_least(k, "k")
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    asked = pairs.ranks(pairs.columns["y_score"]) < k
    hits = asked & (pairs.scores >= CORRECT_FROM)
    return stable_mean(np.maximum.reduceat(hits, pairs.starts))
