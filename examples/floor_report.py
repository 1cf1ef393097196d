"""Tell how often routes are right that a floor on P(correct) says to be.

Options and files as for ``route_with_prices.py``. Half of the texts, always the same
one, are for the test; of the other half, ``--train-queries`` are for the router and the
rest, or ``--held-out`` of them, for the policy. For each floor q and each way to keep
to it, the table has the share of test queries where some model reaches it (coverage),
the mean score of the routes that were observed there (realised), whether that falls
short of q by more than 0.02, quality and cost of all routes, and the share of them
that was observed.

- router: the cheapest model whose P is at least q, as ``router.route`` takes it
- policy: P corrected and the threshold raised on held-out queries
- certified: the threshold certified with confidence 0.95
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from route_with_prices import PER, add_files, make_log, read_files, show

from skl_locus import CostModel, LocusRouter, RouterPolicy
from skl_locus.exceptions import UnreachedTargetWarning

FLOORS = (0.5, 0.6, 0.7, 0.8, 0.9)
CONFIDENCE = 0.95
TEST_SEED = 100
WAYS = {
    "router": {"calibration": None, "n_standard_errors": 0},
    "policy": {},
    "certified": {"confidence": CONFIDENCE},
}


def main(arguments=None):
    options = parse_options(arguments)
    log, prices = read_files(options) if options.evaluations else make_log(options)
    train, held_out, test = split_texts(log, options)
    router = LocusRouter(random_state=options.seed).fit(train, train["score"])
    costs = CostModel(
        prices=prices, default_output_tokens=options.output_tokens, query_col="text"
    ).fit(train)
    print(
        f"{len(router.models_)} models; texts for the router: "
        f"{train['text'].nunique()}, the policy: {held_out['text'].nunique()}, the "
        f"test: {test['text'].nunique()}"
    )
    rows = [
        realised(
            way,
            floor,
            RouterPolicy(router, cost_model=costs, min_correctness=floor, **parameters),
            held_out,
            test,
        )
        for way, parameters in WAYS.items()
        for floor in FLOORS
    ]
    show(pd.DataFrame(rows).set_index(["way", "floor"]))


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    check = add_files(parser)
    parser.add_argument("--held-out", type=int, metavar="N")
    options = parser.parse_args(arguments)
    check(options)
    return options


def split_texts(log, options):
    """Return the rows of the router's texts, of the policy's and of the test half."""
    texts = np.sort(log["text"].unique())
    order = np.random.default_rng(TEST_SEED).permutation(len(texts))
    test, other = np.split(texts[order], [len(texts) // 2])
    other = np.random.default_rng(options.seed).permutation(other)
    ends = [options.train_queries]
    if options.held_out:
        ends.append(options.train_queries + options.held_out)
    train, held_out, *_ = np.split(other, ends)
    return (log[log["text"].isin(own)] for own in (train, held_out, test))


def realised(way, floor, policy, held_out, test):
    """Return a row of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreachedTargetWarning)
        policy.fit(held_out, held_out["score"])
    if way == "router":
        policy.threshold_ = floor  # whatever the held-out queries say
    outcome = policy.evaluate(test, test["score"])
    return {
        "way": way,
        "floor": floor,
        "threshold": policy.threshold_,
        "coverage": outcome["coverage"],
        "realised": outcome["quality_reached"],
        "short": outcome["quality_reached"] < floor - 0.02,
        "quality of all": outcome["quality"],
        "observed": outcome["observed"],
        f"cost of {PER}": outcome["cost"] * PER,
    }


if __name__ == "__main__":
    main()
