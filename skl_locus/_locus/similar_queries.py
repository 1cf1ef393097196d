"""Known queries nearest to new ones, with the scores of models on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.codes import find_sorted
from skl_locus._data.columns import read_column
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.media import holds_media, media_queries
from skl_locus._routing.decisions import query_blocks, top_k

SIMILAR_COLUMNS = ["query", "neighbor", "id", "distance", "model", "score"]


def similar_queries(
    evaluations: EvaluationSet,
    encodings: np.ndarray,
    chosen: np.ndarray,
    n_similar: int,
    names: pd.Series | None,
) -> pd.DataFrame:
    """Find the known queries nearest to each new one.

    Parameters
    ----------
    evaluations : EvaluationSet
        Known evaluations.
    encodings : ndarray of shape (n_queries, n_features)
        New queries.
    chosen : ndarray of labels, (n_queries, k)
        Models whose scores are of interest.
    n_similar : int
        Number of known queries for each new one.
    names : Series or None
        Name of each known query by its digest; None takes the digests themselves.

    Returns
    -------
    DataFrame of shape (n_queries * n_similar * k, 6)
        As `RouteExplanation` describes it.
    """
    n_similar = min(n_similar, len(evaluations.queries))
    if n_similar == 0 or not len(encodings):
        return pd.DataFrame(columns=SIMILAR_COLUMNS)
    nearest, distances = _nearest(evaluations.queries.vectors(), encodings, n_similar)
    n_queries, k = chosen.shape
    shape = n_queries, n_similar, k
    scores = _scores(
        evaluations,
        np.broadcast_to(
            evaluations.index_of(chosen.ravel()).reshape(n_queries, 1, k), shape
        ),
        np.broadcast_to(nearest[:, :, None], shape),
    )
    ids = _ids(evaluations.queries.keys, names)[nearest]
    parts = (
        np.arange(n_queries)[:, None, None],
        np.arange(1, n_similar + 1)[None, :, None],
        ids[:, :, None],
        distances[:, :, None],
        chosen[:, None, :],
        scores,
    )
    cells = [np.broadcast_to(part, shape).ravel() for part in parts]
    return pd.DataFrame(dict(zip(SIMILAR_COLUMNS, cells, strict=True)))


def query_names(frame: Any, rows: Any, id_col: str, query_col: str) -> pd.Series:
    """Return the id, the text or else the row of each query of a log, by digest.

    Parameters
    ----------
    frame : narwhals DataFrame
        The log.
    rows : RowCodes
        The same, read by the router.
    id_col, query_col : str
        Names of the columns of ids and of queries.

    Returns
    -------
    Series of shape (n_queries,)
        Names by digest.
    """
    first = np.unique(rows.query_codes, return_index=True)[1]
    for column in (id_col, query_col):
        if column in frame.columns:
            cells = np.asarray(read_column(frame, column), dtype=object)[first]
            if holds_media(cells):
                cells = np.array([*map(str, media_queries(cells, column))], object)
            if not isinstance(cells[0], np.ndarray):  # a vector is no name
                return pd.Series(cells, rows.queries.keys)
    return pd.Series(first.astype(object), rows.queries.keys)


def _ids(keys: np.ndarray, names: pd.Series | None) -> np.ndarray:
    digests = np.array([bytes(key).hex() for key in keys.tolist()], dtype=object)
    if names is None:
        return digests
    # The log need not be the one of the fit: what it does not have keeps its digest.
    found = names.index.get_indexer(keys)
    return np.where(found < 0, digests, names.to_numpy()[found])


def _nearest(
    known: np.ndarray, encodings: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest known queries and their distances: (n_queries, k) each."""
    half_norms = (known.astype(np.float64) ** 2).sum(axis=1) / 2
    found, squares = [], []
    for block in query_blocks(len(encodings), len(known)):
        some = encodings[block].astype(np.float64)
        # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2): the largest bracket is the nearest.
        closeness = some @ known.T.astype(np.float64) - half_norms
        columns = top_k(closeness, k)
        found.append(columns)
        differences = some[:, None, :] - known[columns]
        squares.append((differences**2).sum(axis=-1))
    return np.concatenate(found), np.sqrt(np.concatenate(squares))


def _scores(
    evaluations: EvaluationSet, models: np.ndarray, queries: np.ndarray
) -> np.ndarray:
    """Look up scores of (model, query) pairs; NaN where there is none."""
    # Rows are sorted by model and then by query.
    size = np.int64(len(evaluations.queries))
    stored = evaluations.model_codes * size + evaluations.query_codes
    rows = find_sorted(stored, (models * size + queries).ravel())
    scores = np.append(evaluations.scores.astype(np.float64), np.nan)
    return scores[rows].reshape(models.shape)  # row -1 is the last one
