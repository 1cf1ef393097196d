"""Held-out queries with the scores of models, and the outcome of choices on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, factorize_labels, read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.pairs import MIN_COVERAGE, best_covered, score_matrix
from skl_locus._data.queries import UniqueQueries
from skl_locus._data.query_batch import QueryBatch, logged_batch
from skl_locus._data.scores import read_scores
from skl_locus._policy.platt import PlattScaling
from skl_locus._policy.scored_queries import ScoredQueries
from skl_locus._routing.objective import Objective
from skl_locus._utils.statistics import stable_mean


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
        return stable_mean(self.costs[np.arange(len(columns)), columns])

    def outcome(self, objective: Objective) -> pd.Series:
        """Return the quality, cost and coverage of the routes of an objective."""
        columns = self.scored.columns(objective)
        reached = self.scored.reached(columns, objective)
        observed = self.observed(columns)
        return pd.Series(
            {
                "quality": stable_mean(observed),
                "observed": np.isfinite(observed).mean(),
                "cost": self.mean_cost(columns),
                "coverage": reached.mean(),
                "quality_reached": stable_mean(observed[reached]),
                "n_queries": len(self),
            }
        )


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
    columns = {label: column for column, label in enumerate(labels)}
    columns_of = np.array([columns.get(name, -1) for name in names])
    matrix = score_matrix(codes, columns_of[models], scores, (len(keys), len(labels)))
    if np.isnan(matrix).all():
        raise ValueError(
            f"X has no evaluation of the models to choose among, {labels[0]!r} and "
            f"{len(labels) - 1} others."
        )
    rows = frame[first.tolist()]
    return logged_batch(identified, rows, router.query_col), matrix


def best_single(training: EvaluationSet, held_out: HeldOutScores) -> int:
    """Return the column of the model with the best mean in a router's own log.

    Only models that were evaluated on most of the held-out queries can be chosen.
    """
    # By its mean in training: a choice by the held-out scores would make the target the
    # largest of several means, and so too high.
    means = dict(zip(training.model_names, training.model_means(), strict=True))
    own = np.array([means[label] for label in held_out.scored.labels])
    counts = np.isfinite(held_out.scores).sum(axis=0)
    best = best_covered(own, counts, MIN_COVERAGE * len(held_out))
    if best is None:
        raise ValueError(
            f"No model was evaluated on {MIN_COVERAGE:.0%} of the queries in X, so "
            "that none can be the best single one; give target_quality as a number."
        )
    return best
