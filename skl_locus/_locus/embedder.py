"""The estimator that turns evaluations into model embeddings."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import RowCodes
from skl_locus._data.scores import read_scores, warn_if_constant
from skl_locus._locus.parameters import LocusParameters
from skl_locus._utils.docstrings import documented
from skl_locus._utils.model_frames import ModelFrameMixin

UNSCORED = 0.5
"""Score of every row of an array, which has none."""


@documented("; read unless ``y`` is given")
class LocusEmbedder(ModelFrameMixin, LocusParameters):
    """Embed models from their evaluations, one row per model.

    An attention encoder turns the set of a model's scored queries into one vector,
    in one deterministic pass that does not depend on their order (paper, sections
    2.1 and 2.3). `fit` trains it; `transform` embeds any models, seen or new.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {training_attributes}

    See Also
    --------
    LocusRouter : Predicts and routes with such embeddings.

    Notes
    -----
    Output samples are models, not input rows. A bare array is a table of one unnamed
    model; it is accepted so that scikit-learn's conventions hold, and embedded with
    score 0.5 in `transform`.

    Examples
    --------
    >>> from skl_locus import LocusEmbedder
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> embedder = LocusEmbedder(n_components=16, max_iter=20, random_state=0)
    >>> embedder.fit_transform(log).shape
    (6, 16)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the encoder.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation.
        y : array-like of shape (n_rows,), default=None
            Scores in [0, 1]; by default the score column of ``X``.

        Returns
        -------
        LocusEmbedder
            Itself.

        Raises
        ------
        ValueError
            If the table or the scores cannot be used; the embedder stays as it was.
        """
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Train the encoder and embed the models it was trained on.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation.
        y : array-like of shape (n_rows,), default=None
            Scores in [0, 1]; by default the score column of ``X``.

        Returns
        -------
        DataFrame or ndarray of shape (n_models, n_components)
            Embeddings, as `transform` returns them.
        """
        self._check_container()
        return self._as_output(self._fit(X, y), X)

    def transform(self, X: Any) -> Any:
        """Embed the models of a table.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation; a dataframe must have the score column.

        Returns
        -------
        DataFrame or ndarray of shape (n_models, n_components)
            Embeddings; for a dataframe indexed by model, sorted by label.
        """
        check_is_fitted(self)
        self._check_container()
        rows = self._read_rows(X, reset=False)
        return self._as_output(self._scored(X, None, rows), X)

    @property
    def _n_features_out(self) -> int:
        return self._state.config["n_components"]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network."""
        return hasattr(self, "_state")

    def _fit(self, X: Any, y: Any) -> EvaluationSet:
        # All work is done on a copy and taken over at once: an error leaves a
        # fitted embedder as it was.
        draft = copy.copy(self)
        draft._validate_params()
        target = self._score_column(X) if y is None else y
        rows = draft._read_rows(X, reset=True, y=target)
        if rows.labels is not None and len(rows.labels) < 2:
            raise ValueError(
                f"The column {self.model_col!r} has one model only "
                f"({rows.labels[0]!r}); at least two are needed to learn from."
            )
        evaluations = draft._scored(X, y, rows)
        if rows.labels is not None or y is not None:
            warn_if_constant(evaluations.scores)
        draft._train(evaluations, hold_out=self.early_stopping)
        self.__dict__ = draft.__dict__
        return evaluations

    def _scored(self, X: Any, y: Any, rows: RowCodes) -> EvaluationSet:
        """Join rows with their scores: ``y``, or the score column of a frame."""
        column = self._score_column(X)
        if y is not None:
            named = rows.labels is not None
            scores = (read_scores if named else _unnamed_scores)(y, len(rows))
        elif column is not None:
            scores = read_scores(column, len(rows), repr(self.score_col))
        elif rows.labels is None:
            scores = np.full(len(rows), UNSCORED, dtype=np.float32)
        else:
            raise ValueError(
                f"The column {self.score_col!r} is missing: embeddings are made from "
                "scores; name yours with score_col= or pass y to fit."
            )
        return self._evaluations_of(rows, scores)

    def _score_column(self, X: Any) -> Any:
        frame = as_frame(X)
        if frame is None or self.score_col not in frame.columns:
            return None
        return read_column(frame, self.score_col)

    def _as_output(self, evaluations: EvaluationSet, X: Any) -> Any:
        embeddings = self._embed(evaluations)
        if as_frame(X) is None:
            return embeddings
        return self._model_frame(embeddings, evaluations.model_names)


def _unnamed_scores(y: Any, n_rows: int) -> np.ndarray:
    """Spread whatever stands beside an array's rows over [0, 1]."""
    labels = column_or_1d(y)
    assert_all_finite(labels, input_name="y")
    if labels.dtype.kind in "biuf" and labels.min() >= 0 and labels.max() <= 1:
        return read_scores(y, n_rows)
    classes, codes = np.unique(labels, return_inverse=True)
    return read_scores(codes / max(1, len(classes) - 1), n_rows)
