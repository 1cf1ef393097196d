"""Jobs done in parallel, with their results kept on disk.

A job is a function of a log and of a dictionary of plain values with the name of a
method. Its result is found again under the function, the values, the log's fingerprint
and the results version of the method (``results_versions.py``).
"""

import os

from joblib import Memory, Parallel, delayed, parallel_config
from results_versions import results_version
from tqdm import tqdm


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

    With ``options.cached``, nothing is computed: None stands for what is not kept.
    """
    # Read by the libraries when a worker, or torch in this process, first loads them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    memory = Memory(options.cache, verbose=0)
    compute = memory.cache(_compute, ignore=["function", "log"])
    fingerprint = log.fingerprint  # of the whole log: seconds, so once
    values = [(function, log, job, _key(function, fingerprint, job)) for job in jobs]
    if getattr(options, "cached", False):
        return [
            compute(*v) if compute.check_call_in_cache(*v) else None for v in values
        ]
    calls = [delayed(compute)(*own) for own in values]
    with parallel_config("loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=options.n_jobs, return_as="generator")(calls)
        return list(tqdm(results, total=len(calls), desc=f"{log.name}: {title}"))


def _compute(function, log, job, key):
    return function(log, job)


def _key(function, fingerprint, job):
    return (
        f"{function.__module__}.{function.__name__}",
        fingerprint,
        results_version(job["method"]),
    )
