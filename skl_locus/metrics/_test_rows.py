"""Test rows with the predictions of each router."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from skl_locus._data.columns import model_groups
from skl_locus._data.pairs import EvaluatedPairs, pair_starts, pair_up
from skl_locus._data.queries import UniqueQueries
from skl_locus._data.tasks import task_codes
from skl_locus._routing.unwrap import predict_rows
from skl_locus.metrics._registry import CHOICES, METRICS

View = tuple[Any, Any]
"""A fitted router with the rows as it sees them."""


@dataclass(frozen=True)
class TestRows:
    """Test rows in canonical order: by query, model and score.

    Parameters
    ----------
    queries : ndarray of shape (n_rows,)
        Code of each row's query, ascending, without gaps.
    models : ndarray of shape (n_rows,)
        Position of each row's model in ``labels``.
    labels : list
        Sorted model labels.
    scores : ndarray of shape (n_rows,), float64
        Evaluation scores.
    tasks : ndarray of shape (n_rows,)
        Position of each row's task in ``task_labels``, -1 where it has none.
    task_labels : list
        Sorted tasks.
    decisions : ndarray of shape (n_routers, n_draws, n_rows)
        What the routers decide by.
    probabilities : ndarray of shape (n_routers, n_draws, n_rows)
        P(correct).
    """

    queries: np.ndarray
    models: np.ndarray
    labels: list
    scores: np.ndarray
    tasks: np.ndarray
    task_labels: list
    decisions: np.ndarray
    probabilities: np.ndarray

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return int(self.queries[-1]) + 1

    @cached_property
    def pairs(self) -> EvaluatedPairs:
        """The (query, model) pairs, repeated rows averaged."""
        return pair_up(self.queries, self.models, self.labels, {"score": self.scores})

    def take(self, rows: np.ndarray) -> TestRows:
        """Keep some rows, given in ascending order."""
        return replace(
            self,
            queries=np.unique(self.queries[rows], return_inverse=True)[1],
            models=self.models[rows],
            scores=self.scores[rows],
            tasks=self.tasks[rows],
            decisions=self.decisions[..., rows],
            probabilities=self.probabilities[..., rows],
        )

    def by_task(self) -> Iterator[tuple[Any, TestRows]]:
        """Yield each task with its rows."""
        for code, label in enumerate(self.task_labels):
            yield label, self.take(np.flatnonzero(self.tasks == code))

    def routed_totals(self, metric: str) -> np.ndarray:
        """Return a metric of decisions: (n_routers, n_draws, n_queries)."""
        values_of = METRICS[metric].values
        return self._for_each_draw(
            self._pair_decisions(),
            lambda own: np.asarray(values_of(self.pairs, own)),
        )

    def row_totals(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return sums over the rows of each query, and numbers of rows."""
        values_of = METRICS[metric].values
        totals = self._for_each_draw(
            self.probabilities,
            lambda own: np.bincount(self.queries, values_of(self.scores, own)),
        )
        counts = np.bincount(self.queries)
        return totals, np.broadcast_to(counts, totals.shape)

    def pooled(self, metric: str) -> np.ndarray:
        """Return a metric of all rows, or all choices: (n_routers, n_draws)."""
        value_of = METRICS[metric].values
        if METRICS[metric].kind == CHOICES:
            return self._for_each_draw(
                self._pair_decisions(), lambda own: np.array(value_of(self.pairs, own))
            )
        return self._for_each_draw(
            self.probabilities, lambda own: np.array(value_of(self.scores, own))
        )

    def resampled(self, metric: str) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function from weights of queries to what `pooled` is for them."""
        statistic = METRICS[metric].statistic
        assert statistic is not None
        if METRICS[metric].kind == CHOICES:
            values_at = [
                [statistic(self.pairs, own) for own in draws]
                for draws in self._pair_decisions()
            ]
            return lambda weights: _values(values_at, weights)
        values_at = [
            [statistic(self.scores, own) for own in draws]
            for draws in self.probabilities
        ]
        # All rows of a query have its weight.
        return lambda weights: _values(values_at, weights[self.queries])

    def _pair_decisions(self) -> np.ndarray:
        """Return what the routers decide by: (n_routers, n_draws, n_pairs)."""
        # Rows of one pair have equal decisions: the first speaks for all.
        return self.decisions[..., pair_starts(self.queries, self.models)]

    def _for_each_draw(
        self, values: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        return np.array([[function(own) for own in draws] for draws in values])


def _values(
    values_at: list[list[Callable[[np.ndarray], float]]], weights: np.ndarray
) -> np.ndarray:
    return np.array([[value_at(weights) for value_at in own] for own in values_at])


def read_test_rows(
    views: list[list[View]],
    identified: UniqueQueries,
    X: Any,
    scores: np.ndarray,
    task_col: str | None,
    *,
    with_probabilities: bool,
) -> TestRows:
    """Read the rows, with the predictions of every router.

    Parameters
    ----------
    views : list of n_routers lists of n_draws pairs (router, rows)
        Fitted routers with the rows as they see them; the first one's columns name
        the models.
    identified : UniqueQueries
        The queries of the rows, as the first router identifies them.
    X : dataframe of n_rows rows
        Evaluations as they were passed.
    scores : ndarray of shape (n_rows,), float64
        Evaluation scores.
    task_col : str or None
        Column of the task; where there is none, there are no tasks.
    with_probabilities : bool
        Whether P(correct) is needed, and not decision scores alone.

    Returns
    -------
    TestRows
        In canonical order.
    """
    router, rows = views[0][0]
    models, labels = model_groups(rows, router.model_col)
    queries = identified.codes
    if len(queries) != len(scores):
        raise ValueError(f"X has {len(queries)} rows, but y has {len(scores)}.")
    tasks, task_labels = task_codes(X, task_col, len(scores))
    predictions = np.array(
        [[predict_rows(*view, with_probabilities) for view in draws] for draws in views]
    )
    decisions, probabilities = predictions[:, :, 0], predictions[:, :, 1]
    unordered = TestRows(
        queries, models, labels, scores, tasks, task_labels, decisions, probabilities
    )
    return unordered.take(np.lexsort((scores, models, queries)))
