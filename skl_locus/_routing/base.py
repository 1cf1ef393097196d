"""The base class of all routers."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skl_locus._costs.tables import cost_matrix
from skl_locus._data.added_logs import read_added
from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.forgetting import as_age, forget, read_times
from skl_locus._data.query_batch import QueryBatch
from skl_locus._data.reader import TableReaderMixin
from skl_locus._data.schema import Columns
from skl_locus._data.scores import (
    CORRECT_FROM,
    check_not_recoded,
    read_scores,
    read_targets,
    warn_if_constant,
)
from skl_locus._data.stored_logs import EvaluationLog, columns_of_stored
from skl_locus._routing.decisions import choose_best, query_blocks, top_k, vote_shares
from skl_locus._routing.objective import Objective, check_objective
from skl_locus._routing.pool import ModelPool, available_columns, without_models
from skl_locus._routing.ranking import Ranking, make_ranking
from skl_locus._routing.sessions import Session
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus._utils.progress import learned, progress_shown, reported_fit
from skl_locus._utils.runtime import lock_of
from skl_locus._utils.turns import turn_of
from skl_locus._utils.validation import check_at_least, check_count, collection_of

PoolT = TypeVar("PoolT", bound=ModelPool)
Method = TypeVar("Method", bound=Callable[..., Any])


def _in_turn(method: Method) -> Method:
    """Make a method of queries take turns among threads where it has little to do."""

    @functools.wraps(method)
    def run(self: RouterMixin, queries: Any, *args: Any, **kwargs: Any) -> Any:
        with turn_of(queries, len(self._fitted_pool().models)):
            return method(self, queries, *args, **kwargs)

    return cast(Method, run)


class RouterMixin(
    ClassifierMixin, PickleVersionMixin, TableReaderMixin, Generic[PoolT]
):
    """Base of the routers: prediction, routing and onboarding on a pool of models.

    Subclasses name the class of their pool, as in ``RouterMixin[MeanPool]``, and
    implement `_make_pool` and `_update_pool`.
    """

    _pool: PoolT

    @abstractmethod
    def _make_pool(self, evaluations: EvaluationSet) -> PoolT:
        """Make a pool of the models from their evaluations."""

    @abstractmethod
    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> PoolT:
        """Make a pool of models of which only some have changed evaluations."""

    @property
    def models_(self) -> np.ndarray:
        """Labels of the models: sorted at fit, additions appended."""
        return self._fitted_pool().models

    @atomic_fit
    def fit(self, X: Any, y: Any) -> Self:
        """Fit the router to a log of evaluations.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation, with the model, the query and optionally its
            id. An array is a table of one unnamed model.
        y : array-like of shape (n_rows,)
            Scores in [0, 1]; for an array, any two classes.

        Returns
        -------
        self
            The fitted router.

        Raises
        ------
        ValueError
            If the table or the scores cannot be used; the router stays unchanged.
        """
        self._validate_params()
        with reported_fit(self):
            evaluations = self._read_training_set(X, y)
            learned(evaluations.described())
            self._pool = self._make_pool(evaluations)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability that each row's model answers its query correctly.

        Predictions for evaluations of the training table are optimistic.

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
            Entries of ``classes_``: 1 if P(correct) is at least 0.5. (For an unnamed
            model, the first class on a tie, as in scikit-learn.)
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
            Scores in [0, 1], of which those from 0.5 count as correct; for an array,
            classes.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of correctly predicted rows.
        """
        # Loading sklearn.metrics takes as long as all of this package.
        from sklearn.metrics import accuracy_score

        predicted = self.predict(X)
        if self._named:
            y = (read_scores(y, len(predicted)) >= CORRECT_FROM).astype(int)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def routing_scores(self, X: Any) -> np.ndarray:
        """Return the decision score of each row, by which `route` orders models.

        Parameters
        ----------
        X : dataframe or array of n_rows rows
            Models and queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Decision scores; higher is better. P(correct) unless the documentation of
            the router differs.
        """
        return self._predict_rows(X)[0]

    @_in_turn
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
        matrix = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return matrix[batch.codes]

    @_in_turn
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
        incumbent: Any = None,
        switch_margin: float = 0.0,
        switch_cost: Any = 0.0,
    ) -> np.ndarray:
        """Choose a model for each query.

        By default, the model with the largest decision score (`routing_scores`) is
        chosen. With costs, the choice depends on P(correct): ``cost_weight=w`` chooses
        the model with the largest ``P - w * cost``, and ``min_correctness=q`` the
        cheapest model with ``P >= q``, or the one with the largest P if no model
        reaches q. These floors apply to uncalibrated P; `skl_locus.RouterPolicy`
        calibrates them on held-out queries.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        unavailable : collection of labels, default=()
            Models that must not be chosen. Models that the router does not have are
            ignored, with one warning each.
        fallback : {"rerank", "neighbor"}, default="rerank"
            Choice if the best model is unavailable: the next best model, or the model
            nearest to the best one in embedding space.
        costs : mapping or Series of label to float, CostModel, or array or dataframe \
                of shape (n_queries, n_models), default=None
            Non-negative cost of each model per query; the columns of an array are in
            the order of ``models``, or of ``models_``, and those of a dataframe are
            named by the models.
        cost_weight : float, default=None
            Value of a unit of cost in P(correct), at least 0.
        min_correctness : float, default=None
            Floor in [0, 1] on P(correct); not together with ``cost_weight``.
        incumbent : sequence of labels, default=None
            The model that answers the session of each query already, None in the place
            of a label for a new session. It stays unless another one is better by more
            than the margin and the weighed cost of the change. Labels that are unknown
            or unavailable count as none.
        switch_margin : float, default=0.0
            Gain up to which the incumbent stays, in units of what decides: decision
            scores, or ``P - w * cost`` with a weight. With a floor, it is a gain in P
            where neither model reaches it.
        switch_cost : float or array of shape (n_queries,), default=0.0
            Cost of changing the model, such as that of a lost prompt cache, in the unit
            of ``costs``. It is multiplied by the weight; with a floor, the incumbent
            stays if it reaches it and another one is not cheaper by more than this.

        Returns
        -------
        ndarray of shape (n_queries,), object
            Labels.

        Raises
        ------
        ValueError
            If a label in ``models`` is unknown, if no model is left, if a cost is
            missing, negative or not finite, or if costs are given without a weight or a
            floor, or the reverse.

        Notes
        -----
        Of equally good models, the first column is chosen; of equally cheap models
        above the floor, the one with the largest P.
        """
        pool = self._fitted_pool()
        objective = check_objective(costs, cost_weight, min_correctness)
        columns = pool.select(models)
        available = available_columns(self, pool, columns, unavailable)
        substitutes = self._substitutes(pool, columns, available, fallback)
        chosen, _, _ = self._choose(
            pool,
            queries,
            columns,
            objective,
            costs,
            lambda scores: choose_best(scores, available, substitutes)[:, None],
            Session(incumbent, switch_margin, switch_cost, available),
        )
        return pool.models[columns[chosen[:, 0]]]

    @_in_turn
    def rank(
        self,
        queries: Any,
        k: int | None = None,
        models: Any = None,
        unavailable: Collection = (),
        *,
        costs: Any = None,
        cost_weight: float | None = None,
        min_correctness: float | None = None,
        incumbent: Any = None,
        switch_margin: float = 0.0,
        switch_cost: Any = 0.0,
    ) -> Ranking:
        """Order the best models for each query, as `route` prefers them.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        k : int, default=None
            Number of models per query, all that are available by default.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        unavailable : collection of labels, default=()
            Models that must not be chosen; they are left out.
        costs, cost_weight, min_correctness : default=None
            As in `route`. With a floor, the models that reach it come first, in the
            order of cost; then the others, in the order of P.
        incumbent, switch_margin, switch_cost : default=None, 0.0, 0.0
            As in `route`. An incumbent that stays comes first.

        Returns
        -------
        labels : ndarray of shape (n_queries, k), object
            Models, best first.
        probabilities : ndarray of shape (n_queries, k)
            Their P(correct).

        Notes
        -----
        The two are returned as one tuple that also has them as attributes ``labels``
        and ``probabilities``. Its attribute ``reached``, (n_queries, k), says whether
        each model reaches the floor, and is None without one; no model of a query
        does where ``reached[:, 0]`` is False. Its attribute ``scores`` has what models
        are ordered by. ``to_frame()`` returns a table of all this, one row per query
        and model.
        """
        pool = self._fitted_pool()
        objective = check_objective(costs, cost_weight, min_correctness)
        columns = pool.select(models)
        available = available_columns(self, pool, columns, unavailable)
        usable = np.flatnonzero(available)
        k = check_count(k, "k", len(usable))
        best, ranked, scores = self._choose(
            pool,
            queries,
            columns,
            objective,
            costs,
            lambda scores: usable[top_k(scores[:, usable], k)],
            Session(incumbent, switch_margin, switch_cost, available),
        )
        return make_ranking(pool.models[columns[best]], ranked, objective, scores)

    def vote_weights(self, queries: Any, models: Any = None) -> np.ndarray:
        """Return weights for a vote of several models, proportional to P(correct).

        For confidence-weighted voting (paper, section 2.2): add up the weights of the
        models with the same answer, and choose the answer with the largest sum.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        models : sequence of labels, default=None
            Models that vote, all by default.

        Returns
        -------
        ndarray of shape (n_queries, n_models)
            Weights that sum to 1 for each query.
        """
        return vote_shares(self.correctness_matrix(queries, models))

    def add_models(
        self,
        X: Any,
        y: Any,
        replace: bool = False,
        *,
        max_evaluations_per_model: int | None = None,
        time_col: str | None = None,
        max_age: Any = None,
    ) -> Self:
        """Add new models, or refine known ones, without training of shared parts.

        Parameters
        ----------
        X : dataframe of n_rows rows, path, pyarrow Dataset, EvaluationLog or iterable
            Evaluations of the models, as in `fit`. What comes in parts, also an
            iterable of dataframes or record batches, is read some models at a time,
            with the memory of what is kept of them: of each model the number of
            evaluations that `~skl_locus.batches.EvaluationLog` names, those with the
            smallest hashes. Embeddings of new models are made from all of their
            evaluations, unless there is a ``time_col``.
        y : array-like of shape (n_rows,), str or None
            Scores in [0, 1]; for a log in parts, the name of their column, or None for
            ``score_col`` ("score" for routers without this parameter).
        replace : bool, default=False
            Whether the new evaluations of a known model replace the stored ones; by
            default they are added to them.
        max_evaluations_per_model : int, default=None
            Evaluations that are kept of each model of the router, at most, so that a
            router that learns every night stays bounded: the newest, and of those
            without a time the ones with the smallest hashes of model and query.
        time_col : str, default=None
            Column of the times of the evaluations, numbers or dates.
        max_age : number, timedelta or str, default=None
            Age, relative to the newest evaluation, beyond which evaluations are
            dropped: a number in the unit of ``time_col``, or a duration such as "90D".
            Evaluations without a time stay, and so do those of a model of which all
            are older.

        Returns
        -------
        self
            The router; the state of all other models is unchanged, but for those that
            forget evaluations.
        """
        age = as_age(max_age)
        if max_evaluations_per_model is not None:
            check_at_least(max_evaluations_per_model, "max_evaluations_per_model")
        log, times = EvaluationLog.of_stream(X), None
        if log is None and time_col is not None:
            X, times = read_times(X, time_col)
        with lock_of(self), progress_shown(getattr(self, "verbose", 0)):
            self._fitted_pool()
            self._require_named("add_models")
            embedded: list = []
            if log is None:
                new = self._read_evaluations(X, y, reset=False, times=times)
            else:
                limit = max_evaluations_per_model
                new = self._read_in_parts(log, y, time_col, limit, embedded)
            pool = self._pool_with(new, replace, max_evaluations_per_model, age)
            if embedded:
                fresh = {*new.model_names}
                if not replace:
                    fresh -= {*self._fitted_pool().models}
                pool = self._with_embedded(pool, embedded, fresh)
            self._pool = pool
        return self

    def _read_in_parts(
        self,
        log: EvaluationLog,
        y: Any,
        time_col: str | None,
        max_per_model: int | None,
        embedded: list,
    ) -> EvaluationSet:
        """Read a log in parts; collect the embeddings of models that are cut."""
        limit = log.max_evaluations_per_model
        if max_per_model is not None:
            limit = min(limit, max_per_model)

        def on_cut(evaluations: EvaluationSet) -> None:
            # With times, what is old may be meant to be forgotten.
            if time_col is None:
                embedded.append(self._embed_whole(evaluations))

        columns = columns_of_stored(self, y)
        return read_added(self, log, columns, limit, time_col, on_cut)

    def _embed_whole(self, evaluations: EvaluationSet) -> Any:
        """Embed models by more evaluations than are kept, for `_with_embedded`."""

    def _with_embedded(
        self, pool: PoolT, embedded: Iterable, models: Collection
    ) -> PoolT:
        """Put embeddings of some models into a pool, if there are any."""
        return pool

    def _pool_with(
        self,
        new: EvaluationSet,
        replace: bool,
        max_per_model: int | None,
        max_age: float | None,
    ) -> PoolT:
        pool = self._fitted_pool()
        known: EvaluationSet | None = pool.evaluations
        if replace:
            known = without_models(pool.evaluations, new.model_names)
        merged = new if known is None else known.union(new, self.duplicates)
        added = [name for name in new.model_names if name not in pool.positions]
        models = np.append(pool.models, label_array(added))
        kept, forgetful = forget(merged, max_per_model, max_age)
        updated = self._update_pool(models, kept, {*new.model_names, *forgetful})
        self._check_added(added, updated)
        return updated

    def _check_added(self, added: list, updated: PoolT) -> None:
        """Warn of new models that an updated pool should not be trusted with."""

    def remove_models(self, names: Sequence) -> Self:
        """Remove models and their evaluations.

        Parameters
        ----------
        names : sequence of labels
            Models to remove; at least one must be left.

        Returns
        -------
        self
            The router; the state of all other models is unchanged.
        """
        with lock_of(self):
            self._pool = self._pool_without(names)
        return self

    def _pool_without(self, names: Sequence) -> PoolT:
        pool = self._fitted_pool()
        self._require_named("remove_models")
        names = collection_of(names, "names")
        columns = pool.columns_of(names)
        evaluations = without_models(pool.evaluations, names)
        if evaluations is None:
            raise ValueError("remove_models would leave no model; keep at least one.")
        models = np.delete(pool.models, columns)
        return self._update_pool(models, evaluations, set())

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
            check_not_recoded(y, Columns.of(self).score_column(X))
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

    def _fitted_pool(self) -> PoolT:
        check_is_fitted(self)
        return self._pool

    def _choose(
        self,
        pool: PoolT,
        queries: Any,
        columns: np.ndarray,
        objective: Objective,
        costs: Any,
        choose: Callable[[np.ndarray], np.ndarray],
        session: Session,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose k columns of each query.

        Returns them, their P and what was maximised, (n_queries, k) each.

        ``choose`` maps what is to be maximised, (n, n_columns), to columns, (n, k).
        Queries are scored in blocks, so that memory does not grow with their number.
        """
        batch = self._read_queries(queries)
        codes = batch.codes
        incumbents = session.incumbents(len(batch), pool, columns, objective)
        if len(batch) == 0:
            return _chosen(choose, *_scores_and_probabilities(pool, batch, columns))
        if incumbents is None and not objective.needs_costs:
            # Equal queries have equal scores: each is decided once.
            chosen, probabilities, scores = _in_blocks(
                lambda block: _chosen(
                    choose,
                    *pool.scores_and_probabilities(batch.encodings[block], columns),
                ),
                query_blocks(len(batch.encodings), len(columns)),
            )
            return chosen[codes], probabilities[codes], scores[codes]
        matrix = None
        if objective.needs_costs:
            matrix = cost_matrix(costs, batch, len(codes), pool.models[columns])

        def choose_some(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            # Equal queries may differ in cost and in their sessions, but not in P: P is
            # predicted once for each distinct query of the block, and decided on row by
            # row.
            used, own = np.unique(codes[rows], return_inverse=True)
            scores, P = pool.scores_and_probabilities(batch.encodings[used], columns)
            preferences, P, known = scores[own], P[own], None
            if matrix is not None:
                known = matrix[rows]
                preferences = objective.preferences(P, known)
            chosen = choose(preferences)
            if incumbents is not None:
                settle = incumbents.take(rows).settle
                chosen = settle(chosen, preferences, P, known, objective)
            return chosen, _taken(P, chosen), _taken(preferences, chosen)

        return _in_blocks(choose_some, query_blocks(len(codes), len(columns)))

    def _decision_scores(
        self, pool: PoolT, queries: Any, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct): twice (n_queries, n_columns)."""
        return _scores_and_probabilities(pool, self._read_queries(queries), columns)

    def _substitutes(
        self, pool: PoolT, columns: np.ndarray, available: np.ndarray, fallback: str
    ) -> np.ndarray | None:
        """Return the column that answers for each; None to take the next best one."""
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
    choose: Callable[[slice], tuple[np.ndarray, np.ndarray, np.ndarray]],
    blocks: Iterator[slice],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = list(map(choose, blocks))
    chosen, probabilities, scores = map(np.concatenate, zip(*parts, strict=True))
    return chosen, probabilities, scores


def _chosen(
    choose: Callable[[np.ndarray], np.ndarray],
    preferences: np.ndarray,
    probabilities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = choose(preferences)
    return columns, _taken(probabilities, columns), _taken(preferences, columns)


def _taken(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.take_along_axis(matrix, columns, axis=1)
