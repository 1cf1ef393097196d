"""P(correct) of queries for all models: the packed predictor against the plain form.

The network alone, as it serves: numpy from encodings to logits. The plain form
concatenates the input of every pair. Also timed: one query at a time, and what a user
calls, ``correctness_matrix`` of a router with local evidence, beside its predictor.
"""

import numpy as np
import torch
from made import (
    N_FEATURES,
    N_MODELS,
    encodings,
    largest_difference,
    networks,
    no_grad,
)
from measuring import alternate, parse_options, peak_memory, report, sized

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations

FORMS = ("plain", "package")
N_SINGLE = 200
"""Single queries in a measurement."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    works, single = prepare(options), prepare_single(options)
    n_queries, n_models = size(options)
    report(
        options,
        "correctness",
        f"correctness of {n_queries} queries x {n_models} models",
        alternate(works, options.repeats),
        flops=flops(n_queries, n_models),
        peaks={form: peak_memory(prepare, form, options) for form in FORMS},
        target="8 times faster",
        difference=largest_difference(works["plain"](), works["package"]()),
    )
    report(
        options,
        "correctness_single",
        f"correctness of {N_SINGLE} single queries x {n_models} models",
        alternate(single, options.repeats),
    )
    report(
        options,
        "correctness_public",
        f"correctness_matrix of {n_queries} queries x {n_models} models",
        alternate(prepare_public(options), options.repeats),
    )


def size(options):
    return sized(options, (4096, N_MODELS), (1024, N_MODELS), (64, 4))


def prepare(options):
    n_queries, _ = size(options)
    plain, package = forms(options)
    vectors = encodings(n_queries, N_FEATURES)
    return {"plain": lambda: plain(vectors), "package": lambda: package(vectors)}


def prepare_single(options):
    plain, package = forms(options)
    queries = np.split(encodings(N_SINGLE, N_FEATURES), N_SINGLE)
    return {
        "plain": lambda: [plain(query) for query in queries],
        "package": lambda: [package(query) for query in queries],
    }


def prepare_public(options):
    """Return the public call, and the part of it that the other rows time."""
    n_queries, n_models = size(options)
    log = make_evaluations(
        n_models=n_models,
        n_queries=sized(options, 1024, 256, 32),
        n_features=N_FEATURES,
        random_state=0,
    )
    # What a query costs does not depend on how long the network was trained.
    router = LocusRouter(max_iter=2, random_state=0, device="cpu")
    router.fit(log.evaluations, log.evaluations["score"])
    vectors = encodings(n_queries, N_FEATURES)
    predictor = router._pool.predictor
    return {
        "predictor alone": lambda: predictor.logits(vectors),
        "correctness_matrix": lambda: router.correctness_matrix(vectors),
    }


def forms(options):
    """Return both forms as functions from encodings to logits."""
    _, n_models = size(options)
    state, twin, _ = networks(N_FEATURES)
    embeddings = encodings(n_models, state.config["n_components"], seed=2)
    z = torch.tensor(embeddings)
    plain = no_grad(lambda vectors: twin.score_each(z, torch.from_numpy(vectors)))
    return plain, state.pack(embeddings).logits


def flops(n_queries, n_models, width=128, hidden=64):
    """Count the products of both forms."""
    pairs = n_queries * n_models
    projection = n_queries * N_FEATURES * width
    return {
        "plain": 2 * (projection + pairs * (3 * width * hidden + hidden)),
        "package": 2 * (projection + pairs * (width * hidden + width + hidden)),
    }


if __name__ == "__main__":
    main()
