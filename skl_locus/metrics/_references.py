"""Reference scores for routing: single models, chance and the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skl_locus._data.pairs import (
    MIN_COVERAGE,
    EvaluatedPairs,
    best_covered_model,
    code_models,
    code_queries,
    coded_pairs,
)
from skl_locus._utils.array_checks import check_scores
from skl_locus._utils.statistics import stable_mean


def best_single_score(
    y_true: ArrayLike,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    y_train: ArrayLike,
    models_train: ArrayLike,
    min_coverage: float = MIN_COVERAGE,
) -> float:
    """Compute the mean score of the model that was best in training.

    ``mean over queries q in Q(m) of y[q, m]`` for the model m of the best mean
    training score, where Q(m) are the queries it was evaluated on. It is what a
    router must beat: no test score has a part in the choice.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1] to compute the mean from.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    y_train : array-like of shape (n_train_rows,)
        Evaluation scores in [0, 1] to choose the model by.
    models_train : array-like of shape (n_train_rows,)
        Model label of each training row.
    min_coverage : float, default=0.8
        Share of the queries that a model must have a row for; others cannot be
        chosen. In a log where models miss queries, the mean of a model seen on a
        few easy ones would mislead.

    Returns
    -------
    float
        Mean score in [0, 1].

    Raises
    ------
    ValueError
        If no model of the training rows has the coverage, or a column is empty, of
        another length, missing values or out of range.

    Notes
    -----
    Of equal training means the smallest label in sorted order is chosen. Repeated
    (query, model) rows are averaged.

    Examples
    --------
    >>> from skl_locus.metrics import best_single_score
    >>> best_single_score(
    ...     [1, 0, 0, 1],
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ...     y_train=[1, 0.5],
    ...     models_train=["a", "b"],
    ... )
    0.5
    """
    pairs = coded_pairs(y_true, queries=queries, models=models)
    single = _best_single_pairs(pairs, y_train, models_train, min_coverage)
    return stable_mean(pairs.scores[single])


def gain_over_best_single(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    y_train: ArrayLike,
    models_train: ArrayLike,
    min_coverage: float = MIN_COVERAGE,
) -> float:
    """Compute how much better the models chosen are than the best single model.

    ``mean over queries q in Q(m) of y[q, chosen(q)] - y[q, m]``, with m the best
    single model (see `best_single_score`) and Q(m) the queries it was evaluated
    on. In a complete log this is `routing_accuracy_score` less
    `best_single_score`; in a partial one both are taken on the same queries.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    y_train : array-like of shape (n_train_rows,)
        Evaluation scores in [0, 1] to choose the single model by.
    models_train : array-like of shape (n_train_rows,)
        Model label of each training row.
    min_coverage : float, default=0.8
        Share of the queries that the single model must have a row for.

    Returns
    -------
    float
        Difference in [-1, 1]; positive where routing pays.

    Raises
    ------
    ValueError
        As for `best_single_score`.

    Examples
    --------
    >>> from skl_locus.metrics import gain_over_best_single
    >>> gain_over_best_single(
    ...     [1, 0, 0, 1],
    ...     [0.9, 0.4, 0.2, 0.5],
    ...     queries=["q1", "q1", "q2", "q2"],
    ...     models=["a", "b", "a", "b"],
    ...     y_train=[1, 0.5],
    ...     models_train=["a", "b"],
    ... )
    0.5
    """
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    single = _best_single_pairs(pairs, y_train, models_train, min_coverage)
    chosen = pairs.best(pairs.columns["y_score"])
    rivals = chosen[np.isin(pairs.queries[chosen], pairs.queries[single])]
    return stable_mean(pairs.scores[rivals] - pairs.scores[single])


def oracle_score(y_true: ArrayLike, *, queries: ArrayLike, models: ArrayLike) -> float:
    """Compute the mean score of the best model observed for each query.

    ``mean over queries q of max over m in M(q) of y[q, m]``: no router can be
    better on the same log.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row; repeated (query, model) rows are averaged.

    Returns
    -------
    float
        Mean score in [0, 1].

    Raises
    ------
    ValueError
        As for `routing_accuracy_score`.

    Examples
    --------
    >>> from skl_locus.metrics import oracle_score
    >>> log = {"queries": ["q1", "q1", "q2"], "models": ["a", "b", "a"]}
    >>> oracle_score([0.25, 1, 0.5], **log)
    0.75
    """
    pairs = coded_pairs(y_true, queries=queries, models=models)
    return stable_mean(pairs.scores[pairs.best(pairs.scores)])


def gap_to_oracle(
    y_true: ArrayLike, y_score: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute how far the models chosen are from the best ones.

    ``oracle_score - routing_accuracy_score``: what a perfect router would add.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Difference in [0, 1], lower is better.

    Raises
    ------
    ValueError
        As for `routing_accuracy_score`.

    Examples
    --------
    >>> from skl_locus.metrics import gap_to_oracle
    >>> log = {"queries": ["q1", "q1", "q2"], "models": ["a", "b", "a"]}
    >>> gap_to_oracle([0.25, 1, 0.5], [0.9, 0.1, 0.5], **log)
    0.375
    """
    pairs = coded_pairs(
        y_true, queries=queries, models=models, columns={"y_score": y_score}
    )
    best, chosen = pairs.best(pairs.scores), pairs.best(pairs.columns["y_score"])
    return stable_mean(pairs.scores[best] - pairs.scores[chosen])


def random_router_score(
    y_true: ArrayLike, *, queries: ArrayLike, models: ArrayLike
) -> float:
    """Compute the expected score of a model drawn at random for each query.

    ``mean over queries q of mean over m in M(q) of y[q, m]``: each model observed
    for a query is as likely as any other.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1].
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row; repeated (query, model) rows are averaged.

    Returns
    -------
    float
        Expected score in [0, 1].

    Raises
    ------
    ValueError
        As for `routing_accuracy_score`.

    Examples
    --------
    >>> from skl_locus.metrics import random_router_score
    >>> log = {"queries": ["q1", "q1", "q2"], "models": ["a", "b", "a"]}
    >>> random_router_score([0, 1, 1], **log)
    0.75
    """
    pairs = coded_pairs(y_true, queries=queries, models=models)
    totals = np.add.reduceat(pairs.scores, pairs.starts)
    return stable_mean(totals / pairs.sizes)


def routing_coverage(*, queries: ArrayLike, models: ArrayLike) -> float:
    """Compute the share of (query, model) pairs that a log holds.

    ``n_pairs / (n_queries * n_models)``, with the queries and models that occur.
    Report it beside the routing metrics of a partial log, where each query offers
    some of the models only.

    Parameters
    ----------
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.

    Returns
    -------
    float
        Share in (0, 1]; 1 for a complete log.

    Raises
    ------
    ValueError
        If a column is empty, of another length or has missing values.

    Examples
    --------
    >>> from skl_locus.metrics import routing_coverage
    >>> routing_coverage(queries=["q1", "q1", "q2"], models=["a", "b", "a"])
    0.75
    """
    query_codes = code_queries(queries, None)
    if not len(query_codes):
        raise ValueError("queries is empty.")
    model_codes, labels = code_models(models, len(query_codes))
    n_queries = int(query_codes.max()) + 1
    pairs = np.unique(query_codes * np.int64(len(labels)) + model_codes)
    return len(pairs) / (n_queries * len(labels))


def _best_single_pairs(
    pairs: EvaluatedPairs, y_train: Any, models_train: Any, min_coverage: float
) -> np.ndarray:
    if not 0 <= min_coverage <= 1:
        raise ValueError(f"min_coverage must be in [0, 1], got {min_coverage!r}.")
    scores = check_scores(y_train, "y_train")
    codes, labels = code_models(models_train, len(scores), "models_train")
    order = np.lexsort((scores, codes))
    ends = np.searchsorted(codes[order], np.arange(1, len(labels)))
    means = [stable_mean(own) for own in np.split(scores[order], ends)]
    position = best_covered_model(pairs, labels, np.array(means), min_coverage)
    if position is None:
        raise ValueError(
            f"No model of the training evaluations was evaluated on "
            f"{min_coverage:.0%} of the queries; lower min_coverage."
        )
    return pairs.of_model(position)
