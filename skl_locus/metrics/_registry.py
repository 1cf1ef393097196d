"""Metrics by name, with what comparisons and scorers need to know of them.

A metric that is added here is compared by `compare` and has a scorer in `SCORERS`: it
takes its own module and one entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skl_locus._utils.statistics import log_losses
from skl_locus.metrics._calibration import (
    area_statistic,
    area_under_curve,
    calibration_statistic,
    canonical_rows,
    expected_calibration_error,
    soft_roc_auc_score,
)
from skl_locus.metrics._collapse import (
    choice_entropy_score,
    choice_entropy_statistic,
    most_chosen_share,
    most_chosen_statistic,
)
from skl_locus.metrics._correctness import (
    correctness_accuracy_score,
    correctness_hits,
    soft_brier_score,
    soft_log_loss,
    squared_losses,
)
from skl_locus.metrics._routing import chosen_scores, routing_accuracy_score

ROUTING, CHOICES, MEAN, POOLED = "routing", "choices", "mean", "pooled"
"""Kinds of metrics: means over queries of what decisions gain; of all decisions
together; means over rows of P(correct); of all rows' P together."""

OF_DECISIONS = (ROUTING, CHOICES)
"""Kinds that need decisions alone."""

ROUTING_ACCURACY = "routing_accuracy"
"""The metric that is a mean of scores, which single models have as well."""


@dataclass(frozen=True)
class RegisteredMetric:
    """A metric of this package.

    Parameters
    ----------
    name : str
        Name in the tables of `compare`.
    function : callable
        What users call: ``(y_true, y_prob)``, or for decisions ``(y_true, y_score, *,
        queries, models)``.
    kind : {"routing", "choices", "mean", "pooled"}
        What it is computed from. Means are resampled from sums over the rows of each
        query; other metrics are computed anew from each resample.
    greater_is_better : bool
        Whether a high value is good.
    values : callable
        ``(scores, P)`` to the values of the rows of a mean, or to the value of a
        pooled metric, of checked columns and without warnings. For decisions,
        ``(pairs, decisions)`` to the value of each query, or to the value of "choices".
    statistic : callable, default=None
        Of pooled metrics and of choices: from the arguments of ``values`` to a function
        of weights, of the rows or of the queries, that returns the value. None leaves
        the metric without an interval.
    """

    name: str
    function: Callable[..., float]
    kind: str
    greater_is_better: bool
    values: Callable[..., np.ndarray | float]
    statistic: Callable[..., Callable[[np.ndarray], float]] | None = None

    @property
    def scorer_name(self) -> str:
        """Name of the scorer, for which greater is always better."""
        return self.name if self.greater_is_better else f"neg_{self.name}"


def _silent_area(scores: np.ndarray, p: np.ndarray) -> float:
    # A task on which all answers are right has no area; its row is NaN, unwarned.
    return area_under_curve(*canonical_rows(scores, p))


def _of_all_queries(
    statistic: Callable[..., Callable[[np.ndarray], float]],
) -> Callable[..., float]:
    """Return what a statistic of choices is if each query counts once."""
    return lambda pairs, decisions: statistic(pairs, decisions)(
        np.ones(pairs.n_queries)
    )


METRICS: dict[str, RegisteredMetric] = {
    metric.name: metric
    for metric in (
        RegisteredMetric(
            ROUTING_ACCURACY, routing_accuracy_score, ROUTING, True, chosen_scores
        ),
        RegisteredMetric(
            "correctness_accuracy",
            correctness_accuracy_score,
            MEAN,
            True,
            correctness_hits,
        ),
        RegisteredMetric("soft_log_loss", soft_log_loss, MEAN, False, log_losses),
        RegisteredMetric("soft_brier", soft_brier_score, MEAN, False, squared_losses),
        RegisteredMetric(
            "soft_roc_auc",
            soft_roc_auc_score,
            POOLED,
            True,
            _silent_area,
            area_statistic,
        ),
        RegisteredMetric(
            "expected_calibration_error",
            expected_calibration_error,
            POOLED,
            False,
            expected_calibration_error,
            calibration_statistic,
        ),
        RegisteredMetric(
            "most_chosen_share",
            most_chosen_share,
            CHOICES,
            False,
            _of_all_queries(most_chosen_statistic),
            most_chosen_statistic,
        ),
        RegisteredMetric(
            "choice_entropy",
            choice_entropy_score,
            CHOICES,
            True,
            _of_all_queries(choice_entropy_statistic),
            choice_entropy_statistic,
        ),
    )
}
"""All metrics that have a name, in the order of the tables of `compare`."""
