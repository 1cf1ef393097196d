"""Onboard up to 10,000 models of 128 evaluations each: time and memory per model.

Models are embedded (`LocusEmbedder.transform`) or added to a router, which also takes
their local evidence: from queries of their own, where each model's regression has a
design of its own, or all from the same queries, which share one.
"""

import copy
import warnings

import numpy as np
import pandas as pd
from measuring import alternate, parse_options, peak_memory, report, sized

from skl_locus import LocusRouter
from skl_locus.exceptions import NarrowCoverageWarning

N_FEATURES = 768
PARTS = (1, 2, 4, 8)
"""Sizes, as parts of the largest."""

MAX_REPEATS = 2
"""A round of the full sizes takes more than a minute."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    router = fitted_router(options)
    for row, work in WORKS.items():
        works = {n: work(router, log_of(row, n, options)) for n in sizes(options)}
        seconds = alternate(works, min(options.repeats, MAX_REPEATS))
        medians = [np.median(times) for times in seconds.values()]
        names = {n: f"{n} models" for n in works}
        report(
            options,
            f"onboarding_{row}",
            f"onboarding, {row.replace('_', ' ')}",
            {names[n]: times for n, times in seconds.items()},
            peaks={names[n]: peak_memory(Cases, (row, n), options) for n in (*works,)},
            target="linear in models, memory flat",
            exponent=float(np.polyfit(np.log(list(works)), np.log(medians), 1)[0]),
            milliseconds_per_model=float(1000 * medians[-1] / max(works)),
        )


def sizes(options):
    largest = sized(options, 10_000, 1_000, 16)
    return [largest * part // max(PARTS) for part in PARTS]


class Cases:
    """The works by row and number of models; only the one asked for is made."""

    def __init__(self, options):
        self.options = options

    def __getitem__(self, case):
        row, n_models = case
        router = fitted_router(self.options)
        return WORKS[row](router, log_of(row, n_models, self.options))


def fitted_router(options):
    n_models, n_evaluations = sized(options, (32, 512), (32, 256), (4, 16))
    log = make_log("old", n_models, n_evaluations, False, options)
    return LocusRouter(max_iter=4, random_state=0).fit(log, log["score"])


def log_of(row, n_models, options):
    shared = row == "add_models_same_queries"
    n_evaluations = sized(options, 128, 128, 8)
    return make_log("new", n_models, n_evaluations, shared, options)


def make_log(name, n_models, n_evaluations, shared, options):
    """Make evaluations of random queries, the same ones for all models if shared."""
    n_queries = sized(options, 4096, 1024, 40)
    rng = np.random.default_rng([n_models, shared])
    vectors = rng.standard_normal((n_queries, N_FEATURES), dtype=np.float32)
    chosen = rng.random((1 if shared else n_models, n_queries)).argsort(axis=1)
    queries = np.broadcast_to(
        chosen[:, :n_evaluations], (n_models, n_evaluations)
    ).ravel()
    models = np.repeat(np.arange(n_models), n_evaluations)
    cells = np.empty(n_queries, dtype=object)
    cells[:] = list(vectors)
    names = [f"{name}-{i:05d}" for i in range(n_models)]
    return pd.DataFrame(
        {
            "model": pd.Categorical.from_codes(models, names),
            "query": cells[queries],
            "score": (rng.random(len(models)) < 0.6).astype(np.float32),
        }
    )


def transform(router, log):
    return lambda: router.embedder_.transform(log)


def add_models(router, log):
    def work():
        with warnings.catch_warnings():
            # The new models are asked queries that the others were not.
            warnings.simplefilter("ignore", NarrowCoverageWarning)
            # The router's pool is replaced, never changed: a shallow copy starts anew.
            return copy.copy(router).add_models(log, log["score"])

    return work


WORKS = {
    "transform": transform,
    "add_models": add_models,
    "add_models_same_queries": add_models,
}


if __name__ == "__main__":
    main()
