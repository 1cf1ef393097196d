"""Portfolios of models, chosen by their embeddings or by their expected scores."""

from skl_locus.portfolio._budget import BudgetPortfolio
from skl_locus.portfolio._curve import portfolio_curve
from skl_locus.portfolio._expected_score import ExpectedScorePortfolio
from skl_locus.portfolio._k_center import KCenterPortfolio
from skl_locus.portfolio._k_medoids import KMedoidsPortfolio

__all__ = [
    "BudgetPortfolio",
    "ExpectedScorePortfolio",
    "KCenterPortfolio",
    "KMedoidsPortfolio",
    "portfolio_curve",
]
