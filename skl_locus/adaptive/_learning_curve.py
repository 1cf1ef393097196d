"""Display of the error against the number of evaluations."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pandas as pd

from skl_locus.inspection._plot.axes import MARKERS, PALETTE, label_axes
from skl_locus.inspection._plot.base import DisplayBase

COLUMNS = ("method", "n_evaluations", "error")


class LearningCurveDisplay(DisplayBase):
    """Error against the number of evaluations, such as chosen against random.

    Parameters
    ----------
    curve : DataFrame
        Columns method, n_evaluations and error, one row per point; optionally low and
        high, the limits of an interval that is drawn as a band.
    metric : str, default="Error"
        Name of the error, for the axis.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.adaptive import LearningCurveDisplay
    >>> curve = pd.DataFrame(
    ...     {
    ...         "method": ["chosen", "chosen", "random", "random"],
    ...         "n_evaluations": [16, 64, 16, 64],
    ...         "error": [0.05, 0.02, 0.06, 0.03],
    ...     }
    ... )
    >>> display = LearningCurveDisplay.from_predictions(curve)  # doctest: +SKIP
    """

    def __init__(self, curve: pd.DataFrame, *, metric: str = "Error") -> None:
        self.curve = curve
        self.metric = metric

    @classmethod
    def from_predictions(
        cls, curve: pd.DataFrame, *, metric: str = "Error", ax: Any = None
    ) -> LearningCurveDisplay:
        """Draw measured errors.

        Parameters
        ----------
        curve : DataFrame
            As for the class.
        metric : str, default="Error"
            Name of the error, for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        LearningCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column is missing.
        """
        missing = [name for name in COLUMNS if name not in curve]
        if missing:
            raise ValueError(f"curve has no column {missing[0]!r}.")
        return cls(curve, metric=metric).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw a line for each method, and a band where limits are known."""
        methods = self.curve.groupby("method", sort=False)
        # Markers differ as well as colours, for those who cannot tell these apart.
        looks = zip(cycle(PALETTE), cycle(MARKERS), methods, strict=False)
        for color, marker, (method, own) in looks:
            own = own.sort_values("n_evaluations")
            (line,) = ax.plot(
                own["n_evaluations"],
                own["error"],
                color=color,
                marker=marker,
                label=method,
            )
            if {"low", "high"} <= set(own):
                ax.fill_between(
                    own["n_evaluations"],
                    own["low"],
                    own["high"],
                    color=line.get_color(),
                    alpha=0.15,
                )
        ticks = sorted(self.curve["n_evaluations"].unique())
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.grid(alpha=0.25, linewidth=0.5)
        ax.set_axisbelow(True)
        title = "What more evaluations bring"
        label_axes(ax, title, "Evaluations of the new model", self.metric)
        ax.legend(fontsize="small", frameon=False)
