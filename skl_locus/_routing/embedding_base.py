"""The base class of the routers with embeddings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.decisions import nearest_others
from skl_locus._routing.neighbor_index import nearest_by_index, uses_index
from skl_locus._routing.pool import EmbeddingPool
from skl_locus._utils.model_frames import model_index
from skl_locus._utils.validation import check_at_least

CHUNK_MIB = 64
"""Maximum size of the distances in memory at a time, in MiB."""


EMBEDDED_ROWS = 2**20
"""Evaluations from which on changed models are embedded in blocks."""

EmbeddingPoolT = TypeVar("EmbeddingPoolT", bound=EmbeddingPool)


class EmbeddingRouterMixin(RouterMixin[EmbeddingPoolT]):
    """Base of the routers with embeddings: neighbours, substitutes, onboarding.

    Subclasses name the class of their pool, an `EmbeddingPool`.
    """

    @property
    def embeddings_(self) -> np.ndarray:
        """Embeddings in the order of ``models_``: (n_models, n_components)."""
        return self._fitted_pool().embeddings

    def neighbors(
        self, model: Any, k: int = 5, *, metric: str = "euclidean"
    ) -> pd.Series:
        """Find the models nearest to one model.

        Euclidean distances between models of a `LocusRouter` are those of the
        embeddings and of what they leave out (``specific_variances_``), so that models
        with few evaluations do not seem nearer than others.

        Parameters
        ----------
        model : label
            A model of the pool.
        k : int, default=5
            Number of neighbours; all others if the pool has fewer.
        metric : str, default="euclidean"
            Metric of `sklearn.metrics.pairwise_distances`.

        Returns
        -------
        Series of shape (k,)
            Distances indexed by label, nearest first.
        """
        pool = self._fitted_pool()
        check_at_least(k, "k")
        (column,) = pool.columns_of([model])
        rows, columns = pool.compared_embeddings(metric)
        distances = _distances(rows[[column]], columns, metric=metric)[0]
        nearest = nearest_others(distances[None], np.array([column]), k)[0]
        index = model_index(pool.models[nearest].tolist(), self.model_col)
        return pd.Series(distances[nearest], index, name="distance")

    def fallback_table(
        self, k: int = 5, *, metric: str = "euclidean", search: str = "auto"
    ) -> pd.DataFrame:
        """List the substitutes of every model, nearest embedding first.

        These are the substitutes of ``route(..., fallback="neighbor")``, for example
        for the configuration of a gateway.

        Parameters
        ----------
        k : int, default=5
            Number of substitutes per model; all others if the pool has fewer.
        metric : str, default="euclidean"
            Metric of `sklearn.metrics.pairwise_distances`.
        search : {"auto", "exact", "index"}, default="auto"
            "index" finds nearly all of the nearest models by an approximate index, in
            a fraction of the time; it needs faiss (extra ``scale``).
            "auto" takes it from 20,000 models on, if it is installed and the metric is
            Euclidean.

        Returns
        -------
        DataFrame of shape (n_models, k)
            Labels, one row per model of ``models_``, columns 1 to k.
        """
        pool = self._fitted_pool()
        check_at_least(k, "k")
        nearest = nearest_models(*pool.compared_embeddings(metric), k, metric, search)
        index = model_index(pool.models.tolist(), self.model_col)
        ranks = pd.RangeIndex(1, nearest.shape[1] + 1, name="substitute")
        return pd.DataFrame(pool.models[nearest], index, ranks)

    def _updated(
        self,
        known: np.ndarray,
        models: np.ndarray,
        evaluations: EvaluationSet,
        changed: Collection,
        embed: Callable[[EvaluationSet], np.ndarray],
    ) -> np.ndarray:
        """Embed the changed models; all others keep their rows of ``known``."""
        pool = self._fitted_pool()
        embeddings = np.empty((len(models), known.shape[1]), dtype=known.dtype)
        kept = np.array([name not in changed for name in models], dtype=bool)
        embeddings[kept] = known[pool.columns_of(models[kept])]
        if changed:
            some = evaluations.only_models(changed)
            order = some.index_of(models[~kept])
            # What is computed on the way takes many times the memory of evaluations.
            blocks = some.blocks_of_models(EMBEDDED_ROWS)
            embeddings[~kept] = np.concatenate([*map(embed, blocks)])[order]
        return embeddings

    def _substitutes(
        self,
        pool: EmbeddingPoolT,
        columns: np.ndarray,
        available: np.ndarray,
        fallback: str,
    ) -> np.ndarray | None:
        if fallback != "neighbor":
            return super()._substitutes(pool, columns, available, fallback)
        own, others = pool.compared_embeddings("euclidean")
        return _nearest_available(own[columns], others[columns], available)


def _distances(*embeddings: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    # Loading sklearn.metrics takes as long as all of this package.
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(*embeddings, metric=metric)


def nearest_models(
    rows: np.ndarray, columns: np.ndarray, k: int, metric: str, search: str = "auto"
) -> np.ndarray:
    """Order the k nearest other models of each one, some models at a time.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_models, n_columns)
        Both sides of the distances (`~skl_locus._routing.pool.compared_embeddings`).
    k : int
        Number of neighbours; all others if there are fewer.
    metric : str
        Metric of `sklearn.metrics.pairwise_distances`.
    search : {"auto", "exact", "index"}, default="auto"
        Whether to use an approximate index.

    Returns
    -------
    ndarray of shape (n_models, k)
        Columns.
    """
    if uses_index(len(columns), metric, search):
        return nearest_by_index(rows, columns, min(k, len(columns) - 1))
    from sklearn.metrics import pairwise_distances_chunked

    def nearest(distances: np.ndarray, start: int) -> np.ndarray:
        return nearest_others(distances, start + np.arange(len(distances)), k)

    chunks = pairwise_distances_chunked(
        rows, columns, reduce_func=nearest, metric=metric, working_memory=CHUNK_MIB
    )
    return np.concatenate(list(chunks))


def _nearest_available(
    rows: np.ndarray, columns: np.ndarray, available: np.ndarray
) -> np.ndarray:
    """Return each model's own column, or the nearest one where it is not available."""
    substitutes = np.arange(len(rows))
    if available.all():
        return substitutes
    from sklearn.metrics import pairwise_distances_chunked

    chunks = pairwise_distances_chunked(
        rows[~available],
        columns[available],
        reduce_func=lambda distances, start: distances.argmin(axis=1),
        working_memory=CHUNK_MIB,
    )
    substitutes[~available] = substitutes[available][np.concatenate(list(chunks))]
    return substitutes
