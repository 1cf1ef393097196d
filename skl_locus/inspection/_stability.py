"""Movement of embeddings when a model is evaluated on other or fewer queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._routing.access import (
    embed,
    embedding_pool,
    pool_of,
    read_bare_queries,
)
from skl_locus._routing.unwrap import known_evaluations
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._geometry import model_distances
from skl_locus.inspection._matched_pairs import pseudo_models

STABILITY_COLUMNS = ("change", "value", "model", "repeat", "distance")


def embedding_stability(
    router: Any,
    models: Any = None,
    *,
    n_reference: int | None = None,
    sizes: Sequence[int] | None = None,
    overlaps: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    n_repeats: int = 5,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Embed models from changed evaluations and see how far the embeddings move.

    Paper sections 3.3 and E.3. The reference embedding of a model is that of
    `n_reference` of its evaluations. It is compared with embeddings of as many
    evaluations of which a given share is in the reference, and with embeddings of
    smaller parts of the reference.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    models : collection of labels, default=None
        Models to embed anew; None means all.
    n_reference : int, default=None
        Evaluations of a reference; None means half of each model's, so that others
        without overlap are left. Models with fewer than twice as many have only
        the overlaps that their evaluations suffice for.
    sizes : sequence of int, default=None
        Sizes of the parts; None means halves of `n_reference`: 1/16 to 1/2.
    overlaps : sequence of float, default=(0, 0.25, 0.5, 0.75, 1)
        Shares in [0, 1] of evaluations that are in the reference.
    n_repeats : int, default=5
        Draws of a reference with what it is compared with.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame
        One row per comparison. Columns change ("size" or "overlap"), value (the
        size or the share), model, repeat, distance (Euclidean, to the reference),
        nearest_other and median_other (from the model to others of the router).

    Raises
    ------
    ValueError
        If a model is unknown or a number out of range.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import embedding_stability
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> table = embedding_stability(router, ["model-0"], random_state=0)
    >>> table["change"].value_counts().to_dict()
    {'overlap': 25, 'size': 20}
    """
    check_at_least(n_repeats, "n_repeats", 1)
    if not all(0 <= share <= 1 for share in overlaps):
        raise ValueError(f"overlaps must lie in [0, 1], got {list(overlaps)}.")
    rng = check_random_state(random_state)
    rows = []
    names = _chosen(router, models)
    with (
        progress_shown(verbose),
        progress_bar("embed anew", len(names), unit="model") as bar,
    ):
        for name in names:
            own = known_evaluations(router, name)
            n_first = _reference_size(own, n_reference, name)
            parts = _default_sizes(n_first) if sizes is None else list(sizes)
            for repeat in range(n_repeats):
                order = rng.permutation(len(own))
                changes = _changes(order, n_first, parts, overlaps, rng)
                moved = _distances_moved(
                    router, own, order[:n_first], [chosen for _, _, chosen in changes]
                )
                for (change, value, _), distance in zip(changes, moved, strict=True):
                    rows.append((change, value, name, repeat, distance))
            bar.advance()
    table = pd.DataFrame(rows, columns=STABILITY_COLUMNS)
    return table.join(_distances_to_others(router), on="model")


def _chosen(router: Any, models: Any) -> list:
    pool = embedding_pool(router)
    return pool.models[pool.select(models)].tolist()


def _distances_to_others(router: Any) -> pd.DataFrame:
    """Return how far each model is from its nearest and its median other."""
    distances = model_distances(router)
    n_models = len(distances)
    others = distances.to_numpy()[~np.eye(n_models, dtype=bool)]
    others = others.reshape(n_models, n_models - 1)
    if n_models == 1:
        others = np.full((1, 1), np.nan)
    return pd.DataFrame(
        {
            "nearest_other": others.min(axis=1),
            "median_other": np.median(others, axis=1),
        },
        distances.index,
    )


def _reference_size(own: EvaluationSet, n_reference: int | None, name: Any) -> int:
    if n_reference is None:
        return max(1, len(own) // 2)
    check_at_least(n_reference, "n_reference", 1)
    if n_reference > len(own):
        raise ValueError(
            f"n_reference={n_reference}, but model {name!r} has {len(own)} evaluations."
        )
    return int(n_reference)


def _default_sizes(n_reference: int) -> list[int]:
    return [max(1, n_reference // divisor) for divisor in (16, 8, 4, 2)]


def _changes(
    order: np.ndarray,
    n_reference: int,
    sizes: Sequence[int],
    overlaps: Sequence[float],
    rng: np.random.RandomState,
) -> list[tuple[str, float, np.ndarray]]:
    """List what a reference (the first of `order`) is compared with."""
    reference, others = order[:n_reference], order[n_reference:]
    changes: list[tuple[str, float, np.ndarray]] = []
    for size in sizes:
        check_at_least(size, "sizes", 1)
        if size <= n_reference:
            changes.append(("size", size, rng.permutation(reference)[:size]))
    for share in overlaps:
        n_kept = round(share * n_reference)
        if n_reference - n_kept <= len(others):
            kept = rng.permutation(reference)[:n_kept]
            new = rng.permutation(others)[: n_reference - n_kept]
            changes.append(("overlap", share, np.concatenate([kept, new])))
    return changes


def _distances_moved(
    router: Any, own: EvaluationSet, reference: np.ndarray, changed: list[np.ndarray]
) -> np.ndarray:
    """Return how far the embedding of each set of rows is from the reference's."""
    parts = [np.sort(rows) for rows in (reference, *changed)]
    rows = np.concatenate(parts)
    sizes = [len(part) for part in parts]
    evaluations = EvaluationSet(
        model_names=label_array(range(len(parts))),
        queries=own.queries,
        model_codes=np.repeat(np.arange(len(parts), dtype=np.int32), sizes),
        query_codes=own.query_codes[rows],
        scores=own.scores[rows],
        counts=own.counts[rows],
    )
    embeddings = embed(router, evaluations)
    return np.linalg.norm(embeddings[1:] - embeddings[0], axis=1)


def embedding_uncertainty(
    router: Any,
    models: Any = None,
    *,
    queries: Any = None,
    n_subsamples: int = 30,
    fraction: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Estimate how far embeddings and predictions would move with other evaluations.

    Answers whether a model has been evaluated enough. From n evaluations, subsets
    of m are drawn without replacement, and their variance is multiplied by
    ``m / (n - m)``, which makes it that of n evaluations (the delete-d jackknife).

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    models : collection of labels, default=None
        Models to look at; None means all.
    queries : list of str, array, Series or dataframe, default=None
        Queries on which to predict; None means those of each model's evaluations.
    n_subsamples : int, default=30
        Number of subsets, at least 2.
    fraction : float, default=0.5
        m / n, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Determines the subsets.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame of shape (n_models, 5)
        Indexed by model: n_evaluations; spread (square root of the summed variance
        of the embedding's entries); nearest_other (distance to the nearest model);
        spread_share (their ratio: from about 1 on, the model cannot be told from
        its neighbour); probability_spread (standard deviation of P(correct), root
        mean square over the queries).

    Raises
    ------
    ValueError
        If a model is unknown or has one evaluation, or a number is out of range.

    Notes
    -----
    The trained network is taken as it is: the spread is that of its inputs.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import embedding_uncertainty
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> table = embedding_uncertainty(router, random_state=0)
    >>> table["n_evaluations"].tolist()
    [60, 60, 60, 60, 60, 60]
    """
    check_at_least(n_subsamples, "n_subsamples", 2)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction!r}.")
    rng = check_random_state(random_state)
    names = _chosen(router, models)
    nearest = _distances_to_others(router).loc[names, "nearest_other"]
    vectors = None if queries is None else read_bare_queries(router, queries)
    rows = []
    with (
        progress_shown(verbose),
        progress_bar("embed anew", len(names), unit="model") as bar,
    ):
        for name in names:
            own = known_evaluations(router, name)
            spreads = _spreads(router, own, vectors, n_subsamples, fraction, rng)
            rows.append((len(own), *spreads))
            bar.advance()
    table = pd.DataFrame(
        rows, nearest.index, ["n_evaluations", "spread", "probability_spread"]
    )
    table.insert(2, "nearest_other", nearest)
    table.insert(3, "spread_share", table["spread"] / nearest)
    return table


def _spreads(
    router: Any,
    own: EvaluationSet,
    vectors: np.ndarray | None,
    n_subsamples: int,
    fraction: float,
    rng: np.random.RandomState,
) -> tuple[float, float]:
    """Return the spread of the embedding and of P(correct)."""
    n = len(own)
    if n < 2:
        raise ValueError(
            f"Model {own.model_names[0]!r} has one evaluation; its spread is unknown."
        )
    m = min(max(1, round(fraction * n)), n - 1)
    chosen = np.stack([rng.permutation(n)[:m] for _ in range(n_subsamples)])
    subsets = pseudo_models(own.queries, own.query_codes[chosen], own.scores[chosen])
    pool = pool_of(router, subsets)
    if vectors is None:
        vectors = own.queries.vectors()
    probabilities = pool.correctness(vectors, np.arange(n_subsamples))
    # A mean of m of n values, drawn without replacement, has the variance
    # s^2 (n - m) / (m n), which this makes s^2 / n (delete-d jackknife; Shao and Wu,
    # 1989).
    scale = m / (n - m)
    variance = pool.embeddings.astype(np.float64).var(axis=0, ddof=1).sum()
    predicted = probabilities.astype(np.float64).var(axis=1, ddof=1).mean()
    return float(np.sqrt(scale * variance)), float(np.sqrt(scale * predicted))
