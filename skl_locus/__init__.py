"""Embed language models from their evaluations and choose among them."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skl_locus._costs.cost_model import CostModel
    from skl_locus._data.query_encoder import QueryEncoder
    from skl_locus._locus.embedder import LocusEmbedder
    from skl_locus._locus.router import LocusRouter
    from skl_locus._persistence.saving import describe, load, save
    from skl_locus._policy.policy import RouterPolicy
    from skl_locus.baselines import (
        BestSingleRouter,
        EmbedLLMRouter,
        IRTRouter,
        KMeansRouter,
        KNNRouter,
        LinearRouter,
        LLMDNAEmbedder,
    )
    from skl_locus.portfolio import (
        BudgetPortfolio,
        ExpectedScorePortfolio,
        KCenterPortfolio,
        KMedoidsPortfolio,
    )

try:
    __version__ = version("skl-locus")
except PackageNotFoundError:
    # A source tree on the path, with nothing installed, has no metadata.
    __version__ = "0+unknown"

__all__ = [
    "BestSingleRouter",
    "BudgetPortfolio",
    "CostModel",
    "EmbedLLMRouter",
    "ExpectedScorePortfolio",
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
    "describe",
    "load",
    "save",
]

_SUBPACKAGES = {
    "adaptive",
    "baselines",
    "datasets",
    "inspection",
    "metrics",
    "model_selection",
    "portfolio",
}

_HOMES = {
    "BestSingleRouter": "baselines",
    "BudgetPortfolio": "portfolio",
    "CostModel": "_costs.cost_model",
    "EmbedLLMRouter": "baselines",
    "ExpectedScorePortfolio": "portfolio",
    "IRTRouter": "baselines",
    "KCenterPortfolio": "portfolio",
    "KMeansRouter": "baselines",
    "KMedoidsPortfolio": "portfolio",
    "KNNRouter": "baselines",
    "LLMDNAEmbedder": "baselines",
    "LinearRouter": "baselines",
    "LocusEmbedder": "_locus.embedder",
    "LocusRouter": "_locus.router",
    "QueryEncoder": "_data.query_encoder",
    "RouterPolicy": "_policy.policy",
    "describe": "_persistence.saving",
    "load": "_persistence.saving",
    "save": "_persistence.saving",
}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    # Importing one router should not take the time of all the others' dependencies.
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__, *_SUBPACKAGES})
