"""Metrics for scores in [0, 1], and scorers that take such scores as targets."""

from skl_locus._utils.bootstrap import BootstrapEstimate, two_way_bootstrap
from skl_locus.metrics._calibration import (
    expected_calibration_error,
    soft_roc_auc_score,
)
from skl_locus.metrics._collapse import choice_entropy_score, most_chosen_share
from skl_locus.metrics._compare import compare
from skl_locus.metrics._correctness import (
    correctness_accuracy_score,
    soft_brier_score,
    soft_log_loss,
)
from skl_locus.metrics._cost_curve import cost_quality_curve
from skl_locus.metrics._cost_hull import aiq_score, non_decreasing_hull
from skl_locus.metrics._cost_scores import (
    apgr_score,
    cost_save_score,
    cpt_score,
    perf_gain_score,
)
from skl_locus.metrics._performance_dial import performance_dial_curve
from skl_locus.metrics._references import (
    best_single_score,
    gain_over_best_single,
    gap_to_oracle,
    oracle_score,
    random_router_score,
    routing_coverage,
)
from skl_locus.metrics._router_arena import router_arena_score
from skl_locus.metrics._routing import hit_at_k_score, routing_accuracy_score
from skl_locus.metrics._scorers import (
    correctness_accuracy_scorer,
    make_onboarding_scorer,
    make_routing_scorer,
    neg_expected_calibration_error_scorer,
    neg_soft_brier_scorer,
    neg_soft_log_loss_scorer,
    routing_accuracy_scorer,
    soft_roc_auc_scorer,
)
from skl_locus.metrics._voting import majority_vote, voting_score
from skl_locus.metrics._zero_router import qnc_score, zero_router_hull

__all__ = [
    "BootstrapEstimate",
    "aiq_score",
    "apgr_score",
    "best_single_score",
    "choice_entropy_score",
    "compare",
    "correctness_accuracy_score",
    "correctness_accuracy_scorer",
    "cost_quality_curve",
    "cost_save_score",
    "cpt_score",
    "expected_calibration_error",
    "gain_over_best_single",
    "gap_to_oracle",
    "hit_at_k_score",
    "majority_vote",
    "make_onboarding_scorer",
    "make_routing_scorer",
    "most_chosen_share",
    "neg_expected_calibration_error_scorer",
    "neg_soft_brier_scorer",
    "neg_soft_log_loss_scorer",
    "non_decreasing_hull",
    "oracle_score",
    "perf_gain_score",
    "performance_dial_curve",
    "qnc_score",
    "random_router_score",
    "router_arena_score",
    "routing_accuracy_score",
    "routing_accuracy_scorer",
    "routing_coverage",
    "soft_brier_score",
    "soft_log_loss",
    "soft_roc_auc_score",
    "soft_roc_auc_scorer",
    "two_way_bootstrap",
    "voting_score",
    "zero_router_hull",
]
