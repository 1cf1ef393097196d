"""Distances of embeddings, disagreement of answers and clusters of models."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import pairwise_distances

from skl_locus._data.columns import as_frame, model_groups, read_column
from skl_locus._data.pairs import score_matrix
from skl_locus._data.queries import query_groups
from skl_locus._data.schema import Columns
from skl_locus._data.scores import read_scores
from skl_locus._routing.pool import compared_embeddings
from skl_locus._utils.model_frames import model_index


def model_distances(models: Any, *, metric: str = "euclidean") -> pd.DataFrame:
    """Compute the distances between models (paper section 3.4).

    Those of a fitted `LocusRouter` estimate the root mean square difference of scores:
    the squared Euclidean distance of two embeddings and what both leave out
    (``specific_variances_``). From embeddings alone, models with few evaluations, and
    models added after the fit, seem nearer than they are.

    Parameters
    ----------
    models : fitted LocusRouter, or dataframe or array of shape (n_models, n_components)
        Embeddings, one row per model; the index of a dataframe names the models.
    metric : str, default="euclidean"
        A metric of `sklearn.metrics.pairwise_distances`, such as "cosine".

    Returns
    -------
    DataFrame of shape (n_models, n_models)
        Distances, labelled on both sides, exactly symmetric with a zero diagonal.

    Raises
    ------
    ValueError
        If the embeddings are not a matrix of finite numbers or have names twice.

    Examples
    --------
    >>> from skl_locus.inspection import model_distances
    >>> model_distances([[0.0, 0.0], [3.0, 4.0]])
         0    1
    0  0.0  5.0
    1  5.0  0.0
    """
    embeddings = as_embeddings(models)
    sides = compared_embeddings(
        embeddings.to_numpy(np.float64),
        getattr(models, "specific_variances_", None),
        metric,
    )
    distances = pairwise_distances(*sides, metric=metric)
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0.0)
    return pd.DataFrame(distances, embeddings.index, embeddings.index)


def as_embeddings(models: Any) -> pd.DataFrame:
    """Return embeddings with the names of their models as the index."""
    if hasattr(models, "embeddings_"):
        index = model_index(models.models_.tolist(), models.model_col)
        return pd.DataFrame(models.embeddings_, index)
    embeddings = models if isinstance(models, pd.DataFrame) else np.asarray(models)
    if embeddings.ndim != 2 or not len(embeddings):
        raise ValueError(
            "models must be a fitted LocusRouter or embeddings of shape (n_models, "
            f"n_components), got shape {embeddings.shape}."
        )
    frame = pd.DataFrame(embeddings)
    if not frame.index.is_unique:
        name = frame.index[frame.index.duplicated()][0]
        raise ValueError(f"The model {name!r} has two rows; names must be unique.")
    return frame


def disagreement(
    X: Any,
    y: Any,
    *,
    min_common: int = 10,
    model_col: str = "model",
    query_col: str = "query",
    query_id_col: str = "query_id",
) -> pd.DataFrame:
    """Compute how often models differ on the queries that both have answered.

    ``mean over common queries q of |y[a, q] - y[b, q]|``: the fraction of queries
    of different correctness where scores are 0 or 1 (paper section 3.4), the mean
    absolute difference where they are graded.

    Parameters
    ----------
    X : dataframe of n_rows rows
        Models and queries, one row per evaluation. To hold the result against
        embeddings, pass queries that the embeddings have not seen.
    y : array-like of shape (n_rows,)
        Scores in [0, 1]; the scores of repeated rows are averaged.
    min_common : int, default=10
        Pairs with fewer common queries are NaN.
    model_col, query_col, query_id_col : str
        Columns of the model, the query and its identity, which is its id if there
        is one.

    Returns
    -------
    DataFrame of shape (n_models, n_models)
        Fractions in [0, 1], labelled on both sides.

    Raises
    ------
    ValueError
        If columns are missing or scores cannot be used.

    Examples
    --------
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import disagreement
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> disagreement(log, log["score"]).shape
    (6, 6)
    """
    if not isinstance(min_common, Integral) or min_common < 1:
        raise ValueError(f"min_common must be at least 1, got {min_common!r}.")
    models, labels = model_groups(X, model_col)
    queries = _query_codes(X, y, Columns(model_col, query_col, query_id_col))
    scores = read_scores(y, len(models))
    shape = queries.max() + 1, len(labels)
    table = np.ascontiguousarray(score_matrix(queries, models, scores, shape).T)
    index = model_index(labels, model_col)
    return pd.DataFrame(_mean_differences(table, min_common), index, index)


def _query_codes(X: Any, y: Any, columns: Columns) -> np.ndarray:
    frame = as_frame(X)
    if frame is not None and columns.query_id in frame.columns:
        codes = pd.factorize(read_column(frame, columns.query_id))[0]
        if (codes < 0).any():
            row = int(np.argmin(codes))
            raise ValueError(
                f"The column {columns.query_id!r} has no value in row {row}."
            )
        return codes
    return query_groups(X, columns, y)[0]


def _mean_differences(table: np.ndarray, min_common: int) -> np.ndarray:
    known = ~np.isnan(table)
    common = known.astype(np.float64) @ known.T
    differences = np.full(common.shape, np.nan)
    for model, row in enumerate(table):
        sums = np.nansum(np.abs(table - row), axis=1)
        enough = common[model] >= min_common
        differences[model, enough] = sums[enough] / common[model, enough]
    return differences


def model_linkage(distances: pd.DataFrame, *, method: str = "average") -> np.ndarray:
    """Cluster models hierarchically, for a dendrogram (paper Figure 7).

    Parameters
    ----------
    distances : DataFrame of shape (n_models, n_models)
        From `model_distances`.
    method : str, default="average"
        A method of `scipy.cluster.hierarchy.linkage`; "ward" needs Euclidean
        distances.

    Returns
    -------
    ndarray of shape (n_models - 1, 4)
        What `scipy.cluster.hierarchy.dendrogram` takes, with
        ``labels=distances.index``.

    Raises
    ------
    ValueError
        If the table is not square and labelled, or has missing distances.

    Examples
    --------
    >>> from skl_locus.inspection import model_distances, model_linkage
    >>> model_linkage(model_distances([[0.0], [1.0], [3.0]])).round(1)
    array([[0. , 1. , 1. , 2. ],
           [2. , 3. , 2.5, 3. ]])
    """
    check_square(distances, "distances")
    matrix = distances.to_numpy(np.float64)
    if not np.isfinite(matrix).all():
        raise ValueError("distances has missing values; drop those models first.")
    return linkage(squareform(matrix, checks=False), method=method)


def check_square(table: pd.DataFrame, name: str) -> None:
    """Raise unless a table has the same models on both sides."""
    if not isinstance(table, pd.DataFrame) or not table.index.equals(table.columns):
        raise ValueError(
            f"{name} must be a DataFrame with the same models on both sides."
        )
