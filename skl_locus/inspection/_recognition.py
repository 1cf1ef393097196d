"""Recognition of known models behind other names, and of changed ones."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skl_locus._checks import check_at_least
from skl_locus._evaluations import EvaluationSet
from skl_locus._reading import ANONYMOUS
from skl_locus._tables import as_frame
from skl_locus._targets import read_scores
from skl_locus.inspection._exchange import (
    Pairs,
    TooFewEvaluationsError,
    embed_swapped,
    pair_evaluations,
)
from skl_locus.inspection._swap_test import DriftTest, swap_test


def drift_test(
    router: Any,
    model: Any,
    X: Any,
    y: Any,
    *,
    n_resamples: int = 199,
    max_evaluations: int = 256,
    random_state: int | np.random.RandomState | None = None,
) -> DriftTest:
    """Test whether new evaluations of a model are those of the model as it was.

    Each new evaluation is paired with one that the router keeps of the model: on
    the same query, else on one of the same cluster of encodings. If nothing has
    changed, the two of a pair can be swapped. The statistic
    ``(a - b)' S^-1 (a - b)`` of the embeddings a and b of the two sets, each with the
    set's mean score, and S the (slightly enlarged) covariance of a - b under swaps,
    is held against its values after random swaps:
    ``p = (1 + #{as large}) / (n_resamples + 1)``.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    model : label
        A model of the router.
    X : dataframe or array of n_rows rows
        New evaluations, in the form that the router takes. A model column may be
        missing; if present, it holds one label, whichever.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    n_resamples : int, default=199
        Number of random swaps; the smallest p-value is 1 / (n_resamples + 1).
    max_evaluations : int, default=256
        Of more new evaluations, this number is drawn.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    DriftTest
        With ``p_value``, ``statistic``, ``distance``, ``n_pairs``, ``n_shared``
        and ``null``.

    Raises
    ------
    ValueError
        If the model is unknown, X has several models, or the model has less than
        two evaluations left for each new one on a query that it has not answered.

    Notes
    -----
    The null is the same model, evaluated again: other queries, or other answers to
    the same ones. On shared queries the test holds for any choice of queries. On
    others it needs queries that the known ones resemble: pairs on dissimilar
    queries differ for other reasons. A p-value that is not small is no proof that
    nothing has changed: more evaluations see smaller changes, and no number of them
    sees a change that shows neither in embeddings nor in the mean score.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import drift_test
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> again = log[log["model"] == "model-0"]
    >>> drift_test(router, "model-0", again, again["score"]).p_value
    1.0
    """
    check_at_least(n_resamples, "n_resamples")
    check_at_least(max_evaluations, "max_evaluations")
    rng = check_random_state(random_state)
    newcomer = _limited(_read_newcomer(router, X, y), max_evaluations, rng)
    pairs = pair_evaluations(newcomer, known_evaluations(router, model))
    return swap_test(router, pairs, n_resamples, rng)


def identify(
    router: Any,
    X: Any,
    y: Any,
    *,
    models: Any = None,
    n_tested: int = 5,
    n_resamples: int = 199,
    max_evaluations: int = 256,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Rank the known models by how likely they are to be an unknown endpoint.

    The question of `drift_test`, asked of every known model.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    X : dataframe or array of n_rows rows
        Evaluations of the endpoint, in the form that the router takes. A model
        column may be missing; if present, it holds one label, whichever.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    models : collection of labels, default=None
        Candidates; None means all models.
    n_tested : int, default=5
        Number of nearest candidates that get a p-value; others have NaN.
    n_resamples : int, default=199
        Number of random swaps; the smallest p-value is 1 / (n_resamples + 1).
    max_evaluations : int, default=256
        Of more new evaluations, this number is drawn.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    DataFrame of shape (n_candidates, 4)
        Indexed by model, nearest first. Columns distance (Euclidean, between the
        embeddings of the evaluations and of those of the candidate that they are
        matched with), p_value (small: not this model), n_pairs and n_shared as in
        `drift_test`. Candidates with too few evaluations are last, all NaN.

    Raises
    ------
    ValueError
        If X has several models, or no candidate has two evaluations left for each
        new one on a query that it has not answered.

    Notes
    -----
    Several candidates can have p-values that are not small: they cannot be told
    apart from the endpoint with this number of evaluations. If all are small, it is
    none of them. P-values are not adjusted for the number of candidates.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import identify
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> unknown = log[log["model"] == "model-3"].drop(columns="model")
    >>> identify(router, unknown, unknown["score"], random_state=0).index[0]
    'model-3'
    """
    check_at_least(n_resamples, "n_resamples")
    check_at_least(max_evaluations, "max_evaluations")
    check_at_least(n_tested, "n_tested", 0)
    rng = check_random_state(random_state)
    newcomer = _limited(_read_newcomer(router, X, y), max_evaluations, rng)
    pool = router._locus_pool()
    candidates = {
        name: _pairs_or_none(newcomer, known_evaluations(router, name))
        for name in pool.models[pool.select(models)]
    }
    if all(pairs is None for pairs in candidates.values()):
        raise ValueError(
            f"No candidate has enough evaluations to compare {len(newcomer)} new ones "
            "with; pass fewer, or evaluate on queries of the router's log."
        )
    ranked = _ranked(router, candidates)
    for name in ranked.index[:n_tested]:
        pairs = candidates[name]
        if pairs is not None:
            test = swap_test(router, pairs, n_resamples, rng)
            ranked.loc[name, "p_value"] = test.p_value
    return ranked


def _read_newcomer(router: Any, X: Any, y: Any) -> EvaluationSet:
    """Read the evaluations of one model, whose name is of no interest."""
    frame = as_frame(X)
    if frame is not None and router.model_col not in frame.columns:
        name = nw.lit(ANONYMOUS).alias(router.model_col)
        X = frame.with_columns(name).to_native()
    router._fitted_pool()
    router._require_named("Recognition")
    rows = router._read_rows(X, reset=False)
    if rows.labels is not None and len(rows.labels) > 1:
        raise ValueError(
            f"X has {len(rows.labels)} models ({rows.labels[0]!r}, "
            f"{rows.labels[1]!r}, ...); pass the evaluations of one."
        )
    return router._evaluations_of(rows, read_scores(y, len(rows)))


def _limited(
    evaluations: EvaluationSet, limit: int, rng: np.random.RandomState
) -> EvaluationSet:
    if len(evaluations) <= limit:
        return evaluations
    return evaluations.take(np.sort(rng.permutation(len(evaluations))[:limit]))


def known_evaluations(router: Any, model: Any) -> EvaluationSet:
    """Return the evaluations that a router keeps of one model."""
    pool = router._locus_pool()
    pool.columns_of([model])
    return pool.evaluations.only_models([model])


def _pairs_or_none(newcomer: EvaluationSet, known: EvaluationSet) -> Pairs | None:
    try:
        return pair_evaluations(newcomer, known)
    except TooFewEvaluationsError:
        return None


def _ranked(router: Any, candidates: dict[Any, Pairs | None]) -> pd.DataFrame:
    rows = [_candidate(router, pairs) for pairs in candidates.values()]
    index = pd.Index(candidates, name=router.model_col)
    columns = ["distance", "p_value", "n_pairs", "n_shared"]
    table = pd.DataFrame(rows, index, columns)
    return table.sort_values("distance", kind="stable")


def _candidate(router: Any, pairs: Pairs | None) -> tuple[float, float, float, float]:
    if pairs is None:
        return (np.nan, np.nan, np.nan, np.nan)
    unswapped = np.zeros((1, len(pairs)), dtype=bool)
    ((first, second),) = embed_swapped(router, pairs, unswapped)
    distance = float(np.linalg.norm(first - second))
    return (distance, np.nan, len(pairs), pairs.n_shared)
