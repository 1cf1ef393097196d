"""What every router answers about bare queries: matrices, routes, ranks and votes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skl_locus._aims import CostAim, available_columns, read_aim
from skl_locus._decisions import choose_best, query_blocks, top_k, vote_shares
from skl_locus._evaluations import QuerySet
from skl_locus._pool import Pool
from skl_locus._reading import TableReader


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


class DecisionMixin(TableReader):
    """Answer bare queries from a pool, with a view to costs if asked."""

    _pool: Pool

    def correctness_matrix(self, queries: Any, models: Any = None) -> np.ndarray:
        """Return P(correct) of every model on every query (eq. 4).

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        models : sequence of labels, default=None
            Models to score, all by default.

        Returns
        -------
        ndarray of shape (n_queries, n_models)
            Columns in the order of ``models``, or of ``models_``.
        """
        pool = self._fitted_pool()
        columns = pool.select(models)
        codes, distinct = self._read_queries(queries)
        if len(codes) == 0:
            return np.empty((0, len(columns)), dtype=np.float32)
        blocks = [
            pool.correctness(distinct.vectors(block), columns)
            for block in query_blocks(len(distinct), len(columns))
        ]
        return np.concatenate(blocks)[codes]

    def route(
        self,
        queries: Any,
        models: Any = None,
        unavailable: Collection = (),
        *,
        fallback: str = "rerank",
        costs: Any = None,
        cost_weight: float | None = None,
        min_correctness: float | None = None,
    ) -> np.ndarray:
        """Choose a model for each query.

        By default the model of the largest decision score (`routing_scores`). With
        costs, P(correct) decides: ``cost_weight=w`` takes the model of the largest
        ``P - w * cost``, ``min_correctness=q`` the cheapest of those with ``P >= q``,
        or the most probable one where there are none. These are P as the router
        predicts it; `skl_locus.RouterPolicy` learns from held-out queries which P it
        takes for routes to be correct that often.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        unavailable : collection of labels, default=()
            Models that are down.
        fallback : {"rerank", "neighbor"}, default="rerank"
            Where the best model is down: the next best one, or the model nearest to
            it in embedding space.
        costs : mapping or Series of label to float, CostModel, or array of shape \
                (n_queries, n_models), default=None
            What each model costs a query, not negative; the columns of an array are
            in the order of ``models``, or of ``models_``.
        cost_weight : float, default=None
            What a unit of cost is worth in P(correct), at least 0.
        min_correctness : float, default=None
            Floor in [0, 1] on P(correct); not together with ``cost_weight``.

        Returns
        -------
        ndarray of shape (n_queries,), object
            Labels.

        Raises
        ------
        ValueError
            If a label is unknown, no model is left, a cost is missing, negative or
            not finite, or if costs are given without a use for them, or the reverse.

        Notes
        -----
        Of equally good models the first column is chosen; of equally cheap ones above
        the floor, the most probable.
        """
        pool = self._fitted_pool()
        aim = read_aim(costs, cost_weight, min_correctness)
        columns = pool.select(models)
        available = available_columns(pool, columns, unavailable)
        stand_ins = self._stand_ins(pool, columns, available, fallback)
        chosen, _ = self._choose(
            pool,
            queries,
            columns,
            aim,
            lambda scores: choose_best(scores, available, stand_ins)[:, None],
        )
        return pool.models[columns[chosen[:, 0]]]

    def rank(
        self,
        queries: Any,
        k: int | None = None,
        models: Any = None,
        *,
        costs: Any = None,
        cost_weight: float | None = None,
        min_correctness: float | None = None,
    ) -> Ranking:
        """Order the best models for each query, as `route` prefers them.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        k : int, default=None
            Number of models per query, all by default.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        costs, cost_weight, min_correctness : default=None
            As for `route`. With a floor, models that reach it come first, the
            cheapest before all; then the others, the most probable before all.

        Returns
        -------
        labels : ndarray of shape (n_queries, k), object
            Models, best first.
        probabilities : ndarray of shape (n_queries, k)
            Their P(correct).

        Notes
        -----
        The two are returned as one tuple that also has them, and whether each model
        reaches the floor, as attributes ``labels``, ``probabilities`` and
        ``reached``, (n_queries, k), which is None without a floor. No model reaches
        it where ``reached[:, 0]`` is False.
        """
        pool = self._fitted_pool()
        aim = read_aim(costs, cost_weight, min_correctness)
        columns = pool.select(models)
        k = len(columns) if k is None else k
        if not isinstance(k, Integral) or not 1 <= k <= len(columns):
            raise ValueError(
                f"k must be an integer between 1 and {len(columns)}, got {k!r}."
            )
        best, ranked = self._choose(
            pool, queries, columns, aim, lambda scores: top_k(scores, int(k))
        )
        labels = pool.models[columns[best]]
        if aim is None or aim.min_correctness is None:
            return Ranking(labels, ranked)
        return Ranking(labels, ranked, ranked >= aim.min_correctness)

    def vote_weights(self, queries: Any, models: Any = None) -> np.ndarray:
        """Weigh the answers of several models by their P(correct).

        For confidence-weighted voting (paper, section 2.2): add up the weights of
        the models that give the same answer and take the heaviest answer.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        models : sequence of labels, default=None
            The models that vote, all by default.

        Returns
        -------
        ndarray of shape (n_queries, n_models)
            Weights that sum to 1 for each query.
        """
        return vote_shares(self.correctness_matrix(queries, models))

    def _fitted_pool(self) -> Pool:
        check_is_fitted(self)
        return self._pool

    def _choose(
        self,
        pool: Pool,
        queries: Any,
        columns: np.ndarray,
        aim: CostAim | None,
        choose: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose k columns of each query; return them and their P, (n_queries, k).

        ``choose`` gets what is to be maximised, (n, n_columns). Only a block of
        queries at a time has a score for every model.
        """
        codes, distinct = self._read_queries(queries)
        if len(codes) == 0:
            return _chosen(choose, *_judged(pool, codes, distinct, columns))
        if aim is None:
            chosen, probabilities = _in_blocks(
                lambda block: _chosen(
                    choose, *pool.judge(distinct.vectors(block), columns)
                ),
                query_blocks(len(distinct), len(columns)),
            )
            return chosen[codes], probabilities[codes]
        costs = aim.matrix(queries, len(codes), pool.models[columns])

        def choose_some(rows: slice) -> tuple[np.ndarray, np.ndarray]:
            # Equal queries may differ in cost, but not in P.
            used, own = np.unique(codes[rows], return_inverse=True)
            _, P = pool.judge(distinct.vectors(used), columns)
            return _chosen(choose, aim.preferences(P[own], costs[rows]), P[own])

        return _in_blocks(choose_some, query_blocks(len(codes), len(columns)))

    def _judge(
        self, pool: Pool, queries: Any, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct): twice (n_queries, n_columns)."""
        return _judged(pool, *self._read_queries(queries), columns)

    def _stand_ins(
        self, pool: Pool, columns: np.ndarray, available: np.ndarray, fallback: str
    ) -> np.ndarray | None:
        """Find who answers for whom, None where the next best model does."""
        if fallback == "rerank":
            return None
        if fallback == "neighbor":
            raise ValueError(
                f"fallback='neighbor' needs embeddings, which {type(self).__name__} "
                "does not have; use fallback='rerank'."
            )
        raise ValueError(f"fallback must be 'rerank' or 'neighbor', got {fallback!r}.")


def _judged(
    pool: Pool, codes: np.ndarray, distinct: QuerySet, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if len(codes) == 0:
        nothing = np.empty((0, len(columns)), dtype=np.float32)
        return nothing, nothing
    decisions, probabilities = pool.judge(distinct.vectors(), columns)
    return decisions[codes], probabilities[codes]


def _in_blocks(
    choose: Callable[[slice], tuple[np.ndarray, np.ndarray]], blocks: Iterator[slice]
) -> tuple[np.ndarray, np.ndarray]:
    parts = list(map(choose, blocks))
    chosen, probabilities = map(np.concatenate, zip(*parts, strict=True))
    return chosen, probabilities


def _chosen(
    choose: Callable[[np.ndarray], np.ndarray],
    preferences: np.ndarray,
    probabilities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    columns = choose(preferences)
    return columns, np.take_along_axis(probabilities, columns, axis=1)
