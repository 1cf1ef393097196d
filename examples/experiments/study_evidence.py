"""Study the local evidence alone, on development halves, in minutes.

    python examples/experiments/study_evidence.py --change _local.PULLS=[10,10]

fits the evidence of `LocusRouter` without its network on small draws from the
development halves of both logs (each half is trained on once and tested on once) and
prints, per cell, log loss, routing accuracy and the best single model. ``--change``
sets constants of the package's modules, so that one thing can be tried at a time;
``--models`` draws small pools, ``--graded`` turns right and wrong into grades, and
``--beside`` measures quick comparators on the same draws. The ledger in
docs/results/quality-ledger.md quotes such commands. Test halves are not read.
"""

import argparse
import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate import fit_on_draw, predict, query_totals
from joblib import Parallel, delayed, parallel_config
from methods import make
from options import DEFAULT_POOLS, FOLDERS, SHARED_DATA
from protocol import (
    COMPLETE,
    SPARSE,
    Files,
    draw,
    frame,
    keep_models,
    read_log,
    restrict,
)
from scipy.special import expit
from tqdm import tqdm

from skl_locus import BestSingleRouter
from skl_locus._evaluations import positions_of
from skl_locus._local_learning import fit_local_evidence

VARIATION_SEED = 11
SIZES = {"mmlu_pro": (256, 512, 1024), "zeroeval": (256, 512)}


def main(arguments=None):
    options = parse_options(arguments)
    jobs = [
        (folder, pool, cell, n, seed, swapped)
        for folder in FOLDERS
        for pool in DEFAULT_POOLS[folder]
        for cell in (COMPLETE, SPARSE)
        for n in SIZES[folder]
        for seed in range(options.seeds)
        for swapped in (False, True)
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        rows = Parallel(n_jobs=options.n_jobs, return_as="generator")(
            delayed(study)(options, *job) for job in jobs
        )
        table = pd.DataFrame(tqdm(rows, total=len(jobs)))
    keys = ["folder", "pool", "cell", "n"]
    summary = table.groupby(keys).mean()
    summary.loc[("mean", "", "", 0)] = summary.mean()
    print(summary.round(4).to_string())
    if options.output:
        summary.to_csv(options.output)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--models", type=int, metavar="N", help="of a pool, at random")
    parser.add_argument("--graded", action="store_true")
    parser.add_argument("--beside", nargs="+", default=[], metavar="METHOD")
    parser.add_argument(
        "--change",
        nargs="+",
        default=[],
        metavar="MODULE.NAME=VALUE",
        help="constants of modules of the package, values as JSON",
    )
    return parser.parse_args(arguments)


def study(options, folder, pool, cell, n, seed, swapped):
    """Fit the evidence, and what is beside it, on one draw and measure them."""
    make_changes(options.change)
    files = Files.in_folder(options.data / folder, "minilm")
    log = restrict(read_log(files, report=False), pool, files)
    if swapped:
        log = replace(log, test=log.rest, rest=log.test)
    log = varied(log, options, seed)
    drawn = draw(log, cell, n, seed)
    scores = log.scores[drawn.test]
    row = {"folder": folder, "pool": pool, "cell": cell, "n": n}
    row |= measures("", *judge(log, drawn), scores)
    for method in options.beside:
        router = make(method, seed)
        fit_on_draw(router, log, drawn)
        P, decisions = predict(router, log, drawn.test, scores)
        row |= measures(f" {method}", decisions, P, scores)
    single = np.nanmean(drawn.seen, axis=0).argmax()
    return row | {"best_single": np.nanmean(scores[:, single])}


def varied(log, options, seed):
    """Draw a small pool, and grade the scores: right in [0.5, 1], wrong below."""
    rng = np.random.default_rng([seed, VARIATION_SEED])
    if options.models:
        kept = rng.permutation(len(log.models))[: options.models]
        log = keep_models(log, np.isin(np.arange(len(log.models)), kept))
    if options.graded:
        graded = (log.scores + rng.uniform(size=log.scores.shape)) / 2
        log = replace(log, scores=graded)
    return log


def measures(name, decisions, P, scores):
    totals = query_totals(P, decisions, scores)
    return {
        f"log_loss{name}": totals["log_loss"].sum() / totals["count"].sum(),
        f"routing{name}": np.nanmean(totals["chosen"]),
    }


def make_changes(changes):
    for change in changes:
        path, value = change.split("=", 1)
        module, name = path.rsplit(".", 1)
        module = importlib.import_module(f"skl_locus.{module}")
        if not hasattr(module, name):
            raise ValueError(f"{path} is not a constant of the package.")
        setattr(module, name, json.loads(value))


def judge(log, drawn):
    """Return decision scores and P(correct), both without the network."""
    table = frame(log, drawn.train, drawn.seen)
    # The simplest router reads the table.
    reader = BestSingleRouter().fit(table, table["score"])
    evaluations = reader._fitted_pool().evaluations
    nothing_held_out = np.zeros(len(evaluations), dtype=bool)
    evidence = fit_local_evidence(evaluations, nothing_held_out, np.empty(0))
    shared = replace(evidence.shared, network_share=0.0)
    packed = replace(evidence, shared=shared).pack()
    encodings = log.vectors[drawn.test]
    no_network = np.zeros((len(encodings), evaluations.n_models), dtype=np.float32)
    order = positions_of(log.models, evaluations)
    decisions, logits = packed.judge(encodings, no_network)
    return decisions[:, order], expit(logits)[:, order]


if __name__ == "__main__":
    main()
