"""Outcomes of routes on held-out queries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, factorize_labels, read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.identity import query_keys
from skl_locus._data.pairs import MIN_COVERAGE, best_covered, score_matrix
from skl_locus._data.scores import read_scores
from skl_locus._policy.platt import PlattScaling
from skl_locus._policy.scored_queries import ScoredQueries
from skl_locus._utils.statistics import stable_mean


@dataclass(frozen=True)
class HeldOutScores:
    """What was expected of queries and what was observed, in the order of their keys.

    Parameters
    ----------
    outlook : ScoredQueries
        What is known of the queries before a model answers them.
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

    def corrected(self, correct: PlattScaling) -> HeldOutScores:
        """Correct P(correct)."""
        P = correct(self.probabilities)
        return replace(self, scored=replace(self.scored, probabilities=P))

    def observed(self, columns: np.ndarray) -> np.ndarray:
        """Return the scores of chosen columns, NaN where none was observed."""
        return self.scores[np.arange(len(columns)), columns]

    def mean_cost(self, columns: np.ndarray) -> float:
        """Return the mean cost of chosen columns, NaN where costs are unknown."""
        if self.scored.costs is None:
            return math.nan
        return stable_mean(self.costs[np.arange(len(columns)), columns])

    def outcome(self, cost_weight: float | None, threshold: float | None) -> pd.Series:
        """Tell what the routes of a weight or a threshold cost and were worth."""
        columns = self.scored.columns(cost_weight, threshold)
        reached = self.scored.reached(columns, threshold)
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
    router: Any, X: Any, y: Any, labels: np.ndarray
) -> tuple[Any, np.ndarray]:
    """Read who was asked what, and how well it was answered.

    Parameters
    ----------
    router : router
        Tells queries and models apart.
    X : dataframe of n_rows rows
        Evaluations; rows of models that are not in ``labels`` count as queries only.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    labels : ndarray of shape (n_models,), object
        Models to look at.

    Returns
    -------
    queries : dataframe of n_queries rows
        The queries in the order of their keys, as they can be given to a router;
        nothing depends on the order of the rows.
    scores : ndarray of shape (n_queries, n_models), float64
        Mean score of each pair, NaN where there is none.
    """
    codes, keys = query_keys(router, X)
    scores = read_scores(y, len(codes)).astype(np.float64)
    frame = as_frame(X)
    assert frame is not None  # or its queries had not been read
    models, names = factorize_labels(
        read_column(frame, router.model_col), router.model_col
    )
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
    return frame[first.tolist()].to_native(), matrix


def best_single(training: EvaluationSet, held_out: HeldOutScores) -> int:
    """Return the column of the model with the best mean in a router's own log.

    Only models that were evaluated on most of the held-out queries can be chosen.
    """
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
