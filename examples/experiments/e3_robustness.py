"""Other or fewer evaluations of the same models (Figures 4, 5, 13 to 17).

Embeddings are made anew from parts of a reference set, and from sets that overlap it.
Appendix F: embeddings trained by gradients are trained again with the predictor frozen
(``REGENERATED`` of ``methods.py``), beside those of LOCUS, which are computed again.
"""

from copy import deepcopy
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from evaluate import fit_on_draw, predict, summarise
from figures import label, legend_outside, level, lines, panels, save
from jobs import run_jobs
from methods import LOCUS, REGENERATED, SET_EMBEDDERS, make
from options import folder_of, job, main_logs, parse_options, seeds, speed
from protocol import COMPLETE, Draw, available_sizes, draw, frame, subsample
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import paired_cosine_distances

from skl_locus.inspection import embedding_stability

NAME = "e3_robustness"
OVERLAPS = (0.0, 0.25, 0.5, 0.75, 1.0)
N_REGENERATED = 8
"""Models whose embeddings are trained again: each takes seconds."""

N_SHOWN = 5
"""Models whose embeddings are drawn on the map."""

SIZE, OVERLAP = "size", "overlap"
X_LABELS = {SIZE: "Evaluations used", OVERLAP: "Share of evaluations in the reference"}


@dataclass(frozen=True)
class Plan:
    """Queries of the fit (half of them are the reference) and sizes of its parts.

    ``regenerated`` is how many of the gradient-trained methods are tried, all by
    default.
    """

    n_queries: int
    sizes: tuple
    draws: int
    stability_repeats: int
    regenerated: int | None = None


PLANS = {
    "full": Plan(1024, (16, 32, 64, 128, 256, 512), 2, 3),
    "paper": Plan(4096, (16, 32, 64, 128, 256, 512, 1024, 2048), 2, 3),
    "quick": Plan(512, (16, 64, 256), 1, 2, 1),
    "smoke": Plan(64, (8, 16), 1, 1),
}


def run(options):
    plan = PLANS[speed(options)]
    for log in main_logs(options):
        n = available_sizes(log, (plan.n_queries,))[-1]
        methods = [name for name in options.methods if name in SET_EMBEDDERS]
        folder = folder_of(log, options)
        planned = {"n": n, "sizes": plan.sizes, "repeats": plan.stability_repeats}
        jobs = [
            job(options, method, seed, **planned)
            for method in methods
            for seed in seeds(options, plan.draws)
        ]
        results = run_jobs(robustness_job, log, jobs, options, NAME)
        changes = pd.DataFrame([row for result in results for row in result["rows"]])
        changes.to_csv(folder / f"{NAME}.csv", index=False)
        if results:
            draw_changes(changes, results, log, folder / f"{NAME}.png")
            draw_map(results[0], log, folder / f"{NAME}_map.png")
        regenerate(log, n, plan, methods, options)


def robustness_job(log, job):
    """Fit once; embed all models anew from changed evaluations and measure."""
    drawn = draw(log, COMPLETE, job["n"], job["seed"])
    router = make(job["method"], job["seed"], job["tiny"])
    fit_on_draw(router, log, drawn)
    scores = log.scores[drawn.test]
    rows, moved = [], []
    for change, value, seen in changed_scores(drawn.seen, job):
        again = embed_again(router, log, drawn.train, seen)
        P, decisions = predict(again, log, drawn.test, scores)
        about = {"method": job["method"], "seed": job["seed"]}
        about |= {"change": change, "value": value}
        rows.append(about | summarise(P, decisions, scores, seen))
        moved.append((change, value, again.embeddings_))
    stability = embedding_stability(
        router,
        sizes=job["sizes"],
        n_repeats=job["repeats"],
        random_state=job["seed"],
    )
    return {
        "rows": rows,
        "moved": moved,
        "models": router.models_,
        "stability": stability,
        "method": job["method"],
    }


def changed_scores(seen, job):
    """Yield (change, value, scores): parts of a reference, and sets overlapping it."""
    rng = np.random.default_rng([job["seed"], 3])
    order = rng.permutation(len(seen))
    half = len(seen) // 2
    reference, others = order[:half], order[half:]
    for size in [size for size in job["sizes"] if size < half]:
        yield SIZE, size, subsample(only(seen, reference), size, rng)
    yield SIZE, half, only(seen, reference)
    for share in OVERLAPS:
        kept = round(share * half)
        rows = np.append(rng.permutation(reference)[:kept], others[: half - kept])
        yield OVERLAP, share, only(seen, rows)


def only(scores, rows):
    kept = np.full(scores.shape, np.nan)
    kept[rows] = scores[rows]
    return kept


def embed_again(router, log, rows, seen):
    """Replace all evaluations of a copy of the router."""
    table = frame(log, rows, seen)
    return deepcopy(router).add_models(table, table["score"], replace=True)


def draw_changes(changes, results, log, path):
    """Draw accuracies and distances against number and overlap of evaluations."""
    stability = pd.concat(
        [result["stability"].assign(method=result["method"]) for result in results]
    )
    figure, axes = panels(2, 2)
    for column, change in enumerate(X_LABELS):
        draw_accuracy(axes[column], changes[changes["change"] == change], change)
        some = stability[stability["change"] == change]
        draw_distance(axes[2 + column], some, change)
    legend_outside(figure, axes[0])
    figure.suptitle(f"{log.name}: embeddings made again")
    save(figure, path)


def draw_accuracy(ax, changes, change):
    keys = ["method", "value"]
    metrics = [f"{kind}_accuracy" for kind in ("routing", "correctness")]
    means = changes.groupby(keys, sort=False)[metrics].mean().reset_index()
    long = means.melt(keys, metrics, "metric", "accuracy")
    long["line"] = long["method"] + ", " + long["metric"].str.replace("_", " ")
    lines(ax, long, "value", "accuracy", by="line", log_x=change == SIZE)
    label(ax, "Accuracy", X_LABELS[change], "Accuracy on test queries")


def draw_distance(ax, stability, change):
    shares = stability.assign(share=stability["distance"] / stability["median_other"])
    groups = shares.groupby(["method", "value"], sort=False)["share"]
    lines(ax, groups.mean().reset_index(), "value", "share", log_x=change == SIZE)
    level(ax, 1, "median other model")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    y = "Relative to the median other model"
    label(ax, "Distance to the reference", X_LABELS[change], y)


def draw_map(result, log, path):
    """Show where the embeddings of some models move (as Figure 5, by PCA)."""
    reference = next(
        z for change, value, z in result["moved"] if change == OVERLAP and value == 1
    )
    projection = PCA(2, random_state=0).fit(reference)
    shown = np.linspace(0, len(reference) - 1, N_SHOWN).astype(int)
    figure, axes = panels(2)
    for ax, change in zip(axes, (SIZE, OVERLAP), strict=True):
        ax.scatter(*projection.transform(reference).T, color="lightgrey", s=25)
        for model in shown:
            moves = [z[model] for kind, _, z in result["moved"] if kind == change]
            name = str(result["models"][model])
            ax.plot(*projection.transform(moves).T, "o-", ms=4, lw=0.8, label=name)
        title = {SIZE: "Fewer evaluations", OVERLAP: "Other evaluations"}[change]
        label(ax, title, "Principal component 1", "Principal component 2")
    legend_outside(figure, axes[0])
    figure.suptitle(f"{log.name}, {result['method']}; grey: the reference")
    save(figure, path)


def regenerate(log, n, plan, methods, options):
    """Regenerate embeddings of Appendix F; LOCUS for comparison."""
    names = [LOCUS] * (LOCUS in methods) + list(REGENERATED)[: plan.regenerated]
    jobs = [
        job(options, name, seed, n=n) for name in names for seed in seeds(options, 1)
    ]
    results = run_jobs(regeneration_job, log, jobs, options, f"{NAME}, regeneration")
    table = pd.DataFrame([row for rows in results for row in rows])
    folder = folder_of(log, options)
    table.to_csv(folder / f"{NAME}_regeneration.csv", index=False)
    if len(table):
        draw_regeneration(table, log, folder / f"{NAME}_regeneration.png")


def regeneration_job(log, job):
    """Fit on half of the queries; make all embeddings again under other names."""
    drawn = draw(log, COMPLETE, job["n"], job["seed"])
    rng = np.random.default_rng([job["seed"], 3])
    order = rng.permutation(len(drawn.train))
    half = len(order) // 2
    fitted = only(drawn.seen, order[:half])
    router = make(job["method"], job["seed"], job["tiny"])
    fit_on_draw(router, log, Draw(drawn.train, fitted, drawn.test))
    sets = {
        "the same evaluations": fitted,
        "a quarter of them": subsample(fitted, half // 4, rng),
        "other evaluations": only(drawn.seen, order[half:]),
    }
    return [
        {"method": job["method"], "seed": job["seed"], "regenerated_from": name}
        | compare_with_clones(router, log, drawn, seen)
        for name, seen in sets.items()
    ]


def compare_with_clones(router, log, drawn, seen):
    """Add every model once more and compare its embedding and its predictions."""
    table = frame(log, drawn.train, seen)
    known = [name for name in router.models_ if (table["model"] == name).any()]
    step = max(1, len(known) // N_REGENERATED)
    known = known[::step][:N_REGENERATED]
    table = table[table["model"].isin(known)]
    clones = deepcopy(router).add_models(
        table.assign(model=table["model"] + CLONE), table["score"]
    )
    position = {name: i for i, name in enumerate(clones.models_)}
    old = [position[name] for name in known]
    new = [position[name + CLONE] for name in known]
    P = clones.correctness_matrix(log.vectors[drawn.test])
    return {
        "cosine_distance": float(
            paired_cosine_distances(
                clones.embeddings_[old], clones.embeddings_[new]
            ).mean()
        ),
        "disagreement": float(((P[:, old] >= 0.5) != (P[:, new] >= 0.5)).mean()),
    }


CLONE = " (again)"


def draw_regeneration(table, log, path):
    figure, axes = panels(2, width=6)
    for ax, column, y in (
        (axes[0], "cosine_distance", "Cosine distance to the first embedding"),
        (axes[1], "disagreement", "Share of predictions that change"),
    ):
        means = table.pivot_table(
            index="method", columns="regenerated_from", values=column, sort=False
        )
        means.plot.bar(ax=ax, legend=False)
        ax.tick_params(axis="x", rotation=20)
        plt.setp(ax.get_xticklabels(), ha="right")
        label(ax, f"{log.name}: embeddings made again", "", y)
    legend_outside(figure, axes[0])
    save(figure, path)


if __name__ == "__main__":
    from e3_robustness import run as run_module

    run_module(parse_options(__doc__))
