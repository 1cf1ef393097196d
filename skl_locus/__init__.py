"""Embed language models from their evaluations and choose among them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from skl_locus._costs.cost_model import CostModel
    from skl_locus._data.query_encoder import QueryEncoder
    from skl_locus._locus.embedder import LocusEmbedder
    from skl_locus._locus.router import LocusRouter
    from skl_locus._persistence.saving import describe, load, save
    from skl_locus._policy.policy import RouterPolicy
    from skl_locus.baselines import (
        AvengersRouter,
        BestSingleRouter,
        EmbedLLMRouter,
        IRTRouter,
        JEIRTRouter,
        KMeansRouter,
        KNNRouter,
        LinearRouter,
        LLMDNAEmbedder,
        MIRTRouter,
        ProxRouter,
        UniRouteRouter,
    )
    from skl_locus.portfolio import (
        BudgetPortfolio,
        ExpectedScorePortfolio,
        KCenterPortfolio,
        KMedoidsPortfolio,
    )

__all__ = [
    "AvengersRouter",
    "BestSingleRouter",
    "BudgetPortfolio",
    "CostModel",
    "EmbedLLMRouter",
    "ExpectedScorePortfolio",
    "IRTRouter",
    "JEIRTRouter",
    "KCenterPortfolio",
    "KMeansRouter",
    "KMedoidsPortfolio",
    "KNNRouter",
    "LLMDNAEmbedder",
    "LinearRouter",
    "LocusEmbedder",
    "LocusRouter",
    "MIRTRouter",
    "ProxRouter",
    "QueryEncoder",
    "RouterPolicy",
    "UniRouteRouter",
    "describe",
    "load",
    "save",
]

_SUBPACKAGES = {
    "adaptive",
    "baselines",
    "batches",
    "datasets",
    "inspection",
    "integrations",
    "metrics",
    "model_selection",
    "portfolio",
}

_HOMES = {
    "AvengersRouter": "baselines",
    "BestSingleRouter": "baselines",
    "BudgetPortfolio": "portfolio",
    "CostModel": "_costs.cost_model",
    "EmbedLLMRouter": "baselines",
    "ExpectedScorePortfolio": "portfolio",
    "IRTRouter": "baselines",
    "JEIRTRouter": "baselines",
    "KCenterPortfolio": "portfolio",
    "KMeansRouter": "baselines",
    "KMedoidsPortfolio": "portfolio",
    "KNNRouter": "baselines",
    "LLMDNAEmbedder": "baselines",
    "LinearRouter": "baselines",
    "LocusEmbedder": "_locus.embedder",
    "LocusRouter": "_locus.router",
    "MIRTRouter": "baselines",
    "ProxRouter": "baselines",
    "QueryEncoder": "_data.query_encoder",
    "RouterPolicy": "_policy.policy",
    "UniRouteRouter": "baselines",
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
    if name == "__version__":
        value: Any = _installed_version()
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__, *_SUBPACKAGES, "__version__"})


def _installed_version() -> str:
    # Reading the metadata takes most of the time to import this module, which the help
    # of the command line waits for.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("skl-locus")
    except PackageNotFoundError:
        # A source tree on the path, with nothing installed, has no metadata.
        return "0+unknown"
