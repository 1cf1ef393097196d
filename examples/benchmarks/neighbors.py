"""Measure neighbours of large pools: time and recall of the index, planted families.

    python examples/benchmarks/neighbors.py --models 100000

The time of exact distances is measured on a sample of the models and scaled; the index
is built and asked for all of them.
"""

import argparse
import json
import time

import numpy as np

from skl_locus._routing.decisions import nearest_others
from skl_locus._routing.neighbor_index import nearest_by_index

WIDTH, K, PER_FAMILY, SPREAD = 128, 10, 20, 0.3


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=500)
    options = parser.parse_args(arguments)
    embeddings = families(options.models)
    some = np.sort(
        np.random.default_rng(1).choice(options.models, options.sample, replace=False)
    )
    exact_neighbors(embeddings[:1000], some[:1] * 0)  # imports what it needs
    start = time.perf_counter()
    exact = exact_neighbors(embeddings, some)
    seconds = (time.perf_counter() - start) * options.models / options.sample
    start = time.perf_counter()
    found = nearest_by_index(embeddings, embeddings, K)[some]
    indexed = time.perf_counter() - start
    hits = [np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)]
    row = {
        "models": options.models,
        "exact_seconds": round(seconds, 1),
        "index_seconds": round(indexed, 1),
        "share_of_time": round(indexed / seconds, 4),
        "recall": round(float(np.mean(hits)), 4),
    }
    print(json.dumps(row))
    return row


def families(n_models):
    """Draw families of log-normal sizes, whose members lie around their base model."""
    rng = np.random.default_rng(0)
    n_families = max(2, n_models // PER_FAMILY)
    sizes = rng.lognormal(size=n_families)
    own = rng.choice(n_families, n_models, p=sizes / sizes.sum())
    bases = rng.standard_normal((n_families, WIDTH), dtype=np.float32)
    noise = rng.standard_normal((n_models, WIDTH), dtype=np.float32)
    return bases[own] + SPREAD * noise


def exact_neighbors(embeddings, some):
    from sklearn.metrics import pairwise_distances_chunked

    parts = pairwise_distances_chunked(
        embeddings[some],
        embeddings,
        reduce_func=lambda distances, first: nearest_others(
            distances, some[first : first + len(distances)], K
        ),
        working_memory=64,
    )
    return np.concatenate(list(parts))


if __name__ == "__main__":
    main()
