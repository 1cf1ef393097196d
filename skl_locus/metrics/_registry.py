"""Metrics by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skl_locus.metrics._calibration import (
    area_under_curve,
    canonical_rows,
    expected_calibration_error,
)
from skl_locus.metrics._correctness import correctness_hits, log_losses, squared_losses

ROUTING = "routing_accuracy"
"""The metric of decision scores; the others are of probabilities."""


ROW_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "correctness_accuracy": correctness_hits,
    "soft_log_loss": log_losses,
    "soft_brier": squared_losses,
}
"""Metrics that are means over rows: (scores, P) -> values of the rows."""


POOLED_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "soft_roc_auc": lambda scores, p: area_under_curve(*canonical_rows(scores, p)),
    "expected_calibration_error": expected_calibration_error,
}
"""Metrics of all rows together, which are no means: (scores, P) -> value."""
