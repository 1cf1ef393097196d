"""A fixed set of queries that serves any model."""

from __future__ import annotations

from typing import Any

import numpy as np

from skl_locus._routing.access import known_models, stored_encodings
from skl_locus._utils.validation import check_count
from skl_locus.adaptive._pool_queries import AskableQueries
from skl_locus.adaptive._responses import ResponseModel
from skl_locus.adaptive._spread import central_rows


def select_queries(router: Any, n: int, queries: Any = None) -> Any:
    """Select a fixed set of queries on which any future model can be evaluated.

    The queries are divided into n cells of equal size, in which difficulty, factors of
    the pool's answers and topic are alike, and of each cell the most central query is
    taken. The same input gives the same set.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    n : int
        Number of queries.
    queries : list of str, array of shape (n_queries, n_features), Series or \
            dataframe, default=None
        Queries to select from, in a form that the router takes; by default, those of
        the router's log. A router keeps no texts and no ids of them, only encodings.

    Returns
    -------
    dataframe of n rows or ndarray of shape (n, n_features)
        Rows of ``queries``, with a column of ids; or encodings, if ``queries`` is left
        out.

    Raises
    ------
    ValueError
        If n is no integer between 1 and the number of distinct queries.
    TypeError
        If the router is no LocusRouter.

    See Also
    --------
    estimate_score : The mean score over all queries from those of the set.
    AdaptiveEvaluation : Queries chosen by the answers of the model.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.adaptive import select_queries
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> anchors = select_queries(router, 20, log[["query_id", "query"]])
    >>> anchors["query_id"].nunique()
    20
    """
    model = known_models(router).model
    if queries is None:
        own = known_models(router).evaluations.queries
        n = check_count(n, "n", len(own))
        rows = central_rows(ResponseModel.of(model, own), own, n)
        return stored_encodings(router)[np.sort(rows)]
    askable = AskableQueries.read(router, queries)
    n = check_count(n, "n", len(askable))
    responses = ResponseModel.of(model, askable.queries)
    rows = central_rows(responses, askable.queries, n)
    return askable.named(np.sort(rows))
