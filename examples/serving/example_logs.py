"""Write small logs to try the command line and the nightly job with.

``log.csv`` has evaluations of five models on texts, ``week.csv`` those of the same
models on other texts, ``new_model.csv`` those of another model, and ``costs.csv`` the
costs of a call of each model. All are synthetic: which model is right depends on the
task, which the text names.
"""

import sys
from pathlib import Path

import pandas as pd

from skl_locus.datasets import make_evaluations

NEW_MODEL = "model-5"
N_IN_LOG = 200


def main(folder="."):
    pool = make_evaluations(
        n_models=6, n_queries=300, specialization=6.0, random_state=0
    )
    log = pool.evaluations[["model", "query_id", "task", "score"]]
    log = log.astype({"model": str, "task": str})
    log["query"] = "about " + log["task"] + ", see " + log["query_id"]
    known = log["model"] != NEW_MODEL
    is_early = log["query_id"].rank(method="dense") <= N_IN_LOG
    parts = {
        "log": log[known & is_early],
        "week": log[known & ~is_early],
        "new_model": log[~known & is_early],
        "costs": pool.models["cost"].rename_axis("model").reset_index(),
    }
    for name, table in parts.items():
        pd.DataFrame(table).to_csv(Path(folder, f"{name}.csv"), index=False)


if __name__ == "__main__":
    main(*sys.argv[1:2])
