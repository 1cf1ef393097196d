"""Routers to compare with, one per file."""

from skl_locus.baselines._best_single import BestSingleRouter
from skl_locus.baselines._kmeans import KMeansRouter
from skl_locus.baselines._knn import KNNRouter
from skl_locus.baselines._linear import LinearRouter
from skl_locus.baselines._llm_dna import LLMDNAEmbedder

__all__ = [
    "BestSingleRouter",
    "KMeansRouter",
    "KNNRouter",
    "LLMDNAEmbedder",
    "LinearRouter",
]
