"""Display of the movement of embeddings under other evaluations."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from skl_locus.inspection._plot.axes import label_axes
from skl_locus.inspection._plot.base import DisplayBase
from skl_locus.inspection._stability import embedding_stability

BAND = (0.1, 0.9)
"""Quantiles of the distances between which the stability curve is shaded."""

LABELS = {
    "size": "Evaluations of the reference that are used",
    "overlap": "Share of evaluations that are in the reference",
}

OTHERS = {
    "nearest_other": "nearest other model (mean)",
    "median_other": "median other model (mean)",
}


class StabilityDisplay(DisplayBase):
    """Movement of embeddings under other evaluations (paper Figures 13 and 14).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    stability : DataFrame
        From `embedding_stability`.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.inspection import StabilityDisplay
    >>> StabilityDisplay(pd.DataFrame({"change": ["size"]})).stability.shape
    (1, 1)
    """

    def __init__(self, stability: pd.DataFrame) -> None:
        self.stability = stability

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        models: Any = None,
        *,
        change: str = "size",
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the models of a fitted router.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        models : collection of labels, default=None
            Models to embed anew; None means all.
        change : {"size", "overlap"}, default="size"
            What varies.
        n_repeats : int, default=5
            Draws of evaluations.
        random_state : int, RandomState instance or None, default=None
            Determines the draws.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        StabilityDisplay
            The display, drawn.
        """
        table = embedding_stability(
            router, models, n_repeats=n_repeats, random_state=random_state
        )
        return cls.from_predictions(table, change=change, ax=ax)

    @classmethod
    def from_predictions(
        cls, stability: pd.DataFrame, *, change: str = "size", ax: Any = None
    ) -> Self:
        """Draw a given table.

        Parameters
        ----------
        stability : DataFrame
            From `embedding_stability`.
        change : {"size", "overlap"}, default="size"
            What varies.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        StabilityDisplay
            The display, drawn.
        """
        return cls(stability).plot(ax=ax, change=change)

    def plot(self, ax: Any = None, *, change: str = "size") -> Self:
        """Draw the mean distance to the reference embedding.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        change : {"size", "overlap"}, default="size"
            What varies.

        Returns
        -------
        StabilityDisplay
            Itself.
        """
        if change not in LABELS:
            raise ValueError(f"change must be 'size' or 'overlap', got {change!r}.")
        return self._draw_on(ax, change=change)

    def _draw(self, ax: Any, change: str) -> None:
        table = self.stability[self.stability["change"] == change]
        distances = table.groupby("value")["distance"]
        low, high = distances.quantile(BAND[0]), distances.quantile(BAND[1])
        ax.plot(distances.mean(), marker="o", label="same model (mean)")
        ax.fill_between(
            low.index, low, high, alpha=0.2, label=f"{BAND[0]:.0%} to {BAND[1]:.0%}"
        )
        others = table.groupby("model")[["nearest_other", "median_other"]].first()
        for (column, name), style in zip(OTHERS.items(), ("--", ":"), strict=True):
            ax.axhline(others[column].mean(), ls=style, color="grey", label=name)
        ax.set_ylim(bottom=0)
        ax.legend()
        label_axes(
            ax, "Stability of embeddings", LABELS[change], "Distance to the reference"
        )
