"""Ranked models with their probabilities."""

from __future__ import annotations

import numpy as np


class Ranking(tuple):
    """The labels and probabilities of ranked models, and what a floor says of them.

    Unpacks into two, ``labels, probabilities = router.rank(queries)``, whatever was
    asked; what only a floor can tell is an attribute.

    Parameters
    ----------
    labels : ndarray of shape (n_queries, k), object
        Models, best first.
    probabilities : ndarray of shape (n_queries, k)
        Their P(correct).
    reached : ndarray of shape (n_queries, k), bool, default=None
        Whether they reach the floor; None without one.
    """

    reached: np.ndarray | None

    def __new__(
        cls,
        labels: np.ndarray,
        probabilities: np.ndarray,
        reached: np.ndarray | None = None,
    ) -> Ranking:
        ranking = super().__new__(cls, (labels, probabilities))
        ranking.reached = reached
        return ranking

    def __getnewargs__(self) -> tuple:
        """Return what makes a copy."""
        return (*self, self.reached)

    @property
    def labels(self) -> np.ndarray:
        """Models, best first: (n_queries, k)."""
        return self[0]

    @property
    def probabilities(self) -> np.ndarray:
        """P(correct) of the models: (n_queries, k)."""
        return self[1]
