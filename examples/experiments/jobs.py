"""Do jobs in parallel, once: results are kept on disk for each configuration.

A job is a function of a log and of a dictionary of plain values with the name of a
method. Its result is found again under the function, the values, the log's fingerprint
and the sources that it ran: changing one router lets the results of others stand.
"""

import inspect
import os
from hashlib import sha256
from pathlib import Path

from dependencies import modules_used_by
from joblib import Memory, Parallel, delayed, parallel_config
from methods import make
from tqdm import tqdm

import skl_locus

MEASURED_BY = ("protocol.py", "evaluate.py")
"""Sources of the experiments that results depend on; parameters are in the jobs."""


def run_jobs(function, log, jobs, options, title):
    """Return the results of ``function(log, job)`` for all jobs, in their order.

    Parameters
    ----------
    function : callable
        Of a module (not a script's ``__main__``), so that it has a name.
    log : Log
        Kept out of the key except for its fingerprint.
    jobs : list of dict
        Plain values.
    options : Namespace
        With ``cache`` and ``n_jobs``.
    title : str
        Written before the progress bar.
    """
    # Read by the libraries when a worker, or torch in this process, first loads them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    memory = Memory(options.cache, verbose=0)
    compute = memory.cache(_compute, ignore=["function", "log"])
    calls = [
        delayed(compute)(function, log, job, _key(function, log, job)) for job in jobs
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=options.n_jobs, return_as="generator")(calls)
        return list(tqdm(results, total=len(calls), desc=f"{log.name}: {title}"))


def _compute(function, log, job, key):
    return function(log, job)


def _key(function, log, job):
    return (
        f"{function.__module__}.{function.__name__}",
        log.fingerprint,
        sources_of(job["method"], inspect.getsourcefile(function)),
    )


def sources_of(method, script):
    """Identify the sources that a script's results for a method depend on."""
    router = inspect.getsourcefile(type(make(method, seed=0)))
    measuring = [Path(__file__).parent / name for name in MEASURED_BY] + [Path(script)]
    digest = sha256(skl_locus.__version__.encode())
    for path in sorted(modules_used_by([Path(router), *measuring])):
        digest.update(path.read_bytes())
    return digest.hexdigest()
