"""Portfolios of models, chosen by their embeddings."""

from skl_locus.portfolio._budget import BudgetPortfolio
from skl_locus.portfolio._curve import portfolio_curve
from skl_locus.portfolio._k_center import KCenterPortfolio
from skl_locus.portfolio._k_medoids import KMedoidsPortfolio

__all__ = [
    "BudgetPortfolio",
    "KCenterPortfolio",
    "KMedoidsPortfolio",
    "portfolio_curve",
]
