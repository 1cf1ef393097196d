"""Write the table of the page "Which router when" from the files in ``docs/results``.

    python examples/experiments/which_router.py

Numbers are means over the cells of `study_prediction.py`: four logs, six pools, few and
many training queries, complete and sparse. The poorest logs are the sparse ones of 256
queries.
"""

from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
FEW = 256

ROWS = {
    "LOCUS": (
        "`LocusRouter`",
        "lowest log loss in {wins} of {n} settings; embeddings, trust, new models from "
        "32 evaluations; needs torch to fit",
    ),
    "Linear": ("`LinearRouter`", "no torch, fits in a second; no embeddings"),
    "IRT-Net": (
        "`IRTRouter`",
        "a trained network; new models need a fit of their vector",
    ),
    "KMeans": (
        "`KMeansRouter`",
        "the fastest, and easy to explain: mean scores per cluster",
    ),
    "kNN (softmax)": (
        "`KNNRouter`, softmax",
        "no fit at all; keeps all queries, slow on partial logs",
    ),
    "Best single": (
        "`BestSingleRouter`",
        "one model for all queries: what the others have to beat",
    ),
}
"""Names on the page, with what the numbers do not say."""


def main():
    which_router_table().to_csv(RESULTS / "which_router.csv", index=False)


def which_router_table():
    """Return a row per router."""
    routing = pd.read_csv(RESULTS / "prediction_routing_accuracy.csv")
    loss = pd.read_csv(RESULTS / "prediction_log_loss.csv")
    poorest = routing[(routing["cell"] == "sparse") & (routing["n"] == FEW)]
    best = loss[list(ROWS)].eq(loss[list(ROWS)].min(axis=1), axis=0).sum()
    rows = [
        {
            "Router": name,
            "Log loss": f"{loss[method].mean():.3f}",
            "Score of routes": f"{routing[method].mean():.3f}",
            f"{FEW} queries, sparse": f"{poorest[method].mean():.3f}",
            "Strength and price": words.format(wins=best[method], n=len(loss)),
        }
        for method, (name, words) in ROWS.items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
