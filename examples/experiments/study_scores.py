"""Study the whole router under flipped, graded and judged scores, on four logs.

    python examples/experiments/study_scores.py
    python examples/experiments/study_scores.py --report --seeds 2

The scores that are learned from, and those that new models are known by, are turned
into another kind: a tenth of them flipped, grades, or the five levels of a noisy judge
(``variations.py``). "given" has them as they are.

"prediction": a quarter of the models is held out and joins with 128 evaluations. Log
loss is that of P against unseen scores of the same kind, for the models of the pool and
for the new ones; routing is the mean of the given scores of the chosen models. The
comparators are the linear router, k-means, and each model's mean ("Best single").
"geometry" and "recognition" are those of ``study_geometry.py``, where distances are
compared with the answers as they were given, and new models are evaluated twice by
scores of the other kind. Without ``--report`` test halves are not read.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from e2_onboarding import few_scores, held_out
from evaluate import fit_on_draw, predict, query_totals
from jobs import run_jobs
from methods import LOCUS, make
from options import SHARED_DATA
from protocol import COMPLETE, Files, draw, frame, read_log, restrict
from study_geometry import LOGS, geometry, recognition
from variations import SCORES, other_scores

from skl_locus.datasets import get_data_home

ROUTERS = (LOCUS, "Linear", "KMeans", "Best single")
DISTANCES = ("mean score", "Rasch", "Hamming", "PCA", "LOCUS")
GEOMETRY_METRICS = ("pearson", "beyond ability", "nearest", "itself")
N_NEW = 128
"""Evaluations of a model that joins."""

ROTATION = 0
SPLITS = 10
"""Draws of new models in the study of recognition, for each draw of queries."""


def main(arguments=None):
    options = parse_options(arguments)
    tables = [pd.DataFrame(rows_of(name, options)) for name in options.logs]
    results = pd.concat(tables, ignore_index=True)
    keys = ["part", "log", "scores", "method", "metric"]
    groups = results.groupby(keys, sort=False)["value"]
    summary = groups.agg(["mean", "std", "count"]).reset_index()
    if options.output:
        summary.to_csv(options.output, index=False, float_format="%.4f")
    for part, own in summary.groupby("part", sort=False):
        wide = own.pivot_table(
            index=["log", "scores", "method"],
            columns="metric",
            values="mean",
            sort=False,
        )
        print(f"\n{part}\n{wide.round(3).to_string()}")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(LOGS), metavar="NAME")
    parser.add_argument("--scores", nargs="+", default=list(SCORES), choices=SCORES)
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--smoke", action="store_true", help="tiny networks")
    parser.add_argument("--report", action="store_true", help="read the test halves")
    parser.add_argument(
        "--cache", type=Path, default=Path(get_data_home()) / "experiments"
    )
    return parser.parse_args(arguments)


def rows_of(name, options):
    """Measure all kinds of scores of a log: one row per draw and number."""
    pool, n_queries = LOGS[name]
    files = Files.in_folder(options.data / name, "minilm")
    log = restrict(read_log(files, report=options.report), pool, files)
    jobs = [
        {"method": method, "part": part, "scores": kind, "n": n_queries, "seed": seed}
        | ({"tiny": True} if options.smoke else {})
        for seed in range(options.seeds)
        for kind in options.scores
        for part, method in [
            *(("prediction", method) for method in ROUTERS),
            # Without a network: embeddings do not depend on it.
            ("geometry", LOCUS),
        ]
    ]
    results = run_jobs(measure, log, jobs, options, "kinds of scores")
    return [
        {"log": name, "part": job["part"], "scores": job["scores"], **row}
        for job, rows in zip(jobs, results, strict=True)
        for row in rows
    ]


def measure(log, job):
    other = other_scores(log, job["scores"], job["seed"])
    return PARTS[job["part"]](log, other, job)


def measure_prediction(log, other, job):
    """Fit a router on three quarters of the models; measure them, then the others."""
    drawn = draw(other, COMPLETE, job["n"], job["seed"])
    held = held_out(len(log.models), ROTATION)
    known = replace(drawn, seen=np.where(held, np.nan, drawn.seen))
    router = make(job["method"], job["seed"], job.get("tiny", False))
    fit_on_draw(router, other, known)
    rows = drawn.test
    unseen, given = other.scores[rows], log.scores[rows]
    P, decisions = predict(router, other, rows, np.where(held, np.nan, unseen))
    values = {
        "log loss": log_loss(P, unseen),
        "routing": np.nanmean(query_totals(P, decisions, given)["chosen"]),
    }
    few = few_scores(drawn.seen, held, ROTATION, N_NEW, job["seed"])
    table = frame(other, drawn.train, few)
    router.add_models(table, table["score"])
    P, _ = predict(router, other, rows, np.where(held, unseen, np.nan))
    values["log loss, new models"] = log_loss(P, unseen)
    return [
        {"method": job["method"], "metric": metric, "value": value}
        for metric, value in values.items()
    ]


def log_loss(P, scores):
    totals = query_totals(P, P, scores)
    return totals["log_loss"].sum() / totals["count"].sum()


def measure_geometry(log, other, job):
    """Compare distances with the given answers, and recognise models."""
    is_test = np.isin(np.arange(len(log.scores)), log.test)
    as_given = replace(
        other, scores=np.where(is_test[:, None], log.scores, other.scores)
    )
    rows = [
        (method, metric, value)
        for cell, method, metric, value in geometry(
            as_given, job["n"], job["seed"], DISTANCES
        )
        if cell == COMPLETE
    ]
    for split in range(SPLITS):
        # Each split has its own draw of queries.
        seed = job["seed"] * SPLITS + split
        found = recognition(other, job["n"], seed, ("Rasch", "LOCUS"))
        rows += [row[1:] for row in found]
    return [
        {"method": method, "metric": metric, "value": value}
        for method, metric, value in rows
        if metric in GEOMETRY_METRICS
    ]


PARTS = {"prediction": measure_prediction, "geometry": measure_geometry}


if __name__ == "__main__":
    # Workers find the functions of a module, not all of those of a script.
    from study_scores import main as main_of_module

    main_of_module()
