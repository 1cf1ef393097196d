"""Metrics by name, with what comparisons and scorers need to know of them.

A metric that is added here is compared by `compare` and has a scorer in `SCORERS`: it
takes its own module and one entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skl_locus.metrics._calibration import (
    area_under_curve,
    canonical_rows,
    expected_calibration_error,
    soft_roc_auc_score,
)
from skl_locus.metrics._correctness import (
    correctness_accuracy_score,
    correctness_hits,
    log_losses,
    soft_brier_score,
    soft_log_loss,
    squared_losses,
)
from skl_locus.metrics._routing import chosen_scores, routing_accuracy_score

ROUTING, MEAN, POOLED = "routing", "mean", "pooled"
"""Kinds of metrics: of decisions; means over rows of P(correct); of all rows' P."""

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
    kind : {"routing", "mean", "pooled"}
        What it is computed from. Means can be resampled from sums over the rows of
        each query; pooled metrics cannot.
    greater_is_better : bool
        Whether a high value is good.
    values : callable
        ``(scores, P)`` to the values of the rows of a mean, or to the value of a
        pooled metric, of checked columns and without warnings. For decisions,
        ``(pairs, decisions)`` to the value of each query.
    """

    name: str
    function: Callable[..., float]
    kind: str
    greater_is_better: bool
    values: Callable[..., np.ndarray | float]

    @property
    def scorer_name(self) -> str:
        """Name of the scorer, for which greater is always better."""
        return self.name if self.greater_is_better else f"neg_{self.name}"


def _silent_area(scores: np.ndarray, p: np.ndarray) -> float:
    # A task on which all answers are right has no area; its row is NaN, unwarned.
    return area_under_curve(*canonical_rows(scores, p))


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
            "soft_roc_auc", soft_roc_auc_score, POOLED, True, _silent_area
        ),
        RegisteredMetric(
            "expected_calibration_error",
            expected_calibration_error,
            POOLED,
            False,
            expected_calibration_error,
        ),
    )
}
"""All metrics that have a name, in the order of the tables of `compare`."""
