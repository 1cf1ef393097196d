"""Do jobs in parallel, once: results are kept on disk for each configuration.

A job is a function of a log and of a dictionary of plain values. Its result is found
again under the function, the values, the log's fingerprint and the sources it ran.
"""

import inspect
import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from joblib import Memory, Parallel, delayed, parallel_config
from tqdm import tqdm

import skl_locus

PACKAGE = Path(skl_locus.__file__).parent
FITTED_BY = ("*.py", "_torch/*.py", "baselines/*.py")
"""Sources of the package that fitted routers depend on."""

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
    key = (
        f"{function.__module__}.{function.__name__}",
        log.fingerprint,
        sources_of(inspect.getsourcefile(function)),
    )
    calls = [delayed(compute)(function, log, job, key) for job in jobs]
    with parallel_config("loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=options.n_jobs, return_as="generator")(calls)
        return list(tqdm(results, total=len(calls), desc=f"{log.name}: {title}"))


def _compute(function, log, job, key):
    return function(log, job)


@lru_cache
def sources_of(script):
    """Identify the sources that a script's results depend on."""
    paths = [path for pattern in FITTED_BY for path in PACKAGE.glob(pattern)]
    folder = Path(__file__).parent
    paths += [folder / name for name in MEASURED_BY] + [Path(script)]
    digest = sha256(skl_locus.__version__.encode())
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()
