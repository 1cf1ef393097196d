"""Agreement of distances between embeddings with disagreement of answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.utils import check_random_state

from skl_locus._routing.decisions import nearest_others
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._geometry import check_square

CORRELATIONS: dict[str, Callable] = {
    "pearson": pearsonr,
    "spearman": spearmanr,
    "kendall": kendalltau,
}

MIN_PAIRS = 3
"""Fewer pairs of models have no correlation worth the name."""


def distance_agreement(
    distances: pd.DataFrame,
    disagreements: pd.DataFrame,
    *,
    n_resamples: int = 300,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Correlate the distance of models with their disagreement.

    Paper section 3.4 and Table 3. Pairs that share a model depend on each other, so
    intervals come from drawing models, not pairs, with replacement.

    Parameters
    ----------
    distances : DataFrame of shape (n_models, n_models)
        From `model_distances`.
    disagreements : DataFrame of shape (n_models, n_models)
        From `disagreement`, on queries that the embeddings have not seen. Pairs
        of NaN are left out.
    n_resamples : int, default=300
        Draws of models for the intervals; 0 gives none (NaN).
    confidence : float, default=0.95
        Coverage of the intervals, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    DataFrame of shape (3, 4)
        Rows "pearson", "spearman" and "kendall"; columns value, low, high and
        n_pairs.

    Raises
    ------
    ValueError
        If the tables have not the same models or fewer than three known pairs.

    Examples
    --------
    >>> from skl_locus.inspection import distance_agreement, model_distances
    >>> distances = model_distances([[0.0], [1.0], [3.0], [7.0]])
    >>> table = distance_agreement(distances, distances / 10, random_state=0)
    >>> table["value"].round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}.")
    first, second = aligned(distances, disagreements)
    pairs = _pair_values(first, second, np.arange(len(first)))
    if pairs.shape[1] < MIN_PAIRS:
        raise ValueError(
            f"Only {pairs.shape[1]} pairs of models are known in both tables; at "
            f"least {MIN_PAIRS} are needed."
        )
    values = correlations(*pairs)
    rng = check_random_state(random_state)
    drawn = [_resampled_correlations(first, second, rng) for _ in range(n_resamples)]
    tail = 100 * (1 - confidence) / 2
    limits = np.full((2, len(values)), np.nan)
    if drawn:
        limits = np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
    return pd.DataFrame(
        {
            "value": values,
            "low": limits[0],
            "high": limits[1],
            "n_pairs": pairs.shape[1],
        },
        index=pd.Index(CORRELATIONS, name="correlation"),
    )


def aligned(
    distances: pd.DataFrame, disagreements: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Return both tables as matrices in the order of the first."""
    for table, name in ((distances, "distances"), (disagreements, "disagreements")):
        check_square(table, name)
    if set(distances.index) != set(disagreements.index):
        missing = set(distances.index) ^ set(disagreements.index)
        raise ValueError(
            f"The tables must have the same models; {sorted(map(str, missing))[:3]} "
            "are in one of them only."
        )
    order = distances.index
    return distances.to_numpy(), disagreements.loc[order, order].to_numpy()


def _pair_values(
    first: np.ndarray, second: np.ndarray, models: np.ndarray
) -> np.ndarray:
    """Return the values of all pairs of drawn models: (2, n_pairs)."""
    rows, columns = np.triu_indices(len(models), 1)
    rows, columns = models[rows], models[columns]
    pairs = np.stack([first[rows, columns], second[rows, columns]])
    # A model drawn twice is no pair: it is at distance 0 from itself and agrees fully,
    # which would add to the correlation.
    return pairs[:, (rows != columns) & np.isfinite(pairs).all(axis=0)]


def correlations(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Return the correlations of two columns, in the order of `CORRELATIONS`."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return [np.nan] * len(CORRELATIONS)
    return [float(f(first, second).statistic) for f in CORRELATIONS.values()]


def _resampled_correlations(
    first: np.ndarray, second: np.ndarray, rng: np.random.RandomState
) -> list[float]:
    models = rng.randint(len(first), size=len(first))
    pairs = _pair_values(first, second, models)
    if pairs.shape[1] < MIN_PAIRS:
        return [np.nan] * len(CORRELATIONS)
    return correlations(*pairs)


def neighbor_agreement(
    distances: pd.DataFrame, disagreements: pd.DataFrame, *, k: int = 10
) -> pd.DataFrame:
    """Compute how far models agree with their first to k-th neighbours.

    Paper section 3.5 and Figure 8: ``1 - disagreement``, averaged over models,
    beside its mean over all pairs.

    Parameters
    ----------
    distances : DataFrame of shape (n_models, n_models)
        From `model_distances`.
    disagreements : DataFrame of shape (n_models, n_models)
        From `disagreement`, on queries that the embeddings have not seen. Pairs
        of NaN are left out.
    k : int, default=10
        Number of neighbours; at most n_models - 1 are used.

    Returns
    -------
    DataFrame of shape (k, 3)
        Index neighbor (1 to k); columns agreement, standard_error (over models) and
        random (mean agreement of all pairs).

    Raises
    ------
    ValueError
        If the tables have not the same models, or k is no integer of at least 1.

    Examples
    --------
    >>> from skl_locus.inspection import model_distances, neighbor_agreement
    >>> distances = model_distances([[0.0], [1.0], [3.0]])
    >>> neighbor_agreement(distances, distances / 10, k=2)["agreement"].round(3)
    neighbor
    1    0.867
    2    0.733
    Name: agreement, dtype: float64
    """
    check_at_least(k, "k")
    first, second = aligned(distances, disagreements)
    nearest = nearest_others(first, np.arange(len(first)), k)
    agreement = pd.DataFrame(1 - np.take_along_axis(second, nearest, axis=1))
    pairs = second[~np.eye(len(second), dtype=bool)]
    return pd.DataFrame(
        {
            "agreement": agreement.mean().to_numpy(),
            "standard_error": agreement.sem().to_numpy(),
            "random": 1 - pd.Series(pairs).mean(),
        },
        index=pd.RangeIndex(1, nearest.shape[1] + 1, name="neighbor"),
    )
