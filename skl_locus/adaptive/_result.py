"""Result of an adaptive evaluation, so far or at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from skl_locus.adaptive._mean_score import ScoreEstimate


@dataclass(frozen=True, repr=False)
class AdaptiveResult:
    """What an `AdaptiveEvaluation` knows of its model.

    Parameters
    ----------
    evaluations : dataframe of n_evaluations rows
        Observed scores, in the form that ``add_models`` takes: the columns of the
        queries as they were given, the model and the score.
    completed : dataframe
        The same, and a row with the expected score of each query that was not
        answered and that the router's own log has. A router with at least 16 models
        predicts better from it than from ``evaluations`` (:doc:`/adaptive`); with
        fewer models both are the same. Recognition and drift tests should not take
        expected scores for observed ones.
    score : ScoreEstimate
        Estimated mean score over all queries, with its interval.
    neighbors : DataFrame of n_models rows
        The known models, the most likely first, with the columns ``probability`` (that
        the evaluated model is this one, if it is one of them) and ``distance`` (root
        mean square difference of the expected scores on the queries).
    uncertainty : float
        What `AdaptiveEvaluation.should_stop` compares with its tolerance. For routing,
        the root mean square of the standard deviations of P(correct) on the traffic;
        for the score, the standard error of the mean; for the identity, the
        probability that it is not the first of ``neighbors``.
    n_evaluations : int
        Number of scores.
    cost : float
        Cost of the queries with scores; their number if no costs were given.
    """

    evaluations: Any
    completed: Any
    score: ScoreEstimate
    neighbors: pd.DataFrame
    uncertainty: float
    n_evaluations: int
    cost: float

    def __repr__(self) -> str:
        estimate = self.score
        return (
            f"<{type(self).__name__}: {self.n_evaluations} evaluations, mean score "
            f"{estimate.mean:.3f} ({estimate.low:.3f} to {estimate.high:.3f}), nearest "
            f"{self.neighbors.index[0]!r}, uncertainty {self.uncertainty:.3f}>"
        )
