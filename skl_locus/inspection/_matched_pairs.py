"""Pairs of evaluations that could be exchanged if both came from one model.

If two sets come from one model, it does not matter which of two evaluations of a
query (or of two like queries) is in which set. So each evaluation of the newcomer is
paired with one of the known model, on the same query or one of the same cluster, and
the observed difference is compared with those after random swaps of pairs. Both sets
then always have the same size and the same mix of queries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.queries import QuerySet, vector_keys
from skl_locus._routing.access import embed
from skl_locus._utils.forks import survives_fork

MIN_SHARED = 32
"""With fewer common queries, evaluations are compared on matched queries as well."""

MIN_RATIO = 2
"""Known evaluations needed for each one that has to be paired with another query."""

PAIRS_PER_CLUSTER = 8
"""Evaluations for each cluster of queries within which other queries are paired."""


@dataclass(frozen=True)
class MatchedPairs:
    """Evaluations of a newcomer, each beside one of the known model.

    Parameters
    ----------
    queries : QuerySet
        All queries.
    codes : ndarray of shape (2, n_pairs), int
        Queries of the newcomer's evaluations and of the known model's.
    scores : ndarray of shape (2, n_pairs), float32
        Their scores.
    n_shared : int
        Number of pairs on one and the same query, which come first.
    """

    queries: QuerySet
    codes: np.ndarray
    scores: np.ndarray
    n_shared: int

    def __len__(self) -> int:
        return self.codes.shape[1]

    @property
    def score_differences(self) -> np.ndarray:
        """Score of the newcomer less that of the known model: (n_pairs,), float64."""
        return self.scores[0].astype(np.float64) - self.scores[1]

    @property
    def agreement(self) -> float:
        """One less the mean difference of scores on shared queries; NaN for none."""
        if not self.n_shared:
            return np.nan
        return 1 - float(np.abs(self.score_differences[: self.n_shared]).mean())


def under_known_ids(newcomer: EvaluationSet, known: QuerySet) -> EvaluationSet:
    """Give queries that are known under another id the id by which they are known.

    Queries are the same if their encodings are equal to the bit. Of several known ones
    the first is taken, and a query whose place is taken already stays unknown.
    """
    queries = newcomer.queries
    others = np.flatnonzero(find_sorted(known.keys, queries.keys) < 0)
    if not len(others):
        return newcomer
    digests, first = np.unique(vector_keys(known.vectors()), return_index=True)
    places = find_sorted(digests, vector_keys(queries.vectors(others)))
    found, asked = np.unique(places, return_index=True)
    asked, wanted = others[asked[found >= 0]], known.keys[first[found[found >= 0]]]
    is_free = find_sorted(queries.keys, wanted) < 0
    keys = queries.keys.copy()
    keys[asked[is_free]] = wanted[is_free]
    return _under_keys(newcomer, keys)


def _under_keys(evaluations: EvaluationSet, keys: np.ndarray) -> EvaluationSet:
    """Rename the queries of one model's evaluations, and sort them again."""
    order = np.argsort(keys)
    queries = evaluations.queries
    renamed = QuerySet(keys[order], queries.rows[order], queries.encodings)
    codes = np.argsort(order)[evaluations.query_codes]
    rows = np.argsort(codes)
    return replace(
        evaluations,
        queries=renamed,
        query_codes=codes[rows].astype(np.int32),
        scores=evaluations.scores[rows],
        counts=evaluations.counts[rows],
    )


def shared_or_all(newcomer: EvaluationSet, known: EvaluationSet) -> EvaluationSet:
    """Keep what the newcomer has on common queries, or all if that is too little.

    On common queries nothing has to be assumed about how queries were chosen.
    """
    is_shared = np.isin(newcomer.queries.keys, known.queries.keys)
    rows = np.flatnonzero(is_shared[newcomer.query_codes])
    return newcomer.take(rows) if len(rows) >= MIN_SHARED else newcomer


def limited(
    evaluations: EvaluationSet, limit: int, rng: np.random.RandomState
) -> EvaluationSet:
    """Draw at most a number of evaluations."""
    if len(evaluations) <= limit:
        return evaluations
    return evaluations.take(np.sort(rng.permutation(len(evaluations))[:limit]))


def pair_evaluations(newcomer: EvaluationSet, known: EvaluationSet) -> MatchedPairs:
    """Pair the evaluations of one model with those of another.

    Parameters
    ----------
    newcomer, known : EvaluationSet
        One model each.

    Returns
    -------
    MatchedPairs
        One pair for each evaluation of the newcomer.

    Raises
    ------
    ValueError
        If the known model has too few evaluations on other queries.
    """
    queries, own, others = newcomer.queries.union(known.queries)
    first, second = own[newcomer.query_codes], others[known.query_codes]
    shared, at_first, at_second = np.intersect1d(
        first, second, assume_unique=True, return_indices=True
    )
    left = np.setdiff1d(np.arange(len(first)), at_first)
    free = np.setdiff1d(np.arange(len(second)), at_second)
    if len(free) < MIN_RATIO * len(left):
        raise TooFewEvaluationsError(len(left), len(free))
    partners = _most_similar(
        queries.vectors(first[left]), queries.vectors(second[free])
    )
    rows = np.concatenate([at_first, left]), np.concatenate([at_second, free[partners]])
    return MatchedPairs(
        queries,
        np.stack([first[rows[0]], second[rows[1]]]),
        np.stack([newcomer.scores[rows[0]], known.scores[rows[1]]]),
        len(shared),
    )


class TooFewEvaluationsError(ValueError):
    """The known model has too few evaluations to be compared with."""

    def __init__(self, n_needed_for: int, n_left: int) -> None:
        super().__init__(
            f"{n_needed_for} of the new evaluations are on queries that the known "
            f"model was not evaluated on, and only {n_left} of its evaluations are "
            f"on other queries; at least {MIN_RATIO * n_needed_for} are needed to "
            "match them. Pass fewer new evaluations, or evaluate on the same queries."
        )


@survives_fork
def _most_similar(vectors: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Assign a candidate of a near cluster to each vector, none twice.

    Not the nearest candidate: nearest candidates lie nearer to the middle of all
    queries than others do, so that the two of a pair could not be exchanged.
    """
    if not len(vectors):
        return np.empty(0, dtype=np.intp)
    together = np.concatenate([vectors, candidates])
    n_clusters = max(1, len(vectors) // PAIRS_PER_CLUSTER)
    n_clusters = min(n_clusters, len(np.unique(together, axis=0)))
    clusters = KMeans(n_clusters, n_init=1, random_state=0).fit(together)
    own, others = np.split(clusters.labels_, [len(vectors)])
    between = pairwise_distances(clusters.cluster_centers_)
    return linear_sum_assignment(between[np.ix_(own, others)])[1]


def embed_sets(
    router: Any, queries: QuerySet, codes: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Embed sets of evaluations of one size, float64.

    Parameters
    ----------
    router : LocusRouter
        Fitted.
    queries : QuerySet
        All queries.
    codes, scores : ndarray of shape (n_sets, n_evaluations)
        Query and score of each evaluation.

    Returns
    -------
    ndarray of shape (n_sets, n_components)
        One embedding per set.
    """
    return embed(router, pseudo_models(queries, codes, scores))


def pseudo_models(
    queries: QuerySet, codes: np.ndarray, scores: np.ndarray
) -> EvaluationSet:
    """Make each set of evaluations one model, numbered, in canonical order."""
    order = np.argsort(codes, axis=1, kind="stable")
    n_sets, size = codes.shape
    return EvaluationSet(
        model_names=label_array(range(n_sets)),
        queries=queries,
        model_codes=np.repeat(np.arange(n_sets, dtype=np.int32), size),
        query_codes=np.take_along_axis(codes, order, axis=1).ravel().astype(np.int32),
        scores=np.take_along_axis(scores, order, axis=1).ravel().astype(np.float32),
        counts=np.ones(codes.size, dtype=np.int32),
    )
