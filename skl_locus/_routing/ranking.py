"""Ranked models with their probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from skl_locus._routing.objective import Objective


class _RankedModels(NamedTuple):
    """The two arrays that a ranking unpacks into."""

    labels: np.ndarray
    probabilities: np.ndarray


class Ranking(_RankedModels):
    """The best models for each query, as `rank` of routers and policies returns them.

    A tuple of two, ``labels, probabilities = router.rank(queries)``, with and without
    a floor; what only a floor can say is an attribute.

    Parameters
    ----------
    labels : ndarray of shape (n_queries, k), object
        Models, best first.
    probabilities : ndarray of shape (n_queries, k)
        Their P(correct).
    """

    # An attribute beside the two entries: copies and pickles keep it in `__dict__`.
    _objective: Objective = Objective()
    _scores: np.ndarray | None = None

    @property
    def reached(self) -> np.ndarray | None:
        """Whether models reach the floor: (n_queries, k), bool; None without one."""
        if self._objective.floor is None:
            return None
        return self._objective.reached(self.probabilities)

    @property
    def scores(self) -> np.ndarray | None:
        """What models are ordered by: (n_queries, k); None with a floor.

        These are decision scores, or ``P - w * cost`` with a weight of cost. A floor
        orders by several things one after another, which no number has.
        """
        return None if self._objective.floor is not None else self._scores

    def to_frame(self) -> pd.DataFrame:
        """Return the ranking as a table.

        Returns
        -------
        DataFrame of shape (n_queries * k, 5)
            Columns query (position among the queries, from 0), rank (1 for the best
            model), model, probability and score, by which models are ordered; with a
            floor, reached in its place.
        """
        (n_queries, k), reached = self.labels.shape, self.reached
        columns = {
            "query": np.repeat(np.arange(n_queries), k),
            "rank": np.tile(np.arange(1, k + 1), n_queries),
            "model": self.labels.ravel(),
            "probability": self.probabilities.ravel(),
        }
        if self.scores is not None:
            columns["score"] = self.scores.ravel()
        if reached is not None:
            columns["reached"] = reached.ravel()
        return pd.DataFrame(columns).astype({"model": object})

    def _replace(self, **entries: np.ndarray) -> Ranking:
        """Replace entries; a tuple made by `_make` would not know its objective."""
        return make_ranking(*super()._replace(**entries), self._objective, self._scores)

    def __repr__(self) -> str:
        n_queries, k = self.labels.shape
        floor = self._objective.floor
        suffix = "" if floor is None else f" under a floor of {floor:g}"
        return f"Ranking of {k} models for {n_queries} queries{suffix}\n{self._table()}"

    def _table(self) -> str:
        return self.to_frame().to_string(index=False, max_rows=10)


def make_ranking(
    labels: np.ndarray,
    probabilities: np.ndarray,
    objective: Objective,
    scores: np.ndarray | None,
) -> Ranking:
    """Return ranked models that know by what they were ranked."""
    ranking = Ranking(labels, probabilities)
    ranking._objective = objective
    ranking._scores = scores
    return ranking
