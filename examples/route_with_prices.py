"""Route as well as the best single model for less, with a log and a table of prices.

The log is given as for the quick start (``--evaluations``, ``--queries``,
``--encodings``, or none for a synthetic pool), with ``--models``, a table with columns
model, price_in and price_out: prices of a million tokens; models without are left out.
One part of the queries is for the router, one for the policy, one for the test.
``--tolerance 0.01`` lets routes be a little worse than the best single model;
``--floor 0.8`` takes the cheapest model that reaches a floor on P(correct) instead.
"""

import argparse

import pandas as pd
from quickstart import read_log, read_table

from skl_locus import CostModel, LocusRouter, RouterPolicy
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import routing_headroom
from skl_locus.model_selection import QueryShuffleSplit

PER = 1000  # queries that a cost is shown for


def main(arguments=None):
    options = parse_options(arguments)
    log, prices = read_files(options) if options.evaluations else make_log(options)
    train, held_out, test = split_queries(log, options)

    router = LocusRouter(random_state=options.seed).fit(train, train["score"])
    costs = CostModel(
        prices=prices, default_output_tokens=options.output_tokens, query_col="text"
    ).fit(train)
    aim = {"target_quality": "best_single", "tolerance": options.tolerance}
    if options.floor is not None:
        aim = {"min_correctness": options.floor, "confidence": options.confidence}
    policy = RouterPolicy(router, cost_model=costs, **aim)
    policy.fit(held_out, held_out["score"])

    print(
        f"{len(router.models_)} models with prices; queries for the router: "
        f"{queries_in(train)}, the policy: {queries_in(held_out)}, the test: "
        f"{queries_in(test)}"
    )
    print(routing_headroom(train, train["score"], random_state=options.seed))
    print(
        f"weight of cost: {shown(policy.cost_weight_)}, "
        f"threshold on P: {shown(policy.threshold_)}, "
        f"reached on {policy.coverage_:.1%} of the held-out queries"
    )
    show(compare(policy, router, costs, train, held_out, test))
    show(spend(policy, test))


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    check = add_files(parser)
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="T")
    parser.add_argument("--floor", type=float, metavar="Q")
    parser.add_argument("--confidence", type=float, metavar="C")
    options = parser.parse_args(arguments)
    check(options)
    return options


def add_files(parser):
    """Add the options that name a log; return what checks that they go together."""
    files = ("--evaluations", "--queries", "--encodings", "--models")
    for name in files:
        parser.add_argument(name, metavar="FILE")
    parser.add_argument("--train-queries", type=int, default=512, metavar="N")
    parser.add_argument(
        "--output-tokens",
        type=float,
        default=400,
        metavar="N",
        help="length of an answer, where the log has no output_tokens "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--min-coverage",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="leave out models that were evaluated on a smaller share of the queries",
    )
    parser.add_argument("--seed", type=int, default=0)

    def check(options):
        given = [getattr(options, name[2:]) for name in files]
        if any(given) and not all(given):
            parser.error(", ".join(files) + " go together")

    return check


def make_log(options):
    """Return a synthetic log with texts of many lengths, and prices."""
    pool = make_evaluations(n_queries=3000, noise=0.2, random_state=options.seed)
    numbers = pool.evaluations["query_id"].str[-4:].astype(int)
    log = pool.evaluations.drop(columns="cost").assign(
        text=["x" * (100 + number) for number in numbers]
    )
    prices = {model: (cost, 4 * cost) for model, cost in pool.models["cost"].items()}
    return log, prices


def read_files(options):
    """Return the log of the models that have prices, with texts, and the prices."""
    prices = read_table(options.models).set_index("model").dropna(subset="price_in")
    log = read_log(options)
    texts = read_table(options.queries).astype({"query_id": str})
    texts = texts.set_index("query_id")["query"]
    log = log.assign(text=log["query_id"].map(texts))
    log = log[log["model"].isin(prices.index)]
    coverage = log.groupby("model")["query_id"].nunique() / queries_in(log)
    kept = coverage.index[coverage >= options.min_coverage]
    return log[log["model"].isin(kept)], prices


def split_queries(log, options):
    """Return the rows of the router's queries, and the others in two halves."""
    share = min(options.train_queries, queries_in(log) // 2)
    first = QueryShuffleSplit(n_splits=1, train_size=share, random_state=options.seed)
    train, rest = next(first.split(log))
    train, rest = log.iloc[train], log.iloc[rest]
    second = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=options.seed)
    held_out, test = next(second.split(rest))
    return train, rest.iloc[held_out], rest.iloc[test]


def compare(policy, router, costs, train, held_out, test):
    """Return cost and quality on test queries, beside those of simpler choices."""
    means = train.groupby("model")["score"].mean()
    prices = pd.Series(costs.matrix(test, means.index).mean(axis=0), means.index)
    choices = {
        "policy": policy,
        "most probable": RouterPolicy(router, cost_model=costs),
        f"best single: {means.idxmax()}": single(router, costs, means.idxmax()),
        f"cheapest: {prices.idxmin()}": single(router, costs, prices.idxmin()),
    }
    rows = {
        name: choice.fit(held_out, held_out["score"]).evaluate(test, test["score"])
        for name, choice in choices.items()
    }
    table = pd.DataFrame(rows).T[["quality", "cost", "observed"]]
    cost = table.pop("cost") * PER
    return table.assign(**{f"cost of {PER} queries": cost})


def single(router, costs, model):
    return RouterPolicy(router, cost_model=costs, models=[model])


def spend(policy, test):
    """Return what half of the policy's money would buy for the test queries at once."""
    queries = test.drop_duplicates("query_id")
    cheapest = policy.costs(queries).min(axis=1).sum()
    budget = max(policy.choose(queries)["cost"].sum() / 2, cheapest)
    chosen = policy.choose(queries, budget=budget)
    facts = {name: chosen.attrs[name] for name in ("budget", "cost", "expected", "gap")}
    return pd.DataFrame(facts, index=["half the money, for all queries together"])


def queries_in(log):
    return log["query_id"].nunique()


def shown(value):
    return "none" if value is None else f"{value:.4g}"


def show(table):
    print(f"\n{table.to_string(float_format='{:.3f}'.format)}")


if __name__ == "__main__":
    main()
