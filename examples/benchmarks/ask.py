"""Ask for the next 32 queries among 12,000 to 48,000: time and memory.

    python examples/benchmarks/ask.py

A pool of 100 models, and a new model that has answered 32 queries, for each goal of
`AdaptiveEvaluation`. "prepare" is its constructor, which reads the queries and places
them once; "ask" is each later call. The exponent is that of the time, fitted to all
sizes: 1 is linear.
"""

import functools

import numpy as np
import pandas as pd
from measuring import alternate, parse_options, peak_memory, report, sized

from skl_locus import LocusRouter
from skl_locus.adaptive import AdaptiveEvaluation

GOALS = ("routing", "score", "identity")
N_FEATURES = 384
N_ANSWERED = 32
"""Queries that were answered before, and that are asked for."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    for goal in GOALS:
        for row, works_of in ROWS.items():
            works = works_of(goal, options)
            seconds = alternate(works, options.repeats)
            medians = [np.median(times) for times in seconds.values()]
            report(
                options,
                f"ask_{goal}_{row}",
                f"adaptive evaluation for {goal}, {row}",
                {f"{n} queries": times for n, times in seconds.items()},
                peaks={
                    f"{n} queries": peak_memory(Case, (goal, row, n), options)
                    for n in works
                },
                target="linear in queries, ask(32) among 12,000 under 1 s",
                exponent=exponent(list(works), medians),
            )


def sizes(options):
    most = sized(options, 48_000, 12_000, 400)
    return [most // 4, most // 2, most]


def exponent(numbers, seconds):
    """Fit the power of the number that the time grows with."""
    return float(np.polyfit(np.log(numbers), np.log(seconds), 1)[0])


def asking(goal, options):
    return {n: asker(goal, n, options) for n in sizes(options)}


def preparing(goal, options):
    return {n: preparer(goal, n, options) for n in sizes(options)}


ROWS = {"ask": asking, "prepare": preparing}
"""What is measured, and the works of each by the number of queries."""


def asker(goal, n, options):
    evaluation = preparer(goal, n, options)()
    ids = evaluation.ask(N_ANSWERED)["query_id"]
    evaluation.tell(ids, np.arange(len(ids)) % 2)
    return functools.partial(evaluation.ask, N_ANSWERED)


def preparer(goal, n, options):
    router, vectors = pool_of(options)
    cells = np.fromiter(vectors[:n], dtype=object, count=n)
    queries = pd.DataFrame({"query_id": np.arange(n), "query": cells})
    return functools.partial(
        AdaptiveEvaluation, router, queries, goal=goal, random_state=0
    )


class Case:
    """Works of a fresh process: one is made when it is looked up."""

    def __init__(self, options):
        self.options = options

    def __getitem__(self, name):
        goal, row, n = name
        return (asker if row == "ask" else preparer)(goal, n, self.options)


@functools.cache
def pool_of_size(n_queries, n_known, n_models):
    """Fit a router to made-up models; the network takes no part in `ask`."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_queries, N_FEATURES)).astype(np.float32)
    abilities = rng.standard_normal((n_models, 1))
    p = 1 / (1 + np.exp(-abilities - rng.standard_normal(n_known)))
    scores = (rng.random(p.shape) < p).astype(float)
    cells = np.fromiter(vectors[:n_known], dtype=object, count=n_known)
    table = pd.DataFrame(
        {
            "model": np.repeat(np.arange(n_models), n_known),
            "query": np.tile(cells, n_models),
            "query_id": np.tile(np.arange(n_known), n_models),
        }
    )
    router = LocusRouter(
        n_components=16, max_iter=1, local_evidence=False, random_state=0
    )
    return router.fit(table, scores.ravel()), vectors


def pool_of(options):
    n_models = sized(options, 100, 100, 8)
    return pool_of_size(max(sizes(options)), sized(options, 1024, 1024, 64), n_models)


if __name__ == "__main__":
    main()
