"""Route queries and onboard new models from a log of evaluations.

Without arguments, the log is that of some forty digit classifiers, computed on the
spot. With ``--evaluations``, ``--queries`` and ``--encodings`` it is read from files
(parquet or CSV, and .npy):

- evaluations: one row per evaluation, columns model, query_id, score
- queries: one row per query, columns query_id and query (its text)
- encodings: one vector per query, in the row order of the queries

Half of the queries are kept for the test, and two models are kept out of the fit.
"""

import argparse

import numpy as np
import pandas as pd

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import routing_headroom
from skl_locus.metrics import (
    correctness_accuracy_score,
    routing_accuracy_score,
    soft_log_loss,
)
from skl_locus.model_selection import ModelShuffleSplit, QueryShuffleSplit

DEFAULT_TRAIN_QUERIES = 1024
N_HELD_OUT_MODELS = 2
ONBOARDING_SIZES = (32, 64, 128)
N_NEIGHBORS = 3
# A single model that missed many test queries cannot be compared with a router.
MIN_COVERAGE = 0.8


def main(arguments=None):
    options = parse_options(arguments)
    log = read_log(options) if options.evaluations else load_digits_pool().evaluations
    train, test = split_queries(log, options)
    known, new = split_models(train, options.seed)
    print(
        f"{log['model'].nunique()} models, {len(new)} of them held out; "
        f"{train['query_id'].nunique()} queries to learn from, "
        f"{test['query_id'].nunique()} to be tested on."
    )

    known_train = train[train["model"].isin(known)]
    known_test = test[test["model"].isin(known)]
    print(
        routing_headroom(known_train, known_train["score"], random_state=options.seed)
    )
    router = LocusRouter(random_state=options.seed)
    router.fit(known_train, known_train["score"])

    show("Score per test query", compare_routing(router, known_train, known_test))
    show(
        "Models onboarded without training, beside the mean of the same evaluations",
        pd.concat([onboard(router, model, train, test, options.seed) for model in new]),
    )
    for model in new:
        show(f"Nearest to {model}", router.neighbors(model, N_NEIGHBORS))


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluations", metavar="FILE")
    parser.add_argument("--queries", metavar="FILE")
    parser.add_argument("--encodings", metavar="FILE.npy")
    parser.add_argument(
        "--train-queries",
        type=int,
        default=DEFAULT_TRAIN_QUERIES,
        metavar="N",
        help="learn from that many queries, at most half (default: %(default)s)",
    )
    parser.add_argument(
        "--observed",
        type=float,
        default=1.0,
        metavar="FRACTION",
        help="of these, keep each model's own random fraction (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    files = (options.evaluations, options.queries, options.encodings)
    if any(files) and not all(files):
        parser.error("--evaluations, --queries and --encodings go together")
    return options


def read_log(options):
    """Return one row per model and distinct text, with a vector in each query cell."""
    queries = read_table(options.queries).astype({"query_id": str})
    encodings = np.load(options.encodings).astype(np.float32)
    vectors = pd.Series(list(encodings), index=queries["query_id"])
    first_ids = queries.groupby("query")["query_id"].transform("first")
    first_ids.index = queries["query_id"]

    log = read_table(options.evaluations).astype({"model": str, "query_id": str})
    log["query_id"] = log["query_id"].map(first_ids)
    keys = ["model", "query_id"]
    log = log.groupby(keys, as_index=False, dropna=False)["score"].mean()
    return log.assign(query=log["query_id"].map(vectors))


def read_table(path):
    return pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)


def split_queries(log, options):
    """Return the training rows that each model has seen, and all test rows."""
    half = log["query_id"].nunique() // 2
    splitter = QueryShuffleSplit(
        n_splits=1,
        train_size=min(options.train_queries, half),
        test_size=half,
        random_state=options.seed,
    )
    train, test = next(splitter.split(log))
    seen = (
        log.iloc[train]
        .groupby("model")
        .sample(frac=options.observed, random_state=options.seed)
    )
    return seen, log.iloc[test]


def split_models(log, seed):
    """Return the labels of the models to fit on and of those to onboard later."""
    splitter = ModelShuffleSplit(
        n_splits=1, test_size=N_HELD_OUT_MODELS, random_state=seed
    )
    known, new = next(splitter.split(log))
    return log["model"].iloc[known].unique(), log["model"].iloc[new].unique()


def compare_routing(router, train, test):
    """Return the score of each way to choose among the models seen on a query."""
    by_query = test.groupby("query_id")["score"]
    routed = routing_accuracy_score(
        test["score"],
        router.routing_scores(test),
        queries=test["query_id"],
        models=test["model"],
    )
    pool_coverage = coverage(test, by_query.ngroups)
    rows = [
        ("LocusRouter", routed, pool_coverage),
        *score_best_single(train, test),
        ("random choice", by_query.mean().mean(), pool_coverage),
        ("oracle", by_query.max().mean(), pool_coverage),
    ]
    return pd.DataFrame(rows, columns=["choice", "score", "coverage"]).set_index(
        "choice"
    )


def score_best_single(train, test):
    """Return a row for the best model on the training queries, if one has coverage."""
    seen = test.groupby("model")["query_id"].nunique() / test["query_id"].nunique()
    candidates = train[train["model"].isin(seen.index[seen >= MIN_COVERAGE])]
    if candidates.empty:
        return []
    best = candidates.groupby("model")["score"].mean().idxmax()
    score = test.loc[test["model"] == best, "score"].mean()
    return [(f"best single: {best}", score, seen[best])]


def coverage(evaluations, n_queries):
    """Return the share of all pairs of a model and a query that were evaluated."""
    return len(evaluations) / (evaluations["model"].nunique() * n_queries)


def onboard(router, model, train, test, seed):
    """Return how well the model is predicted after few and after more evaluations."""
    evaluations = train[train["model"] == model].sample(frac=1, random_state=seed)
    unseen = test[test["model"] == model]
    reports = []
    for size in sorted({min(size, len(evaluations)) for size in ONBOARDING_SIZES}):
        # The rows are in a random order: the first of them are a random draw.
        few = evaluations.head(size)
        router.add_models(few, few["score"], replace=True)
        probability = router.predict_proba(unseen)[:, 1]
        mean = np.full(len(unseen), few["score"].mean())
        reports.append(
            {
                "model": model,
                "evaluations": size,
                "accuracy": correctness_accuracy_score(unseen["score"], probability),
                "accuracy of mean": correctness_accuracy_score(unseen["score"], mean),
                "log loss": soft_log_loss(unseen["score"], probability),
                "log loss of mean": soft_log_loss(unseen["score"], mean),
            }
        )
    return pd.DataFrame(reports).set_index(["model", "evaluations"])


def show(title, table):
    print(f"\n{title}\n{table.to_string(float_format='{:.3f}'.format)}")


if __name__ == "__main__":
    main()
