"""Display of learning curves over the number of queries."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd

from skl_locus.inspection._plot.axes import PALETTE, label_axes
from skl_locus.inspection._plot.base import DisplayBase
from skl_locus.model_selection import query_learning_curve


class QueryLearningCurveDisplay(DisplayBase):
    """Score on test queries against the number of training queries.

    Use `from_estimator` or `from_curve` to create it.

    Parameters
    ----------
    curve : DataFrame
        From `skl_locus.model_selection.query_learning_curve`.
    score_name : str, default="Score"
        Name of the score, for the axis.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.inspection import QueryLearningCurveDisplay
    >>> curve = pd.DataFrame({"split": [0, 0], "n_queries": [8, 16], "score": [0, 1]})
    >>> QueryLearningCurveDisplay(curve).score_name
    'Score'
    """

    def __init__(self, curve: pd.DataFrame, score_name: str = "Score") -> None:
        self.curve = curve
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        score_name: str = "Score",
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Fit an estimator to more and more queries and draw its scores.

        Parameters
        ----------
        estimator, X, y
            As for `skl_locus.model_selection.query_learning_curve`.
        score_name : str, default="Score"
            Name of the score, for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        **options
            Other parameters of `query_learning_curve`.

        Returns
        -------
        QueryLearningCurveDisplay
            The display, drawn.
        """
        curve = query_learning_curve(estimator, X, y, **options)
        return cls.from_curve(curve, score_name=score_name, ax=ax)

    @classmethod
    def from_curve(
        cls, curve: pd.DataFrame, *, score_name: str = "Score", ax: Any = None
    ) -> Self:
        """Draw given scores.

        Parameters
        ----------
        curve : DataFrame
            From `skl_locus.model_selection.query_learning_curve`.
        score_name : str, default="Score"
            Name of the score, for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        QueryLearningCurveDisplay
            The display, drawn.
        """
        return cls(curve, score_name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw the mean over the splits with its standard errors, and all points."""
        curve = self.curve
        ax.scatter(
            curve["n_queries"],
            curve["score"],
            s=14,
            color="grey",
            alpha=0.5,
            linewidth=0,
            label="splits",
        )
        scores = curve.groupby("n_queries")["score"]
        ax.errorbar(
            scores.mean().index.to_numpy(),
            scores.mean().to_numpy(),
            yerr=scores.sem().fillna(0).to_numpy(),
            marker="o",
            capsize=3,
            color=PALETTE[0],
            label="mean (± standard error)",
        )
        ax.grid(alpha=0.25, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.legend(fontsize="small", frameon=False)
        title = "What more queries bring"
        label_axes(ax, title, "Training queries", f"{self.score_name} on other queries")
