"""Rank the ten best of up to 100,000 models: time in models and queries, and memory.

The pool is made of the models of a small fitted router, taken many times over.
"""

import copy
from dataclasses import replace

import numpy as np
from measuring import alternate, parse_options, peak_memory, report, sized

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations

N_FEATURES = 768
N_FITTED = 32
K = 10
PARTS = (1, 2, 4, 8)
"""Sizes, as parts of the largest."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    n_models, n_queries = sized(options, (100_000, 256), (10_000, 256), (160, 16))
    by_models = [(n_models * part // max(PARTS), n_queries) for part in PARTS]
    few = max(K, n_models // 10)
    by_queries = [(few, 8 * n_queries * part // max(PARTS)) for part in PARTS]
    for row, cases in {"models": by_models, "queries": by_queries}.items():
        report_growth(options, row, cases)


def report_growth(options, row, cases):
    works = Cases(options)
    seconds = alternate({case: works[case] for case in cases}, options.repeats)
    names = {case: f"{case[0]} models, {case[1]} queries" for case in cases}
    sizes = [n_models * n_queries for n_models, n_queries in cases]
    medians = [np.median(times) for times in seconds.values()]
    report(
        options,
        f"rank_{row}",
        f"rank, {K} best, by {row}",
        {names[case]: times for case, times in seconds.items()},
        peaks={names[case]: peak_memory(Cases, case, options) for case in cases},
        target=f"linear in {row}, memory flat",
        exponent=float(np.polyfit(np.log(sizes), np.log(medians), 1)[0]),
        scores_per_second=float(sizes[-1] / medians[-1]),
        matrix_mib=max(sizes) * 4 / 2**20,
    )


class Cases:
    """The works by numbers of models and queries."""

    def __init__(self, options):
        self.router, encodings = fitted_router(options)
        rng = np.random.default_rng(2)
        self.more = rng.standard_normal((100_000, encodings.shape[1]), np.float32)

    def __getitem__(self, case):
        n_models, n_queries = case
        router, queries = enlarged(self.router, n_models), self.more[:n_queries]
        return lambda: router.rank(queries, K)


def fitted_router(options):
    pool = make_evaluations(
        n_models=N_FITTED,
        n_queries=sized(options, 1024, 256, 60),
        n_features=sized(options, N_FEATURES, N_FEATURES, 16),
        random_state=0,
    )
    router = LocusRouter(max_iter=4, random_state=0)
    return router.fit(pool.evaluations, pool.evaluations.score), pool.encodings


def enlarged(router, n_models):
    """Return a copy whose pool has many models, moved a little."""
    pool, twin = router._pool, copy.copy(router)
    rng = np.random.default_rng(1)
    origin = rng.integers(len(pool.models), size=n_models)
    embeddings = pool.embeddings[origin]
    embeddings += rng.standard_normal(embeddings.shape, np.float32) / 10
    labels = np.array([f"model-{i:06d}" for i in range(n_models)], dtype=object)
    evidence = pool.evidence.take(origin, labels)
    predictor = router._network.pack(embeddings)
    twin._pool = replace(
        pool,
        models=labels,
        embeddings=embeddings,
        predictor=predictor,
        evidence=evidence,
    )
    return twin


if __name__ == "__main__":
    main()
