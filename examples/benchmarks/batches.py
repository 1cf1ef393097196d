"""Measure streams: rates and extra memory of route_batches and embed_batches by size.

    python examples/benchmarks/batches.py --queries 500000 1000000 5000000 \
        --models 3000 10000 30000

Every size is measured in a process of its own, which reads parquet and writes parquet;
``add`` adds the models of the same log to a router by ``add_models``. Extra memory is
VmHWM less the resident memory before the work, after one small warm-up. Processor
seconds are those of all threads of the process; other work on the machine changes them
less than the seconds of a clock. The last lines have the exponents of processor seconds
and of memory in the size, 300,000 models and 100 million queries by them, and the rate
of route_batches as a share of that of `route` in memory.
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
from skl_locus.batches import EvaluationLog, embed_batches, route_batches, write_parts

N_FEATURES, N_FITTED, N_KNOWN = 384, 100, 1_000
EVALUATIONS = 128
CHUNK = 20_000
MAX_ITER = 24
N_REPEATS = 3

PAPER = {"route": 100_000_000, "embed": 300_000, "add": 300_000}
"""Sizes that the measured ones are extrapolated to."""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, nargs="*", default=[100_000, 200_000])
    parser.add_argument("--models", type=int, nargs="*", default=[1_000, 3_000])
    parser.add_argument("--added", type=int, nargs="*", default=[])
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args(arguments)
    works = {"route": options.queries, "embed": options.models, "add": options.added}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for work, sizes in works.items():
            for size in sizes:
                path = make_input(folder, work, size)
                rows.append(in_new_process(work, folder, size))
                print(json.dumps(rows[-1]), flush=True)
                path.unlink()
        if options.queries:
            rows.append(in_new_process("memory", folder, CHUNK))
            print(json.dumps(rows[-1]), flush=True)
    for work, sizes in works.items():
        if len(sizes) > 1:
            rows.append(growth(work, [row for row in rows if row["work"] == work]))
            print(json.dumps(rows[-1]), flush=True)
    if options.queries:
        rows.append(share_of_memory(rows, max(options.queries)))
        print(json.dumps(rows[-1]), flush=True)
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def growth(work, rows):
    """Fit exponents to several sizes, and extrapolate."""
    sizes = np.log([row["size"] for row in rows])
    fits = {
        name: np.polyfit(sizes, np.log([max(row[name], 0.01) for row in rows]), 1)
        for name in ("processor_seconds", "extra_mib")
    }
    at = np.log(PAPER[work])
    return {
        "work": f"growth of {work}",
        "exponents": {name: round(float(fit[0]), 3) for name, fit in fits.items()},
        "memory_ratio": round(rows[-1]["extra_mib"] / max(1, rows[0]["extra_mib"]), 3),
        "on_paper": {
            "size": PAPER[work],
            **{
                name: round(float(np.exp(np.polyval(fit, at))), 1)
                for name, fit in fits.items()
            },
        },
    }


def share_of_memory(rows, size):
    """Compare the rate of the largest stream with that of `route` in memory."""
    stream = next(r for r in rows if r["work"] == "route" and r["size"] == size)
    memory = next(r for r in rows if r["work"] == "route in memory")
    return {
        "work": "route_batches by route in memory",
        "share_by_clock": round(stream["rate"] / memory["rate"], 3),
        "share_by_processor": round(
            stream["processor_rate"] / memory["processor_rate"], 3
        ),
    }


def prepare(folder):
    """Fit a router of 100 models, and write the known queries."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_KNOWN, N_FEATURES)).astype(np.float32)
    ids = np.arange(N_KNOWN)
    queries = pa.table({"query_id": ids, "query": column_of(vectors)})
    pq.write_table(queries, folder / "queries.parquet")
    frame = queries.to_pandas().loc[np.tile(ids, N_FITTED)]
    frame["model"] = np.repeat(-1 - np.arange(N_FITTED), N_KNOWN)
    score = (rng.random(len(frame)) < 0.5).astype(float)
    router = LocusRouter(max_iter=MAX_ITER, random_state=0).fit(frame, score)
    save(router, folder / "router")
    save(router.embedder_, folder / "embedder")


def make_input(folder, work, size, first=0):
    """Write queries, or a log of ids that is sorted by model, chunk by chunk."""
    rng = np.random.default_rng([size, first])
    path = folder / f"{work}-{size}.parquet"
    writer = None
    for start in range(0, size, CHUNK):
        n_rows = min(CHUNK, size - start)
        numbers = np.arange(first + start, first + start + n_rows)
        if work == "route":
            vectors = rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
            table = pa.table({"query_id": numbers, "query": column_of(vectors)})
        else:
            ids = rng.integers(N_KNOWN, size=n_rows * EVALUATIONS)
            scores = rng.integers(2, size=n_rows * EVALUATIONS).astype(float)
            models = np.repeat(numbers, EVALUATIONS)
            table = pa.table({"model": models, "query_id": ids, "score": scores})
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, use_dictionary=["model"])
        writer.write_table(table, row_group_size=CHUNK)
    writer.close()
    return path


def column_of(vectors):
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), N_FEATURES)


def in_new_process(work, folder, size):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as process:
        return process.apply(measured, (work, folder, size))


def measured(work, folder, size):
    from skl_locus import load

    router = load(folder / "router")
    if work == "memory":
        return in_memory(router, size)
    queries = pq.read_table(folder / "queries.parquet")
    source = folder / f"{work}-{size}.parquet"

    def run(source, output):
        if work == "route":
            write_parts(route_batches(router, source), output)
        elif work == "embed":
            stream = embed_batches(router.embedder_, source, queries=queries)
            write_parts(stream, output)
        else:
            router.add_models(EvaluationLog(source, queries), "score")

    warm = pq.ParquetFile(source).iter_batches(100)
    pq.write_table(pa.Table.from_batches([next(warm)]), folder / "warm.parquet")
    run(folder / "warm.parquet", folder / f"warm-{work}-{size}")
    router = load(folder / "router")
    Path("/proc/self/clear_refs").write_text("5")
    before, processor = _status("VmRSS"), time.process_time()
    start = time.perf_counter()
    run(source, folder / f"out-{work}-{size}")
    seconds = time.perf_counter() - start
    processor = time.process_time() - processor
    return {
        "work": work,
        "size": size,
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "rate": round(size / seconds, 1),
        "processor_rate": round(size / processor, 1),
        "extra_mib": round(_status("VmHWM") - before),
        "input_mib": round(source.stat().st_size / MEBI),
    }


def in_memory(router, size):
    """Return the best rate of `route` on an array."""
    vectors = np.random.default_rng(1).standard_normal((size, N_FEATURES), np.float32)
    router.route(vectors[:100])
    times = []
    for _ in range(N_REPEATS):
        start, processor = time.perf_counter(), time.process_time()
        router.route(vectors)
        times.append((time.perf_counter() - start, time.process_time() - processor))
    seconds, processor = np.min(times, axis=0)
    return {
        "work": "route in memory",
        "size": size,
        "rate": round(size / seconds, 1),
        "processor_rate": round(size / processor, 1),
    }


if __name__ == "__main__":
    main()
