"""Metrics for scores in [0, 1], and scorers that take such scores as targets."""

from skl_locus.metrics._correctness import (
    correctness_accuracy_score,
    soft_brier_score,
    soft_log_loss,
)
from skl_locus.metrics._routing import routing_accuracy_score
from skl_locus.metrics._scorers import (
    correctness_accuracy_scorer,
    make_onboarding_scorer,
    make_routing_scorer,
    neg_soft_brier_scorer,
    neg_soft_log_loss_scorer,
    routing_accuracy_scorer,
)

__all__ = [
    "correctness_accuracy_score",
    "correctness_accuracy_scorer",
    "make_onboarding_scorer",
    "make_routing_scorer",
    "neg_soft_brier_scorer",
    "neg_soft_log_loss_scorer",
    "routing_accuracy_score",
    "routing_accuracy_scorer",
    "soft_brier_score",
    "soft_log_loss",
]
