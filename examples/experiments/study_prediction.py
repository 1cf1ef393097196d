"""Compare prediction and routing of `LocusRouter` with fixed comparators on four logs.

    python examples/experiments/study_prediction.py --report --seeds 5
    python examples/experiments/study_prediction.py --report --cells shift \
        --seeds 1 --methods "Best single"

Every cell is a log, a pool, a number of training queries and whether all models saw
all of them (complete) or each its own random quarter (sparse). "shift" stands for as
many cells as there are tasks: each is missing from the training queries once, and the
test is on its queries alone. The comparators are fixed in advance. Differences are
paired, with intervals by a two-way bootstrap over draws and test queries and Holm's
correction over all cells. The router is also measured without its network, and with its
network alone. Only ``--report`` reads test halves.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from comparison import LOSSES, paired_differences
from evaluate import fit_on_draw, predict, query_totals
from jobs import run_jobs
from methods import LOCUS, make
from options import DEFAULT_POOLS, SHARED_DATA
from protocol import (
    ALL_MODELS,
    COMPLETE,
    SHIFT,
    SPARSE,
    Files,
    available_sizes,
    draw,
    read_log,
    restrict,
)
from study_evidence import EVERY_TASK, cells_with_tasks, without_evidence

from skl_locus._utils.statistics import holm
from skl_locus.datasets import get_data_home

SIZES = {
    "mmlu_pro": (256, 1024),
    "zeroeval": (256, 1024),
    "bfcl": (256, 800),
    "routerbench": (256, 1500),
}
"""Training queries of each log: few of them, and a thousand or nearly all there are."""

SHIFT_SIZE = 1024
"""Training queries where a task is missing, or all there are."""

COMPARATORS = ("Linear", "KMeans", "kNN (softmax)", "IRT-Net", "Best single")
NO_NETWORK, NETWORK = "LOCUS without network", "LOCUS network alone"
METRICS = ("log_loss", "routing_accuracy")
DECIMALS = {"log_loss": 4, "routing_accuracy": 3}
CELL = ["log", "pool", "cell", "n"]


def main(arguments=None):
    options = parse_options(arguments)
    tables = [differences_of(folder, pool, options) for folder, pool in pools(options)]
    table = pd.concat(tables, ignore_index=True)
    family = table.groupby(["metric", "comparator"])["p_value"]
    table["p_holm"] = family.transform(lambda p: holm(p.to_numpy()))
    if options.output:
        table.round(6).to_csv(options.output, index=False)
    if options.tables:
        for metric in METRICS:
            path = options.tables / f"prediction_{metric}.csv"
            means_of(table, metric).to_csv(path)
    for metric in METRICS:
        own = table[table["metric"] == metric]
        wide = own.pivot_table(
            index=CELL, columns="comparator", values="difference", sort=False
        )
        print(f"\n{metric}: LOCUS minus the comparator")
        print(wide.round(4).to_string())
        print(summary(own).round(4).to_string())


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(SIZES), metavar="NAME")
    parser.add_argument("--cells", nargs="+", default=[COMPLETE, SPARSE])
    parser.add_argument("--sizes", nargs="+", type=int, metavar="N")
    parser.add_argument(
        "--methods", nargs="+", default=list(COMPARATORS), choices=COMPARATORS
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="of the page")
    parser.add_argument("--smoke", action="store_true", help="tiny networks")
    parser.add_argument("--report", action="store_true", help="read the test halves")
    parser.add_argument(
        "--cache", type=Path, default=Path(get_data_home()) / "experiments"
    )
    return parser.parse_args(arguments)


def pools(options):
    """List (folder, pool)."""
    return [
        (folder, pool)
        for folder in options.logs
        for pool in DEFAULT_POOLS.get(folder, (ALL_MODELS,))
    ]


def differences_of(folder, pool, options):
    """Return one row per cell, metric and comparator."""
    files = Files.in_folder(options.data / folder, "minilm")
    log = restrict(read_log(files, report=options.report), pool, files)
    # Left out where it is not asked for, which keeps the keys of kept results.
    speed = {"tiny": True} if options.smoke else {}
    jobs = [
        {"method": method, "cell": cell, "n": n, "seed": seed, **speed}
        for cell, n in cells_and_sizes(log, folder, options)
        for method in (LOCUS, *options.methods)
        for seed in range(options.seeds)
    ]
    results = run_jobs(totals_of, log, jobs, options, f"prediction ({pool})")
    groups = {}
    for job, result in zip(jobs, results, strict=True):
        by_method = groups.setdefault((job["cell"], job["n"]), {})
        for method, totals in result.items():
            by_method.setdefault(method, []).append(totals)
    rows = []
    for (cell, n), by_method in groups.items():
        ours = by_method.pop(LOCUS)
        about = dict(zip(CELL, (folder, pool, cell, n), strict=True))
        for metric in METRICS:
            own = mean_of(ours, metric)
            for row in paired_differences(ours, by_method, metric):
                theirs = mean_of(by_method[row["comparator"]], metric)
                values = {"metric": metric, "locus": own, "theirs": theirs}
                rows.append({**about, **values, **row})
    return pd.DataFrame(rows)


def cells_and_sizes(log, folder, options):
    """List the cells with their numbers of training queries, sizes first."""
    sizes = available_sizes(log, options.sizes or SIZES[folder])
    ordinary = [cell for cell in options.cells if cell != EVERY_TASK]
    listed = [(cell, n) for n in sizes for cell in ordinary]
    if EVERY_TASK in options.cells:
        for cell in cells_with_tasks([EVERY_TASK], log):
            task = cell.removeprefix(SHIFT)
            others = int((log.tasks[log.rest] != task).sum())
            listed.append((cell, min(SHIFT_SIZE, others)))
    return listed


def mean_of(draws, metric):
    """Average a metric over evaluations, or queries, and then over draws."""
    totals = [
        np.nansum(draw[LOSSES[metric]])
        / (
            np.isfinite(draw["chosen"]).sum()
            if metric == "routing_accuracy"
            else draw["count"].sum()
        )
        for draw in draws
    ]
    return float(np.mean(totals))


def totals_of(log, job):
    """Fit and measure one method on one draw: per-query totals by name."""
    drawn = draw(log, job["cell"], job["n"], job["seed"])
    router = make(job["method"], job["seed"], job.get("tiny", False))
    fit_on_draw(router, log, drawn)
    routers = {job["method"]: router}
    if job["method"] == LOCUS:
        routers[NO_NETWORK] = without_network(router)
        routers[NETWORK] = without_evidence(router)
    scores = log.scores[drawn.test]
    return {
        name: query_totals(*predict(each, log, drawn.test, scores), scores)
        for name, each in routers.items()
    }


def without_network(router):
    """Take the network's share off the stack of a fitted router."""
    pool = router._fitted_pool()
    shared = replace(pool.evidence.shared, network_share=0.0)
    bare = without_evidence(router)
    bare._pool = replace(pool, evidence=replace(pool.evidence, shared=shared))
    return bare


def means_of(table, metric):
    """Lay the means of a metric out: a row per cell, a column per method."""
    own = table[table["metric"] == metric]
    means = own.pivot_table(
        index=CELL, columns="comparator", values="theirs", sort=False
    )
    means.insert(0, LOCUS, own.groupby(CELL, sort=False)["locus"].first())
    return means.round(DECIMALS[metric])


def summary(table):
    """Count cells for each comparator."""
    groups = table.groupby("comparator", sort=False)
    difference = groups["difference"]
    significant = table["p_holm"] < 0.05
    return pd.DataFrame(
        {
            "mean": difference.mean(),
            "lowest": difference.min(),
            "highest": difference.max(),
            "below 0": difference.apply(lambda d: np.mean(d < 0)),
            "significantly below": (
                (significant & (table["difference"] < 0))
                .groupby(table["comparator"])
                .sum()
            ),
            "significantly above": (
                (significant & (table["difference"] > 0))
                .groupby(table["comparator"])
                .sum()
            ),
        }
    )


if __name__ == "__main__":
    # Workers find the functions of a module, not all of those of a script.
    from study_prediction import main as main_of_module

    main_of_module()
