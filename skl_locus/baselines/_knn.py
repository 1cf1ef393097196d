"""The mean score of each model on its most similar queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils._param_validation import Interval

from skl_locus._evaluations import EvaluationSet, positions_of
from skl_locus._pool import Pool
from skl_locus._reading import COLUMN_CONSTRAINTS
from skl_locus._routing import RouterMixin

CHUNK_SIMILARITIES = 4_000_000
"""Similarities held at a time; 16 MB in float32."""


@dataclass(frozen=True)
class Evaluated:
    """Models that were evaluated on the same queries.

    Parameters
    ----------
    columns : ndarray of shape (n_models,)
        Where the models are in the pool.
    rows : ndarray of shape (n_queries,)
        Rows of the pool's unit vectors that belong to the queries.
    scores : ndarray of shape (n_queries, n_models)
        The models' scores.
    """

    columns: np.ndarray
    rows: np.ndarray
    scores: np.ndarray

    def neighbor_means(self, distances: np.ndarray, k: int) -> np.ndarray:
        """Average scores over the k nearest queries: (n_rows, n_models).

        ``distances`` (n_rows, n_vectors) are those to all of the pool's vectors.
        """
        own = distances[:, self.rows]
        k = min(k, len(self.rows))
        nearest = np.argpartition(own, k - 1, axis=1)[:, :k]
        return self.scores[nearest].mean(axis=1)


@dataclass(frozen=True)
class NeighborPool(Pool):
    """Stored evaluations, grouped by the queries that they share."""

    n_neighbors: int
    directions: np.ndarray
    groups: tuple[Evaluated, ...]

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means on each query's neighbours."""
        directions = normalize(encodings)
        matrix = np.empty((len(encodings), len(self.models)), dtype=np.float32)
        asked = [g for g in self.groups if np.isin(g.columns, columns).any()]
        step = max(1, CHUNK_SIMILARITIES // len(self.directions))
        for start in range(0, len(encodings), step):
            some = slice(start, start + step)
            distances = -directions[some] @ self.directions.T
            for group in asked:
                means = group.neighbor_means(distances, self.n_neighbors)
                matrix[some, group.columns] = means
        return matrix[:, columns]


class KNNRouter(RouterMixin):
    """Predict each model by its mean score on the most similar queries.

    Similarity is the cosine of the encodings; a model's neighbours are taken among
    the queries that it was evaluated on itself.

    Parameters
    ----------
    n_neighbors : int, default=25
        Number of queries; a model with fewer uses all that it has.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        How text becomes vectors; None takes queries that are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Columns of the model, the query and (optional) its identity.
    encoding_cols : list of str, default=None
        Columns of the query encoding where there is no query column.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        How repeated rows of a (model, query) pair are combined.

    Attributes
    ----------
    models_ : ndarray of shape (n_models,), object
        Labels: sorted at fit, additions appended.
    classes_ : ndarray of shape (2,)
        [0, 1]: wrong, correct.
    n_features_in_ : int
        Length of a query encoding.
    query_encoder_ : QueryEncoder or None
        The fitted encoder of texts.

    Examples
    --------
    >>> from skl_locus import KNNRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = KNNRouter(n_neighbors=10).fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_neighbors: int = 25,
        *,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    def _make_pool(self, evaluations: EvaluationSet) -> NeighborPool:
        return self._update_pool(evaluations.model_names, evaluations, ())

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> NeighborPool:
        return NeighborPool(
            models,
            evaluations,
            self.n_neighbors,
            normalize(evaluations.queries.encodings),
            _group_by_queries(models, evaluations),
        )


def _group_by_queries(
    models: np.ndarray, evaluations: EvaluationSet
) -> tuple[Evaluated, ...]:
    sharing: dict[bytes, list[int]] = {}
    order = positions_of(models, evaluations)
    for column, code in enumerate(order):
        rows = slice(*evaluations.offsets[code : code + 2])
        sharing.setdefault(evaluations.query_codes[rows].tobytes(), []).append(column)
    return tuple(
        _evaluated(np.array(columns), order, evaluations)
        for columns in sharing.values()
    )


def _evaluated(
    columns: np.ndarray, order: np.ndarray, evaluations: EvaluationSet
) -> Evaluated:
    rows = [slice(*evaluations.offsets[code : code + 2]) for code in order[columns]]
    scores = np.column_stack([evaluations.scores[some] for some in rows])
    shared = evaluations.queries.rows[evaluations.query_codes[rows[0]]]
    return Evaluated(columns, shared, scores)
