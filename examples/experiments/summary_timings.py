"""Seconds of fits and routes of every method, one after the other in one process.

Processor time on one thread: what else the machine does changes it little. Times are
never cached, and are measured apart from the results for that reason.
"""

import time

import pandas as pd
from e7_time import copies
from evaluate import fit_on_draw
from methods import make
from options import read_pools, sources, speed, summary_folder
from protocol import COMPLETE, available_sizes, draw
from threadpoolctl import threadpool_limits

FILE_NAME = "summary_timings.csv"
SEED = 0
SIZES = {"full": 512, "paper": 1024, "quick": 256, "smoke": 48}
N_ROUTED, REPEATS = 1024, 3
NEW_MODEL = 128
"""Evaluations of a model that joins."""


def run(options):
    """Time every method on the last log; return the path of the table."""
    log = read_pools(list(sources(options))[-1], options)[0]
    n = available_sizes(log, (SIZES[speed(options)],))[-1]
    with threadpool_limits(1):
        rows = [timed(method, log, n, options) for method in options.methods]
    path = summary_folder(options) / FILE_NAME
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def timed(method, log, n, options):
    """Return the row of a method."""
    router = make(method, SEED, options.smoke)
    seconds = fit_on_draw(router, log, draw(log, COMPLETE, n, SEED))
    vectors = log.vectors[log.test][:N_ROUTED]
    routing = min(processor_seconds(router.route, vectors) for _ in range(REPEATS))
    new = copies(log, min(NEW_MODEL, n), 1)
    return {
        "method": method,
        "log": log.name,
        "n": n,
        "models": len(log.models),
        "fit_seconds": seconds,
        "route_microseconds": 1e6 * routing / len(vectors),
        "add_seconds": processor_seconds(router.add_models, new, new["score"]),
    }


def processor_seconds(call, *arguments):
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start
