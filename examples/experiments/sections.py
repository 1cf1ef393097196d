"""One section of the report per experiment, from its CSV files.

A section is a list of Markdown blocks: sentences, tables and pictures.
"""

import numpy as np
import pandas as pd
import paper
from e2_onboarding import ERRORS
from markdown import picture, table
from methods import LOCUS, LOCUS_PAPER
from protocol import COMPLETE

MAIN_METRICS = (
    "routing_accuracy",
    "correctness_accuracy",
    "log_loss",
    "brier",
    "roc_auc",
    "ece",
)

DIFFERENCE_COLUMNS = [
    *("pool", "cell", "n", "comparator", "metric"),
    *("difference", "low", "high", "p_holm", "n_draws"),
]
PORTFOLIO_SIZES = (1, 2, 3, 5, 8, 15)
PORTFOLIO_BASELINES = ["top_mean", "greedy_cover", "random_mean"]
BUDGET_COLUMNS = [
    *("method", "budget", "size"),
    *("accuracy", "best_expected", *PORTFOLIO_BASELINES, "pool_accuracy"),
]


def sample_efficiency(read, folder):
    name = "e1_sample_efficiency"
    rows = read(name)
    overall = rows[rows["task"] == "all"]
    blocks = [
        *all_cells(overall),
        picture(folder, f"{name}.png"),
        "**The paper's accuracies (Tables 2, 5, 6) beside ours**, complete cell of "
        "the main pool, in percent:",
        table(beside_paper(overall, rows["pool"].iloc[0])),
    ]
    for metric in ("routing_accuracy", "correctness_accuracy"):
        blocks += [
            f"**Per task**, {metric.replace('_', ' ')}, complete cell:",
            table(per_task(rows, metric)),
            *per_task_of_paper(rows, metric),
        ]
    return [
        *blocks,
        *differences(read(f"{name}_differences")),
        *pooled(read(f"{name}_pooled")),
        *ratios(read, name),
    ]


def all_cells(overall):
    keys = ["pool", "cell", "n", "method"]
    columns = [*MAIN_METRICS, "best_single", "oracle", "coverage", "fit_seconds"]
    groups = overall.groupby(keys, sort=False)
    means = groups[columns].mean()
    means.insert(0, "draws", groups.size())
    sizes = overall.groupby("cell", sort=False)["n_queries"].first()
    return [
        "Means over draws. `best_single` is chosen on the training queries, `oracle` "
        "knows the answers, `fit_seconds` are of the processor. Test queries: "
        + "; ".join(f"{cell} {count}" for cell, count in sizes.items())
        + ".",
        table(means.reset_index()),
    ]


def differences(found):
    if found.empty:
        return []
    return [
        f"**Paired differences, {LOCUS} minus comparator.** Intervals: 95%, two-way "
        "bootstrap over draws and test queries; `p_holm` is corrected over all cells "
        "of a metric and comparator. For log loss and Brier, negative is better. "
        "The interval of a single draw is over queries alone.",
        table(found[DIFFERENCE_COLUMNS]),
    ]


def pooled(found):
    """Show routing with the sizes of a cell together."""
    if found.empty:
        return []
    routing = found[found["metric"] == "routing_accuracy"]
    columns = [name for name in DIFFERENCE_COLUMNS if name != "n"]
    return [
        f"**Routing, {LOCUS} minus comparator, all sizes of a cell together** (their "
        "draws share the test queries).",
        table(routing[columns]),
    ]


def ratios(read, name):
    found = read(f"{name}_ratios")
    if found.empty:
        return []
    return [
        "**Evaluations that a comparator needs to reach the accuracy of "
        f"{LOCUS} at n**, linear in log n between sizes; inf: not with the most "
        f"that were tried. Paper: {paper.SAMPLE_EFFICIENCY}.",
        table(found),
    ]


def beside_paper(overall, pool):
    complete = overall[(overall["cell"] == COMPLETE) & (overall["pool"] == pool)]
    rows = []
    for (method, n), group in complete.groupby(["method", "n"], sort=False):
        rows.append(
            {
                "method": method,
                "n": n,
                "routing": 100 * group["routing_accuracy"].mean(),
                "routing (paper)": paper.ROUTING.get(method, {}).get(n, np.nan),
                "correctness": 100 * group["correctness_accuracy"].mean(),
                "correctness (paper)": paper.CORRECTNESS.get(method, {}).get(n, np.nan),
            }
        )
    return pd.DataFrame(rows)


def per_task(rows, metric):
    complete = rows[(rows["cell"] == COMPLETE) & (rows["task"] != "all")]
    complete = complete[complete["pool"] == rows["pool"].iloc[0]]
    if complete.empty:
        return pd.DataFrame()
    return complete.pivot_table(
        index=["n", "method"], columns="task", values=metric, sort=False
    ).reset_index()


def per_task_of_paper(rows, metric):
    """Return ours less the paper's by task, where the tasks are the paper's."""
    published = paper.by_task().query("metric == @metric")
    ours = rows[(rows["cell"] == COMPLETE) & rows["task"].isin(published["task"])]
    keys = ["method", "n", "task"]
    means = 100 * ours.groupby(keys)[metric].mean()
    both = published.merge(means.rename("ours").reset_index(), on=keys)
    if both.empty:
        return []
    both["difference"] = both["ours"] - both["percent"]
    wide = both.pivot_table(
        index=["method", "n"], columns="task", values="difference"
    ).reset_index()
    return [
        f"**Ours minus the paper's**, {metric.replace('_', ' ')} in points, by task:",
        table(wide.sort_values(["n", "method"])),
    ]


def onboarding(read, folder):
    name = "e2_onboarding"
    summary = read(f"{name}_summary")
    columns = ["method", "kind", "train_models", "evaluations", "n_models"]
    metrics = ["correctness_accuracy", "log_loss", "brier", "roc_auc"]
    # Tables of older runs have the first alone.
    metrics += [name for name in ERRORS if name in summary]
    errors = ["correctness_accuracy_error", "log_loss_error"]
    return [
        "Held-out models alone; means over models, errors are standard errors over "
        "models. `new`: out of the fit; `in pool`: in the fit with as many "
        "evaluations; `in pool with all evaluations`: seen in full by the fit (the "
        f"paper's top row), then embedded from few. Paper: {paper.ONBOARDING}.",
        "`ece` is of each model alone; `ece_together` pools the evaluations of all "
        "held-out models of a rotation; `ece_by_chance` is what `ece` would be if "
        "every P were right, with as many test queries.",
        table(summary[columns + metrics + errors]),
        f"**{LOCUS} minus comparator on the same new models:**",
        table(read(f"{name}_differences")),
        picture(folder, f"{name}.png"),
    ]


def robustness(read, folder):
    name = "e3_robustness"
    changes = read(name)
    if changes.empty:
        return ["No method with embeddings was asked for."]
    keys = ["method", "change", "value"]
    metrics = ["routing_accuracy", "correctness_accuracy", "log_loss"]
    blocks = [
        "All models embedded again, from parts of a reference (`size`) or from as "
        "many evaluations of which a share is in it (`overlap`). Paper: "
        f"{paper.ROBUSTNESS}.",
        table(changes.groupby(keys, sort=False)[metrics].mean().reset_index()),
        picture(folder, f"{name}.png"),
        picture(folder, f"{name}_map.png"),
    ]
    again = read(f"{name}_regeneration")
    if len(again):
        means = again.groupby(["method", "regenerated_from"], sort=False)
        columns = ["cosine_distance", "disagreement"]
        blocks += [
            "**Embeddings made again with the predictor frozen (Appendix F).** "
            f"Paper: {paper.REGENERATION}.",
            table(means[columns].mean().reset_index()),
            picture(folder, f"{name}_regeneration.png"),
        ]
    return blocks


def geometry(read, folder):
    name = "e4_geometry"
    found = read(f"{name}_correlations")
    published = [
        paper.CORRELATIONS[pair]
        for pair in zip(found["correlation"], found["metric"], strict=True)
    ]
    columns = ["method", "metric", "correlation", "value", "low", "high", "n_pairs"]
    neighbors = read(f"{name}_neighbors")
    first = neighbors[neighbors["neighbor"] == 1].drop(columns="neighbor")
    return [
        "Distance of embeddings against disagreement on test queries (Table 3); "
        "intervals from drawing models with replacement.",
        table(found[columns].assign(paper=published)),
        "**Nearest neighbours (Euclidean)**: agreement with the first (paper: up to "
        f"{paper.NEAREST_AGREEMENT}%), beside that of a random pair; how often it "
        "is of the same family, and by chance.",
        table(first),
        *(
            picture(folder, f"{name}_{part}.png")
            for part in ("pairs", "neighbors", "heatmap", "map")
        ),
    ]


def portfolios(read, folder):
    name = "e5_portfolios"
    sizes = read(f"{name}_sizes")
    blocks = [
        "Portfolios chosen from embeddings alone (k-center, k-medoids) or from P on "
        "the training queries (expected score). `smallest`: the fewest models (or the "
        "smallest budget) that route as well as all of them to within 0.5 and 2 "
        f"points. Paper: {paper.PORTFOLIO}; {paper.BUDGET}.",
        table(smallest(sizes, ["method", "selector"], "size")),
        "Routing accuracy within portfolios, beside the models of highest mean score "
        "(`top_mean`), the greedy cover of the training scores (`greedy_cover`) and "
        "random portfolios:",
        table(by_selector(sizes)),
    ]
    budgets = read(f"{name}_budgets")
    if len(budgets):
        found = smallest(budgets, ["method", "total_budget"], "budget")
        blocks += [
            "Budgets in billions of parameters, models of unknown size left out:",
            table(found),
            table(budgets[BUDGET_COLUMNS]),
        ]
    profiles = read(f"{name}_profiles")
    recalls = profiles.pivot_table(
        index=["method", "evaluations"], columns="k", values="recall", sort=False
    )
    fallback = read(f"{name}_fallback")
    return [
        *blocks,
        "**Models found by their own task profile** (recall among the k nearest; "
        f"paper: {paper.PROFILE_RECALL}% among 10 of 112, 8192 queries):",
        table(recalls.reset_index()),
        "**The chosen model is down**: its k-th nearest model (`neighbor`, paper: the "
        f"first keeps {paper.FALLBACK_KEPT}%), or the next most probable one "
        "(`rerank`).",
        table(fallback),
        picture(folder, f"{name}.png"),
    ]


def by_selector(sizes):
    """Return the accuracy of each selector and baseline at some sizes."""
    some = sizes[sizes["size"].isin(PORTFOLIO_SIZES)]
    keys = ["method", "size"]
    accuracy = some.pivot_table(
        index=keys, columns="selector", values="accuracy", sort=False
    )
    baselines = some.groupby(keys, sort=False)[PORTFOLIO_BASELINES].mean()
    return accuracy.join(baselines).reset_index()


def smallest(curve, keys, column):
    """Return the least that comes within half a point and two points of the pool."""
    rows = []
    for key, group in curve.groupby(keys, sort=False):
        whole = group["pool_accuracy"].iloc[0]
        found = {
            f"smallest, within {100 * gap:g} points": group.loc[
                group["accuracy"] >= whole - gap, column
            ].min()
            for gap in (0.005, 0.02)
        }
        about = dict(zip(keys, key, strict=True))
        rows.append(
            {**about, "all": group[column].max(), "accuracy of all": whole} | found
        )
    return pd.DataFrame(rows)


def ablations(read, folder):
    name = "e6_ablations"
    rows = read(name)
    keys = ["method", "n", "part", "value"]
    columns = ["routing_accuracy", "correctness_accuracy", "log_loss", "fit_seconds"]
    rows["value"] = rows["value"].fillna("").astype(str)
    means = rows.groupby(keys, sort=False)[columns].mean().reset_index()
    published = [
        paper.ABLATIONS.get((row.part, row.value), {}).get(row.n, (np.nan, np.nan))
        if row.method == LOCUS_PAPER
        else (np.nan, np.nan)
        for row in means.itertuples()
    ]
    means[["routing (paper)", "correctness (paper)"]] = np.array(published) / 100
    return [
        "One part changed at a time, means over draws. `scores: flip` turns a share of "
        "the training scores round, `scores: grade` moves it half way to a random "
        "number. The paper tried dimensions with mpnet encodings; the default has 128.",
        table(means),
        picture(folder, f"{name}.png"),
    ]


def times(read, folder):
    rows = read("e7_time")
    return [
        "Wall clock on one thread of this machine's processor, tables included. "
        f"Paper: {paper.TIME}.",
        table(rows.assign(milliseconds=1000 * rows["seconds"]).drop(columns="seconds")),
        picture(folder, "e7_time.png"),
    ]


SECTIONS = {
    "e1_sample_efficiency": ("1. Accuracy and sample efficiency", sample_efficiency),
    "e2_onboarding": ("2. Onboarding", onboarding),
    "e3_robustness": ("3. Robustness", robustness),
    "e4_geometry": ("4. Geometry", geometry),
    "e5_portfolios": ("5. Portfolios, profiles, fallback", portfolios),
    "e6_ablations": ("6. Ablations", ablations),
    "e7_time": ("7. Time", times),
}
