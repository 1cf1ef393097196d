"""The reader of evaluation tables that estimators inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import validate_data

from skl_locus._data.columns import (
    as_frame,
    factorize_labels,
    matrix_of,
    numeric_columns,
    read_column,
)
from skl_locus._data.encodings import (
    OUTLYING,
    UNUSABLE,
    TypicalEncodings,
    first_unusable,
)
from skl_locus._data.evaluations import DUPLICATES, EvaluationSet, combine_rows
from skl_locus._data.media import kind_of
from skl_locus._data.queries import (
    DistinctValues,
    QuerySet,
    UniqueQueries,
    check_ids,
    distinct_rows,
    distinct_values,
    identify,
)
from skl_locus._data.query_batch import QueryBatch, read_batch
from skl_locus._data.query_encoder import QueryEncoder, as_query_encoder
from skl_locus._data.schema import Columns
from skl_locus._data.scores import read_scores
from skl_locus._utils.user_warnings import warn_user
from skl_locus.exceptions import OutlyingEncodingWarning

ANONYMOUS = "model"
"""Label of the one model of a table without a model column."""

TEXT_ENCODERS = ("query_encoder_", "response_encoder_")
"""Attributes in which estimators keep fitted encoders of the parameter ``encoder``."""

COLUMN_CONSTRAINTS: dict[str, Any] = {
    "encoder": "no_validation",
    "model_col": [str],
    "query_col": [str],
    "query_id_col": [str],
    "encoding_cols": ["array-like", None],
    "duplicates": [StrOptions(set(DUPLICATES))],
}


@dataclass(frozen=True)
class RowCodes:
    """The rows of a table without their scores.

    Parameters
    ----------
    labels : list or None
        Sorted labels of the models; None where the table has one, unnamed.
    model_codes, query_codes : ndarray of shape (n_rows,)
        Model and query of each row.
    queries : QuerySet
        Distinct queries.
    """

    labels: list | None
    model_codes: np.ndarray
    query_codes: np.ndarray
    queries: QuerySet

    def __len__(self) -> int:
        return len(self.query_codes)


@dataclass(frozen=True)
class PairCodes:
    """The rows of a table to predict, whose queries need no identity.

    Parameters
    ----------
    labels : list or None
        Sorted labels of the models; None where the table has one, unnamed.
    model_codes : ndarray of shape (n_rows,)
        Model of each row.
    query_codes : ndarray of shape (n_rows,)
        Row of ``vectors`` that belongs to each row's query.
    vectors : ndarray of shape (n_queries, n_features), float32
        Encodings of the distinct queries.
    """

    labels: list | None
    model_codes: np.ndarray
    query_codes: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.query_codes)


@dataclass(frozen=True)
class TableQueries:
    """The queries of a table, neither identified nor encoded.

    Parameters
    ----------
    distinct : DistinctValues of n_rows rows
        Texts or vectors.
    ids : Series or ndarray of shape (n_rows,) or None
        Ids of the queries.
    frame : narwhals DataFrame or None
        The table, if it names models.
    has_query_col : bool
        Whether the queries are in a column of their own.
    """

    distinct: DistinctValues
    ids: Any = None
    frame: nw.DataFrame | None = None
    has_query_col: bool = False


class TableReaderMixin(BaseEstimator):
    """Base of the estimators that read evaluation tables.

    Subclasses have the parameters ``encoder``, ``model_col``, ``query_col``,
    ``query_id_col``, ``encoding_cols`` and ``duplicates``.
    """

    encoder: Any
    model_col: str
    query_col: str
    query_id_col: str
    encoding_cols: Sequence[str] | None
    duplicates: str
    query_encoder_: QueryEncoder | None

    # Estimators that an earlier version has fitted know nothing of their encodings.
    _typical: TypicalEncodings | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave folders and loaded models out of the state of a fitted estimator."""
        state: Any = super().__getstate__()
        fitted: QueryEncoder | None = state.get("query_encoder_")
        if fitted is None:
            return state
        return {**state, "encoder": fitted._portable(self.encoder)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; a loaded estimator checks the text model it is given back.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            If the estimator was fitted, saved and loaded without the model of its
            encoder, and ``encoder`` is another one.
        """
        if "encoder" in params:
            for name in TEXT_ENCODERS:
                fitted: QueryEncoder | None = getattr(self, name, None)
                if fitted is not None:
                    fitted._take_back(params["encoder"])
        return super().set_params(**params)

    def _read_rows(self, X: Any, *, reset: bool, y: Any = None) -> RowCodes:
        """Read the models and identified queries of a table, to learn from them.

        With ``reset`` the layout of the table is learned (features, encoder),
        otherwise it is held against what was learned. No encoding may equal ``y``.
        """
        table = self._read_table(X, reset=reset, y=y)
        queries = identify(table.distinct, table.ids, self.query_id_col)
        vectors = self._encode(queries.values, table, reset=reset)
        if reset:
            self._typical = TypicalEncodings.of(vectors)
            vectors = self._typical.centred(vectors)
        vectors = self._without_outliers(vectors, queries)
        labels, model_codes = self._models_of(table)
        return RowCodes(
            labels,
            model_codes,
            queries.codes,
            QuerySet(queries.keys, queries.value_rows, vectors),
        )

    def _read_pairs(self, X: Any) -> PairCodes:
        """Read the models and queries of a table, to predict from them."""
        table = self._read_table(X, reset=False)
        check_ids(table.distinct, table.ids, self.query_id_col)
        vectors = self._encode(table.distinct, table, reset=False)
        return PairCodes(*self._models_of(table), table.distinct.codes, vectors)

    def _read_queries(self, queries: Any) -> QueryBatch:
        """Read and encode bare queries; a batch with encodings stays as it is."""
        batch = read_batch(queries, self.query_col)
        if batch.vectors is not None:
            return batch
        if len(batch) == 0:
            nothing = np.empty((0, self.n_features_in_), dtype=np.float32)
            return batch.with_unique(distinct_rows(nothing)).encoded(self._vectors_of)
        frame = batch.frame
        if frame is not None and self.query_col not in frame.columns:
            matrix = self._checked_matrix(frame, reset=False)
            batch = batch.with_unique(distinct_rows(matrix))
        return batch.encoded(self._checked_vectors)

    def _read_evaluations(
        self, X: Any, scores: Any, *, reset: bool, times: np.ndarray | None = None
    ) -> EvaluationSet:
        """Read rows of named models with their scores in [0, 1]."""
        rows = self._read_rows(X, reset=reset)
        if rows.labels is None:
            raise ValueError(
                f"The column {self.model_col!r} is missing: name the model of each row."
            )
        return self._evaluations_of(rows, read_scores(scores, len(rows)), times)

    def _evaluations_of(
        self, rows: RowCodes, scores: np.ndarray, times: np.ndarray | None = None
    ) -> EvaluationSet:
        return combine_rows(
            [ANONYMOUS] if rows.labels is None else rows.labels,
            rows.queries,
            rows.model_codes,
            rows.query_codes,
            scores,
            np.ones(len(scores), dtype=np.int32),
            self.duplicates,
            times,
        )

    def _read_table(self, X: Any, *, reset: bool, y: Any = None) -> TableQueries:
        """Read the queries of a table without identifying or encoding them."""
        if reset:
            self.query_encoder_ = None
        frame = as_frame(X)
        if frame is None:
            matrix = validate_data(self, X, dtype=np.float32, reset=reset)
            row = first_unusable(matrix)
            if row is not None:
                raise ValueError(f"X has {UNUSABLE} in row {row}.")
            return TableQueries(distinct_rows(matrix))
        if len(frame) == 0:
            raise ValueError("The table is empty (0 rows); pass at least one row.")
        columns = Columns.of(self)
        if self.query_col in frame.columns:
            self._require_model_column(frame)
            values = distinct_values(read_column(frame, self.query_col), self.query_col)
            return TableQueries(values, columns.ids(frame), frame, has_query_col=True)
        if self.model_col not in frame.columns:
            return self._read_unnamed(frame, reset)
        matrix = self._checked_matrix(frame, reset=reset)
        columns.check_no_target(frame, matrix, y)
        return TableQueries(distinct_rows(matrix), columns.ids(frame), frame)

    def _read_unnamed(self, frame: nw.DataFrame, reset: bool) -> TableQueries:
        """Read a table of one unnamed model, which must be all numbers."""
        Columns.of(self).encodings(frame)
        if len(numeric_columns(frame, ())) < len(frame.columns):
            self._require_model_column(frame)
        return TableQueries(distinct_rows(self._checked_matrix(frame, reset=reset)))

    def _models_of(self, table: TableQueries) -> tuple[list | None, np.ndarray]:
        """Return the sorted labels, None for one unnamed model, and codes of rows."""
        if table.frame is None:
            return None, np.zeros(len(table.distinct.codes), dtype=np.int32)
        column = read_column(table.frame, self.model_col)
        codes, labels = factorize_labels(column, self.model_col)
        return labels, codes

    def _encode(
        self, values: DistinctValues, table: TableQueries, *, reset: bool
    ) -> np.ndarray:
        """Encode the distinct queries of a table: (n_values, n_features)."""
        if not reset:
            return self._checked_vectors(values)
        if not table.has_query_col:
            # Where features are columns, scikit-learn's validation holds them.
            assert values.vectors is not None
            return values.vectors
        vectors = self._fitted_vectors(values)
        self.n_features_in_ = vectors.shape[1]
        self.__dict__.pop("feature_names_in_", None)
        return vectors

    def _fitted_vectors(self, values: DistinctValues) -> np.ndarray:
        """Return encodings by an encoder that is fitted on the texts, if they are."""
        if values.texts is None:
            assert values.vectors is not None
            return values.vectors
        if self.encoder is None:
            raise ValueError(
                f"The column {self.query_col!r} holds {kind_of(values.texts)}, but "
                "encoder=None; "
                "pass encoder= (a sentence-transformers name, a QueryEncoder or "
                "a scikit-learn text transformer), or vectors."
            )
        self.query_encoder_ = as_query_encoder(
            self.encoder, verbose=getattr(self, "verbose", 0)
        )
        return self.query_encoder_._fit_distinct(values.texts, values.keys)

    def _checked_vectors(self, values: DistinctValues) -> np.ndarray:
        """Return encodings of the length that the estimator was fitted with."""
        vectors = self._vectors_of(values)
        if vectors.shape[1] != self.n_features_in_:
            raise ValueError(
                f"The queries have encodings of length {vectors.shape[1]}, but "
                f"{type(self).__name__} was fitted with length "
                f"{self.n_features_in_}; use the same encoder."
            )
        return vectors if self._typical is None else self._typical.centred(vectors)

    def _as_learned(self, vectors: np.ndarray) -> np.ndarray:
        """Return encodings as the estimator keeps those that it learns from."""
        if self._typical is None:
            return vectors
        typical, vectors = self._typical.of_centred(), self._typical.centred(vectors)
        return typical.pulled_in(vectors, typical.outlying(vectors))

    def _without_outliers(
        self, vectors: np.ndarray, queries: UniqueQueries
    ) -> np.ndarray:
        """Move encodings to learn from that lie far from all others, with a warning."""
        if self._typical is None:
            return vectors
        typical = self._typical.of_centred()
        outlying = typical.outlying(vectors)
        if len(outlying):
            vector, ratio = outlying[outlying[:, 1].argmax()]
            row = int(np.argmax(queries.value_rows[queries.codes] == vector))
            warn_user(
                f"{len(outlying)} encodings lie far from all others, that of row {row} "
                f"{ratio:.3g} times as far from the middle as is typical; they are "
                f"moved to {OUTLYING:g} times. Drop such queries, or scale the "
                "features.",
                OutlyingEncodingWarning,
            )
        return typical.pulled_in(vectors, outlying)

    def _vectors_of(self, values: DistinctValues) -> np.ndarray:
        if values.texts is None:
            assert values.vectors is not None
            return values.vectors
        if self.query_encoder_ is None:
            raise ValueError(
                f"{type(self).__name__} was fitted on encoded queries and got "
                f"{kind_of(values.texts)}; encode them in the same way, or fit with "
                "encoder=."
            )
        return self.query_encoder_._transform_distinct(values.texts, values.keys)

    def _require_model_column(self, frame: nw.DataFrame) -> None:
        if self.model_col not in frame.columns:
            raise ValueError(
                f"The column {self.model_col!r} is missing: a table with queries or "
                "text needs a model column; name yours with model_col=."
            )

    def _checked_matrix(self, frame: nw.DataFrame, *, reset: bool) -> np.ndarray:
        """Return the encodings of a table without a query column, validated."""
        columns = Columns.of(self).encodings(frame)
        matrix = matrix_of(frame, columns)
        row = first_unusable(matrix)
        if row is not None:
            column = first_unusable(matrix[[row]].T)
            assert column is not None
            raise ValueError(
                "Input X contains NaN, infinity or a value too large for float32: "
                f"column {columns[column]!r}, row {row}."
            )
        named = pd.DataFrame(matrix, columns=columns, copy=False)
        return validate_data(self, named, dtype=np.float32, reset=reset)
