"""Distance of embeddings and agreement of answers (Table 3, Figures 6, 7, 8)."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from evaluate import fit_job, same_family
from figures import label, legend_outside, level, panels, save
from jobs import run_jobs
from methods import EMBEDDING_METHODS
from options import folder_of, job, main_logs, parse_options, speed
from protocol import COMPLETE, available_sizes, draw, frame

from skl_locus.inspection import (
    DistanceAgreementDisplay,
    DistanceHeatmapDisplay,
    EmbeddingMapDisplay,
    disagreement,
    distance_agreement,
    model_distances,
    neighbor_agreement,
)

NAME = "e4_geometry"
SEED = 0
METRICS = ("cosine", "euclidean")
N_NEIGHBORS = 10
MIN_COMMON = 30


@dataclass(frozen=True)
class Plan:
    """Training queries, and draws of models for the intervals."""

    n_queries: int
    resamples: int


PLANS = {
    "full": Plan(1024, 300),
    "paper": Plan(4096, 300),
    "quick": Plan(512, 200),
    "smoke": Plan(64, 10),
}


def run(options):
    plan = PLANS[speed(options)]
    for log in main_logs(options):
        folder = folder_of(log, options)
        routers = fit_routers(EMBEDDING_METHODS, log, plan.n_queries, options)
        if not routers:
            continue
        test = frame(log, log.test, log.scores[log.test])
        differences = disagreement(test, test["score"], min_common=MIN_COMMON)
        correlations, neighbors = [], []
        tables = {
            name: {m: model_distances(router, metric=m) for m in METRICS}
            for name, router in routers.items()
        }
        tables |= baseline_distances(log, plan.n_queries)
        for name, distances in tables.items():
            for metric, table in distances.items():
                found = correlate(table, differences, plan.resamples)
                correlations.append(found.assign(method=name, metric=metric))
            # Of baselines there is one distance each.
            near = neighbor_agreement(
                distances["euclidean"],
                differences,
                k=min(N_NEIGHBORS, len(log.models) - 1),
            )
            kin = of_families(distances["euclidean"], log.details)
            neighbors.append(near.reset_index().assign(method=name, **kin))
        pd.concat(correlations).to_csv(folder / f"{NAME}_correlations.csv", index=False)
        table = pd.concat(neighbors)
        table.to_csv(folder / f"{NAME}_neighbors.csv", index=False)
        draw_neighbors(table, log, folder / f"{NAME}_neighbors.png")
        first, router = next(iter(routers.items()))
        draw_pairs(router, differences, f"{log.name}, {first}", folder)
        draw_families(router, log.details, folder)


def fit_routers(names, log, n_queries, options):
    """Return a fitted router for each method asked for, from the cache if there."""
    names = [name for name in names if name in options.methods]
    n = available_sizes(log, (n_queries,))[-1]
    jobs = [job(options, name, SEED, cell=COMPLETE, n=n) for name in names]
    routers = run_jobs(fit_job, log, jobs, options, "fitted routers")
    return dict(zip(names, routers, strict=True))


def baseline_distances(log, n_queries):
    """Return distances that know one number of each model, or no other queries."""
    n = available_sizes(log, (n_queries,))[-1]
    drawn = draw(log, COMPLETE, n, SEED)
    training = frame(log, drawn.train, drawn.seen)
    means = training.groupby("model")["score"].mean()
    by_mean = np.abs(means.to_numpy()[:, None] - means.to_numpy())
    hamming = disagreement(training, training["score"], min_common=MIN_COMMON)
    return {
        "Mean scores (one number)": {
            "euclidean": pd.DataFrame(by_mean, means.index, means.index)
        },
        "Hamming (common queries)": {"euclidean": hamming},
    }


def correlate(distances, differences, resamples):
    order = distances.index
    differences = differences.reindex(index=order, columns=order)
    table = distance_agreement(
        distances, differences, n_resamples=resamples, random_state=SEED
    )
    return table.reset_index()


def of_families(distances, details):
    """Return columns of how often the nearest model is of the same family."""
    if "family" not in details:
        return {}
    families = details["family"].reindex(distances.index).to_numpy()
    hits, chance = same_family(distances.to_numpy(), families)
    return {} if np.isnan(hits) else {"family_hits": hits, "family_chance": chance}


def draw_neighbors(table, log, path):
    figure, (ax,) = panels(1, width=6.5)
    for name, group in table.groupby("method", sort=False):
        ax.errorbar(
            group["neighbor"],
            group["agreement"],
            yerr=group["standard_error"],
            marker="o",
            capsize=3,
            label=name,
        )
    level(ax, table["random"].iloc[0], "random pair")
    label(
        ax,
        f"{log.name}: nearest by Euclidean distance",
        "Neighbour k",
        "Agreement (share of test queries)",
    )
    legend_outside(figure, ax)
    save(figure, path)


def draw_pairs(router, differences, title, folder):
    figure, axes = panels(2)
    for ax, metric in zip(axes, METRICS, strict=True):
        distances = model_distances(router, metric=metric)
        order = distances.index
        DistanceAgreementDisplay.from_predictions(
            distances, differences.reindex(index=order, columns=order), ax=ax
        )
        ax.set_xlabel(f"{metric.capitalize()} distance of embeddings")
    figure.suptitle(title)
    save(figure, folder / f"{NAME}_pairs.png")


def draw_families(router, details, folder):
    families = None
    if "family" in details:
        families = details["family"].reindex(router.models_).fillna("unknown")
    heatmap = DistanceHeatmapDisplay.from_estimator(router, color=families)
    save(heatmap.figure_, folder / f"{NAME}_heatmap.png")
    figure, ax = plt.subplots(figsize=(14, 10), layout="constrained")
    EmbeddingMapDisplay.from_estimator(router, color=families, ax=ax)
    ax.margins(x=0.15)
    plt.setp(ax.texts, fontsize=6)
    save(figure, folder / f"{NAME}_map.png")


if __name__ == "__main__":
    from e4_geometry import run as run_module

    run_module(parse_options(__doc__))
