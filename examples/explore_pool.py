"""Explore a pool: geometry, portfolios, fallback, recognition and search by profile.

The log is given as for the quick start (``--evaluations``, ``--queries``,
``--encodings``, or none for the digit classifiers). ``--models`` may name a table with
columns model, family and n_params_billion; ``--twins A B ...``, once for each model
that has several endpoints, names them. Tables are printed, pictures go to
``--output`` (needs matplotlib).
"""

import argparse
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
from quickstart import read_log, read_table, split_queries

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import (
    DistanceAgreementDisplay,
    DistanceHeatmapDisplay,
    EmbeddingMapDisplay,
    NeighborAgreementDisplay,
    PortfolioCurveDisplay,
    disagreement,
    distance_agreement,
    find_duplicates,
    identify,
    model_distances,
    neighbor_agreement,
    portfolio_routing,
    profile_recall,
)

BUDGET_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SMALLEST_BUDGET = 10  # billions of parameters; less buys nothing worth a row
MIN_COMMON = 30


def main(arguments=None):
    options = parse_options(arguments)
    log = read_log(options) if options.evaluations else load_digits_pool().evaluations
    log = with_tasks(log, options)
    train, test = split_queries(log, options)
    router = LocusRouter(random_state=options.seed).fit(train, train["score"])
    models = None
    if options.models:
        models = read_table(options.models).set_index("model")

    distances = model_distances(router)
    differences = disagreement(test, test["score"], min_common=MIN_COMMON)
    show(
        "Distance and disagreement on test queries",
        distance_agreement(distances, differences, random_state=options.seed),
    )
    show(
        "Agreement with the k-th neighbour",
        neighbor_agreement(distances, differences, k=5),
    )
    curve = portfolio_routing(
        router,
        test,
        test["score"],
        sizes=range(1, len(router.models_) + 1),
        random_state=options.seed,
    )
    show_curve("Portfolios by size (k-medoids)", curve)
    if models is not None:
        show_budgets(router, test, models, options)
    show_fallback(router, test)
    show(
        "Recall of the search for a model's own profile among the k nearest",
        profile_recall(router, tasks=train, random_state=options.seed).to_frame(
            "recall"
        ),
    )
    show_recognition(router, train, options)
    if options.output:
        draw(router, test, distances, differences, curve, models, options.output)


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--evaluations", "--queries", "--encodings", "--models", "--output"):
        parser.add_argument(name)
    parser.add_argument("--train-queries", type=int, default=1024)
    parser.add_argument("--observed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--twins", nargs="+", default=[], metavar="MODEL", action="append"
    )
    return parser.parse_args(arguments)


def with_tasks(log, options):
    if not options.queries:
        return log
    queries = read_table(options.queries).astype({"query_id": str})
    return log.merge(queries[["query_id", "task"]], on="query_id")


def show_curve(title, curve):
    whole = curve.attrs["pool_accuracy"]
    reached = curve[curve["accuracy"] >= whole]
    smallest = reached["size"].min() if len(reached) else "none"
    show(
        f"{title}: all models {whole:.3f}, reached with {smallest} models",
        curve.drop(columns="models"),
    )


def show_budgets(router, test, models, options):
    """Buy within shares of the parameters of all models whose size is published."""
    sizes = models["n_params_billion"].dropna()
    known = [name for name in router.models_ if name in sizes.index]
    unknown = [name for name in router.models_ if name not in sizes.index]
    if not known:
        return
    some = deepcopy(router)
    if unknown:
        some.remove_models(unknown)
    some_test = test[test["model"].isin(known)]
    total = sizes[known].sum()
    curve = portfolio_routing(
        some,
        some_test,
        some_test["score"],
        budgets=[
            share * total for share in BUDGET_SHARES if share * total > SMALLEST_BUDGET
        ],
        cost=sizes[known],
        random_state=options.seed,
    )
    show_curve(f"Budgets in billions of parameters ({total:.0f} in all)", curve)


def show_fallback(router, test):
    """Replace the chosen model by its nearest neighbour, or by the next best one."""
    scores = test.pivot_table(index="query_id", columns="model", values="score")
    scores = scores.reindex(columns=router.models_)
    test = test.drop_duplicates("query_id").set_index("query_id").loc[scores.index]
    labels, _ = router.rank(test["query"], 2)
    best, second = (scores.columns.get_indexer(chosen) for chosen in labels.T)
    substitutes = scores.columns.get_indexer(router.fallback_table(k=1)[1])
    kept = {
        "first choice": best,
        "nearest neighbour": substitutes[best],
        "next best": second,
    }
    values = scores.to_numpy()
    rows = {
        name: np.nanmean(values[np.arange(len(values)), chosen])
        for name, chosen in kept.items()
    }
    table = pd.Series(rows, name="accuracy").to_frame()
    table["kept"] = table["accuracy"] / table["accuracy"].iloc[0]
    show("When the chosen model is down", table)


def show_recognition(router, train, options):
    pairs = find_duplicates(router, random_state=options.seed)
    for order in ("p_value", "agreement"):
        show(
            f"Pairs that may be one model: {pairs['not_told_apart'].sum()} of "
            f"{len(pairs)} near neighbours are not told apart; largest {order} first",
            pairs.sort_values(order, ascending=False).head(8),
        )
    for endpoints in options.twins:
        for name in endpoints:
            show_identity(router, train, name, set(endpoints) - {name}, options.seed)


def show_identity(router, train, name, twins, seed):
    """Take a model out of the pool and look for it under its other names."""
    own = train[train["model"] == name].drop(columns="model")
    others = deepcopy(router).remove_models([name])
    ranked = identify(others, own, own["score"], random_state=seed)
    ranked["rank"] = np.arange(1, len(ranked) + 1)
    ranked["rank_by_agreement"] = ranked["agreement"].rank(ascending=False)
    is_twin = ranked.index.isin(twins)
    show(f"Who is {name}? The three most likely", ranked.head(3))
    show("... and its other endpoints", ranked[is_twin])


def draw(router, test, distances, differences, curve, models, output):
    import matplotlib.pyplot as plt

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    families = None if models is None else models["family"]
    displays = {
        "map": EmbeddingMapDisplay.from_estimator(router, color=families),
        "heatmap": DistanceHeatmapDisplay.from_predictions(distances, color=families),
        "agreement": DistanceAgreementDisplay.from_predictions(distances, differences),
        "neighbors": NeighborAgreementDisplay.from_predictions(distances, differences),
        "portfolio": PortfolioCurveDisplay(curve).plot(),
    }
    for name, display in displays.items():
        display.figure_.savefig(folder / f"{name}.png", dpi=120)
        plt.close(display.figure_)


def show(title, table):
    print(f"\n{title}\n{table.to_string(float_format='{:.3f}'.format)}")


if __name__ == "__main__":
    main()
