"""Paired differences of two methods with intervals, and evaluations needed."""

from itertools import pairwise

import numpy as np

from skl_locus.metrics import two_way_bootstrap

LOSSES = {
    "routing_accuracy": "chosen",
    "correctness_accuracy": "correct",
    "log_loss": "log_loss",
    "brier": "brier",
}
"""Metric -> the per-query total that it is the mean of."""


def paired_differences(ours, theirs, metric, seed=0):
    """Compare per-query totals, one entry per draw, with those of other methods.

    ``theirs`` maps names to the totals of methods that have predicted the same
    evaluations of the same queries. Returns one dictionary per method: the mean
    difference (ours minus theirs), its interval and a two-sided p-value.
    """
    name = LOSSES[metric]
    own = np.stack([totals[name] for totals in ours])
    others = np.stack([[totals[name] for totals in own] for own in theirs.values()])
    counts = np.isfinite(own) & np.isfinite(others)
    if metric != "routing_accuracy":
        counts = counts * np.stack([totals["count"] for totals in ours])
    found = two_way_bootstrap(
        np.nan_to_num(np.broadcast_to(own, others.shape)),
        counts,
        reference=np.nan_to_num(others),
        reference_counts=counts,
        random_state=seed,
    )
    columns = (found.estimate, found.low, found.high, found.p_value)
    return [
        {
            "comparator": comparator,
            "difference": difference,
            "low": low,
            "high": high,
            "p_value": p_value,
            "n_draws": len(ours),
        }
        for comparator, difference, low, high, p_value in zip(
            theirs, *columns, strict=True
        )
    ]


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
