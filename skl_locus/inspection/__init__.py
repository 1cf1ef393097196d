"""Comparison, recognition and search of models by their embeddings."""

from skl_locus.inspection._agreement import distance_agreement, neighbor_agreement
from skl_locus.inspection._atlas.atlas import ModelAtlas, model_atlas
from skl_locus.inspection._duplicates import find_duplicates
from skl_locus.inspection._feedback import FeedbackReport, feedback_report
from skl_locus.inspection._geometry import (
    disagreement,
    model_distances,
    model_linkage,
)
from skl_locus.inspection._headroom import RoutingHeadroom, routing_headroom
from skl_locus.inspection._identity import drift_test, identify
from skl_locus.inspection._permutation import DriftTest
from skl_locus.inspection._plot.agreement import (
    DistanceAgreementDisplay,
    NeighborAgreementDisplay,
)
from skl_locus.inspection._plot.explanation import ExplanationDisplay
from skl_locus.inspection._plot.learning_curve import QueryLearningCurveDisplay
from skl_locus.inspection._plot.map import DistanceHeatmapDisplay, EmbeddingMapDisplay
from skl_locus.inspection._plot.portfolio import PortfolioCurveDisplay
from skl_locus.inspection._plot.savings import SavingsDisplay
from skl_locus.inspection._plot.stability import StabilityDisplay
from skl_locus.inspection._portfolio import portfolio_routing
from skl_locus.inspection._profiles import profile_recall, profile_search
from skl_locus.inspection._savings import SavingsReport, savings_report
from skl_locus.inspection._stability import embedding_stability, embedding_uncertainty

__all__ = [
    "DistanceAgreementDisplay",
    "DistanceHeatmapDisplay",
    "DriftTest",
    "EmbeddingMapDisplay",
    "ExplanationDisplay",
    "FeedbackReport",
    "ModelAtlas",
    "NeighborAgreementDisplay",
    "PortfolioCurveDisplay",
    "QueryLearningCurveDisplay",
    "RoutingHeadroom",
    "SavingsDisplay",
    "SavingsReport",
    "StabilityDisplay",
    "disagreement",
    "distance_agreement",
    "drift_test",
    "embedding_stability",
    "embedding_uncertainty",
    "feedback_report",
    "find_duplicates",
    "identify",
    "model_atlas",
    "model_distances",
    "model_linkage",
    "neighbor_agreement",
    "portfolio_routing",
    "profile_recall",
    "profile_search",
    "routing_headroom",
    "savings_report",
]
