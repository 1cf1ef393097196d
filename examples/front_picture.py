"""Draw the picture of the front page from two real logs.

    python examples/front_picture.py --data FOLDER

``FOLDER`` holds the folders ``zeroeval`` and ``routerbench``, each with
evaluations.parquet (model, query_id, score; also cost in the second), queries.parquet
and encodings_minilm.npy; ``zeroeval`` also has models.csv with the models' families.
The log of the curve is split by query: one half to fit the router, the other to replay.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from skl_locus import LocusEmbedder, LocusRouter
from skl_locus.metrics import cost_quality_curve, oracle_score
from skl_locus.model_selection import QueryShuffleSplit

PICTURE = Path(__file__).parents[1] / "docs" / "_static" / "front.png"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442")
"""Colours that differ for colour-blind readers, too (Okabe and Ito)."""

MARKERS = "os^DvPX"
OTHERS = "other families"
PLACES = [(6, 6), (6, -6), (-6, 6), (-6, -6), (6, 12), (6, -12), (-6, 12), (-6, -12)]
"""Where a name may stand, in points from what it names."""

PER = 1000  # queries that a cost is shown for


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=PICTURE, metavar="FILE")
    options = parser.parse_args(arguments)
    fig, (left, right) = plt.subplots(1, 2, figsize=(13, 5.2), layout="constrained")
    draw_map(options.data / "zeroeval", left)
    draw_curve(options.data / "routerbench", right)
    fig.savefig(options.output, dpi=110)


def read_log(folder):
    """Return the evaluations with a vector in each query cell."""
    queries = pd.read_parquet(folder / "queries.parquet").astype({"query_id": str})
    vectors = np.load(folder / "encodings_minilm.npy").astype(np.float32)
    by_id = pd.Series(list(vectors), index=queries["query_id"])
    log = pd.read_parquet(folder / "evaluations.parquet")
    log = log.astype({"model": str, "query_id": str})
    return log.assign(query=log["query_id"].map(by_id))


def draw_map(folder, ax):
    """Draw the models in the plane of their two main components, by family."""
    log = read_log(folder)
    # The geometry comes from the scores; the network, of no use for a map, is tiny.
    embedder = LocusEmbedder(n_components=16, max_iter=1, random_state=0)
    embeddings = embedder.fit_transform(log)
    pca = PCA(2).fit(embeddings)
    points = pd.DataFrame(pca.transform(embeddings), embeddings.index, ["x", "y"])
    families = pd.read_csv(folder / "models.csv").set_index("model")["family"]
    # "llama-3.1" and "llama-3" are one family here.
    families = families.reindex(points.index).str.partition("-")[0]
    large = families.value_counts().index[: len(COLORS) - 1]
    families = families.where(families.isin(large), OTHERS)
    for i, family in enumerate([*large, OTHERS]):
        part = points[families == family]
        color = "lightgrey" if family == OTHERS else COLORS[i]
        ax.scatter(
            part["x"],
            part["y"],
            s=60,
            color=color,
            marker=MARKERS[i],
            edgecolor="black",
            linewidth=0.5,
            label=family,
        )
    shares = 100 * pca.explained_variance_ratio_
    ax.set_xlabel(f"Principal component 1 ({shares[0]:.0f}% of the variance)")
    ax.set_ylabel(f"Principal component 2 ({shares[1]:.0f}%)")
    ax.set_title(f"Map of {len(points)} models by what they solve")
    ax.legend(fontsize=9, loc="best")


def draw_curve(folder, ax):
    """Draw mean score against cost: single models, and routing with each weight."""
    log = read_log(folder)
    halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
    train, test = (log.iloc[rows] for rows in next(halves.split(log)))
    router = LocusRouter(random_state=0).fit(train, train["score"])
    costs = PER * train.groupby("model")["cost"].mean()
    rows = {"queries": test["query_id"], "models": test["model"]}
    curve = cost_quality_curve(
        test["score"], router.predict_proba(test)[:, 1], costs.to_dict(), **rows
    )
    single = test.groupby("model")["score"].mean()
    ax.plot(
        curve["cost"], curve["quality"], color=COLORS[0], linewidth=2.5, label="routing"
    )
    ax.scatter(
        costs[single.index], single, color=COLORS[1], zorder=3, label="one model"
    )
    best = oracle_score(test["score"], **rows)
    ax.axhline(best, color="grey", linestyle=":", label=f"oracle ({best:.2f})")
    ax.set_xscale("log")
    ax.set_xlim(right=3 * costs.max())  # room for the last label
    ax.set_ylim(single.min() - 0.04, 1)
    ax.set_xlabel("USD per 1,000 queries (log scale)")
    ax.set_ylabel("Mean score")
    ax.set_title(f"{test['query_id'].nunique():,} queries that the router has not seen")
    ax.legend(fontsize=9, loc="upper left")
    points = {
        name.rpartition("/")[2]: (costs[name], single[name]) for name in costs.index
    }
    label_points(ax, points, list(zip(curve["cost"], curve["quality"], strict=True)))


def label_points(ax, points, others):
    """Write each name beside its point, where it covers the least."""
    figure = ax.figure
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # places are fixed from here on
    taken = ax.transData.transform([*points.values(), *others])
    boxes = []
    for name, point in points.items():
        candidates = []
        for x, y in PLACES:
            label = ax.annotate(
                name,
                point,
                xytext=(x, y),
                textcoords="offset points",
                ha="left" if x > 0 else "right",
                va="center",
                fontsize=8,
            )
            box = label.get_window_extent()
            hidden = sum(box.contains(*place) for place in taken)
            hidden += 100 * sum(box.overlaps(other) for other in boxes)
            candidates.append((hidden, len(candidates), label, box))
        _, best, _, box = min(candidates)
        boxes.append(box)
        for _, place, label, _ in candidates:
            if place != best:
                label.remove()


if __name__ == "__main__":
    main()
