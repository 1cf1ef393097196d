"""What every router learns and tells about rows, and how it takes in models."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags

from skl_locus._deciding import DecisionMixin
from skl_locus._decisions import query_blocks
from skl_locus._evaluations import EvaluationSet
from skl_locus._pool import Pool, collection_of, without_models
from skl_locus._state import VersionedState
from skl_locus._targets import read_scores, read_targets, warn_if_constant

CORRECT_FROM = 0.5
"""Scores and probabilities from here on count as correct."""


class RouterMixin(ClassifierMixin, VersionedState, DecisionMixin):
    """Predict, route and onboard, given a way to make a pool from evaluations.

    Subclasses implement `_make_pool` and `_update_pool`.
    """

    @abstractmethod
    def _make_pool(self, evaluations: EvaluationSet) -> Pool:
        """Learn from evaluations."""

    @abstractmethod
    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> Pool:
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
        P = self._of_rows(X, lambda pool: pool.correctness)
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
        return self._of_rows(X, lambda pool: pool.decision_scores)

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
        models = np.append(pool.models, np.array([*added, None], dtype=object)[:-1])
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
        """Tell whether there is a pool."""
        return hasattr(self, "_pool")

    def __sklearn_tags__(self) -> Tags:
        """Say that there are two classes at most."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _read_training_set(self, X: Any, y: Any) -> EvaluationSet:
        rows = self._read_rows(X, reset=True)
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

    def _of_rows(self, X: Any, method: Callable[[Pool], Callable]) -> np.ndarray:
        """Evaluate (encodings, columns) -> matrix at the (query, model) of each row."""
        pool = self._fitted_pool()
        rows = self._read_rows(X, reset=False)
        if self._named and rows.labels is None:
            raise ValueError(
                f"The column {self.model_col!r} is missing: the router was fitted on "
                "named models and must know the model of each row."
            )
        used = pool.columns_of(pool.models[:1] if rows.labels is None else rows.labels)
        values = np.empty(len(rows), dtype=np.float32)
        order = np.argsort(rows.query_codes, kind="stable")
        sorted_queries = rows.query_codes[order]
        for block in query_blocks(len(rows.queries), len(used)):
            matrix = method(pool)(rows.queries.vectors(block), used)
            first, last = np.searchsorted(sorted_queries, [block.start, block.stop])
            some = order[first:last]
            values[some] = matrix[
                rows.query_codes[some] - block.start, rows.model_codes[some]
            ]
        return values
