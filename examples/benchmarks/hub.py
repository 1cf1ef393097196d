"""Rank the ten best of 300,000 models in blocks, and measure time and extra memory.

    python examples/benchmarks/hub.py --models 30000 100000 300000 --queries 64

Each size runs in a process of its own. Beside the seconds of a clock stand those of the
processor, of all threads together, which other work on the machine changes less.
"""

import argparse
import json
import multiprocessing
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
from measuring import _status
from rank import K, enlarged, fitted_router


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", type=int, nargs="+", default=[30_000, 100_000, 300_000]
    )
    parser.add_argument("--queries", type=int, default=64)
    options = parser.parse_args(arguments)
    rows = []
    context = multiprocessing.get_context("spawn")
    for n_models in options.models:
        with context.Pool(1) as process:
            rows.append(process.apply(measured, (n_models, options.queries)))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def measured(n_models, n_queries):
    router, _ = fitted_router(Namespace(smoke=False, quick=True))
    router = enlarged(router, n_models)
    rng = np.random.default_rng(2)
    width = router.n_features_in_
    queries = rng.standard_normal((n_queries, width), np.float32)
    router.rank(queries[:1], K)
    router.neighbors(router.models_[0], K)
    rank, neighbors = (
        timed(lambda: router.rank(queries, K)),
        timed(lambda: router.neighbors(router.models_[1], K)),
    )
    return {
        "models": n_models,
        "queries": n_queries,
        "rank": rank,
        "all_scores_mib": round(n_models * n_queries * 4 / 2**20, 1),
        "neighbors": neighbors,
    }


def timed(work):
    """Return seconds of the clock and of the processor, and MiB of extra memory."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    start, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
        "extra_mib": round(_status("VmHWM") - before),
    }


if __name__ == "__main__":
    main()
