"""Display of the parts of a prediction."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import expit, logit

from skl_locus.inspection._plot.axes import PALETTE, label_axes
from skl_locus.inspection._plot.base import DisplayBase

BAR_HEIGHT = 0.8
"""Share of a model's place that its bars take together."""

TICKS = np.array([0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99])
"""Probabilities on the upper axis."""

LABELS = {
    "mean": "mean score",
    "clusters": "similar queries",
    "own_regression": "regression",
    "limit": "bounds",
}
"""Parts as the legend calls them; others have their own names."""


class ExplanationDisplay(DisplayBase):
    """Bars of what each part adds to P(correct) of the best models for a query.

    Use `from_estimator` or `from_explanation` to create it.

    Parameters
    ----------
    explanation : RouteExplanation
        From `LocusRouter.explain`.
    query : int, default=0
        Position of the query that is drawn.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import ExplanationDisplay
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> explanation = router.explain(pool.encodings[:2])
    >>> ExplanationDisplay(explanation, query=1).query
    1
    """

    _figure_size = (7.2, 3.6)

    def __init__(self, explanation: Any, query: int = 0) -> None:
        self.explanation = explanation
        self.query = query

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        queries: Any,
        *,
        query: int = 0,
        k: int = 3,
        models: Any = None,
        ax: Any = None,
    ) -> Self:
        """Explain routes of a fitted router and draw those of one query.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        query : int, default=0
            Position of the query that is drawn.
        k : int, default=3
            Number of models.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        ExplanationDisplay
            The display, drawn.
        """
        explanation = router.explain(queries, k, models, n_similar=0)
        return cls.from_explanation(explanation, query=query, ax=ax)

    @classmethod
    def from_explanation(
        cls, explanation: Any, *, query: int = 0, ax: Any = None
    ) -> Self:
        """Draw an explanation of one query.

        Parameters
        ----------
        explanation : RouteExplanation
            From `LocusRouter.explain`.
        query : int, default=0
            Position of the query that is drawn.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        ExplanationDisplay
            The display, drawn.
        """
        return cls(explanation, query).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw a group of bars for each model, and its sum as a diamond."""
        table = self.explanation.contributions
        rows = table[table["query"] == self.query]
        if rows.empty:
            raise ValueError(f"The explanation has no query {self.query!r}.")
        parts = self._parts(rows)
        height = BAR_HEIGHT / len(parts)
        places = np.arange(len(rows), dtype=float)
        for i, part in enumerate(parts):
            ax.barh(
                places + (i - (len(parts) - 1) / 2) * height,
                rows[part].astype(float),
                height=height,
                color=PALETTE[i % len(PALETTE)],
                label=LABELS.get(part, part),
            )
        total = logit(rows["probability"].to_numpy(np.float64))
        ax.plot(total, places, "kD", markersize=7, label="sum", zorder=3)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(
            places,
            [
                f"{model}\nP = {p:.2f}"
                for model, p in zip(rows["model"], rows["probability"], strict=True)
            ],
        )
        ax.invert_yaxis()
        ax.grid(axis="x", alpha=0.25, linewidth=0.5)
        ax.set_axisbelow(True)
        self._add_probabilities(ax)
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            fontsize="small",
            frameon=False,
        )
        title = f"Query {self.query}: what P(correct) is made of"
        label_axes(ax, title, "Added log-odds of being correct", "Model")

    def _parts(self, rows: Any) -> list[str]:
        """List the parts, without bounds that take nothing off."""
        limited = ["limit"] if (rows["limit"] != 0).any() else []
        return [*self.explanation.parts, *limited]

    def _add_probabilities(self, ax: Any) -> None:
        upper = ax.secondary_xaxis("top", functions=(_as_it_is, _as_it_is))
        low, high = expit(ax.get_xlim())
        shown = TICKS[(low <= TICKS) & (high >= TICKS)]
        upper.set_xticks(logit(shown), [f"{p:g}" for p in shown])
        upper.set_xlabel("P(correct) of the sum")


def _as_it_is(values: Any) -> Any:
    return values
