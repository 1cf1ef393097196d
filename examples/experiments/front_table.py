"""Print the table of results of the README from the files in ``docs/results``.

    python examples/experiments/front_table.py
    python examples/experiments/front_table.py --report

Rows are the pools of `study_prediction.py`; each number is a mean over its four cells
(few and many training queries, complete and sparse). The strongest comparator is that
of the highest mean over all cells. ``--report`` reads the test halves and computes the
oracle: the mean score of the best model of each test query, known only afterwards.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from markdown import table
from options import DEFAULT_POOLS, SHARED_DATA
from protocol import ALL_MODELS, Files, read_log, restrict
from study_prediction import COMPARATORS, SIZES

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
BEST_SINGLE = "Best single"
NAMES = {
    ("mmlu_pro", "mid"): "MMLU-Pro without its leaders",
    ("mmlu_pro", "all"): "MMLU-Pro",
    ("zeroeval", "mid"): "ZeroEval without its leaders",
    ("zeroeval", "complete"): "ZeroEval",
    ("bfcl", "all"): "BFCL",
    ("routerbench", "all"): "RouterBench, a part",
}
"""Names of the pools; those without leaders leave out models that nearly always win."""


def main(arguments=None):
    options = parse_options(arguments)
    if options.report:
        oracle(options.data).to_csv(RESULTS / "oracle.csv", index=False)
    print(table(front_table()))


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--report", action="store_true", help="read the test halves")
    return parser.parse_args(arguments)


def oracle(data):
    """Return the mean score of the best observed model per test query, by pool."""
    rows = []
    for folder in SIZES:
        files = Files.in_folder(data / folder, "minilm")
        for pool in DEFAULT_POOLS.get(folder, (ALL_MODELS,)):
            log = restrict(read_log(files, report=True), pool, files)
            scores = log.scores[log.test]
            scores = scores[np.isfinite(scores).any(axis=1)]
            best = np.nanmax(scores, axis=1).mean()
            rows.append((folder, pool, len(log.models), len(scores), round(best, 3)))
    return pd.DataFrame(rows, columns=["log", "pool", "models", "queries", "oracle"])


def front_table():
    """Return a row per pool: routing beside its references, and log loss."""
    keys = ["log", "pool"]
    routing = pd.read_csv(RESULTS / "prediction_routing_accuracy.csv")
    loss = pd.read_csv(RESULTS / "prediction_log_loss.csv")
    best = pd.read_csv(RESULTS / "oracle.csv").set_index(keys)
    strongest = routing[[c for c in COMPARATORS if c != BEST_SINGLE]].mean().idxmax()
    routing, loss = (
        frame.groupby(keys).mean(numeric_only=True) for frame in (routing, loss)
    )
    rows = [
        {
            "Log": f"{name} ({best['models'][pool]} models)",
            "best single": f"{routing[BEST_SINGLE][pool]:.3f}",
            strongest: f"{routing[strongest][pool]:.3f}",
            "LOCUS": f"{routing['LOCUS'][pool]:.3f}",
            "oracle": f"{best['oracle'][pool]:.3f}",
            f"log loss: best single, {strongest}, LOCUS": ", ".join(
                f"{loss[method][pool]:.3f}"
                for method in (BEST_SINGLE, strongest, "LOCUS")
            ),
        }
        for pool, name in NAMES.items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
