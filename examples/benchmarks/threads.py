"""Route requests from one thread and from eight, on one fitted router.

Each thread's linear algebra is held to one thread (threadpoolctl), as in a server that
answers several requests at a time. The last form is eight threads of which a semaphore
lets no more compute at a time than there are cores.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import alternate, parse_options, report, sized
from threadpoolctl import threadpool_limits

from skl_locus import KMeansRouter, KNNRouter, LocusRouter
from skl_locus.datasets import make_evaluations

BATCHES = (1, 16, 256)
"""Queries of a request."""

N_QUERIES = 6_400
"""Queries of all requests of a run, which are 800 at most."""

CORES = len(os.sched_getaffinity(0))
FORMS = {
    "1 thread": (1, 1),
    "2 threads": (2, 2),
    "8 threads": (8, 8),
    "8 threads, a semaphore": (8, CORES),
}
"""Threads, and how many of them may compute at a time."""

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
    queries = np.random.default_rng(0).permutation(log.encodings)
    for name, router in ROUTERS.items():
        router.fit(log.evaluations, log.evaluations["score"])
        for batch in BATCHES:
            report_threads(options, name, router, requests_of(options, queries, batch))


def requests_of(options, queries, batch):
    n_requests = min(800, sized(options, N_QUERIES, N_QUERIES // 4, 512) // batch)
    return [
        np.take(queries, range(i * batch, (i + 1) * batch), axis=0, mode="wrap")
        for i in range(n_requests)
    ]


def report_threads(options, name, router, requests):
    expected = [router.route(request) for request in requests]
    batch = len(requests[0])

    def run(n_threads, n_at_a_time):
        gate = threading.Semaphore(n_at_a_time)

        def route(request):
            with gate:
                return router.route(request)

        with ThreadPoolExecutor(n_threads) as threads:
            routes = list(threads.map(route, requests))
        assert all(map(np.array_equal, routes, expected))

    with threadpool_limits(1):
        seconds = alternate(
            {form: lambda how=how: run(*how) for form, how in FORMS.items()},
            options.repeats,
        )
    report(
        options,
        f"threads_{name}_{batch}",
        f"route {len(requests)} requests of {batch} queries, {name}",
        seconds,
        target="the same answers, more of them from eight threads than from one",
        queries_per_second={
            form: float(len(requests) * batch / np.median(times))
            for form, times in seconds.items()
        },
    )


if __name__ == "__main__":
    main()
