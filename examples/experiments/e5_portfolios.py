"""Portfolios, budgets, search by profile and fallback (Figures 9, 11, 12)."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from e4_geometry import fit_routers
from evaluate import predict
from figures import label, level, lines, panels, save
from methods import SET_EMBEDDERS
from options import folder_of, main_logs, parse_options, speed
from protocol import COMPLETE, available_sizes, draw, frame

from skl_locus import ExpectedScorePortfolio, KCenterPortfolio, KMedoidsPortfolio
from skl_locus.inspection import portfolio_routing, profile_recall

NAME = "e5_portfolios"
SEED = 0
BUDGET_SHARES = (0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0)
SMALLEST_BUDGET = 5
"""Billions of parameters; less buys nothing worth a row."""

SELECTORS = {
    "k-center": KCenterPortfolio(),
    "k-medoids": KMedoidsPortfolio(),
    "expected score": ExpectedScorePortfolio(),
}
BASELINES = {"top_mean": "highest means", "greedy_cover": "cover of the scores"}
"""Columns of the portfolios that are chosen by scores alone, with their labels."""

N_SUBSTITUTES = 8
SMALLEST_PROFILE = 64
"""Fewer queries say little about a model's tasks."""


@dataclass(frozen=True)
class Plan:
    """Training queries, random portfolios per size, sets drawn per profile."""

    n_queries: int
    n_random: int
    profile_draws: int


PLANS = {
    "full": Plan(1024, 50, 3),
    "paper": Plan(4096, 50, 3),
    "quick": Plan(512, 20, 1),
    "smoke": Plan(64, 3, 1),
}


def run(options):
    plan = PLANS[speed(options)]
    for log in main_logs(options):
        folder = folder_of(log, options)
        routers = fit_routers(SET_EMBEDDERS, log, plan.n_queries, options)
        if not routers:
            continue
        test = frame(log, log.test, log.scores[log.test])
        parts = {"sizes": [], "budgets": [], "profiles": [], "fallback": []}
        for name, router in routers.items():
            known = test[test["model"].isin(router.models_)]
            found = {
                "sizes": by_size(router, known, plan),
                "budgets": by_budget(router, known, log.details, plan),
                "profiles": recall_of_profiles(router, log, plan),
                "fallback": fall_back(router, log),
            }
            for part, table in found.items():
                if table is not None:
                    parts[part].append(table.assign(method=name))
        tables = {part: pd.concat(some) for part, some in parts.items() if some}
        for part, table in tables.items():
            table.to_csv(folder / f"{NAME}_{part}.csv", index=False)
        draw_all(tables, log, folder / f"{NAME}.png")


def by_size(router, test, plan):
    """Route among portfolios of 1 to all models, from embeddings or expected scores."""
    tables = [
        with_pool(
            portfolio_routing(
                router,
                test,
                test["score"],
                sizes=range(1, len(router.models_) + 1),
                selector=selector,
                n_random=plan.n_random,
                random_state=SEED,
            )
        ).assign(selector=name)
        for name, selector in SELECTORS.items()
    ]
    return pd.concat(tables)


def by_budget(router, test, details, plan):
    """Buy within shares of the parameters of all models whose size is published."""
    if "n_params_billion" not in details:
        return None
    sizes = details["n_params_billion"].reindex(router.models_).dropna()
    unknown = [name for name in router.models_ if name not in sizes.index]
    if len(sizes) < 2:
        return None
    some = deepcopy(router)
    if unknown:
        some.remove_models(unknown)
    test = test[test["model"].isin(sizes.index)]
    total = sizes.sum()
    budgets = [max(SMALLEST_BUDGET, share * total) for share in BUDGET_SHARES]
    curve = portfolio_routing(
        some,
        test,
        test["score"],
        budgets=sorted(set(budgets)),
        cost=sizes,
        n_random=plan.n_random,
        random_state=SEED,
    )
    return with_pool(curve).assign(total_budget=total)


def with_pool(curve):
    whole = curve.attrs["pool_accuracy"]
    curve.attrs.clear()
    return curve.drop(columns="models").assign(pool_accuracy=whole)


def recall_of_profiles(router, log, plan):
    """Find models by their accuracies on tasks, by number of queries scored."""
    rows = log.rest
    queries = frame(log, rows, np.zeros((len(rows), len(log.models))))
    queries = queries.drop_duplicates("query_id")[["query", "query_id", "task"]]
    fewest = fewest_queries(log, plan)
    sizes = [size for size in (fewest // 4, fewest // 16) if size >= SMALLEST_PROFILE]
    tables = []
    # None takes all queries of the tasks that a model was evaluated on.
    for size in (None, *sizes):
        found = profile_recall(
            router,
            tasks=queries,
            n_evaluations=size,
            n_draws=plan.profile_draws,
            random_state=SEED,
        )
        tables.append(found.reset_index().assign(evaluations=size or len(queries)))
    return pd.concat(tables)


def fewest_queries(log, plan):
    """Count the queries of a model's tasks, for the model that has the fewest."""
    n = available_sizes(log, (plan.n_queries,))[-1]
    drawn = draw(log, COMPLETE, n, SEED)
    counts = pd.Series(log.tasks[log.rest]).value_counts()
    tasks = log.tasks[drawn.train]
    known = np.isfinite(drawn.seen)
    return min(
        int(counts[np.unique(tasks[column])].sum()) for column in known.T if any(column)
    )


def fall_back(router, log):
    """Replace the chosen model by its k-th nearest one, or by the next probable."""
    known = np.isin(log.models, router.models_)
    models, scores = log.models[known], log.scores[log.test][:, known]
    _, decisions = predict(router, log, log.test, np.zeros((len(scores), len(known))))
    order = np.argsort(-decisions[:, known], axis=1, kind="stable")
    first = order[:, 0]
    table = router.fallback_table(k=min(N_SUBSTITUTES, len(models) - 1)).loc[models]
    nearest = table.apply(pd.Index(models).get_indexer).to_numpy()
    # The substitute of rank 0 is the chosen model itself.
    substitutes = np.column_stack([np.arange(len(models)), nearest])
    ranks = range(substitutes.shape[1])
    found = pd.DataFrame(
        {
            "rank": ranks,
            "neighbor": [mean_of(scores, substitutes[first, k]) for k in ranks],
            "rerank": [mean_of(scores, order[:, k]) for k in ranks],
            "random": np.nanmean(scores),
        }
    )
    return found.assign(neighbor_kept=found["neighbor"] / found["neighbor"].iloc[0])


def mean_of(scores, chosen):
    """Average the chosen models' scores where they were observed."""
    return float(np.nanmean(scores[np.arange(len(scores)), chosen]))


def draw_all(tables, log, path):
    """Draw portfolios of the first method, and profiles and fallback of all."""
    figure, axes = panels(2, 2)
    first = next(iter(tables["sizes"]["method"]))
    of_first = {part: t[t["method"] == first] for part, t in tables.items()}
    draw_portfolio(axes[0], of_first["sizes"], "size", "selector")
    label(axes[0], f"Portfolios, {first}", "Models", "Routing accuracy")
    if "budgets" in tables:
        draw_portfolio(axes[1], of_first["budgets"], "budget", "method")
        x = "Budget (billions of parameters)"
        label(axes[1], f"Budgets, {first}", x, "Routing accuracy")
    else:
        axes[1].set_axis_off()
    draw_recall(axes[2], tables["profiles"])
    draw_fallback(axes[3], tables["fallback"], of_first["fallback"], first)
    for ax in axes:
        if ax.has_data():
            ax.legend(fontsize=8)
    figure.suptitle(log.name)
    save(figure, path)


def draw_recall(ax, profiles):
    largest = profiles[profiles["evaluations"] == profiles["evaluations"].max()]
    lines(ax, largest, "k", "recall", log_x=False)
    ax.set_ylim(0, 1.03)
    label(ax, "Models found by their own profile", "k nearest models", "Recall")


def draw_fallback(ax, fallback, of_first, first):
    lines(ax, fallback, "rank", "neighbor", log_x=False)
    name = f"next probable ({first})"
    ax.plot(of_first["rank"], of_first["rerank"], "k:", label=name)
    level(ax, of_first["random"].iloc[0], "random model")
    label(ax, "The chosen model is down", "Rank of the substitute", "Routing accuracy")


def draw_portfolio(ax, table, x, by):
    lines(ax, table, x, "accuracy", by=by, log_x=False)
    random = table.groupby(x)[["random_mean", "random_std"]].mean()
    low, high = (
        random["random_mean"] + sign * random["random_std"] for sign in (-1, 1)
    )
    ax.plot(random["random_mean"], color="grey", label="random (± st. dev.)")
    ax.fill_between(random.index, low, high, color="grey", alpha=0.2)
    for name, text in BASELINES.items():
        means = table.groupby(x)[name].mean()
        ax.plot(means, lw=1, ls="--", label=text)
    level(ax, table["pool_accuracy"].iloc[0], "all models")


if __name__ == "__main__":
    from e5_portfolios import run as run_module

    run_module(parse_options(__doc__))
