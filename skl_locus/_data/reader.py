"""The reader of evaluation tables that estimators inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import validate_data

from skl_locus._data.columns import (
    CARRIED_COLUMNS,
    as_frame,
    factorize_labels,
    is_sequence,
    matrix_of,
    numeric_columns,
    object_cells,
    read_column,
)
from skl_locus._data.evaluations import DUPLICATES, EvaluationSet, combine_rows
from skl_locus._data.queries import (
    QuerySet,
    UniqueQueries,
    distinct_queries,
    distinct_rows,
)
from skl_locus._data.query_encoder import QueryEncoder, as_query_encoder
from skl_locus._data.scores import read_scores

ANONYMOUS = "model"
"""Label of the one model of a table without a model column."""

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

    def __getstate__(self) -> dict[str, Any]:
        """Leave folders and loaded models out of the state of a fitted estimator."""
        state: Any = super().__getstate__()
        fitted: QueryEncoder | None = state.get("query_encoder_")
        if fitted is None:
            return state
        return {**state, "encoder": fitted.portable(self.encoder)}

    def _read_rows(self, X: Any, *, reset: bool) -> RowCodes:
        """Read the models and queries of a table.

        With ``reset`` the layout of the table is learned (features, encoder),
        otherwise it is held against what was learned.
        """
        if reset:
            self.query_encoder_ = None
        frame = as_frame(X)
        if frame is None:
            return self._array_rows(
                validate_data(self, X, dtype=np.float32, reset=reset)
            )
        if len(frame) == 0:
            raise ValueError("The table is empty (0 rows); pass at least one row.")
        if self.query_col in frame.columns:
            self._require_model_column(frame)
            return self._query_rows(frame, reset)
        if self.model_col in frame.columns:
            return self._encoded_rows(frame, reset)
        return self._array_rows(self._anonymous_matrix(frame, reset))

    def _read_queries(self, queries: Any) -> tuple[np.ndarray, QuerySet]:
        """Read bare queries: (codes of shape (n_queries,), distinct queries)."""
        # Arrays first: what serves one query at a time looks for no dataframe.
        if type(queries) is np.ndarray and queries.ndim > 1:
            return self._query_matrix(queries)
        frame = as_frame(queries)
        if frame is not None:
            return self._framed_queries(frame)
        if issparse(queries):
            raise TypeError("queries are sparse; pass a dense array (.toarray()).")
        if getattr(queries, "ndim", 1) > 1:
            return self._query_matrix(queries)
        if not is_sequence(queries):
            raise ValueError(
                f"queries must be a list of queries, got {queries!r:.60}; wrap a "
                "single one: [query]."
            )
        cells = queries if isinstance(queries, pd.Series) else object_cells(queries)
        if len(cells) == 0:
            return self._no_queries()
        if isinstance(next(iter(cells)), Real):
            raise ValueError(
                "queries is one vector of numbers; wrap a single encoded query: "
                "[vector], shape (1, n_features)."
            )
        return self._distinct(self._distinct_of(cells, None), reset=False)

    def _query_matrix(self, queries: Any) -> tuple[np.ndarray, QuerySet]:
        matrix = validate_query_matrix(queries)
        return self._distinct(distinct_rows(matrix), reset=False)

    def _read_evaluations(self, X: Any, scores: Any, *, reset: bool) -> EvaluationSet:
        """Read rows of named models with their scores in [0, 1]."""
        rows = self._read_rows(X, reset=reset)
        if rows.labels is None:
            raise ValueError(
                f"The column {self.model_col!r} is missing: name the model of each row."
            )
        return self._evaluations_of(rows, read_scores(scores, len(rows)))

    def _evaluations_of(self, rows: RowCodes, scores: np.ndarray) -> EvaluationSet:
        return combine_rows(
            [ANONYMOUS] if rows.labels is None else rows.labels,
            rows.queries,
            rows.model_codes,
            rows.query_codes,
            scores,
            np.ones(len(scores), dtype=np.int32),
            self.duplicates,
        )

    def _array_rows(self, matrix: np.ndarray) -> RowCodes:
        distinct = distinct_rows(matrix)
        codes, queries = self._distinct(distinct, reset=None)
        return RowCodes(None, np.zeros(len(matrix), dtype=np.int32), codes, queries)

    def _query_rows(self, frame: nw.DataFrame, reset: bool) -> RowCodes:
        codes, queries = self._distinct(self._identified(frame), reset=reset)
        return self._named_rows(frame, codes, queries)

    def _identified(self, frame: nw.DataFrame) -> UniqueQueries:
        values = read_column(frame, self.query_col)
        return self._distinct_of(values, self._ids(frame))

    def _ids(self, frame: nw.DataFrame) -> pd.Series | np.ndarray | None:
        if self.query_id_col in frame.columns:
            return read_column(frame, self.query_id_col)
        return None

    def _encoded_rows(self, frame: nw.DataFrame, reset: bool) -> RowCodes:
        matrix = self._checked_matrix(frame, self._encoding_columns(frame), reset)
        distinct = distinct_rows(
            matrix, self._ids(frame), query_id_col=self.query_id_col
        )
        codes, queries = self._distinct(distinct, reset=None)
        return self._named_rows(frame, codes, queries)

    def _named_rows(
        self, frame: nw.DataFrame, codes: np.ndarray, queries: QuerySet
    ) -> RowCodes:
        models, labels = factorize_labels(
            read_column(frame, self.model_col), self.model_col
        )
        return RowCodes(labels, models, codes, queries)

    def _distinct_of(self, values: Any, ids: Any) -> UniqueQueries:
        return distinct_queries(
            values, ids, query_col=self.query_col, query_id_col=self.query_id_col
        )

    def _distinct(
        self, distinct: UniqueQueries, *, reset: bool | None
    ) -> tuple[np.ndarray, QuerySet]:
        """Encode distinct queries; ``reset=None`` leaves dimensions to others."""
        vectors = self._vectors_of(distinct, bool(reset))
        if reset:
            self.n_features_in_ = vectors.shape[1]
            self.__dict__.pop("feature_names_in_", None)
        elif reset is not None and vectors.shape[1] != self.n_features_in_:
            raise ValueError(
                f"The queries have encodings of length {vectors.shape[1]}, but "
                f"{type(self).__name__} was fitted with length "
                f"{self.n_features_in_}; use the same encoder."
            )
        return distinct.codes, QuerySet(
            distinct.keys, distinct.value_rows.astype(np.int32), vectors
        )

    def _vectors_of(self, distinct: UniqueQueries, reset: bool) -> np.ndarray:
        if distinct.texts is None:
            assert distinct.vectors is not None
            return distinct.vectors
        if reset:
            if self.encoder is None:
                raise ValueError(
                    f"The column {self.query_col!r} holds text, but encoder=None; "
                    "pass encoder= (a sentence-transformers name, a QueryEncoder or "
                    "a scikit-learn text transformer), or vectors."
                )
            self.query_encoder_ = as_query_encoder(self.encoder)
            return self.query_encoder_.fit_distinct(distinct.texts)
        if self.query_encoder_ is None:
            raise ValueError(
                f"{type(self).__name__} was fitted on encoded queries and got text; "
                "encode the text in the same way, or fit with encoder=."
            )
        return self.query_encoder_.transform_distinct(distinct.texts)

    def _no_queries(self) -> tuple[np.ndarray, QuerySet]:
        nothing = np.empty((0, self.n_features_in_), dtype=np.float32)
        return self._distinct(distinct_rows(nothing), reset=False)

    def _framed_queries(self, frame: nw.DataFrame) -> tuple[np.ndarray, QuerySet]:
        if len(frame) == 0:
            return self._no_queries()
        if self.query_col in frame.columns:
            values = read_column(frame, self.query_col)
            return self._distinct(self._distinct_of(values, None), reset=False)
        matrix = self._checked_matrix(frame, self._encoding_columns(frame), False)
        return self._distinct(distinct_rows(matrix), reset=False)

    def _require_model_column(self, frame: nw.DataFrame) -> None:
        if self.model_col not in frame.columns:
            raise ValueError(
                f"The column {self.model_col!r} is missing: a table with queries or "
                "text needs a model column; name yours with model_col=."
            )

    def _encoding_columns(self, frame: nw.DataFrame) -> list[str]:
        if self.encoding_cols is not None:
            missing = [c for c in self.encoding_cols if c not in frame.columns]
            if missing:
                raise ValueError(f"encoding_cols {missing} are not in the table.")
            numeric = numeric_columns(frame, ())
            strange = [c for c in self.encoding_cols if c not in numeric]
            if strange:
                raise ValueError(f"encoding_cols {strange} are not numeric.")
            return list(self.encoding_cols)
        carried = (self.model_col, self.query_id_col, *CARRIED_COLUMNS)
        columns = numeric_columns(frame, (*carried, getattr(self, "score_col", "")))
        if not columns:
            raise ValueError(
                f"No query can be read: the table has neither {self.query_col!r} nor "
                "numeric encoding columns; name them with query_col= or "
                "encoding_cols=."
            )
        return columns

    def _anonymous_matrix(self, frame: nw.DataFrame, reset: bool) -> np.ndarray:
        columns = self._encoding_columns(frame)
        others = [
            name for name in frame.columns if name not in numeric_columns(frame, ())
        ]
        if others:
            self._require_model_column(frame)
        return self._checked_matrix(frame, columns, reset)

    def _checked_matrix(
        self, frame: nw.DataFrame, columns: list[str], reset: bool
    ) -> np.ndarray:
        matrix = matrix_of(frame, columns)
        finite = np.isfinite(matrix)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise ValueError(
                f"Input X contains NaN, infinity or a value too large for float32: "
                f"column {columns[column]!r}, row {row}."
            )
        named = pd.DataFrame(matrix, columns=columns, copy=False)
        return validate_data(self, named, dtype=np.float32, reset=reset)


def validate_query_matrix(queries: Any) -> np.ndarray:
    """Return bare encoded queries as a finite float32 matrix."""
    matrix = np.asarray(queries, dtype=np.float32)
    if matrix.ndim != 2:
        raise ValueError(
            f"queries must have shape (n_queries, n_features), got {matrix.shape}; "
            "wrap a single query: [query]."
        )
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise ValueError(f"queries, row {int(np.argmin(finite))}, has NaN or inf.")
    return matrix
