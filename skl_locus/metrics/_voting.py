"""Majority votes over sampled answers, and their score on a log with samples."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._data.columns import is_sequence, object_cells
from skl_locus._data.pairs import code_models, code_queries
from skl_locus._data.queries import label_text
from skl_locus._utils.array_checks import (
    check_finite_column,
    check_length,
    check_scores,
)
from skl_locus._utils.statistics import group_means, stable_mean


def majority_vote(answers: Iterable[Sequence], weights: Any = None) -> np.ndarray:
    """Return the answer that most samples of each query agree on.

    Self-consistency (Wang et al., 2022, arXiv:2203.11171), with which the Avengers
    (arXiv:2505.19797) decide among the samples of the models that they chose. Answers
    agree if they are equal, so bring them to one form first: "42", not "It is 42.".

    Parameters
    ----------
    answers : iterable of sequences of length n_queries
        The sampled answers of each query, of one model or of several, in any number.
        None and NaN are samples without an answer, and do not vote.
    weights : iterable of sequences of length n_queries, default=None
        Weight of each sample, not negative, such as the model's share in
        ``router.vote_weights``; None counts all alike.

    Returns
    -------
    ndarray of shape (n_queries,), object
        The answers with the most votes; None for a query without any answer.

    Raises
    ------
    ValueError
        If an entry of ``answers`` is no sequence or cannot be compared, or if weights
        do not fit the answers or are negative or not finite.

    Notes
    -----
    Of answers with equally many votes, the one that comes first in its sequence wins:
    put the samples of the best model first.

    Examples
    --------
    >>> from skl_locus.metrics import majority_vote
    >>> majority_vote([["4", "5", "5"], ["yes", "no"], [None]]).tolist()
    ['5', 'yes', None]
    >>> majority_vote([["4", "5", "5"]], weights=[[0.8, 0.1, 0.1]]).tolist()
    ['4']
    """
    samples = list(answers)
    loads = [None] * len(samples) if weights is None else list(weights)
    if len(loads) != len(samples):
        raise ValueError(
            f"weights has {len(loads)} queries, but answers has {len(samples)}."
        )
    winners = np.empty(len(samples), dtype=object)
    for query, (own, load) in enumerate(zip(samples, loads, strict=True)):
        winners[query] = _winner(own, load, query)
    return winners


def voting_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    answers: ArrayLike,
    *,
    queries: ArrayLike,
    models: ArrayLike,
    n_models: int = 1,
) -> float:
    """Compute the mean score of majority votes over the samples of a log.

    For each query q, the ``n_models`` models with the largest decision scores vote with
    all the samples that the log has of them, and the score of the query is that of the
    samples that gave the answer with the most votes: ``mean over queries q of y[q,
    majority(q)]``. With one sample of each model and ``n_models=1`` it is
    `routing_accuracy_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Evaluation scores in [0, 1], one row for each sample.
    y_score : array-like of shape (n_rows,)
        Decision scores, such as ``router.routing_scores(X)``; those of the samples of
        one model and query are averaged.
    answers : array-like of shape (n_rows,)
        The sampled answers, in a form in which equal answers are equal; None and NaN
        where a sample has none.
    queries : array-like of shape (n_rows,) or (n_rows, n_features)
        Identity of each row's query: ids or texts, or one vector per row.
    models : array-like of shape (n_rows,)
        Model label of each row.
    n_models : int, default=1
        Number of models that vote on a query, or all that have a row for it.

    Returns
    -------
    float
        Mean score in [0, 1].

    Raises
    ------
    ValueError
        If ``n_models`` is below 1, or a column is empty, of another length, missing
        values or out of range.

    Notes
    -----
    Of answers with equally many votes, that of the model with the largest decision
    score wins, and of those of one model the smallest as a text. Equal decision scores
    are in the order of the labels. Samples without an answer do not vote; where all are
    without one, the query has their mean score.

    Examples
    --------
    Model "a" is right on two of three samples:

    >>> from skl_locus.metrics import voting_score
    >>> voting_score(
    ...     [1, 0, 1, 0],
    ...     [0.7, 0.7, 0.7, 0.6],
    ...     ["42", "41", "42", "7"],
    ...     queries=["q", "q", "q", "q"],
    ...     models=["a", "a", "a", "b"],
    ... )
    1.0
    """
    if not isinstance(n_models, Integral) or n_models < 1:
        raise ValueError(
            f"n_models must be an integer of at least 1, got {n_models!r}."
        )
    scores = check_scores(y_true, "y_true")
    decisions = check_finite_column(y_score, "y_score", len(scores))
    given = object_cells(answers)
    check_length(len(given), "answers", len(scores))
    query_codes = code_queries(queries, len(scores))
    model_codes, labels = code_models(models, len(scores))
    table = pd.DataFrame({"query": query_codes, "score": scores, "answer": given})
    pairs = query_codes * np.int64(len(labels)) + model_codes
    table["rank"] = _ranks(pairs, decisions.astype(np.float64), len(labels))
    voters = table[table["rank"] < n_models]
    # The vote takes the first of tied answers: those of the best model, by their text.
    texts = voters["answer"].map(_as_text)
    ordered = voters.assign(text=texts).sort_values(["query", "rank", "text"])
    groups = ordered.groupby("query", sort=True)
    winners = majority_vote([own.tolist() for _, own in groups["answer"]])
    chosen = pd.Series(winners, groups.size().index, dtype=object)
    agrees = _equal(ordered["answer"], ordered["query"].map(chosen))
    return stable_mean(
        ordered[agrees].groupby("query")["score"].apply(_mean).to_numpy(np.float64)
    )


def _winner(samples: Any, weights: Any, query: int) -> Any:
    """Return the answer with the most votes among the samples of one query."""
    if not is_sequence(samples):
        raise ValueError(
            "answers must have a sequence of samples for each query, got "
            f"{samples!r:.60} for query {query}."
        )
    cells = list(samples)
    loads = _checked_weights(weights, len(cells), query)
    votes: dict[Hashable, float] = {}
    for answer, load in zip(cells, loads, strict=True):
        if _is_blank(answer):
            continue
        try:
            votes[answer] = votes.get(answer, 0.0) + load
        except TypeError as error:
            raise ValueError(
                f"The answer {answer!r:.60} of query {query} cannot be compared with "
                "others; pass texts or numbers."
            ) from error
    # The first of the largest, in the order of the samples.
    return max(votes, key=votes.__getitem__) if votes else None


def _checked_weights(weights: Any, n_samples: int, query: int) -> list[float]:
    if weights is None:
        return [1.0] * n_samples
    loads = np.asarray(weights, dtype=np.float64)
    if loads.shape != (n_samples,):
        raise ValueError(
            f"weights must have one number for each of the {n_samples} answers of "
            f"query {query}; got shape {loads.shape}."
        )
    if not (np.isfinite(loads) & (loads >= 0)).all():
        raise ValueError(
            f"weights of query {query} must be finite and not negative; got "
            f"{weights!r:.60}."
        )
    return loads.tolist()


def _is_blank(answer: Any) -> bool:
    return answer is None or (np.ndim(answer) == 0 and bool(pd.isna(answer)))


def _as_text(answer: Any) -> str:
    return "" if _is_blank(answer) else label_text(answer)


def _equal(answers: pd.Series, winners: pd.Series) -> np.ndarray:
    """Return which answers won; all blank ones where there is no winner."""
    return np.array(
        [
            _is_blank(answer) if winner is None else answer == winner
            for answer, winner in zip(answers, winners, strict=True)
        ]
    )


def _ranks(pairs: np.ndarray, decisions: np.ndarray, n_models: int) -> np.ndarray:
    """Return the place of each row's model among those of its query, from 0."""
    distinct, position = np.unique(pairs, return_inverse=True)
    means = group_means(decisions, position, len(distinct))
    queries = distinct // n_models
    # Pairs ascend by model, which a stable sort keeps where decisions are equal.
    order = np.lexsort((-means, queries))
    starts = np.searchsorted(queries, queries)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - starts
    return ranks[position]


def _mean(scores: pd.Series) -> float:
    return stable_mean(scores.to_numpy(np.float64))
