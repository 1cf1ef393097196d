"""Study what `LocusRouter` is made of, on development halves, in minutes.

    python examples/experiments/study_evidence.py --change shrinkage_range=[10,10]
    python examples/experiments/study_evidence.py --network n_inputs=32 --sizes 512

The first fits the evidence without its network on small draws from the development
halves of four logs (each half is trained on once and tested on once) and prints, per
cell, log loss, routing accuracy and the best single model; the second fits all of the
router, with the parameters given, and prints the network's log loss as well.
``--change`` sets fields of the package's `EvidenceConfig`, so that one thing can be
tried at a time; ``weights.mean=0`` sets one entry of a mapping. Logs of other kinds:
``--models`` draws small pools, ``--scores`` turns right and wrong into grades or into
levels of a judge, ``--uneven`` gives models from a few to all of the evaluations.
``--beside`` measures comparators on the same draws. The ledger in
docs/results/quality-ledger.md quotes such commands, older ones with the names of
constants that became these fields. Test halves are not read.
"""

import argparse
import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate import fit_on_draw, predict, query_totals
from joblib import Parallel, delayed, parallel_config
from methods import LOCUS, make
from options import DEFAULT_POOLS, SHARED_DATA
from protocol import (
    ALL_MODELS,
    COMPLETE,
    SHIFT,
    SPARSE,
    Files,
    draw,
    frame,
    read_log,
    restrict,
)
from scipy.special import expit
from tqdm import tqdm
from variations import SCORES, few_models, other_scores, uneven

from skl_locus import BestSingleRouter
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.fit import fit_evidence

SIZES = {
    "mmlu_pro": (256, 512, 1024),
    "zeroeval": (256, 512),
    "bfcl": (200, 400),
    "routerbench": (256, 700),
}
EVERY_TASK = "shift"
"""Of ``--cells``: each task is missing from the training queries once."""

SMALLEST_TASK = 40
"""Queries of a task that is worth a cell."""


def main(arguments=None):
    options = parse_options(arguments)
    jobs = [
        (folder, pool, cell, n, seed, swapped)
        for folder in options.logs
        for cell in cells_of(options, folder)
        for pool in DEFAULT_POOLS.get(folder, (ALL_MODELS,))
        for n in options.sizes or SIZES[folder]
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
    of_logs = table.drop(columns=["pool", "cell", "n"]).groupby("folder").mean()
    for folder, means in of_logs.iterrows():
        summary.loc[("mean of", folder, "", 0)] = means
    summary.loc[("mean", "", "", 0)] = of_logs.mean()
    print(summary.round(4).to_string())
    if options.output:
        summary.to_csv(options.output)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(SIZES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument(
        "--cells",
        nargs="+",
        default=[COMPLETE, SPARSE],
        help="complete, sparse, or shift: each task but the smallest is left out once",
    )
    parser.add_argument("--sizes", nargs="+", type=int, metavar="N")
    parser.add_argument("--models", type=int, metavar="N", help="of a pool, at random")
    parser.add_argument("--scores", choices=SCORES, default="given")
    parser.add_argument("--uneven", action="store_true")
    parser.add_argument(
        "--network",
        nargs="*",
        metavar="PARAMETER=VALUE",
        help="fit the network as well; its parameters, values as JSON",
    )
    parser.add_argument("--beside", nargs="+", default=[], metavar="METHOD")
    parser.add_argument(
        "--change",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="fields of EvidenceConfig, or FIELD.KEY of mappings; values as JSON",
    )
    return parser.parse_args(arguments)


def cells_of(options, folder):
    """List the cells; ``shift`` stands for one per task."""
    log = read_log(Files.in_folder(options.data / folder, "minilm"), report=False)
    return cells_with_tasks(options.cells, log)


def cells_with_tasks(cells, log):
    """Put a cell for each task that has enough queries in the place of ``shift``."""
    counts = pd.Series(log.tasks[log.rest]).value_counts()
    tasks = counts.index[counts >= SMALLEST_TASK].sort_values()
    by_task = [f"{SHIFT}{task}" for task in tasks]
    return [
        own for cell in cells for own in (by_task if cell == EVERY_TASK else [cell])
    ]


def study(options, folder, pool, cell, n, seed, swapped):
    """Fit the evidence, and what is beside it, on one draw and measure them."""
    config = changed_config(options.change)
    files = Files.in_folder(options.data / folder, "minilm")
    log = restrict(read_log(files, report=False), pool, files)
    if swapped:
        log = replace(log, test=log.rest, rest=log.test)
    log = few_models(log, options.models, seed)
    log = other_scores(log, options.scores, seed)
    drawn = draw(log, cell, n, seed)
    if options.uneven:
        drawn = replace(drawn, seen=uneven(drawn.seen, seed))
    scores = log.scores[drawn.test]
    row = {"folder": folder, "pool": pool, "cell": cell, "n": n}
    if options.network is None:
        row |= measures("", *evidence_alone(log, drawn, config), scores)
    else:
        router = make(LOCUS, seed, **read_parameters(options.network))
        router._evidence_config = config
        fit_on_draw(router, log, drawn)
        row |= measures_of(router, "", log, drawn)
        row |= measures_of(without_evidence(router), " network", log, drawn)
    for method in options.beside:
        router = make(method, seed)
        fit_on_draw(router, log, drawn)
        row |= measures_of(router, f" {method}", log, drawn)
    single = np.nanmean(drawn.seen, axis=0).argmax()
    row["best_single"] = np.nanmean(scores[:, single])
    return row | {"best_by_task": best_by_task(scores, log.tasks[drawn.test])}


def best_by_task(scores, tasks):
    """Score the best model of each task, as these very scores tell: a bound."""
    best = np.full(len(scores), np.nan)
    for task in np.unique(tasks):
        means = np.nanmean(scores[tasks == task], axis=0)
        best[tasks == task] = means.max()
    return best.mean()


def measures_of(router, name, log, drawn):
    scores = log.scores[drawn.test]
    P, decisions = predict(router, log, drawn.test, scores)
    return measures(name, decisions, P, scores)


def measures(name, decisions, P, scores):
    totals = query_totals(P, decisions, scores)
    return {
        f"log_loss{name}": totals["log_loss"].sum() / totals["count"].sum(),
        f"routing{name}": np.nanmean(totals["chosen"]),
    }


def changed_config(changes):
    """Return the default configuration with fields, or entries of mappings, set."""
    config = EvidenceConfig()
    for path, value in read_parameters(changes).items():
        name, _, key = path.partition(".")
        if name not in vars(config) or (key and key not in getattr(config, name)):
            raise ValueError(f"{path} is not a setting of the evidence.")
        value = {**getattr(config, name), key: value} if key else value
        config = replace(config, **{name: value})
    return config


def read_parameters(assignments):
    """Read NAME=VALUE, values as JSON."""
    pairs = (assignment.split("=", 1) for assignment in assignments)
    return {name: json.loads(value) for name, value in pairs}


def without_evidence(router):
    """Take the stacked evidence off a fitted router."""
    bare = copy(router)
    bare._pool = replace(router._fitted_pool(), evidence=None)
    return bare


def evidence_alone(log, drawn, config):
    """Return decision scores and P(correct), both without the network."""
    table = frame(log, drawn.train, drawn.seen)
    # The simplest router reads the table.
    reader = BestSingleRouter().fit(table, table["score"])
    evaluations = reader._fitted_pool().evaluations
    none_held_out = np.zeros(len(evaluations), dtype=bool)
    evidence = fit_evidence(evaluations, none_held_out, np.empty(0), config)
    shared = replace(evidence.shared, network_share=0.0)
    packed = replace(evidence, shared=shared).pack()
    encodings = log.vectors[drawn.test]
    no_network = np.zeros((len(encodings), evaluations.n_models), dtype=np.float32)
    order = evaluations.index_of(log.models)
    decisions, logits = packed.scores_and_probabilities(encodings, no_network)
    return decisions[:, order], expit(logits)[:, order]


if __name__ == "__main__":
    # Workers find the functions of a module, not all of those of a script.
    from study_evidence import main as main_of_module

    main_of_module()
