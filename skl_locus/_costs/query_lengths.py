"""Query lengths and identities read from a table of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from skl_locus._costs.tables import checked_column, key_column
from skl_locus._data.columns import (
    as_frame,
    is_sequence,
    is_text,
    object_cells,
    read_column,
)
from skl_locus._data.reader import validate_query_matrix


@dataclass(frozen=True)
class QueryTable:
    """Queries in whatever form they came.

    Parameters
    ----------
    n_queries : int
        Number of rows.
    cells : dict of str to Series or ndarray of shape (n_queries,)
        Columns of identities: ids, and texts or vectors.
    id_col : str
        Which of them holds ids.
    characters : ndarray of shape (n_queries,), float64
        Lengths of texts, NaN where a query is no text.
    given_tokens : ndarray of shape (n_queries,), float64
        Lengths in tokens, NaN where they are not given.
    """

    n_queries: int
    cells: dict[str, Any]
    id_col: str
    characters: np.ndarray
    given_tokens: np.ndarray

    def __len__(self) -> int:
        return self.n_queries

    def tokens(self, chars_per_token: float, otherwise: float) -> np.ndarray:
        """Return lengths in tokens: as given, by characters, else by default."""
        by_text = self.characters / chars_per_token
        lengths = np.where(np.isnan(self.given_tokens), by_text, self.given_tokens)
        return np.where(np.isnan(lengths), otherwise, lengths)

    def mean_tokens(self, chars_per_token: float) -> float:
        """Return the mean length where one is known, NaN where none is."""
        lengths = self.tokens(chars_per_token, np.nan)
        known = np.sort(lengths[~np.isnan(lengths)])
        return float(known.mean()) if len(known) else np.nan

    def chars_per_token(self, otherwise: float) -> float:
        """Return the ratio of characters to tokens where both are known."""
        both = ~np.isnan(self.characters) & ~np.isnan(self.given_tokens)
        characters = np.sort(self.characters[both]).sum()
        tokens = np.sort(self.given_tokens[both]).sum()
        return float(characters / tokens) if characters and tokens else otherwise

    def keys(self, column: str) -> np.ndarray | None:
        """Return digests of a column of identities; None where there is none."""
        if column not in self.cells or not len(self):
            return None
        return key_column(self.cells[column], column, is_id=column == self.id_col)


def read_query_table(
    queries: Any, query_col: str, query_id_col: str, tokens_col: str
) -> QueryTable:
    """Read queries in any form that routers take: texts, vectors or a frame.

    Parameters
    ----------
    queries : list of str, array of shape (n_queries, n_features), Series or dataframe
        Bare queries.
    query_col, query_id_col, tokens_col : str
        Columns of a frame.

    Returns
    -------
    QueryTable
        What there is to know.
    """
    frame = as_frame(queries)
    if frame is not None:
        return _framed(frame, query_col, query_id_col, tokens_col)
    if getattr(queries, "ndim", 1) > 1:
        queries = list(validate_query_matrix(queries))
    if not is_sequence(queries):
        raise ValueError(
            f"queries must be a list of queries, got {queries!r:.60}; wrap a single "
            "one: [query]."
        )
    cells = queries if isinstance(queries, pd.Series) else object_cells(queries)
    return QueryTable(
        len(cells),
        {query_col: cells},
        query_id_col,
        _characters(cells),
        np.full(len(cells), np.nan),
    )


def _framed(
    frame: nw.DataFrame, query_col: str, query_id_col: str, tokens_col: str
) -> QueryTable:
    cells = {
        name: read_column(frame, name)
        for name in (query_col, query_id_col)
        if name in frame.columns
    }
    nothing = np.full(len(frame), np.nan)
    tokens = checked_column(frame, tokens_col) if tokens_col in frame.columns else None
    return QueryTable(
        len(frame),
        cells,
        query_id_col,
        _characters(cells[query_col]) if query_col in cells else nothing,
        nothing if tokens is None else tokens,
    )


def _characters(cells: Any) -> np.ndarray:
    """Return the lengths of texts; NaN for vectors."""
    if not is_text(cells):
        return np.full(len(cells), np.nan)
    return np.array([len(text) for text in cells], dtype=np.float64)
