"""Time and peak memory of portfolios of a large pool: 100,000 models x 128 numbers.

Directions drawn at random are the worst case of the lazy budget search, since all
models are about equally useful; clustered ones are closer to a real pool. Every case
runs in a process of its own; its peak is that of the whole process. The number of
threads is set by OMP_NUM_THREADS.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np

from skl_locus import BudgetPortfolio, KCenterPortfolio, KMedoidsPortfolio

N_CLUSTERS = 200
CASES = {
    "k-center, 50 models": (KCenterPortfolio(50), False),
    "k-medoids, 50 models": (KMedoidsPortfolio(50), False),
    "budget, 50 at cost 1": (BudgetPortfolio(50), False),
    "budget, log-normal costs": (BudgetPortfolio(20), True),
}
POOLS = ("random", "clustered")


def main(arguments=None):
    options = parse_options(arguments)
    print(f"{options.models} models x {options.components}")
    print(
        f"{'case':<28}{'pool':<12}{'seconds':>9}{'MiB':>7}{'size':>6}{'coverage':>10}"
    )
    context = multiprocessing.get_context("spawn")
    for case in [case for case in CASES if case.startswith(tuple(options.cases))]:
        for pool in POOLS:
            with context.Pool(1) as process:
                row = process.apply(measure, (case, pool, options))
            print(f"{case:<28}{pool:<12}{row}", flush=True)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument(
        "--cases", nargs="+", default=[""], help="first words of the cases, such as k-"
    )
    return parser.parse_args(arguments)


def measure(case, pool, options):
    portfolio, priced = CASES[case]
    Z = embeddings(pool, options)
    costs = np.random.default_rng(1).lognormal(size=len(Z))
    start = time.perf_counter()
    portfolio.fit(Z, cost=costs) if priced else portfolio.fit(Z)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = len(portfolio.selected_models_)
    share = portfolio.coverage_ / len(Z)
    return f"{seconds:>9.1f}{peak:>7.0f}{size:>6}{share:>10.1%}"


def embeddings(pool, options):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(options.models, options.components)).astype(np.float32)
    if pool == "clustered":
        centers = rng.normal(size=(N_CLUSTERS, options.components))
        Z = 0.5 * Z + centers[rng.integers(N_CLUSTERS, size=options.models)]
    return Z


if __name__ == "__main__":
    main()
