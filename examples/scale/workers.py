"""What Dask workers do with one file: a router is loaded once per worker process."""

from functools import lru_cache
from pathlib import Path

import skl_locus
from skl_locus.batches import embed_batches, route_batches, write_parts


@lru_cache(maxsize=2)
def loaded(path):
    """Load an estimator at its first use in this process; later files find it here."""
    return skl_locus.load(path)


def route_file(router_path, source, output):
    """Route the queries of one file into a folder of its own; return it."""
    folder = Path(output) / Path(source).stem
    write_parts(route_batches(loaded(router_path), source), folder)
    return str(folder)


def embed_file(embedder_path, source, queries_path, output):
    """Embed the models of one file into a folder of its own; return it."""
    import pyarrow.parquet as pq

    folder = Path(output) / Path(source).stem
    queries = None if queries_path is None else pq.read_table(queries_path)
    batches = embed_batches(loaded(embedder_path), source, queries=queries)
    write_parts(batches, folder)
    return str(folder)
