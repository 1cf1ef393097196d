"""Tables of an explanation, from a pool and encoded queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from skl_locus._data.evaluations import NoEvaluations
from skl_locus._data.query_batch import QueryBatch
from skl_locus._evidence.contributions import LIMIT, Contributions
from skl_locus._locus.explanation import RouteExplanation
from skl_locus._locus.similar_queries import SIMILAR_COLUMNS, similar_queries
from skl_locus._routing.decisions import query_blocks, top_k


def explain_batch(
    pool: Any,
    batch: QueryBatch,
    columns: np.ndarray,
    k: int,
    n_similar: int,
    names: pd.Series | None,
) -> RouteExplanation:
    """Explain the best models of each query.

    Parameters
    ----------
    pool : LocusPool
        All models.
    batch : QueryBatch
        Encoded queries.
    columns : ndarray of shape (n_columns,)
        Models to choose among.
    k : int
        Number of models for each query, at most n_columns.
    n_similar : int
        Number of known queries to list for each query.
    names : Series or None
        Names of known queries by digest.

    Returns
    -------
    RouteExplanation
        Rows in the order of the queries.
    """
    encodings = batch.encodings[batch.codes]
    blocks = query_blocks(len(encodings), len(columns))
    parts = [_explain_some(pool, encodings[block], columns, k) for block in blocks]
    if not parts:
        parts = [_explain_some(pool, encodings, columns, k)]
    names_of_parts = parts[0][2].names
    chosen = np.concatenate([part[0] for part in parts])
    scores, probabilities = (
        np.concatenate([part[1][i] for part in parts]) for i in (0, 1)
    )
    alone, added, decided = (
        np.concatenate([getattr(part[2], name) for part in parts])
        for name in ("logits", "probabilities", "decisions")
    )
    trust = np.concatenate([part[2].trust for part in parts])
    labels = pool.models[chosen]
    heads = _heads(labels)
    similar = pd.DataFrame(columns=SIMILAR_COLUMNS)
    if not isinstance(pool.evaluations, NoEvaluations):
        similar = similar_queries(pool.evaluations, encodings, labels, n_similar, names)
    return RouteExplanation(
        contributions=heads.assign(
            probability=probabilities.ravel(),
            score=scores.ravel(),
            **_columns([*names_of_parts, LIMIT], added),
            trust=np.repeat(trust, k),
        ),
        decisions=heads.assign(
            score=scores.ravel(), **_columns(names_of_parts, decided)
        ),
        estimates=heads.assign(**_columns(names_of_parts, expit(alone))),
        similar=similar,
    )


def _explain_some(
    pool: Any, encodings: np.ndarray, columns: np.ndarray, k: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], Contributions]:
    """Return chosen columns, their scores and P, and their contributions."""
    scores, probabilities = pool.scores_and_probabilities(encodings, columns)
    best = top_k(scores, k)
    own = _at(scores, best), _at(probabilities, best)
    # Features are evaluated for models that are chosen for some query, not for all.
    used, places = np.unique(columns[best], return_inverse=True)
    places = places.reshape(best.shape)
    return columns[best], own, _picked(pool.contributions(encodings, used), places)


def _at(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.take_along_axis(matrix, columns, axis=1)


def _picked(parts: Contributions, places: np.ndarray) -> Contributions:
    """Keep the contributions of some models for each query: (n_queries, k, ...)."""
    rows = np.arange(len(places))[:, None]
    return Contributions(
        parts.names,
        parts.logits[rows, places],
        parts.probabilities[rows, places],
        parts.decisions[rows, places],
        parts.trust,
    )


def _heads(labels: np.ndarray) -> pd.DataFrame:
    n_queries, k = labels.shape
    return pd.DataFrame(
        {
            "query": np.repeat(np.arange(n_queries), k),
            "rank": np.tile(np.arange(1, k + 1), n_queries),
            "model": labels.ravel(),
        }
    ).astype({"model": object})


def _columns(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[..., i].ravel() for i, name in enumerate(names)}
