"""Route one already encoded query through the public ``route``, default settings.

The whole call: it reads the query, judges it by network and local evidence, and
chooses. Once with 1,024 stored queries, once with 35,000 of which each model has seen
some. (One query by the network alone, in both forms, is a row of correctness.py.)
"""

import numpy as np
from measuring import alternate, parse_options, report, sized
from threadpoolctl import threadpool_limits

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations

N_CALLS = 200
"""Calls per repetition: one takes less than a millisecond."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    n_models = sized(options, 112, 112, 4)
    few = sized(options, (1_024, 1.0), (256, 1.0), (32, 1.0))
    many = sized(options, (35_000, 0.02), (4_000, 0.05), (64, 0.5))
    with threadpool_limits(1):
        report_route(options, "route", n_models, *few, "0.3 ms")
        report_route(options, "route_many", n_models, *many, "1 ms")


def report_route(options, name, n_models, n_queries, observed, target):
    log = make_evaluations(
        n_models=n_models,
        n_queries=n_queries,
        n_features=768,
        observed=observed,
        random_state=0,
    )
    # What a query costs does not depend on how long the network was trained.
    router = LocusRouter(max_iter=2, random_state=0)
    router.fit(log.evaluations, log.evaluations["score"])
    queries = np.ascontiguousarray(log.encodings[:N_CALLS], dtype=np.float32)

    def route_each():
        for query in queries:
            router.route(query[None])

    (totals,) = alternate({"route": route_each}, options.repeats).values()
    work = f"route one query over {n_models} models, {n_queries} stored queries"
    per_call = {"one thread": [total / len(queries) for total in totals]}
    report(options, name, work, per_call, target=f"under {target}")


if __name__ == "__main__":
    main()
