"""Embed language models from their evaluations and choose among them."""

from importlib.metadata import version

from skl_locus._costs import CostModel
from skl_locus._embedder import LocusEmbedder
from skl_locus._encoding import QueryEncoder
from skl_locus._policy import RouterPolicy
from skl_locus._router import LocusRouter
from skl_locus.baselines import (
    BestSingleRouter,
    EmbedLLMRouter,
    IRTRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LLMDNAEmbedder,
)
from skl_locus.portfolio import BudgetPortfolio, KCenterPortfolio, KMedoidsPortfolio

__version__ = version("skl-locus")

__all__ = [
    "BestSingleRouter",
    "BudgetPortfolio",
    "CostModel",
    "EmbedLLMRouter",
    "IRTRouter",
    "KCenterPortfolio",
    "KMeansRouter",
    "KMedoidsPortfolio",
    "KNNRouter",
    "LLMDNAEmbedder",
    "LinearRouter",
    "LocusEmbedder",
    "LocusRouter",
    "QueryEncoder",
    "RouterPolicy",
]
