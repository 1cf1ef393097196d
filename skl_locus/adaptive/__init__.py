"""Choice of the queries that a new model is evaluated on."""

from skl_locus.adaptive._anchors import select_queries
from skl_locus.adaptive._evaluation import AdaptiveEvaluation
from skl_locus.adaptive._learning_curve import LearningCurveDisplay
from skl_locus.adaptive._mean_score import ScoreEstimate, estimate_score
from skl_locus.adaptive._result import AdaptiveResult

__all__ = [
    "AdaptiveEvaluation",
    "AdaptiveResult",
    "LearningCurveDisplay",
    "ScoreEstimate",
    "estimate_score",
    "select_queries",
]
