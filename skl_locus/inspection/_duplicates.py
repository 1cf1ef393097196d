"""Models of a pool that may be one model under several names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._routing.access import embedding_pool, known_models
from skl_locus._routing.decisions import nearest_others
from skl_locus._routing.embedding_base import nearest_models
from skl_locus._routing.neighbor_index import uses_index
from skl_locus._routing.unwrap import stored_evaluations
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus._utils.statistics import holm
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._geometry import model_distances
from skl_locus.inspection._matched_pairs import (
    MIN_RATIO,
    MatchedPairs,
    limited,
    pair_evaluations,
    shared_or_all,
)
from skl_locus.inspection._permutation import DriftTest, swap_test

COLUMNS = (
    "model_a",
    "model_b",
    "distance",
    "p_value",
    "agreement",
    "n_pairs",
    "n_shared",
)


def find_duplicates(
    router: Any,
    *,
    n_neighbors: int = 3,
    alpha: float = 0.05,
    n_resamples: int | None = None,
    max_pairs: int | None = None,
    max_evaluations: int = 1024,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Find models of a pool that may be one model under several names.

    The question of `drift_test` for all pairs of near neighbours, with Holm's
    adjustment: among pairs that are one model, none is declared different with a
    probability of at least ``1 - alpha``.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    n_neighbors : int, default=3
        A pair is tested if one is among this number of nearest embeddings of the
        other; at least n_models - 1 means all pairs.
    alpha : float, default=0.05
        Probability, at most, to miss any duplicate among the tested pairs.
    n_resamples : int or None, default=None
        Number of random swaps per pair; None means twice the number with which
        Holm's first step can reject at all.
    max_pairs : int or None, default=None
        Number of pairs that are tested, at most: those with the smallest distances;
        None means all. The time grows with the square of the number, for which a pool
        of 100,000 models has too many pairs.
    max_evaluations : int, default=1024
        Of more evaluations of a model, this number is drawn; half of the other's
        where they have no common queries.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame of n_pairs rows
        Columns model_a, model_b, distance, p_value, agreement, n_pairs, n_shared,
        p_adjusted and not_told_apart (p_adjusted > alpha); largest p_value first. That
        two models could not be told apart is a reason to look and no proof that they
        are one: look at the agreement (on shared queries, as in `drift_test`),
        which is far higher for one model under two names than for two equally good
        ones. Pairs with too few evaluations are left out.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import find_duplicates
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> twin = log[log["model"] == "model-3"].assign(model="twin")
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"]).add_models(twin, twin["score"])
    >>> pairs = find_duplicates(router, n_neighbors=1, random_state=0)
    >>> pairs.loc[0, ["model_a", "model_b"]].tolist()
    ['model-3', 'twin']
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1), got {alpha!r}.")
    if max_pairs is not None:
        check_at_least(max_pairs, "max_pairs")
    close = _close_pairs(router, n_neighbors, max_pairs)
    if n_resamples is None:
        # Holm's first step rejects up to alpha / n_pairs; the smallest p-value there
        # is, 1 / (n + 1), is half of that.
        n_resamples = int(np.ceil(2 * len(close) / alpha)) - 1
    check_at_least(n_resamples, "n_resamples")
    check_at_least(max_evaluations, "max_evaluations")
    rng = check_random_state(random_state)
    known = known_models(router)
    evaluations = stored_evaluations(router)
    # Of all pairs at once: a look-up indexes the labels of the whole pool.
    codes = evaluations.index_of([name for pair in close for name in pair])
    rows = []
    with (
        progress_shown(verbose),
        progress_bar("compare models", len(close), unit="pair") as bar,
    ):
        for (one, other), own in zip(close, codes.reshape(-1, 2), strict=True):
            first, second = (evaluations.of_models([code]) for code in own)
            pairs = _pairs_of_models(first, second, max_evaluations, rng)
            if pairs is not None:
                test = swap_test(router, known, pairs, [one, other], n_resamples, rng)
                rows.append(_row(one, other, test))
            bar.advance()
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_adjusted"] = holm(table["p_value"].to_numpy(float))
    table["not_told_apart"] = table["p_adjusted"] > alpha
    order = table.sort_values(["p_value", "distance"], ascending=[False, True])
    return order.reset_index(drop=True)


def _close_pairs(
    router: Any, n_neighbors: int, max_pairs: int | None = None
) -> list[tuple]:
    """List the pairs of which one model is among the nearest of the other."""
    check_at_least(n_neighbors, "n_neighbors")
    pool = embedding_pool(router)
    n_models = len(pool.models)
    if uses_index(n_models, "euclidean", "auto"):
        # All distances of a large pool would not fit in memory.
        sides = pool.compared_embeddings("euclidean")
        nearest = nearest_models(*sides, n_neighbors, "euclidean")
    else:
        distances = model_distances(router).to_numpy()
        nearest = nearest_others(distances, np.arange(n_models), n_neighbors)
    own = np.repeat(np.arange(n_models), nearest.shape[1])
    both = np.unique(np.sort(np.column_stack([own, nearest.ravel()]), axis=1), axis=0)
    if max_pairs is not None:
        both = both[_nearest_pairs(pool, both, max_pairs)]
    return [tuple(pair) for pair in pool.models[both]]


def _nearest_pairs(pool: Any, pairs: np.ndarray, n_pairs: int) -> np.ndarray:
    """Return the pairs with the smallest distances, in the order of the pairs."""
    rows, columns = pool.compared_embeddings("euclidean")
    first, second = pairs.T
    squared = np.square(rows[first] - columns[second]).sum(axis=1)
    return np.sort(np.argsort(squared, kind="stable")[:n_pairs])


def _pairs_of_models(
    first: EvaluationSet,
    second: EvaluationSet,
    limit: int,
    rng: np.random.RandomState,
) -> MatchedPairs | None:
    """Pair evaluations of two models, fewer where too few match; None for none."""
    smaller, larger = sorted([first, second], key=len)
    rows = shared_or_all(smaller, larger)
    n_shared = int(np.isin(rows.queries.keys, larger.queries.keys).sum())
    # Of queries that are not shared, the larger set must have several for each one of
    # the smaller, or the pairs would be of too unlike queries.
    if n_shared < len(rows):
        limit = min(limit, (len(larger) - n_shared) // MIN_RATIO)
    return pair_evaluations(limited(rows, limit, rng), larger) if limit else None


def _row(first: Any, second: Any, test: DriftTest) -> dict[str, Any]:
    return {
        "model_a": first,
        "model_b": second,
        "distance": test.distance,
        "p_value": test.p_value,
        "agreement": test.agreement,
        "n_pairs": test.n_pairs,
        "n_shared": test.n_shared,
    }
