"""Simple routers and comparators, one per file."""

from skl_locus.baselines._avengers import AvengersRouter
from skl_locus.baselines._best_single import BestSingleRouter
from skl_locus.baselines._embedllm import EmbedLLMRouter
from skl_locus.baselines._irt import IRTRouter
from skl_locus.baselines._je_irt import JEIRTRouter
from skl_locus.baselines._kmeans import KMeansRouter
from skl_locus.baselines._knn import KNNRouter
from skl_locus.baselines._linear import LinearRouter
from skl_locus.baselines._llm_dna import LLMDNAEmbedder
from skl_locus.baselines._mirt import MIRTRouter
from skl_locus.baselines._proxrouter import ProxRouter
from skl_locus.baselines._uniroute import UniRouteRouter

__all__ = [
    "AvengersRouter",
    "BestSingleRouter",
    "EmbedLLMRouter",
    "IRTRouter",
    "JEIRTRouter",
    "KMeansRouter",
    "KNNRouter",
    "LLMDNAEmbedder",
    "LinearRouter",
    "MIRTRouter",
    "ProxRouter",
    "UniRouteRouter",
]
