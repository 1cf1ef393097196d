"""Measure what a second Dask worker gains, and what a killed one costs.

    python examples/benchmarks/dask_workers.py --queries 400000 --models 8000

Queries are routed and models embedded from parquet to parquet, in eight files, by one
worker and by two workers of one thread each, by two of which one is killed after the
first part, and by one process with two threads without Dask. Workers have loaded the
router before the clock starts. Processor seconds are those of all workers together; on
a machine with other work, the gain of free cores is near ``gain_by_processor``: twice
the processor seconds of one worker by those of two.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from argparse import Namespace
from pathlib import Path

import batches
from pyarrow import dataset

sys.path.append(str(Path(__file__).parents[1] / "scale"))
N_FILES = 8


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=2_000)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        batches.prepare(folder)
        for work, size in (("route", options.queries), ("embed", options.models)):
            make_files(folder, work, size)
            rows += measured(folder, work, size)
    return rows


def make_files(folder, work, size):
    """Write the input as files; models are numbered across them."""
    source = folder / work
    source.mkdir()
    per_file = size // N_FILES
    for number in range(N_FILES):
        batches.make_input(folder, work, per_file, number * per_file)
        made = folder / f"{work}-{per_file}.parquet"
        made.rename(source / f"{number}.parquet")


def measured(folder, work, size):
    forms = {
        "one worker": lambda: with_workers(folder, work, 1, "one"),
        "two workers": lambda: with_workers(folder, work, 2, "two"),
        "two workers, one killed": lambda: with_workers(
            folder, work, 2, "killed", kill=True
        ),
        "one process, two threads": lambda: in_one_process(folder, work, "threads"),
    }
    rows = []
    for form, run in forms.items():
        rows.append({"work": work, "size": size, "form": form, **run()})
        print(json.dumps(rows[-1]), flush=True)
    one, two = rows[0], rows[1]
    gains = {
        "work": work,
        "gain": round(one["seconds"] / two["seconds"], 2),
        "gain_by_processor": round(
            2 * one["processor_seconds"] / two["processor_seconds"], 2
        ),
        "gain_of_two_threads": round(one["seconds"] / rows[3]["seconds"], 2),
        "same_rows": len({row["rows"] for row in rows}) == 1,
    }
    print(json.dumps(gains), flush=True)
    return [*rows, gains]


def with_workers(folder, work, n_workers, name, kill=False):
    from distributed import Client, LocalCluster

    options = options_of(folder, work, name)
    with (
        LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        run_files = runner(work)
        warm = options_of(folder, work, f"warm-{name}")
        client.upload_file(str(Path(sys.path[-1]) / "workers.py"))
        client.run(load, options.saved)
        run_files(client, warm)
        before = sum(client.run(time.process_time).values())
        start = time.perf_counter()
        killer = None
        if kill:
            killer = kill_after_first_part(client, options.output)
        run_files(client, options)
        seconds = time.perf_counter() - start
        processor = sum(client.run(time.process_time).values()) - before
    row = {"seconds": round(seconds, 2), "rows": count_rows(options.output)}
    if killer is not None:
        killer.join()
        return row  # the seconds of the dead worker are gone with it
    return {**row, "processor_seconds": round(processor, 2)}


def runner(work):
    import dask_embed
    import dask_route

    return dask_route.run if work == "route" else dask_embed.run


def load(path):
    """Load the router in a worker, before anything is measured."""
    from workers import loaded

    loaded(path)


def options_of(folder, work, name):
    return Namespace(
        saved=str(folder / ("router" if work == "route" else "embedder")),
        source=folder / work,
        output=folder / f"{work}-{name}",
        queries=str(folder / "queries.parquet"),
    )


def kill_after_first_part(client, output):
    """Start a thread that kills a worker once a part has been written."""
    pid = next(iter(client.run(os.getpid).values()))

    def kill():
        while not list(output.glob("*/part-*")):
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def in_one_process(folder, work, name):
    """Do all files in a process whose libraries may use two threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "2"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            process.apply(do_files, (folder, work, f"warm-{name}"))
            return process.apply(do_files, (folder, work, name))
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def do_files(folder, work, name):
    import workers

    options = options_of(folder, work, name)
    output = str(options.output)
    start, processor = time.perf_counter(), time.process_time()
    for file in sorted(map(str, options.source.glob("*.parquet"))):
        if work == "route":
            workers.route_file(options.saved, file, output)
        else:
            workers.embed_file(options.saved, file, options.queries, output)
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "rows": count_rows(options.output),
    }


def count_rows(output):
    parts = [str(path) for path in output.glob("*/part-*.parquet")]
    return dataset.dataset(parts).count_rows()


if __name__ == "__main__":
    main()
