"""Display of the cost and the quality of a policy."""

from __future__ import annotations

from textwrap import fill
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus.inspection._plot.axes import label_axes
from skl_locus.inspection._plot.base import DisplayBase
from skl_locus.inspection._replay import BEST, CHEAPEST, ORACLE, POLICY, RANDOM
from skl_locus.inspection._savings import SavingsReport, savings_report
from skl_locus.metrics import non_decreasing_hull

TITLE = "What the policy costs and what it is worth"
"""Title of the picture."""

LEGEND_BESIDE: dict[str, Any] = {
    "loc": "upper left",
    "bbox_to_anchor": (1.01, 1),
    "labelspacing": 0.9,
}
"""Where the legend of a new figure is: inside the axes, it would hide something."""

LEGEND_BELOW: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, 0.0),
    "ncols": 3,
}
"""Where the legend of given axes is, below the name of their axis."""

LINE_POINTS_HIGH = 11.0
"""Height of a small line of text, in points."""

TICKS_POINTS_HIGH = 24.0
"""Height of what is between axes and the name of the horizontal one, in points."""

LOG_FROM = 10.0
"""Costs that differ by this factor are drawn on a logarithmic axis."""

LINE_POINTS = 200
"""Points of the line of mixtures, which is curved on a logarithmic axis."""

CHARACTERS_PER_INCH = 15.0
"""Characters of small text in an inch, for the sentence below the picture."""

MIN_WIDTH = 40
"""Characters in a line of it at least."""

CURVE_COLOR = "tab:blue"
"""Of the operating points and of their hull."""

STYLES: dict[str, dict[str, Any]] = {
    POLICY: {"marker": "*", "color": "tab:red", "markersize": 15, "zorder": 6},
    BEST: {"marker": "s", "color": "black", "markersize": 7, "zorder": 5},
    CHEAPEST: {"marker": "v", "color": "tab:green", "markersize": 8, "zorder": 5},
    RANDOM: {"marker": "X", "color": "tab:purple", "markersize": 8, "zorder": 4},
    ORACLE: {"marker": "D", "color": "tab:orange", "markersize": 7, "zorder": 4},
}
"""How each way of choosing is drawn."""


class SavingsDisplay(DisplayBase):
    """Quality against cost: a policy, what it is held against, and its curve.

    Use `from_policy` or `from_report` to create it.

    Parameters
    ----------
    report : SavingsReport
        From `savings_report`.
    headroom : bool, RoutingHeadroom or str, default=True
        What routing can win, in a sentence below the picture: True writes that of the
        report, False and None none, and a `RoutingHeadroom` its own.
    unit : str, default=None
        Unit of the costs, such as "$", for the axis.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.
    """

    # Wide enough for the legend beside the axes.
    _figure_size = (8.4, 4.8)

    def __init__(
        self, report: SavingsReport, headroom: Any = True, unit: str | None = None
    ) -> None:
        self.report = report
        self.headroom = headroom
        self.unit = unit

    @classmethod
    def from_policy(
        cls,
        policy: Any,
        evaluations: Any,
        y: ArrayLike | None = None,
        *,
        reference: Any = None,
        random_state: int | np.random.RandomState | None = None,
        headroom: Any = True,
        unit: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Replay a log and draw what comes of it.

        Parameters
        ----------
        policy, evaluations, y, reference, random_state
            As for `savings_report`; make the report yourself for its other parameters.
        headroom : bool, RoutingHeadroom or str, default=True
            What routing can win, in a sentence below the picture: True writes that of
            the report, False and None none, and a `RoutingHeadroom` its own.
        unit : str, default=None
            Unit of the costs, such as "$", for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        SavingsDisplay
            The display, drawn.
        """
        report = savings_report(
            policy, evaluations, y, reference=reference, random_state=random_state
        )
        return cls.from_report(report, headroom=headroom, unit=unit, ax=ax)

    @classmethod
    def from_report(
        cls,
        report: SavingsReport,
        *,
        headroom: Any = True,
        unit: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : SavingsReport
            From `savings_report`.
        headroom : bool, RoutingHeadroom or str, default=True
            What routing can win, in a sentence below the picture: True writes that of
            the report, False and None none, and a `RoutingHeadroom` its own.
        unit : str, default=None
            Unit of the costs, such as "$", for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        SavingsDisplay
            The display, drawn.
        """
        return cls(report, headroom, unit).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw points with the limits of both means, the curve and its hull.

        The pale line is what mixtures of the router's operating points reach; single
        models are small and grey. Bars are the limits of the report.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        SavingsDisplay
            The display, drawn.
        """
        # Given axes may have neighbours where a new figure has room for a legend.
        return self._draw_on(ax, below=ax is not None)

    def _draw(self, ax: Any, below: bool) -> None:
        if self._spans_decades():
            ax.set_xscale("log")
        self._draw_models(ax)
        self._draw_curve(ax)
        self._draw_choices(ax)
        ax.grid(alpha=0.25, linewidth=0.5)
        ax.set_axisbelow(True)
        unit = "" if self.unit is None else f" ({self.unit})"
        name = f"Cost per query{unit}{self._headroom_below(ax)}"
        label_axes(ax, TITLE, name, "Quality (mean score)")
        ax.xaxis.label.set_fontsize("small")
        where = _below(ax, name) if below else LEGEND_BESIDE
        ax.legend(fontsize="small", frameon=False, **where)

    def _headroom_below(self, ax: Any) -> str:
        """Return what routing can win on such a log, for below the name of the axis."""
        headroom = self.report.headroom if self.headroom is True else self.headroom
        if not headroom:
            return ""
        inches = ax.get_position().width * ax.figure.get_figwidth()
        width = max(MIN_WIDTH, round(CHARACTERS_PER_INCH * inches))
        sentence = fill(f"What routing can win: {headroom}", width)
        return f"\n\n{sentence}"

    def _spans_decades(self) -> bool:
        costs = np.concatenate(
            [
                self.report.table["cost"],
                self.report.models["cost"],
                self.report.curve["cost"],
            ]
        )
        return bool(costs.min() > 0 and costs.max() > LOG_FROM * costs.min())

    def _draw_models(self, ax: Any) -> None:
        models = self.report.models
        ax.scatter(
            models["cost"],
            models["quality"],
            s=14,
            color="grey",
            alpha=0.6,
            linewidth=0,
            label="each model alone",
            zorder=2,
        )

    def _draw_curve(self, ax: Any) -> None:
        curve = self.report.curve
        if len(curve) < 2:
            return  # a line of one point shows nothing but its name
        ax.plot(
            curve["cost"],
            curve["quality"],
            color=CURVE_COLOR,
            linewidth=1.3,
            label="router, by weight of cost",
            zorder=3,
        )
        costs, qualities = non_decreasing_hull(curve["cost"], curve["quality"])
        grid = np.union1d(costs, np.linspace(costs[0], costs[-1], LINE_POINTS))
        ax.plot(
            grid,
            np.interp(grid, costs, qualities),
            color=CURVE_COLOR,
            linewidth=6,
            alpha=0.2,
            solid_capstyle="round",
            label="hull of its mixtures",
            zorder=2,
        )

    def _draw_choices(self, ax: Any) -> None:
        for name, row in self.report.table.iterrows():
            style = STYLES[str(name)]
            label = name if row["model"] is None else f"{name}:\n{row['model']}"
            ax.plot(
                row["cost"],
                row["quality"],
                linestyle="",
                label=label,
                markeredgecolor="white",
                markeredgewidth=0.7,
                **style,
            )
            ax.errorbar(
                row["cost"],
                row["quality"],
                xerr=_bar(row, "cost"),
                yerr=_bar(row, "quality"),
                fmt="none",
                ecolor=style["color"],
                elinewidth=1.2,
                capsize=3,
                zorder=style["zorder"] - 0.5,
            )


def _below(ax: Any, name: str) -> dict[str, Any]:
    """Return where a legend is below the name of the horizontal axis."""
    from matplotlib.transforms import ScaledTranslation

    points = TICKS_POINTS_HIGH + LINE_POINTS_HIGH * len(name.split("\n"))
    # In points: the height of the axes is known only when the figure is laid out.
    shift = ScaledTranslation(0, -points / 72, ax.figure.dpi_scale_trans)
    return LEGEND_BELOW | {"bbox_transform": ax.transAxes + shift}


def _bar(row: pd.Series, name: str) -> np.ndarray:
    """Return how far the limits are below and above a mean: (2, 1)."""
    below, above = row[name] - row[f"{name}_low"], row[f"{name}_high"] - row[name]
    return np.array([[below], [above]]).clip(min=0)
