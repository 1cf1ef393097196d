"""Queries that can be asked, as users name them and as a router reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.queries import QuerySet
from skl_locus._data.query_batch import read_batch
from skl_locus._data.schema import Columns
from skl_locus._routing.access import read_query_rows


@dataclass(frozen=True)
class AskableQueries:
    """Distinct queries in the order of their keys, each with a row of a table.

    Parameters
    ----------
    rows : dataframe of n_queries rows
        A row of each query, without models and scores, in the user's library.
    ids : list of length n_queries
        Ids of the queries, or their positions in what was given.
    queries : QuerySet
        The queries as the router reads them.
    codes : ndarray of shape (n_rows,)
        Query of each row that was given.
    columns : Columns
        Names of the columns of the router.
    """

    rows: Any
    ids: list
    queries: QuerySet
    codes: np.ndarray
    columns: Columns

    @classmethod
    def read(cls, router: Any, queries: Any) -> AskableQueries:
        """Read queries in any form that the router takes."""
        columns = Columns.of(router)
        frame = _as_table(queries, columns)
        codes, distinct = read_query_rows(router, frame)
        first = np.unique(codes, return_index=True)[1].tolist()
        ids = first
        if columns.query_id in frame.columns:
            cells = pd.Series(read_column(frame, columns.query_id))
            ids = cells.iloc[first].tolist()
        return cls(frame[first].to_native(), ids, distinct, codes, columns)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def frame(self) -> nw.DataFrame:
        """The rows, of whatever library."""
        return nw.from_native(self.rows, eager_only=True)

    @property
    def counts(self) -> np.ndarray:
        """How often each query was given: (n_queries,)."""
        return np.bincount(self.codes, minlength=len(self))

    def named(self, rows: np.ndarray) -> Any:
        """Return the rows of some queries with their ids, in the user's library."""
        frame = self.frame[rows.tolist()]
        name = self.columns.query_id
        if name not in frame.columns:
            ids = [self.ids[row] for row in rows.tolist()]
            frame = frame.select(_series(frame, name, ids, nw.Int64()), nw.all())
        return frame.to_native()

    def evaluations(self, rows: np.ndarray, scores: np.ndarray, model: Any) -> Any:
        """Return scores of one model on some queries, as `add_models` takes them."""
        frame = self.frame[rows.tolist()]
        values = _series(frame, self.columns.score, scores.tolist(), nw.Float64())
        label = nw.lit(model).alias(self.columns.model)
        return frame.with_columns(label, values).to_native()

    def amounts(self, costs: Any) -> np.ndarray:
        """Return the cost of each query, one unit by default: (n_queries,)."""
        if costs is None:
            return np.ones(len(self))
        if isinstance(costs, (Mapping, pd.Series)):
            missing = next((each for each in self.ids if each not in costs), None)
            if missing is not None:
                raise ValueError(f"costs has no entry for the query {missing!r}.")
            amounts = np.array([costs[each] for each in self.ids], dtype=np.float64)
        else:
            amounts = self._by_position(costs)
        wrong = ~(np.isfinite(amounts) & (amounts > 0))
        if wrong.any():
            place = int(wrong.argmax())
            raise ValueError(
                f"costs must be positive and finite; that of the query "
                f"{self.ids[place]!r} is {amounts[place]:g}."
            )
        return amounts

    def _by_position(self, costs: Any) -> np.ndarray:
        given = np.asarray(costs, dtype=np.float64).ravel()
        if len(given) != len(self.codes):
            raise ValueError(
                f"costs has {len(given)} entries for {len(self.codes)} queries."
            )
        return given[np.unique(self.codes, return_index=True)[1]]


def _as_table(queries: Any, columns: Columns) -> nw.DataFrame:
    """Return queries as a table without models and scores."""
    frame = as_frame(queries)
    if frame is None:
        batch = read_batch(queries, columns.query)
        cells = np.empty(len(batch), dtype=object)
        cells[:] = list(batch.cells)
        table = pd.DataFrame({columns.query: cells})
        frame = nw.from_native(table, eager_only=True)
    if len(frame) == 0:
        raise ValueError("queries is empty; pass those that can be asked.")
    # Another model's row may stand for a query; only the query is taken from it.
    return frame.drop(columns.model, columns.score, strict=False)


def _series(frame: nw.DataFrame, name: str, values: list, dtype: Any) -> nw.Series:
    return nw.new_series(name, values, dtype, backend=frame.implementation)
