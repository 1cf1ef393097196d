"""Study costs that are predicted for each query, beside one mean for each model.

    python examples/experiments/study_costs.py
    python examples/experiments/study_costs.py --report

On bfcl, the cost of a call is the length of its answer in tokens, and on routerbench
what it cost in US dollars. "prediction" compares the predicted with the logged costs of
test queries: the mean absolute error as a share of the model's mean cost ("MAE"), that
of the logarithm ("log MAE"), the root of the mean square of the former ("RMSE") and
its mean ("bias"): the costs of a batch add up, and so do their errors.

"curve" is the plug-in rule of CARROT: models are chosen by the P of a linear router,
less the weighed cost that is expected, and pay what the log says. "known" expects the
logged costs, which no rule can know beforehand, and "zero router" mixes single models
at random. AIQ is taken from the cheapest to the dearest single model. QNC is the
relative cost of the quality of the model that was best in training; where a curve never
reaches it, the draw is left out and not "reached". "AIQ gain" is the difference from
the plug-in rule with means, "mean", on the same draw.

Numbers are means over draws of the training queries, and their standard deviations.
Draws overlap, so that errors over draws alone are too small. Without ``--report`` test
halves are not read.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from options import SHARED_DATA
from protocol import COMPLETE, Files, draw, frame, read_log, read_table
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge

from skl_locus import CostModel, LinearRouter
from skl_locus.metrics import (
    aiq_score,
    cost_quality_curve,
    qnc_score,
    zero_router_hull,
)

COLUMNS = {"bfcl": "completion_tokens", "routerbench": "cost"}
"""The column of each log that is a cost."""

SIZES = {"bfcl": (64, 256, 400), "routerbench": (64, 256, 750)}
"""Training queries of each log; the last is nearly half of its development half."""

REGRESSORS = {
    "mean": None,
    "ridge": "ridge",
    "knn": "knn",
    "ridge of logarithms": TransformedTargetRegressor(
        Ridge(3.0), func=np.log, inverse_func=np.exp
    ),
}
"""With the penalty of "ridge", since the encodings have a length of 1."""

KNOWN, ZERO = "known", "zero router"

MIN_COSTS = 0.8
"""Share of the queries with a cost, below which a model is left out."""


def main(arguments=None):
    options = parse_options(arguments)
    rows = [row for name in options.logs for row in rows_of(name, options)]
    keys = ["part", "log", "n", "costs", "metric"]
    groups = pd.DataFrame(rows).groupby(keys, sort=False)["value"]
    summary = groups.agg(["mean", "std", "count"]).reset_index()
    if options.output:
        summary.to_csv(options.output, index=False, float_format="%.5f")
    for part, own in summary.groupby("part", sort=False):
        print(f"\n{part}")
        print(shown(own).to_string())


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(COLUMNS), metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="N")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--report", action="store_true", help="read the test halves")
    return parser.parse_args(arguments)


def shown(summary):
    """Lay out means and deviations over draws, one column for each metric."""
    text = [
        f"{mean:.3f} ± {std:.3f}"
        for mean, std in zip(summary["mean"], summary["std"].fillna(0), strict=True)
    ]
    return summary.assign(text=text).pivot_table(
        index=["log", "n", "costs"],
        columns="metric",
        values="text",
        aggfunc="first",
        sort=False,
    )


def rows_of(name, options):
    """Measure all draws of a log: one row per number."""
    files = Files.in_folder(options.data / name, "minilm")
    log = read_log(files, report=options.report)
    costs = costs_of(log, files, COLUMNS.get(name, "cost"))
    for n in options.sizes or SIZES[name]:
        for seed in range(options.seeds):
            for part, method, metric, value in measure(log, costs, n, seed):
                about = {"part": part, "log": name, "n": n, "seed": seed}
                yield {**about, "costs": method, "metric": metric, "value": value}


def costs_of(log, files, column):
    """Return the logged costs, (n_queries, n_models), NaN where there is none."""
    queries = read_table(files.queries).astype({"query_id": str})
    text_of = pd.Series(queries["query"].to_numpy(str), queries["query_id"])
    cells = read_table(files.evaluations).astype({"model": str, "query_id": str})
    cells = cells.assign(text=cells["query_id"].map(text_of))
    table = cells.pivot_table(index="text", columns="model", values=column)
    costs = table.reindex(index=log.texts, columns=log.models).to_numpy(np.float64)
    # No logarithm of nothing: an answer without a token was an error of the call.
    costs = np.where(costs > 0, costs, np.nan)
    return np.where(np.isfinite(costs).mean(axis=0) < MIN_COSTS, np.nan, costs)


def measure(log, costs, n, seed):
    """Yield the part, method, metric and value of everything measured on a draw."""
    drawn = draw(log, COMPLETE, n, seed)
    seen = np.where(np.isfinite(costs[drawn.train]), drawn.seen, np.nan)
    train = table_of(log, costs, drawn.train, seen)
    test = table_of(
        log,
        costs,
        drawn.test,
        np.where(np.isfinite(costs[drawn.test]), log.scores[drawn.test], np.nan),
    )
    models = sorted(set(train["model"]) & set(test["model"]))
    test = test[test["model"].isin(models)]
    router = LinearRouter(alpha="auto").fit(train, train["score"])
    test = test.assign(P=router.predict_proba(test)[:, 1])
    expected = {
        name: expected_costs(train, test, models, regressor)
        for name, regressor in REGRESSORS.items()
    }
    means = test["model"].map(train.groupby("model")["cost"].mean())
    for name, predicted in expected.items():
        gaps = (predicted - test["cost"]) / means
        ratios = np.log(predicted) - np.log(test["cost"])
        yield "prediction", name, "MAE", gaps.abs().mean()
        yield "prediction", name, "log MAE", ratios.abs().mean()
        yield "prediction", name, "RMSE", np.sqrt((gaps**2).mean())
        yield "prediction", name, "bias", gaps.mean()
    yield from curve_rows(train, test, {**expected, KNOWN: test["cost"].to_numpy()})


def table_of(log, costs, rows, scores):
    """Return the evaluations of some queries with what each of them cost."""
    table = frame(log, rows, scores)
    columns = pd.Index(log.models).get_indexer(table["model"])
    return table.assign(cost=costs[table["query_id"], columns])


def expected_costs(train, test, models, regressor):
    """Return the expected cost of each test row."""
    model = CostModel(regressor=regressor).fit(train)
    queries = test.drop_duplicates("query_id")[["query", "query_id"]]
    matrix = model.matrix(queries, models)
    rows = pd.Index(queries["query_id"]).get_indexer(test["query_id"])
    return matrix[rows, pd.Index(models).get_indexer(test["model"])]


def curve_rows(train, test, expected):
    """Yield AIQ and QNC of the plug-in rule for each kind of expected costs."""
    pairs = {"queries": test["query_id"], "models": test["model"]}
    hull = zero_router_hull(test["score"], test["cost"], **pairs)
    singles = test.groupby("model")[["cost", "score"]].mean()
    cost_range = singles["cost"].min(), singles["cost"].max()
    best = singles.loc[train.groupby("model")["score"].mean().idxmax()]
    curves = {
        name: cost_quality_curve(
            test["score"], test["P"], test["cost"], expected_costs=costs, **pairs
        )
        for name, costs in expected.items()
    }
    by_mean = None
    for name, curve in {**curves, ZERO: hull}.items():
        points = curve["cost"], curve["quality"]
        qnc = qnc_score(
            *points,
            best_single_quality=best["score"],
            best_single_cost=best["cost"],
        )
        aiq = aiq_score(*points, cost_range=cost_range)
        yield "curve", name, "AIQ", aiq
        # Paired: all curves of a draw share its queries and its P.
        by_mean = by_mean or aiq
        yield "curve", name, "AIQ gain", aiq - by_mean
        yield "curve", name, "QNC", qnc
        yield "curve", name, "reached", float(np.isfinite(qnc))


if __name__ == "__main__":
    main()
