"""Read, fit and route a large log: by default 112 models x 35,000 queries x 768.

Prints seconds and the peak memory of the process after each stage. The scores are
drawn at random from a planted model; ``--max-iter`` bounds the training.
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from skl_locus import BestSingleRouter, LocusRouter

N_PLANTED = 8
N_ROUTED = 1000


def main(arguments=None):
    options = parse_options(arguments)
    encodings, table, scores = make_log(options)
    report("table", 0.0)
    timed("door (BestSingleRouter.fit)", lambda: BestSingleRouter().fit(table, scores))
    router = LocusRouter(max_iter=options.max_iter, random_state=0)
    timed(f"fit, {options.max_iter} steps", lambda: router.fit(table, scores))
    timed(f"route {N_ROUTED} queries", lambda: router.route(encodings[:N_ROUTED]))


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=112)
    parser.add_argument("--queries", type=int, default=35_000)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--max-iter", type=int, default=48)
    return parser.parse_args(arguments)


def make_log(options):
    rng = np.random.default_rng(0)
    shape = (options.queries, options.features)
    encodings = rng.normal(size=shape).astype(np.float32)
    traits = encodings[:, :N_PLANTED] @ rng.normal(size=(N_PLANTED, options.models))
    correct = rng.random(traits.shape) < 1 / (1 + np.exp(-traits))
    cells = np.empty(len(encodings), dtype=object)
    cells[:] = list(encodings)
    models = np.repeat(np.arange(options.models), options.queries)
    names = [f"model-{i:03d}" for i in range(options.models)]
    table = pd.DataFrame(
        {
            "model": pd.Categorical.from_codes(models, names),
            "query": np.tile(cells, options.models),
        }
    )
    return encodings, table, correct.T.ravel().astype(np.float32)


def timed(name, work):
    start = time.perf_counter()
    work()
    report(name, time.perf_counter() - start)


def report(name, seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<32}{seconds:>9.2f} s{peak:>9.0f} MiB peak", flush=True)


if __name__ == "__main__":
    main()
