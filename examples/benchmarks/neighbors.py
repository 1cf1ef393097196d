"""Measure neighbours of large pools: time and recall of the index, planted families.

    python examples/benchmarks/neighbors.py --models 100000

The time of exact distances is measured on a sample of the models and scaled; an index
is built and asked for all of them, building included. Where usearch is installed, its
graph is measured beside the index of faiss that the package uses. Processor seconds
are those of all threads together.
"""

import argparse
import importlib.util
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
    exact, exact_times = timed(lambda: exact_neighbors(embeddings, some))
    exact_times = exact_times * options.models / options.sample
    rows = [
        compared(name, search, embeddings, some, exact, exact_times)
        for name, search in SEARCHES.items()
        if importlib.util.find_spec(name) is not None
    ]
    for row in rows:
        print(json.dumps(row))
    return rows


def compared(name, search, embeddings, some, exact, exact_times):
    """Compare an index with exact distances."""
    found, times = timed(lambda: search(embeddings, embeddings, K)[some])
    hits = [np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)]
    return {
        "index": name,
        "models": len(embeddings),
        "exact_seconds": round(exact_times[0], 1),
        "index_seconds": round(times[0], 1),
        "share_of_time": round(times[0] / exact_times[0], 4),
        "exact_processor_seconds": round(exact_times[1], 1),
        "index_processor_seconds": round(times[1], 1),
        "share_of_processor": round(times[1] / exact_times[1], 4),
        "recall": round(float(np.mean(hits)), 4),
    }


def timed(work):
    """Return a result, and the seconds of the clock and of the processor."""
    start, processor = time.perf_counter(), time.process_time()
    result = work()
    ended = time.perf_counter() - start, time.process_time() - processor
    return result, np.array(ended)


def nearest_by_usearch(rows, columns, k):
    from usearch.index import Index

    index = Index(ndim=columns.shape[1], metric="l2sq", dtype="f32")
    keys = np.arange(len(columns))
    index.add(keys, columns)
    found = index.search(rows, k + 1).keys.astype(np.int64)
    others = found != keys[:, None]
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(found), k)


SEARCHES = {"faiss": nearest_by_index, "usearch": nearest_by_usearch}


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
