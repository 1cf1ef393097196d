"""Paired differences of two methods with intervals and corrected p-values.

`two_way_bootstrap` is the one place where draws and queries are resampled; the
package's own can take its place.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from sklearn.utils import gen_batches

N_RESAMPLES = 1000
CONFIDENCE = 0.95
CHUNK = 100
"""Resamples held in memory at a time."""

LOSSES = {
    "routing_accuracy": "chosen",
    "correctness_accuracy": "correct",
    "log_loss": "log_loss",
    "brier": "brier",
}
"""Metric -> the per-query total that it is the mean of."""


def paired_difference(ours, theirs, metric, seed=0):
    """Compare the per-query totals of two methods, one entry per draw.

    Returns the mean difference (ours minus theirs), its interval and a two-sided
    p-value. Both have predicted the same evaluations of the same queries.
    """
    name = LOSSES[metric]
    difference = np.stack(
        [a[name] - b[name] for a, b in zip(ours, theirs, strict=True)]
    )
    if metric == "routing_accuracy":
        weights = np.isfinite(difference).astype(float)
    else:
        weights = np.stack([a["count"] for a in ours]).astype(float)
    return two_way_bootstrap(np.nan_to_num(difference), weights, seed=seed)


def two_way_bootstrap(sums, weights, *, n_resamples=N_RESAMPLES, seed=0):
    """Resample draws and queries of the ratio of two totals (n_draws, n_queries).

    Returns
    -------
    dict
        difference, low and high (the interval), p_value and n_draws.
    """
    draws, queries = resamples(*sums.shape, n_resamples, seed)
    values = np.concatenate(
        [
            ((draws[part] @ sums) * queries[part]).sum(axis=1)
            / np.maximum(((draws[part] @ weights) * queries[part]).sum(axis=1), 1)
            for part in gen_batches(n_resamples, CHUNK)
        ]
    )
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    extreme = min((values <= 0).sum(), (values >= 0).sum())
    return {
        "difference": sums.sum() / max(1.0, weights.sum()),
        "low": low,
        "high": high,
        "p_value": min(1.0, 2 * (extreme + 1) / (n_resamples + 1)),
        "n_draws": len(sums),
    }


@lru_cache(maxsize=4)
def resamples(n_draws, n_queries, n_resamples, seed):
    """Return how often each resample takes each draw and each query."""
    rng = np.random.default_rng(seed)
    return [
        rng.multinomial(count, np.full(count, 1 / count), n_resamples).astype(np.int16)
        for count in (n_draws, n_queries)
    ]


def holm(p_values):
    """Correct p-values for their number (Holm's step-down method)."""
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def evaluations_needed(curve, target):
    """Return the evaluations at which an accuracy curve first reaches a target.

    ``curve`` maps sizes to accuracies; between sizes it is linear in log n. Infinite
    where no size suffices.
    """
    sizes = sorted(curve)
    if curve[sizes[0]] >= target:
        return float(sizes[0])
    for smaller, larger in pairwise(sizes):
        if curve[larger] >= target:
            share = (target - curve[smaller]) / (curve[larger] - curve[smaller])
            return float(smaller * (larger / smaller) ** share)
    return float("inf")
