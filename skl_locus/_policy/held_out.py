"""Held-out queries with the scores of models, and the outcome of choices on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, factorize_labels, read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.pairs import MIN_COVERAGE
from skl_locus._data.queries import UniqueQueries
from skl_locus._data.query_batch import QueryBatch, logged_batch
from skl_locus._data.scores import read_scores
from skl_locus._policy.platt import PlattScaling
from skl_locus._policy.scored_queries import ScoredQueries
from skl_locus._routing.objective import Objective
from skl_locus._routing.unwrap import stored_evaluations
from skl_locus._utils.statistics import group_means


@dataclass(frozen=True)
class HeldOutScores:
    """Queries with what was predicted for them and what was observed.

    Parameters
    ----------
    scored : ScoredQueries
        What is known before a model answers, in the order of the queries' keys.
    scores : ndarray of shape (n_queries, n_models), float64
        Evaluation scores, NaN where a model did not see a query.
    """

    scored: ScoredQueries
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def probabilities(self) -> np.ndarray:
        """P(correct): (n_queries, n_models)."""
        return self.scored.probabilities

    @property
    def costs(self) -> np.ndarray:
        """Costs, which must be known: (n_queries, n_models)."""
        assert self.scored.costs is not None
        return self.scored.costs

    @property
    def is_binary(self) -> bool:
        """Whether scores are 0 or 1 only."""
        observed = self.scores[np.isfinite(self.scores)]
        return bool(np.isin(observed, [0, 1]).all())

    def take(self, rows: slice) -> HeldOutScores:
        """Keep some of the queries."""
        return HeldOutScores(self.scored.take(rows), self.scores[rows])

    def calibrated(self, calibration: PlattScaling) -> HeldOutScores:
        """Return the same with calibrated P(correct)."""
        P = calibration(self.probabilities)
        return replace(self, scored=replace(self.scored, probabilities=P))

    def only_model(self, column: int) -> HeldOutScores:
        """Keep one model."""
        return HeldOutScores(self.scored.only_model(column), self.scores[:, [column]])

    def observed(self, columns: np.ndarray) -> np.ndarray:
        """Return the scores of chosen columns, NaN where none was observed."""
        return self.scores[np.arange(len(columns)), columns]

    def mean_cost(self, columns: np.ndarray) -> float:
        """Return the mean cost of chosen columns, NaN where costs are unknown."""
        if self.scored.costs is None:
            return math.nan
        return exact_mean(self.costs[np.arange(len(columns)), columns])

    def outcome(self, objective: Objective) -> pd.Series:
        """Return the quality, cost and coverage of the routes of an objective."""
        columns = self.scored.columns(objective)
        reached = self.scored.reached(columns, objective)
        observed = self.observed(columns)
        return pd.Series(
            {
                "quality": exact_mean(observed),
                "observed": np.isfinite(observed).mean(),
                "cost": self.mean_cost(columns),
                "coverage": reached.mean(),
                "quality_reached": exact_mean(observed[reached]),
                "n_queries": len(self),
            }
        )


def exact_mean(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, whatever the order; NaN of nothing."""
    known = values[~np.isnan(values)]
    return math.fsum(known.tolist()) / len(known) if len(known) else math.nan


def read_logged_queries(
    router: Any, identified: UniqueQueries, X: Any, y: Any, labels: np.ndarray
) -> tuple[QueryBatch, np.ndarray]:
    """Read the distinct queries and the score matrix of a log.

    Parameters
    ----------
    router : router
        Its columns are those of the log.
    identified : UniqueQueries
        The queries of X.
    X : dataframe of n_rows rows
        Evaluations; rows of models that are not in ``labels`` count as queries only.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    labels : ndarray of shape (n_models,), object
        Models to choose among.

    Returns
    -------
    queries : QueryBatch of n_queries queries
        The queries in the order of their keys; nothing depends on the order of the
        rows.
    scores : ndarray of shape (n_queries, n_models), float64
        Mean score of each pair, NaN where there is none.
    """
    codes, keys = identified.codes, identified.keys
    scores = read_scores(y, len(codes)).astype(np.float64)
    frame = as_frame(X)
    assert frame is not None  # or its queries had not been read
    models, names = factorize_labels(
        read_column(frame, router.model_col), router.model_col
    )
    # One row stands for each query. It is that of the first model by label, whatever
    # the order of the rows: carried columns may differ from row to row.
    order = np.lexsort((models, codes))
    first = order[np.searchsorted(codes[order], np.arange(len(keys)))]
    matrix = _score_matrix(codes, len(keys), models, names, scores, labels)
    if np.isnan(matrix).all():
        raise ValueError(
            f"X has no evaluation of the models to choose among, {labels[0]!r} and "
            f"{len(labels) - 1} others."
        )
    rows = frame[first.tolist()]
    return logged_batch(identified, rows, router.query_col), matrix


def check_unseen(router: Any, keys: np.ndarray) -> None:
    """Raise if the router was fitted on some of the queries, given by their keys."""
    seen = int(np.isin(keys, stored_evaluations(router).queries.keys).sum())
    if seen:
        raise ValueError(
            f"The router was fitted on evaluations of {seen} of the {len(keys)} "
            "queries in X, where its predictions are optimistic; fit the policy on "
            "queries held out from the router (QueryShuffleSplit)."
        )


def best_single(training: EvaluationSet, held_out: HeldOutScores) -> int:
    """Return the column of the model with the best mean in a router's own log.

    Only models that were evaluated on most of the held-out queries can be chosen.
    """
    # By its mean in training: a choice by the held-out scores would make the target the
    # largest of several means, and so too high.
    means = dict(zip(training.model_names, training.model_means(), strict=True))
    covered = np.isfinite(held_out.scores).mean(axis=0) >= MIN_COVERAGE
    if not covered.any():
        raise ValueError(
            f"No model was evaluated on {MIN_COVERAGE:.0%} of the queries in X, so "
            "that none can be the best single one; give target_quality as a number."
        )
    own = np.array([means[label] for label in held_out.scored.labels])
    return int(np.where(covered, own, -np.inf).argmax())


def _score_matrix(
    codes: np.ndarray,
    n_queries: int,
    models: np.ndarray,
    names: list,
    scores: np.ndarray,
    labels: np.ndarray,
) -> np.ndarray:
    # Models that may not be chosen have no column; their rows are left out.
    columns = {label: column for column, label in enumerate(labels)}
    column_of = np.array([columns.get(name, -1) for name in names])[models]
    wanted = column_of >= 0
    cells = codes[wanted] * np.int64(len(labels)) + column_of[wanted]
    means = group_means(scores[wanted], cells, n_queries * len(labels))
    return means.reshape(n_queries, len(labels))
