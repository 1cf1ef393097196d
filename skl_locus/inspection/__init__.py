"""Compare, recognise and search models by their embeddings."""

from skl_locus.inspection._agreement import distance_agreement, neighbor_agreement
from skl_locus.inspection._agreement_displays import (
    DistanceAgreementDisplay,
    NeighborAgreementDisplay,
)
from skl_locus.inspection._duplicates import find_duplicates
from skl_locus.inspection._geometry import (
    disagreement,
    model_distances,
    model_linkage,
)
from skl_locus.inspection._map_displays import (
    DistanceHeatmapDisplay,
    EmbeddingMapDisplay,
)
from skl_locus.inspection._portfolio_display import (
    PortfolioCurveDisplay,
    portfolio_routing,
)
from skl_locus.inspection._profiles import profile_recall, profile_search
from skl_locus.inspection._recognition import drift_test, identify
from skl_locus.inspection._savings import SavingsReport, savings_report
from skl_locus.inspection._savings_display import SavingsDisplay
from skl_locus.inspection._stability import embedding_stability, embedding_uncertainty
from skl_locus.inspection._stability_display import StabilityDisplay
from skl_locus.inspection._swap_test import DriftTest

__all__ = [
    "DistanceAgreementDisplay",
    "DistanceHeatmapDisplay",
    "DriftTest",
    "EmbeddingMapDisplay",
    "NeighborAgreementDisplay",
    "PortfolioCurveDisplay",
    "SavingsDisplay",
    "SavingsReport",
    "StabilityDisplay",
    "disagreement",
    "distance_agreement",
    "drift_test",
    "embedding_stability",
    "embedding_uncertainty",
    "find_duplicates",
    "identify",
    "model_distances",
    "model_linkage",
    "neighbor_agreement",
    "portfolio_routing",
    "profile_recall",
    "profile_search",
    "savings_report",
]
