"""Fitted routers as other rooms use them: reading tables, embedding sets of rows.

Inspection asks routers for what is no part of their public interface, such as the
embedding of evaluations drawn at random. It asks here, so that one file names all
private members that a change of the routers must keep in mind.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from skl_locus._data.columns import as_frame
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._data.query_batch import QueryBatch
from skl_locus._data.reader import ANONYMOUS
from skl_locus._data.scores import read_scores
from skl_locus._routing.embedding_base import EmbeddingRouterMixin
from skl_locus._routing.pool import EmbeddingPool, ModelPool


def fitted_pool(router: Any) -> ModelPool:
    """Return the models of a fitted router with what predicts for them."""
    return router._fitted_pool()


def embedding_pool(router: Any) -> EmbeddingPool:
    """Return the models of a fitted router that can embed sets of evaluations."""
    if not isinstance(router, EmbeddingRouterMixin) or not hasattr(router, "_embed"):
        raise TypeError(
            f"router must be a fitted LocusRouter, got {type(router).__name__}: "
            "evaluations have to be embedded without training."
        )
    return router._fitted_pool()


def embed(router: Any, evaluations: EvaluationSet) -> np.ndarray:
    """Embed the models of a set of evaluations: (n_models, n_components), float64."""
    return np.asarray(router._embed(evaluations), dtype=np.float64)


def embed_by_network(router: Any, evaluations: EvaluationSet) -> np.ndarray:
    """Embed the models of a set by the network: (n_models, n_components), float64."""
    return np.asarray(router._embed_by_network(evaluations), dtype=np.float64)


def network_embeddings(router: Any) -> np.ndarray:
    """Return the network's own embeddings of the models: (n_models, n_components)."""
    pool: Any = embedding_pool(router)
    return np.asarray(pool.network_embeddings, dtype=np.float64)


def pool_of(router: Any, evaluations: EvaluationSet) -> EmbeddingPool:
    """Return a pool of the models of a set of evaluations alone, all embedded."""
    names = evaluations.model_names
    return router._update_pool(names, evaluations, set(names))


def known_models(router: Any) -> Any:
    """Return the models of a fitted router as its factor model sees them.

    The result has ``expected_scores(names, queries)`` and ``directions(queries,
    but_for)``, see `skl_locus._locus.known_models.KnownModels`.
    """
    pool = embedding_pool(router)  # other routers are told apart here
    return router._known_models(pool.evaluations)


def exchange_effects(
    router: Any,
    queries: QuerySet,
    codes: np.ndarray,
    scores: np.ndarray,
    expected: np.ndarray,
    directions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far exchanging pairs of evaluations moves the network's embeddings.

    Parameters
    ----------
    router : LocusRouter
        Fitted.
    queries : QuerySet
        All queries.
    codes, scores, expected : ndarray of shape (2, n_pairs)
        Query, score and expected score of each evaluation of both sets.
    directions : ndarray of shape (n_directions, n_components)
        Directions of the embedding space.

    Returns
    -------
    effects : ndarray of shape (n_pairs, n_directions)
        Movements to first order.
    embeddings : ndarray of shape (2, n_components)
        Of both sets.
    """
    return router._exchange_effects(queries, codes, scores, expected, directions)


def read_log(router: Any, X: Any, y: Any) -> EvaluationSet:
    """Read evaluations of named models as the router was fitted on them."""
    return router._read_evaluations(X, y, reset=False)


def read_bare_queries(router: Any, queries: Any) -> np.ndarray:
    """Return the distinct encodings of a list, an array or a table of queries."""
    return router._read_queries(queries).encodings


def read_batch(router: Any, queries: Any) -> QueryBatch:
    """Read and encode bare queries once, for all methods that take them."""
    return router._read_queries(queries)


def read_unnamed_model(router: Any, X: Any, y: Any) -> EvaluationSet:
    """Read the evaluations of one model, whatever its name and with none."""
    frame = as_frame(X)
    if frame is not None and router.model_col not in frame.columns:
        X = _with_one_model(router, frame)
    router._fitted_pool()
    router._require_named("Recognition")
    rows = router._read_rows(X, reset=False)
    if rows.labels is not None and len(rows.labels) > 1:
        raise ValueError(
            f"X has {len(rows.labels)} models ({rows.labels[0]!r}, "
            f"{rows.labels[1]!r}, ...); pass the evaluations of one."
        )
    return router._evaluations_of(rows, read_scores(y, len(rows)))


def stored_encodings(router: Any) -> np.ndarray:
    """Return the encodings of a fitted router's queries, as they were given."""
    encodings = embedding_pool(router).evaluations.queries.vectors()
    typical = router._typical
    # Encodings with a large offset are kept without it.
    is_moved = typical is not None and typical.is_offset
    return encodings + typical.middle if is_moved else encodings


def read_query_rows(router: Any, frame: nw.DataFrame) -> tuple[np.ndarray, QuerySet]:
    """Read a table of queries, with models or not: (codes of rows, queries)."""
    rows = router._read_rows(_with_one_model(router, frame), reset=False)
    return rows.query_codes, rows.queries


def _with_one_model(router: Any, frame: nw.DataFrame) -> Any:
    # Routers take a table with queries for a log, which names a model in each row.
    name = nw.lit(ANONYMOUS).alias(router.model_col)
    return frame.with_columns(name).to_native()
