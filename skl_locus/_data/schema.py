"""Names of the columns of a table, and the rule of which are encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import narwhals as nw
import numpy as np

from skl_locus._data.columns import (
    as_frame,
    matrix_of,
    numeric_columns,
    read_column,
)

CARRIED_COLUMNS = (
    "score",
    "task",
    "cost",
    "tokens",
    "input_tokens",
    "output_tokens",
    "latency",
)
"""Columns of an evaluation log that describe a row, not its query."""

SCALED_FROM_ROWS = 20
"""Rows from which on a column is held against scores on another scale.

In fewer rows, a column of two values may lie on a line with the scores by chance."""

SCREENED_ROWS = 100
"""Rows on which nearly all columns already show that they are not on a line."""

LINE_TOLERANCE = 1e-5
"""Share of a column's range by which float32 may miss a line."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of evaluations or queries.

    Parameters
    ----------
    model, query, query_id, score : str
        Columns of the model, the query, its identity and the score.
    encoding_cols : tuple of str or None
        Columns that hold the encoding of the query where there is no query column;
        None takes all numeric columns that have no other meaning.
    """

    model: str = "model"
    query: str = "query"
    query_id: str = "query_id"
    score: str = "score"
    encoding_cols: tuple[str, ...] | None = None

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the names that an estimator has as parameters, defaults for others."""
        chosen = getattr(estimator, "encoding_cols", None)
        return cls(
            getattr(estimator, "model_col", cls.model),
            getattr(estimator, "query_col", cls.query),
            getattr(estimator, "query_id_col", cls.query_id),
            getattr(estimator, "score_col", cls.score),
            None if chosen is None else tuple(chosen),
        )

    def encodings(self, frame: nw.DataFrame) -> list[str]:
        """Return the columns that hold the encodings of the queries.

        Parameters
        ----------
        frame : narwhals DataFrame
            A table without a query column.

        Returns
        -------
        list of str
            ``encoding_cols``, or all numeric columns but those of the model, the query
            id and the score and `CARRIED_COLUMNS`, in the order of the table.

        Raises
        ------
        ValueError
            If there is none, or one of ``encoding_cols`` is missing or not numeric.
        """
        if self.encoding_cols is not None:
            return self._chosen_encodings(frame)
        described = (self.model, self.query_id, self.score, *CARRIED_COLUMNS)
        columns = numeric_columns(frame, described)
        if not columns:
            raise ValueError(
                f"No query can be read: the table has neither {self.query!r} nor "
                "numeric encoding columns; name them with query_col= or "
                "encoding_cols=."
            )
        return columns

    def encoding_matrix(self, frame: nw.DataFrame) -> np.ndarray:
        """Return the encodings of a table without a query column, as float32."""
        return matrix_of(frame, self.encodings(frame))

    def ids(self, frame: nw.DataFrame) -> Any | None:
        """Return the column of query ids; None where there is none."""
        if self.query_id not in frame.columns:
            return None
        return read_column(frame, self.query_id)

    def score_column(self, X: Any) -> Any | None:
        """Return the column of scores of a table; None where there is none."""
        frame = as_frame(X)
        if frame is None or self.score not in frame.columns:
            return None
        return read_column(frame, self.score)

    def guesses_encodings(self, frame: nw.DataFrame) -> bool:
        """Whether a log has encodings in columns that nobody named.

        Only there can a score or a time be mistaken for a part of the query. A log
        has a column of models, or columns that are not numeric: its models may have
        another name here, since splitters need none.
        """
        if self.encoding_cols is not None or self.query in frame.columns:
            return False
        n_numeric = len(numeric_columns(frame, ()))
        return self.model in frame.columns or n_numeric < len(frame.columns)

    def check_no_target(
        self, frame: nw.DataFrame, matrix: np.ndarray, target: Any
    ) -> None:
        """Raise if an encoding column that nobody named repeats the target.

        Parameters
        ----------
        frame : narwhals DataFrame of n_rows rows
            The table.
        matrix : ndarray of shape (n_rows, n_encodings), float32
            Its encodings.
        target : array-like of shape (n_rows,) or None
            Scores; what is no column of numbers is left to other checks.

        Raises
        ------
        ValueError
            If a column equals the target, also on another scale (percent, errors
            instead of points), naming it.
        """
        if not self.guesses_encodings(frame):
            return
        scores = _as_float32(target, len(frame))
        # A constant target says nothing that could leak, and constant encodings exist.
        if scores is None or (scores == scores[0]).all():
            return
        equal = (matrix == scores[:, None]).all(axis=0)
        relation = "equals"
        if not equal.any() and len(scores) >= SCALED_FROM_ROWS:
            equal, relation = _on_a_line(matrix, scores), "is, on another scale,"
        if equal.any():
            name = self.encodings(frame)[int(equal.argmax())]
            raise ValueError(
                f"The column {name!r} {relation} the scores y and would be read as a "
                "part of the encoding of the query, which gives the answer away. Drop "
                "it from X, or name the columns of the encoding with encoding_cols=."
            )

    def _chosen_encodings(self, frame: nw.DataFrame) -> list[str]:
        assert self.encoding_cols is not None
        missing = [name for name in self.encoding_cols if name not in frame.columns]
        if missing:
            raise ValueError(f"encoding_cols {missing} are not in the table.")
        numeric = set(numeric_columns(frame, ()))
        strange = [name for name in self.encoding_cols if name not in numeric]
        if strange:
            raise ValueError(f"encoding_cols {strange} are not numeric.")
        return list(self.encoding_cols)


def _on_a_line(matrix: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which columns are linear functions of the scores: (n_columns,), bool."""
    least, most = int(scores.argmin()), int(scores.argmax())
    shares = (scores.astype(np.float64) - scores[least]) / np.ptp(scores)
    starts = matrix[least].astype(np.float64)
    ranges = matrix[most] - starts
    found = ranges != 0

    def on_line(rows: slice, columns: np.ndarray) -> np.ndarray:
        line = starts[columns] + shares[rows, None] * ranges[columns]
        misses = np.abs(matrix[rows, columns] - line)
        return (misses <= LINE_TOLERANCE * np.abs(ranges[columns])).all(axis=0)

    for rows in (slice(SCREENED_ROWS), slice(None)):
        columns = np.flatnonzero(found)
        found[columns] = on_line(rows, columns)
    return found


def _as_float32(target: Any, n_rows: int) -> np.ndarray | None:
    """Return a target in the precision of encodings; None if it is no such column."""
    if isinstance(target, nw.Series):
        target = target.to_numpy()
    try:
        values = np.asarray(target, dtype=np.float32).ravel()
    except (TypeError, ValueError):
        return None
    return values if len(values) == n_rows > 0 else None
