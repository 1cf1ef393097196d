"""Accuracy against the number of training evaluations (Figure 1, Tables 2, 5, 6).

All methods on the complete, sparse and shift cells; paired differences to LOCUS; and
the evaluations that a comparator needs to reach what LOCUS reaches.
"""

from dataclasses import dataclass

import pandas as pd
from comparison import LOSSES, evaluations_needed, paired_differences
from evaluate import evaluate_job
from figures import label, legend_outside, level, lines, panels, save
from jobs import run_jobs
from methods import LOCUS, VARIANTS
from options import folder_of, job, parse_options, read_pools, seeds, sources, speed
from protocol import (
    COMPLETE,
    SHIFT,
    SPARSE,
    available_sizes,
    largest_tasks,
)

from skl_locus._utils.statistics import holm

NAME = "e1_sample_efficiency"
KEYS = ["pool", "cell", "n"]


@dataclass(frozen=True)
class Plan:
    """Sizes and draws of every cell; sparse and shift have ``other_size`` at most."""

    sizes: tuple
    draws: int
    sparse_draws: int
    shift_tasks: int
    shift_draws: int
    other_size: int


PLANS = {
    "full": Plan((256, 512, 1024, 4096), 5, 3, 2, 2, 1024),
    "paper": Plan((256, 512, 1024), 3, 0, 0, 0, 1024),
    "quick": Plan((128, 512), 2, 1, 1, 1, 512),
    "smoke": Plan((16, 32), 2, 1, 1, 1, 32),
}


def run(options):
    plan = PLANS[speed(options)]
    for files in sources(options):
        pools = [pool for pool in read_pools(files, options) if pool is not None]
        results = [
            result
            for pool in pools
            for result in measure(pool, cells(pool, plan, options), options)
        ]
        log = pools[0]
        rows = pd.DataFrame([row for result in results for row in result["rows"]])
        folder = folder_of(log, options)
        rows.to_csv(folder / f"{NAME}.csv", index=False)
        differences(results).to_csv(folder / f"{NAME}_differences.csv", index=False)
        pooled = differences(results, pooled=True)
        pooled.to_csv(folder / f"{NAME}_pooled.csv", index=False)
        overall = rows[(rows["task"] == "all") & (rows["pool"] == log.pool)]
        complete = overall[overall["cell"] == COMPLETE]
        ratios(complete).to_csv(folder / f"{NAME}_ratios.csv", index=False)
        draw_curves(complete, log, folder / f"{NAME}.png")


def cells(log, plan, options):
    """List (cell, n, seed) of a pool."""
    sizes = available_sizes(log, plan.sizes)
    chosen = [(COMPLETE, n, s) for n in sizes for s in seeds(options, plan.draws)]
    middle = max([n for n in sizes if n <= plan.other_size] or sizes[:1])
    chosen += [(SPARSE, middle, s) for s in seeds(options, plan.sparse_draws)]
    if len(set(log.tasks)) > 1:
        for task in largest_tasks(log, plan.shift_tasks):
            n = min(middle, int((log.tasks[log.rest] != task).sum()))
            cell = f"{SHIFT}{task}"
            chosen += [(cell, n, s) for s in seeds(options, plan.shift_draws)]
    return chosen


def measure(log, chosen, options):
    jobs = [
        job(options, method, seed, cell=cell, n=n)
        for cell, n, seed in chosen
        for method in options.methods
        if method not in VARIANTS or cell == COMPLETE
    ]
    return run_jobs(evaluate_job, log, jobs, options, f"{NAME} ({log.pool})")


def differences(results, *, pooled=False):
    """Compare LOCUS with each comparator in each cell; Holm over cells per metric.

    Pooled, a cell is all sizes of a pool together: they share their test queries, and
    draws of any size are draws.
    """
    keys = KEYS[:2] if pooled else KEYS
    groups = {}
    for result in results:
        about = result["about"]
        cell = tuple(about[key] for key in keys)
        by_method = groups.setdefault(cell, {}).setdefault(about["method"], [])
        by_method.append(result["totals"])
    rows = []
    for cell, by_method in groups.items():
        ours = by_method.pop(LOCUS, None)
        if ours is None or not by_method:
            continue
        about = dict(zip(keys, cell, strict=True))
        for metric in LOSSES:
            found = paired_differences(ours, by_method, metric)
            rows += [about | {"metric": metric} | row for row in found]
    table = pd.DataFrame(rows)
    if len(table):
        family = table.groupby(["metric", "comparator"])["p_value"]
        table["p_holm"] = family.transform(lambda p: holm(p.to_numpy()))
    return table


def ratios(complete):
    """Return how many evaluations each comparator needs per evaluation of LOCUS."""
    rows = []
    for metric in ("routing_accuracy", "correctness_accuracy"):
        means = complete.groupby(["method", "n"])[metric].mean()
        if LOCUS not in means.index:
            continue
        for n, target in means[LOCUS].items():
            for method in means.index.unique("method").drop(LOCUS):
                needed = evaluations_needed(means[method].to_dict(), target)
                rows.append(
                    {
                        "metric": metric,
                        "n": n,
                        "locus": target,
                        "comparator": method,
                        "needed": needed,
                        "ratio": needed / n,
                        "largest_tried": means[method].index.max(),
                    }
                )
    return pd.DataFrame(rows)


def draw_curves(complete, log, path):
    summary = complete.groupby(["method", "n"], sort=False).agg(
        routing=("routing_accuracy", "mean"),
        routing_error=("routing_accuracy", "sem"),
        correctness=("correctness_accuracy", "mean"),
        correctness_error=("correctness_accuracy", "sem"),
    )
    table = summary.reset_index()
    figure, (left, right) = panels(2)
    lines(left, table, "n", "routing", error="routing_error")
    level(left, complete["best_single"].mean(), "best single (reference)")
    lines(right, table, "n", "correctness", error="correctness_error")
    x = "Training queries per model"
    label(left, "Routing", x, "Routing accuracy")
    label(right, "Correctness", x, "Correctness accuracy (threshold 0.5)")
    figure.suptitle(f"{log.name}, {len(log.models)} models ({log.pool})")
    legend_outside(figure, left)
    save(figure, path)


if __name__ == "__main__":
    from e1_sample_efficiency import run as run_module

    run_module(parse_options(__doc__))
