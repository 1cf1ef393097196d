"""Compute one small cell per method and compare it with the numbers pinned beside it.

    python examples/experiments/check_cells.py
    python examples/experiments/check_cells.py --write

The first exits with 1 where a number differs, since cached results of that method would
no longer be what the code computes. If the change is meant, raise the version of the
method (or of the protocol) in ``results_versions.py`` and run the second, which pins
the new numbers; it does not pin a changed number under its old version.

The data are synthetic and the networks tiny, so that all cells take seconds and ten
steps of training have no time to magnify differences of rounding.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from evaluate import evaluate_job
from methods import METHODS
from protocol import COMPLETE, make_log
from results_versions import results_version

from skl_locus.datasets import make_evaluations

PINNED = Path(__file__).with_name("pinned_cells.csv")
MEASURES = ("log_loss", "routing_accuracy")
DIGITS = 6

TOLERANCE = 1e-5
"""Largest difference that is taken for rounding.

Other instruction sets (AVX-512, AVX2, none) and one or two threads moved no number of
these cells by more than 1e-8, and no choice of a model; a thousand times that leaves
room for processors that were not tried. Changes of a method move them by far more.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--write", action="store_true", help="pin the new numbers of raised versions"
    )
    parser.add_argument("--pinned", type=Path, default=PINNED, metavar="FILE")
    options = parser.parse_args(arguments)
    pinned, found = read_cells(options.pinned), computed_cells()
    problems = changed_numbers(pinned, found)
    if not options.write:
        problems += unpinned_versions(pinned, found)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if options.write:
        found.to_csv(options.pinned, float_format=f"%.{DIGITS}f")
    print(f"{len(found)} cells: no number has changed under its results version")
    return 0


def read_cells(path):
    if not path.exists():
        return pd.DataFrame(columns=["version", *MEASURES])
    return pd.read_csv(path, index_col="method", dtype={"version": str})


def computed_cells():
    """Return the measures of every method, with its results version."""
    log = small_log()
    rows = {method: measured(log, method) for method in METHODS}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def small_log():
    """Return a partial synthetic log on which no two methods give the same numbers."""
    pool = make_evaluations(
        n_models=8,
        n_queries=320,
        n_tasks=3,
        observed=0.9,
        specialization=1.5,
        noise=1.0,
        random_state=0,
    )
    return make_log(
        "pinned",
        pool.evaluations[["model", "query_id", "score"]],
        pool.queries,
        pool.encodings,
        pool.models,
        report=True,
    )


def measured(log, method):
    job = {"method": method, "seed": 0, "tiny": True, "cell": COMPLETE, "n": 96}
    overall = evaluate_job(log, job)["rows"][0]
    values = {name: round(overall[name], DIGITS) for name in MEASURES}
    return {"version": results_version(method), **values}


def changed_numbers(pinned, found):
    """Return a sentence for each number that differs under its pinned version."""
    problems = []
    for method in found.index.intersection(pinned.index):
        old, new = pinned.loc[method], found.loc[method]
        if old["version"] != new["version"]:
            continue
        problems += [
            f"{method}: {name} is {new[name]:.{DIGITS}f}, expected "
            f"{old[name]:.{DIGITS}f}. If this is meant, raise the version of "
            f"{method!r} in results_versions.py, then run check_cells.py --write."
            for name in MEASURES
            if not abs(new[name] - old[name]) <= TOLERANCE
        ]
    return problems


def unpinned_versions(pinned, found):
    """Return a sentence for each method without numbers under its version."""
    versions = pinned["version"].reindex(found.index)
    return [
        f"{method}: no numbers are pinned for the results version {version}. Run "
        "check_cells.py --write."
        for method, version in found["version"][versions != found["version"]].items()
    ]


if __name__ == "__main__":
    sys.exit(main())
