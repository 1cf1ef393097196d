"""Measure streams: rates and extra memory of route_batches and embed_batches by size.

    python examples/benchmarks/batches.py --queries 500000 1000000 5000000 \
        --models 3000 10000 30000

Every size is measured in a process of its own, which reads parquet and writes parquet.
Extra memory is VmHWM less the resident memory before the work, after one small warm-up.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import MEBI, _status

from skl_locus import LocusRouter, save
from skl_locus.batches import embed_batches, route_batches, write_parts

N_FEATURES, N_FITTED, N_KNOWN = 384, 100, 1_000
EVALUATIONS = 128
CHUNK = 20_000
MAX_ITER = 24


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, nargs="*", default=[100_000, 200_000])
    parser.add_argument("--models", type=int, nargs="*", default=[1_000, 3_000])
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for work, sizes in (("route", options.queries), ("embed", options.models)):
            for size in sizes:
                make_input(folder, work, size)
                rows.append(in_new_process(work, folder, size))
                print(json.dumps(rows[-1]), flush=True)
        print(json.dumps(in_new_process("memory", folder, CHUNK)), flush=True)
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def prepare(folder):
    """Fit a router of 100 models, and write the known queries."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_KNOWN, N_FEATURES)).astype(np.float32)
    ids = np.arange(N_KNOWN)
    queries = pa.table({"query_id": ids, "query": column_of(vectors)})
    pq.write_table(queries, folder / "queries.parquet")
    frame = queries.to_pandas().loc[np.tile(ids, N_FITTED)]
    frame["model"] = np.repeat(np.arange(N_FITTED), N_KNOWN)
    score = (rng.random(len(frame)) < 0.5).astype(float)
    router = LocusRouter(max_iter=MAX_ITER, random_state=0).fit(frame, score)
    save(router, folder / "router")


def make_input(folder, work, size):
    """Write queries, or a log of ids that is sorted by model, chunk by chunk."""
    rng = np.random.default_rng(size)
    path = folder / f"{work}-{size}.parquet"
    writer = None
    for start in range(0, size, CHUNK):
        n_rows = min(CHUNK, size - start)
        if work == "route":
            vectors = rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
            table = pa.table(
                {
                    "query_id": np.arange(start, start + n_rows),
                    "query": column_of(vectors),
                }
            )
        else:
            table = pa.table(
                {
                    "model": np.repeat(np.arange(start, start + n_rows), EVALUATIONS),
                    "query_id": rng.integers(N_KNOWN, size=n_rows * EVALUATIONS),
                    "score": rng.integers(2, size=n_rows * EVALUATIONS).astype(float),
                }
            )
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, use_dictionary=["model"])
        writer.write_table(table, row_group_size=CHUNK)
    writer.close()


def column_of(vectors):
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), N_FEATURES)


def in_new_process(work, folder, size):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as process:
        return process.apply(measured, (work, folder, size))


def measured(work, folder, size):
    from skl_locus import load

    router = load(folder / "router")
    queries = pq.read_table(folder / "queries.parquet")
    if work == "memory":
        vectors = np.random.default_rng(1).normal(size=(size, N_FEATURES))
        vectors = vectors.astype(np.float32)
        router.route(vectors[:100])
        start = time.perf_counter()
        router.route(vectors)
        return {"work": "route in memory", "rate": size / (time.perf_counter() - start)}
    source = folder / f"{work}-{size}.parquet"

    def run(source, output):
        if work == "route":
            stream = route_batches(router, source)
        else:
            stream = embed_batches(router.embedder_, source, queries=queries)
        write_parts(stream, output)

    warm = pq.ParquetFile(source).iter_batches(100)
    pq.write_table(pa.Table.from_batches([next(warm)]), folder / "warm.parquet")
    run(folder / "warm.parquet", folder / f"warm-{work}-{size}")
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _status("VmRSS"), time.perf_counter()
    run(source, folder / f"out-{work}-{size}")
    seconds = time.perf_counter() - start
    return {
        "work": work,
        "size": size,
        "seconds": round(seconds, 2),
        "rate": round(size / seconds, 1),
        "extra_mib": round(_status("VmHWM") - before),
        "input_mib": round(source.stat().st_size / MEBI),
    }


if __name__ == "__main__":
    main()
