"""Route small batches from one thread and from eight, on one fitted router.

Each thread's linear algebra is held to one thread (threadpoolctl), as in a server that
answers several requests at a time.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import alternate, parse_options, report, sized
from threadpoolctl import threadpool_limits

from skl_locus import KMeansRouter, KNNRouter, LocusRouter
from skl_locus.datasets import make_evaluations

BATCH = 16
"""Queries of a request."""

THREADS = (1, 2, 8)
ROUTERS = {
    "locus": LocusRouter(max_iter=4, random_state=0),
    "kmeans": KMeansRouter(random_state=0),
    "knn": KNNRouter(),
}


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    n_models, n_queries = sized(options, (112, 2_000), (112, 500), (4, 60))
    log = make_evaluations(
        n_models=n_models, n_queries=n_queries, n_features=768, random_state=0
    )
    n_requests = sized(options, 400, 100, 4)
    queries = np.random.default_rng(0).permutation(log.encodings)
    requests = [
        np.take(queries, range(i * BATCH, (i + 1) * BATCH), axis=0, mode="wrap")
        for i in range(n_requests)
    ]
    for name, router in ROUTERS.items():
        router.fit(log.evaluations, log.evaluations["score"])
        report_threads(options, name, router, requests)


def report_threads(options, name, router, requests):
    expected = [router.route(request) for request in requests]

    def run(n_threads):
        with ThreadPoolExecutor(n_threads) as threads:
            routes = list(threads.map(router.route, requests))
        assert all(map(np.array_equal, routes, expected))

    with threadpool_limits(1):
        seconds = alternate({n: lambda n=n: run(n) for n in THREADS}, options.repeats)
    report(
        options,
        f"threads_{name}",
        f"route {len(requests)} requests of {BATCH} queries, {name}",
        {f"{n} threads": times for n, times in seconds.items()},
        target="the same answers, more of them from eight threads than from one",
        queries_per_second={
            f"{n} threads": float(len(requests) * BATCH / np.median(times))
            for n, times in seconds.items()
        },
    )


if __name__ == "__main__":
    main()
