"""The base class of all routers."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.query_batch import QueryBatch
from skl_locus._data.reader import TableReaderMixin
from skl_locus._data.scores import read_scores, read_targets, warn_if_constant
from skl_locus._routing.decisions import choose_best, query_blocks, top_k, vote_shares
from skl_locus._routing.objective import Objective, check_objective
from skl_locus._routing.pool import ModelPool, available_columns, without_models
from skl_locus._routing.ranking import Ranking
from skl_locus._utils.estimators import PickleVersionMixin
from skl_locus._utils.validation import collection_of

CORRECT_FROM = 0.5
"""Scores and probabilities from here on count as correct."""


class RouterMixin(ClassifierMixin, PickleVersionMixin, TableReaderMixin):
    """Predict, route and onboard, given a way to make a pool from evaluations.

    Subclasses implement `_make_pool` and `_update_pool`.
    """

    _pool: ModelPool

    @abstractmethod
    def _make_pool(self, evaluations: EvaluationSet) -> ModelPool:
        """Learn from evaluations."""

    @abstractmethod
    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> ModelPool:
        """Return a pool of the given models, of which some have changed."""

    @property
    def models_(self) -> np.ndarray:
        """Labels of the models: sorted at fit, additions appended."""
        return self._fitted_pool().models

    def fit(self, X: Any, y: Any) -> Self:
        """Learn who answers what.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation, with the model, the query and perhaps its id.
            An array is a table of one unnamed model.
        y : array-like of shape (n_rows,)
            Scores in [0, 1]; any two classes for an array.

        Returns
        -------
        self
            The fitted router.

        Raises
        ------
        ValueError
            If the table or the scores cannot be used; the router stays as it was.
        """
        # All work is done on a copy and taken over at once: an error leaves a
        # fitted router as it was.
        draft = copy.copy(self)
        draft._validate_params()
        draft._pool = draft._make_pool(draft._read_training_set(X, y))
        self.__dict__ = draft.__dict__
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability that each row's model answers its query correctly.

        Predictions for evaluations that were seen in `fit` are optimistic.

        Parameters
        ----------
        X : dataframe or array of n_rows rows
            Models and queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_rows, 2), float32
            Columns P(wrong), P(correct).
        """
        P = self._predict_rows(X)[1]
        if len(self.classes_) == 1:
            return np.ones((len(P), 1), dtype=P.dtype)
        return np.column_stack([1 - P, P])

    def predict(self, X: Any) -> np.ndarray:
        """Return the more likely class of each row.

        Parameters
        ----------
        X : dataframe or array of n_rows rows
            Models and queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Entries of ``classes_``: 1 where P(correct) is at least 0.5. (Of the
            classes of an unnamed model, the first on a tie, as in scikit-learn.)
        """
        probabilities = self.predict_proba(X)
        if self._named:
            return self.classes_[(probabilities[:, 1] >= CORRECT_FROM).astype(int)]
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of predicted correctness.

        Parameters
        ----------
        X : dataframe or array of n_rows rows
            Models and queries, as in `fit`.
        y : array-like of shape (n_rows,)
            Scores in [0, 1], correct from 0.5 on; classes for an array.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of rows predicted rightly.
        """
        # Loading sklearn.metrics takes as long as all of this package.
        from sklearn.metrics import accuracy_score

        predicted = self.predict(X)
        if self._named:
            y = (read_scores(y, len(predicted)) >= CORRECT_FROM).astype(int)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def routing_scores(self, X: Any) -> np.ndarray:
        """Return what decides between models for each row.

        Parameters
        ----------
        X : dataframe or array of n_rows rows
            Models and queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_rows,)
            The higher, the better; P(correct) unless the router says otherwise.
        """
        return self._predict_rows(X)[0]

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
        batch = self._read_queries(queries)
        if len(batch) == 0:
            return np.empty((0, len(columns)), dtype=np.float32)
        blocks = [
            pool.correctness(batch.encodings[block], columns)
            for block in query_blocks(len(batch.encodings), len(columns))
        ]
        return np.concatenate(blocks)[batch.codes]

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
        aim = check_objective(costs, cost_weight, min_correctness)
        columns = pool.select(models)
        available = available_columns(pool, columns, unavailable)
        substitutes = self._substitutes(pool, columns, available, fallback)
        chosen, _ = self._choose(
            pool,
            queries,
            columns,
            aim,
            lambda scores: choose_best(scores, available, substitutes)[:, None],
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
        aim = check_objective(costs, cost_weight, min_correctness)
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

    def add_models(self, X: Any, y: Any, replace: bool = False) -> Self:
        """Onboard new models, or refine known ones; nothing shared is trained.

        Parameters
        ----------
        X : dataframe of n_rows rows
            Evaluations of the models, as in `fit`.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].
        replace : bool, default=False
            Whether the new evaluations of a known model replace those kept; by
            default they are added to them.

        Returns
        -------
        self
            The router; no other model's state has changed.
        """
        pool = self._fitted_pool()
        self._require_named("add_models")
        new = self._read_evaluations(X, y, reset=False)
        known: EvaluationSet | None = pool.evaluations
        if replace:
            known = without_models(pool.evaluations, new.model_names)
        merged = new if known is None else known.union(new, self.duplicates)
        added = [name for name in new.model_names if name not in pool.positions]
        models = np.append(pool.models, label_array(added))
        self._pool = self._update_pool(models, merged, set(new.model_names))
        return self

    def remove_models(self, names: Sequence) -> Self:
        """Forget models and their evaluations.

        Parameters
        ----------
        names : sequence of labels
            Models to remove; at least one must be left.

        Returns
        -------
        self
            The router; no other model's state has changed.
        """
        pool = self._fitted_pool()
        self._require_named("remove_models")
        names = collection_of(names, "names")
        columns = pool.columns_of(names)
        evaluations = without_models(pool.evaluations, names)
        if evaluations is None:
            raise ValueError("remove_models would leave no model; keep at least one.")
        models = np.delete(pool.models, columns)
        self._pool = self._update_pool(models, evaluations, set())
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a pool."""
        return hasattr(self, "_pool")

    def __sklearn_tags__(self) -> Tags:
        """Return the tags, with two classes at most."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _read_training_set(self, X: Any, y: Any) -> EvaluationSet:
        rows = self._read_rows(X, reset=True, y=y)
        self._named = rows.labels is not None
        if self._named:
            self.classes_ = np.array([0, 1])
            scores = read_scores(y, len(rows))
        else:
            self.classes_, scores = read_targets(y, len(rows), type(self).__name__)
        if rows.labels is not None and len(rows.labels) < 2:
            raise ValueError(
                f"The column {self.model_col!r} has one model only "
                f"({rows.labels[0]!r}); a router needs at least two to choose from."
            )
        warn_if_constant(scores)
        return self._evaluations_of(rows, scores)

    def _require_named(self, method: str) -> None:
        if not self._named:
            raise ValueError(
                f"{method} needs named models, but the router was fitted on an array "
                f"of one unnamed model; fit it with a column {self.model_col!r}."
            )

    def _predict_rows(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct) of rows: twice (n_rows,)."""
        pool = self._fitted_pool()
        rows = self._read_pairs(X)
        if self._named and rows.labels is None:
            raise ValueError(
                f"The column {self.model_col!r} is missing: the router was fitted on "
                "named models and must know the model of each row."
            )
        used = pool.columns_of(pool.models[:1] if rows.labels is None else rows.labels)
        decisions, probabilities = np.empty((2, len(rows)), dtype=np.float32)
        # Rows are visited query by query: a block of distinct queries has a score for
        # every model, and all blocks together could not be held.
        order = np.argsort(rows.query_codes, kind="stable")
        sorted_queries = rows.query_codes[order]
        for block in query_blocks(len(rows.vectors), len(used)):
            scores, P = pool.scores_and_probabilities(rows.vectors[block], used)
            first, last = np.searchsorted(sorted_queries, [block.start, block.stop])
            chunk = order[first:last]
            at = rows.query_codes[chunk] - block.start, rows.model_codes[chunk]
            decisions[chunk], probabilities[chunk] = scores[at], P[at]
        return decisions, probabilities

    def _fitted_pool(self) -> ModelPool:
        check_is_fitted(self)
        return self._pool

    def _choose(
        self,
        pool: ModelPool,
        queries: Any,
        columns: np.ndarray,
        aim: Objective | None,
        choose: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose k columns of each query; return them and their P, (n_queries, k).

        ``choose`` gets what is to be maximised, (n, n_columns). Only a block of
        queries at a time has a score for every model.
        """
        batch = self._read_queries(queries)
        codes = batch.codes
        if len(batch) == 0:
            return _chosen(choose, *_scores_and_probabilities(pool, batch, columns))
        if aim is None:
            chosen, probabilities = _in_blocks(
                lambda block: _chosen(
                    choose,
                    *pool.scores_and_probabilities(batch.encodings[block], columns),
                ),
                query_blocks(len(batch.encodings), len(columns)),
            )
            return chosen[codes], probabilities[codes]
        costs = aim.matrix(batch, len(codes), pool.models[columns])

        def choose_some(rows: slice) -> tuple[np.ndarray, np.ndarray]:
            # Equal queries may differ in cost, but not in P.
            used, own = np.unique(codes[rows], return_inverse=True)
            _, P = pool.scores_and_probabilities(batch.encodings[used], columns)
            return _chosen(choose, aim.preferences(P[own], costs[rows]), P[own])

        return _in_blocks(choose_some, query_blocks(len(codes), len(columns)))

    def _decision_scores(
        self, pool: ModelPool, queries: Any, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct): twice (n_queries, n_columns)."""
        return _scores_and_probabilities(pool, self._read_queries(queries), columns)

    def _substitutes(
        self, pool: ModelPool, columns: np.ndarray, available: np.ndarray, fallback: str
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


def _scores_and_probabilities(
    pool: ModelPool, batch: QueryBatch, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if len(batch) == 0:
        nothing = np.empty((0, len(columns)), dtype=np.float32)
        return nothing, nothing
    decisions, probabilities = pool.scores_and_probabilities(batch.encodings, columns)
    return decisions[batch.codes], probabilities[batch.codes]


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
