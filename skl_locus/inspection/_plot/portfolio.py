"""Display of the routing accuracy that a portfolio keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import pandas as pd

from skl_locus.inspection._plot.axes import PALETTE, label_axes
from skl_locus.inspection._plot.base import DisplayBase
from skl_locus.inspection._portfolio import N_RANDOM, portfolio_routing

BY_SCORES = {
    "top_mean": ("highest means", "s"),
    "greedy_cover": ("cover of the scores", "^"),
    "best_expected": ("expected score", "D"),
}
"""Columns of portfolios that are chosen by scores, with their labels and markers."""

COVERAGE_COLOR = PALETTE[4]
"""Of the axis on the right and its line; no other line has it."""


class PortfolioCurveDisplay(DisplayBase):
    """Routing accuracy and coverage of portfolios of growing size (paper Figure 9).

    Portfolios that are chosen by scores and random ones are drawn for comparison.
    Use `from_estimator` to create it.

    Parameters
    ----------
    curve : DataFrame
        From `portfolio_routing`.
    unit : str, default=None
        Unit of the costs, such as "$", for the axis of budgets.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.
    """

    def __init__(self, curve: pd.DataFrame, unit: str | None = None) -> None:
        self.curve = curve
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        X: Any,
        y: Any,
        *,
        sizes: Iterable | None = None,
        budgets: Iterable | None = None,
        cost: Any = None,
        selector: Any = None,
        n_random: int = N_RANDOM,
        random_state: int | np.random.RandomState | None = None,
        unit: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the portfolios of a fitted router's models.

        Parameters
        ----------
        router, X, y, sizes, budgets, cost, selector, n_random, random_state
            As for `portfolio_routing`.
        unit : str, default=None
            Unit of the costs, such as "$", for the axis of budgets.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        PortfolioCurveDisplay
            The display, drawn.
        """
        curve = portfolio_routing(
            router,
            X,
            y,
            sizes=sizes,
            budgets=budgets,
            cost=cost,
            selector=selector,
            n_random=n_random,
            random_state=random_state,
        )
        return cls(curve, unit).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw accuracy on the left axis and coverage on the right one."""
        curve = self.curve
        by_budget = "budget" in curve
        x = curve["budget" if by_budget else "size"]
        # A curve of one size has no lines: everything has a marker or a bar.
        ax.plot(x, curve["accuracy"], marker="o", color=PALETTE[0], label="portfolio")
        for place, (name, (label, marker)) in enumerate(BY_SCORES.items(), start=1):
            if name in curve:
                style = {"marker": marker, "markersize": 4, "color": PALETTE[place]}
                ax.plot(x, curve[name], lw=1, label=label, **style)
        ax.errorbar(
            x,
            curve["random_mean"],
            yerr=curve["random_std"],
            marker="x",
            capsize=3,
            color="grey",
            label="random (± standard deviation)",
        )
        if "pool_accuracy" in curve.attrs:
            whole = curve.attrs["pool_accuracy"]
            ax.axhline(whole, ls="--", color="black", label="all models")
        if "coverage" in curve:
            self._draw_coverage(ax.twinx(), x)
        budget = f"Budget ({self.unit or 'unit of the costs'})"
        label = budget if by_budget else "Models in the portfolio"
        label_axes(ax, "Routing among a portfolio", label, "Routing accuracy")
        ax.legend(loc="lower right")

    def _draw_coverage(self, ax: Any, x: pd.Series) -> None:
        ax.plot(x, self.curve["coverage"], color=COVERAGE_COLOR, ls=":", marker=".")
        ax.set_ylabel("Coverage (sum of best similarities)", color=COVERAGE_COLOR)
