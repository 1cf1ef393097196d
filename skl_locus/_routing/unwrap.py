"""Routers inside pipelines, searches and frozen estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import UniqueQueries, vector_keys
from skl_locus._routing.base import RouterMixin

PASSTHROUGH = (None, "passthrough")
"""Steps of a pipeline that hand the rows on unchanged."""

SPLIT_BY_QUERY = (
    "split by query (QueryKFold, QueryShuffleSplit) or pass allow_seen=True"
)
"""What to do where test queries were seen in training."""


def fitted_router(router: Any) -> RouterMixin:
    """Return a router out of its freezer, which must be fitted."""
    if isinstance(router, FrozenEstimator):
        router = router.estimator
    if not isinstance(router, RouterMixin):
        raise TypeError(
            f"router must be a router of this package, got {type(router).__name__}; "
            "of a pipeline, pass the last step, and queries as that step sees them."
        )
    check_is_fitted(router)
    return router


def router_and_rows(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the router inside pipelines and searches, and the rows as it sees them.

    Parameters
    ----------
    estimator : estimator
        A fitted router, a pipeline that ends in one, or a fitted search over
        either.
    X : dataframe or array-like of shape (n_rows, n_features)
        Rows as the estimator takes them.

    Returns
    -------
    router : estimator
        The router inside.
    rows : dataframe or array-like with n_rows rows
        The rows as the router sees them.

    Raises
    ------
    TypeError
        If there is no router inside.
    """
    if isinstance(estimator, FrozenEstimator):
        return router_and_rows(estimator.estimator, X)
    if hasattr(estimator, "best_estimator_"):
        return router_and_rows(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        return router_and_rows(estimator.steps[-1][1], _transformed(estimator, X))
    if not hasattr(estimator, "routing_scores"):
        raise TypeError(
            f"{type(estimator).__name__} is not a router: it has no routing_scores. "
            "Score a router, a pipeline that ends in one, or a fitted search."
        )
    return estimator, X


def stored_evaluations(router: Any) -> EvaluationSet:
    """Return the evaluations that a fitted router keeps."""
    check_is_fitted(router)
    pool = getattr(router, "_pool", None)
    if pool is None:
        raise TypeError(
            f"{type(router).__name__} keeps no evaluations, so that nobody can tell "
            "what it was fitted on; compare routers of skl_locus."
        )
    return pool.evaluations


def known_evaluations(router: Any, model: Any) -> EvaluationSet:
    """Return the evaluations that a fitted router keeps of one model."""
    evaluations = stored_evaluations(router)
    router._fitted_pool().columns_of([model])  # an unknown model is named
    return evaluations.only_models([model])


def check_unseen(
    router: Any, queries: UniqueQueries, name: str, advice: str = SPLIT_BY_QUERY
) -> None:
    """Raise if a router knows scores of queries that it is to be judged on.

    Queries are known by their identities, and by their texts or vectors too: a log that
    comes without ids, or with other ones, has other identities.

    Parameters
    ----------
    router : router
        Fitted, of this package.
    queries : UniqueQueries
        The queries, as the router identifies them.
    name : str
        What to call the router in the message.
    advice : str
        What to do about it.
    """
    known = np.isin(queries.keys, stored_evaluations(router).queries.keys)
    known |= _known_values(router, queries)[queries.value_rows]
    seen = int(known.sum())
    if seen:
        raise ValueError(
            f"{name} was fitted on evaluations of {seen} of the {len(known)} test "
            f"queries, so that its results are optimistic; {advice}."
        )


def _known_values(router: Any, queries: UniqueQueries) -> np.ndarray:
    """Return which texts or vectors the router was fitted on: (n_values,), bool."""
    values = queries.values
    if values.texts is not None:
        encoder = router.query_encoder_
        known_texts = () if encoder is None else encoder._known.keys
        return np.isin(values.keys, known_texts)
    assert values.vectors is not None
    stored = stored_evaluations(router).queries.encodings
    given = vector_keys(router._as_learned(values.vectors))
    known = np.isin(given, vector_keys(stored))
    # Different questions may have equal vectors, such as those without a known word.
    # A log in which each query has its own, most of them known, is one that the router
    # has learned from.
    own = len(known) == len(queries.keys)
    learned = own and 2 * known.sum() > len(known)
    return known if learned else np.zeros(len(known), dtype=bool)


def predict_rows(
    router: Any, rows: Any, with_probabilities: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return decision scores and P(correct) of rows: twice (n_rows,).

    A router of this package reads and encodes the rows once for both; of another one,
    P is zero where it is not asked for.
    """
    if isinstance(router, RouterMixin):
        return router._predict_rows(rows)
    decisions = router.routing_scores(rows)
    if not with_probabilities:
        return decisions, np.zeros_like(decisions)
    return decisions, router.predict_proba(rows)[:, 1]


def _transformed(pipeline: Pipeline, X: Any) -> Any:
    for _, step in pipeline.steps[:-1]:
        if step not in PASSTHROUGH:
            X = step.transform(X)
    return X
