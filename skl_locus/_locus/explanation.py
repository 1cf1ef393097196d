"""Explanations of routes: the parts of a prediction and the queries behind it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

PART_NAMES = {
    "mean": "its mean score",
    "clusters": "its scores on similar queries",
    "own_regression": "its regression on the encodings",
    "network": "the network",
    "limit": "the bounds of the evidence",
}
"""Parts in words; a feature that is not listed is called by its name."""

NEGLIGIBLE = 0.005
"""Contributions below this are 0.00 as they are printed, and are not mentioned."""

FAR = 0.5
"""Trust below which a sentence says that the query is far from all known ones."""

MAX_SENTENCES = 5
"""Queries of which a printed explanation has the sentence."""


@dataclass(frozen=True, repr=False)
class RouteExplanation:
    """Parts of the predictions for the best models of some queries.

    Made by `LocusRouter.explain`; ``str(explanation)`` says it in sentences, one per
    query, and ``inspection.ExplanationDisplay`` draws it.

    Parameters
    ----------
    contributions : DataFrame of shape (n_queries * k, 5 + n_parts)
        One row per query and model, the best model first. Columns query (position
        among the queries), rank, model, probability and score (the decision score);
        then, in log-odds, what each part adds to P(correct): one column per feature of
        the evidence ("mean", "clusters", "own_regression"), "network" and "limit", what
        the bounds of the evidence take off. The parts of a row add up to the log-odds
        of its probability. A last column, "trust", says how far everything but the
        mean counts.
    decisions : DataFrame of shape (n_queries * k, 4 + n_parts)
        What each part adds to the log-odds of the decision score, by which models are
        chosen; these add up, too.
    estimates : DataFrame of shape (n_queries * k, 3 + n_parts)
        P(correct) by each part alone.
    similar : DataFrame of shape (n_rows, 6)
        The known queries nearest to each query, one row per model: query, neighbor
        (from 1), id, distance of the encodings, model and score, NaN where it was not
        evaluated. The id is that of the log, if there is one, or else the digest of
        the query's identity in hexadecimal.
    """

    contributions: pd.DataFrame
    decisions: pd.DataFrame
    estimates: pd.DataFrame
    similar: pd.DataFrame

    @property
    def sentences(self) -> list[str]:
        """One paragraph per query on the model that is chosen."""
        groups = self.contributions.groupby("query", sort=True).indices
        return [self._sentence(query, rows) for query, rows in groups.items()]

    @property
    def parts(self) -> list[str]:
        """Names of the parts, in the order of the columns of ``decisions``."""
        return self.decisions.columns[4:].tolist()

    def to_frame(self) -> pd.DataFrame:
        """Return the parts of P(correct).

        Returns
        -------
        DataFrame of shape (n_queries * k, 5 + n_parts)
            ``contributions``.
        """
        return self.contributions.copy()

    def __str__(self) -> str:
        """Return the sentences of the first queries."""
        groups = self.contributions.groupby("query", sort=True).indices
        shown = list(groups.items())[:MAX_SENTENCES]
        lines = [
            f"Query {query}: {self._sentence(query, rows)}" for query, rows in shown
        ]
        if len(groups) > len(shown):
            lines.append(f"... and {len(groups) - len(shown)} more queries.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        """Return the sentences and the table, for notebooks."""
        sentences = "".join(
            f"<p>{html.escape(line)}</p>" for line in str(self).split("\n")
        )
        return sentences + self.contributions.to_html(
            index=False, max_rows=20, float_format="{:.2f}".format
        )

    def _sentence(self, query: int, rows: np.ndarray) -> str:
        best = self.contributions.iloc[rows[0]]
        sentences = [self._choice(best)]
        parts = self._additions(best, rows[0])
        if parts:
            sentences.append(parts)
        if best["trust"] < FAR:
            sentences.append(
                f"The query is far from those of the log (trust {best['trust']:.2f}), "
                "so that everything but the mean counts little."
            )
        if len(rows) > 1:
            sentences.append(self._runner_up(rows))
        nearest = self._nearest(query, best["model"])
        if nearest:
            sentences.append(nearest)
        return " ".join(sentences)

    def _choice(self, best: pd.Series) -> str:
        return (
            f"{best['model']!r} is chosen, with P(correct) {best['probability']:.2f}."
        )

    def _additions(self, best: pd.Series, row: int) -> str:
        first, *others = self.parts
        if not others:
            return ""
        added = [
            f"{in_words(name)} {best[name]:+.2f}"
            for name in [*others, "limit"]
            if abs(best[name]) >= NEGLIGIBLE
        ]
        alone = self.estimates.iloc[row][first]
        start = f"By {in_words(first)} alone P would be {alone:.2f}"
        if not added:
            return f"{start}; the other parts agree with it."
        return f"{start}; in log-odds, {_listed(added)} come on top."

    def _runner_up(self, rows: np.ndarray) -> str:
        second = self.contributions.iloc[rows[1]]
        leads = (
            self.decisions[self.parts].iloc[rows[0]]
            - self.decisions[self.parts].iloc[rows[1]]
        )
        strongest = str(leads.astype(float).idxmax())
        if leads[strongest] < NEGLIGIBLE:
            reason = "there is hardly a difference"
        else:
            reason = f"the first leads most by {in_words(strongest)}"
        return (
            f"Next is {second['model']!r}, with P(correct) "
            f"{second['probability']:.2f}; {reason}."
        )

    def _nearest(self, query: int, model: object) -> str:
        is_own = (self.similar["query"] == query) & (self.similar["model"] == model)
        scores = self.similar.loc[is_own, "score"]
        known = scores.dropna()
        if known.empty:
            return ""
        return (
            f"On the {len(scores)} most similar known queries it scored "
            f"{known.mean():.2f} on average"
            + (f" ({len(known)} evaluated)." if len(known) < len(scores) else ".")
        )


def in_words(part: str) -> str:
    """Return what a part is called in a sentence."""
    return PART_NAMES.get(part, part)


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
