"""Intervals of means over queries and over draws of the training queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skl_locus._utils.validation import check_at_least

CHUNK_WEIGHTS = 8_000_000
"""Entries of the matrix of resampling weights that are held at a time."""


class BootstrapEstimate(NamedTuple):
    """A mean, or a difference of means, with its resampled uncertainty.

    Every field is an array of the leading shape of the totals (of shape () where
    there is none).

    Parameters
    ----------
    estimate : ndarray
        From all draws and queries.
    standard_error : ndarray
        Standard deviation over the resamples.
    low, high : ndarray
        Percentile interval.
    p_value : ndarray
        Two-sided, of a difference of zero; NaN without a reference.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray


def two_way_bootstrap(
    totals: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    reference: ArrayLike | None = None,
    reference_counts: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> BootstrapEstimate:
    """Estimate a mean, or a paired difference of means, by resampling two ways.

    Draws of the training queries and test queries are resampled independently, each
    with replacement: with the multiplicities v of the draws and w of the queries,
    the mean is ``sum_dq v_d w_q totals_dq / sum_dq v_d w_q counts_dq``. Errors over
    draws alone would leave out that the test queries are a sample, and errors over
    queries alone that the training queries are. This is the pigeonhole bootstrap
    (Owen, 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1), which
    errs on the side of wide intervals.

    Parameters
    ----------
    totals : array-like of shape (..., n_draws, n_queries)
        Sum of a metric over the rows of each query, for each draw. Leading axes
        hold what is compared or several metrics; all meet the same resamples.
        One-dimensional totals are one draw.
    counts : array-like that broadcasts to the shape of ``totals``, default=None
        Number (or weight) of the rows; 1 each by default. Where it is 0 the query
        has no part.
    reference : array-like that broadcasts to the shape of ``totals``, default=None
        Totals to compare with; the results are then those of the difference of
        the mean of ``totals`` less the mean of ``reference``. Draws and queries of
        both must correspond.
    reference_counts : array-like like ``counts``, default=None
        Counts of the reference. Queries that one side has no rows for are left out
        of both.
    n_resamples : int, default=1000
        Number of resamples.
    confidence : float, default=0.95
        Share of the resampled values between the limits, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Determines the resamples. The same integer gives the same ones to every call
        with as many draws and queries.

    Returns
    -------
    BootstrapEstimate
        Fields estimate, standard_error, low, high and p_value.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or a number is out of range.

    Notes
    -----
    With B resampled differences, the p-value is ``2 * (1 + k) / (B + 1)``, at most
    1, where k is the number of differences at or below 0, or at or above 0, whichever
    is smaller: it cannot be 0, and is 1 for equal totals. Resamples in which no
    query has rows are left out.

    Examples
    --------
    Two routers, three queries, one draw:

    >>> from skl_locus.metrics import two_way_bootstrap
    >>> result = two_way_bootstrap(
    ...     [[1.0, 0.0, 1.0]], reference=[[0.0, 0.0, 1.0]], random_state=0
    ... )
    >>> round(float(result.estimate), 3), float(result.low)
    (0.333, 0.0)
    """
    sides = _sides(totals, counts, reference, reference_counts)
    result = _resampled(sides, n_resamples, confidence, random_state)
    if reference is None:
        return result._replace(p_value=np.full(result.p_value.shape, np.nan))
    return result


def ratio_bootstrap(
    totals: np.ndarray,
    base: np.ndarray,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> BootstrapEstimate:
    """Estimate a ratio of sums by resampling two ways.

    Parameters
    ----------
    totals, base : ndarray of shape (..., n_draws, n_queries)
        What is summed above and below; a query with nothing below still counts above.
    n_resamples, confidence, random_state
        As for `two_way_bootstrap`, with the same resamples.

    Returns
    -------
    BootstrapEstimate
        NaN where the sum below is 0; the p-value says nothing here, and is NaN.
    """
    sides = np.stack([totals, np.broadcast_to(base, totals.shape)])
    result = _resampled(sides, n_resamples, confidence, random_state)
    estimate = np.where(np.isfinite(result.estimate), result.estimate, np.nan)
    return result._replace(
        estimate=estimate, p_value=np.full(result.p_value.shape, np.nan)
    )


def statistic_bootstrap(
    value_of: Callable[[np.ndarray], np.ndarray],
    n_draws: int,
    n_queries: int,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[BootstrapEstimate, BootstrapEstimate]:
    """Estimate what is no mean over queries by resampling two ways.

    Parameters
    ----------
    value_of : callable
        From weights of the queries, (n_queries,), to the values of each router and
        draw, (n_routers, n_draws); NaN where there is none.
    n_draws, n_queries : int
        Numbers of draws and of queries.
    n_resamples, confidence, random_state
        As for `two_way_bootstrap`, with the same resamples.

    Returns
    -------
    values, differences : BootstrapEstimate
        Means over the draws, and what they differ by from the first router's.
    """
    _check_resampling(n_resamples, confidence)
    estimates = value_of(np.ones(n_queries)).mean(axis=1)
    chunks = _resampling_weights(n_draws, n_queries, n_resamples, random_state)
    resampled = np.array(
        [
            _mean_over_draws(value_of(own_queries), own_draws)
            for draws, queries in chunks
            for own_draws, own_queries in zip(draws, queries, strict=True)
        ]
    )
    return (
        _summarised(estimates, resampled, confidence),
        _summarised(estimates - estimates[0], resampled - resampled[:, :1], confidence),
    )


def _mean_over_draws(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Only draws that are in the resample count: one that is not may have no value.
    drawn = weights > 0
    return values[:, drawn] @ weights[drawn] / weights.sum()


def _summarised(
    estimates: np.ndarray, resampled: np.ndarray, confidence: float
) -> BootstrapEstimate:
    summaries = np.array([_summary(column, confidence) for column in resampled.T])
    return BootstrapEstimate(estimates, *summaries.T)


def _check_resampling(n_resamples: int, confidence: float) -> None:
    check_at_least(n_resamples, "n_resamples", 2)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}.")


def _resampled(
    sides: np.ndarray, n_resamples: int, confidence: float, random_state: Any
) -> BootstrapEstimate:
    """Estimate what `_means` makes of sides of shape (n_sides, ..., draws, queries)."""
    _check_resampling(n_resamples, confidence)
    n_draws, n_queries = sides.shape[-2:]
    means = _means(sides, np.ones((1, n_draws)), np.ones((1, n_queries)))[0]
    chunks = _resampling_weights(n_draws, n_queries, n_resamples, random_state)
    resampled = np.concatenate([_means(sides, *weights) for weights in chunks])
    columns = resampled.reshape(n_resamples, -1).T
    summaries = np.array([_summary(column, confidence) for column in columns])
    return BootstrapEstimate(means, *summaries.T.reshape(4, *means.shape))


def _sides(
    totals: Any, counts: Any, reference: Any, reference_counts: Any
) -> np.ndarray:
    """Stack totals and counts of one or two sides: (2 or 4, ..., draws, queries)."""
    own = _checked(totals, "totals")
    own_counts = _counts_like(own, counts, "counts")
    # Totals of queries without rows must not count: they may be anything.
    if reference is None:
        return np.stack([own, own_counts]) * (own_counts > 0)
    other = _broadcast(_checked(reference, "reference"), own.shape, "reference")
    other_counts = _counts_like(own, reference_counts, "reference_counts")
    both = (own_counts > 0) & (other_counts > 0)
    return np.stack([own, own_counts, other, other_counts]) * both


def _means(
    sides: np.ndarray, draw_weights: np.ndarray, query_weights: np.ndarray
) -> np.ndarray:
    """Return the weighted means, or their differences: (n_weights, ...)."""
    *leading, n_draws, n_queries = sides.shape
    # Weights of a resample are a product of those of draws and queries, so that means
    # are ratios of bilinear forms: no resampled table is ever made.
    sums = query_weights @ sides.reshape(-1, n_queries).T
    sums = sums.reshape(len(query_weights), -1, n_draws)
    sums = np.einsum("bkd,bd->kb", sums, draw_weights)
    sums = sums.reshape(*leading, len(query_weights))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[0] / sums[1]
        if len(sums) == 4:
            means = means - sums[2] / sums[3]
    return np.moveaxis(means, -1, 0)


def _resampling_weights(
    n_draws: int, n_queries: int, n_resamples: int, random_state: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield how often each draw and each query is in each of some resamples."""
    rng = check_random_state(random_state)
    step = max(1, CHUNK_WEIGHTS // n_queries)
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        weights = np.empty((size, n_draws)), np.empty((size, n_queries))
        for i in range(size):
            for side in weights:
                n = side.shape[1]
                side[i] = np.bincount(rng.randint(n, size=n), minlength=n)
        yield weights


def _summary(resampled: np.ndarray, confidence: float) -> tuple[float, ...]:
    """Return the standard error, both limits and the p-value of resampled values."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < 2:
        return (np.nan,) * 4
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    # The observed value counts as one more resample: a p-value of 0 would claim more
    # than a finite number of resamples can show.
    fewer = min(np.sum(known <= 0), np.sum(known >= 0))
    p_value = min(1.0, 2 * (1 + fewer) / (len(known) + 1))
    return float(known.std(ddof=1)), float(low), float(high), p_value


def _checked(values: Any, name: str) -> np.ndarray:
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if not array.size:
        raise ValueError(f"{name} is empty.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite values.")
    return array


def _counts_like(totals: np.ndarray, counts: Any, name: str) -> np.ndarray:
    checked = _checked(1.0 if counts is None else counts, name)
    if (checked < 0).any():
        raise ValueError(f"{name} must not be negative.")
    return _broadcast(checked, totals.shape, name)


def _broadcast(values: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(
            f"{name} has the shape {values.shape}, which does not fit that of "
            f"totals, {shape}."
        ) from None
