"""Folders of results are written whole, and continued where a run was killed."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from pyarrow import dataset

from skl_locus import KMeansRouter
from skl_locus._utils import files
from skl_locus.batches import ResultStream, rank_batches, route_batches, write_parts


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }


class Counting:
    """A router that counts how many queries it has routed."""

    def __init__(self, monkeypatch, router):
        self.n_routed = 0
        plain = type(router).route

        def route(own, queries, *args, **kwargs):
            self.n_routed += len(queries)
            return plain(own, queries, *args, **kwargs)

        monkeypatch.setattr(type(router), "route", route)


def write(router, source, folder, **options):
    stream = route_batches(router, source, batch_size=10, **options)
    return write_parts(stream, folder, batches_per_part=2)


def test_parts_hold_all_results_in_their_order(router, queries, vectors, tmp_path):
    paths = write(router, queries, tmp_path)
    assert [path.name for path in paths] == [f"part-0000{i}.parquet" for i in range(5)]
    # Readers of folders skip the report.
    table = dataset.dataset(tmp_path).to_table().to_pandas()
    assert table["query_id"].tolist() == queries["query_id"].to_pylist()
    assert_array_equal(table["model"], router.route(vectors))
    report = json.loads((tmp_path / "_finished.json").read_text())
    assert (report["n_parts"], report["n_rows"]) == (5, 90)


@pytest.mark.parametrize("lost", [[0], [4], [1, 2, 3], [0, 1, 2, 3, 4]])
def test_lost_parts_are_made_again_and_no_others(
    lost, router, query_folder, tmp_path, monkeypatch
):
    folder = tmp_path / "out"
    paths = write(router, query_folder, folder)
    before = contents(folder)
    times = [path.stat().st_mtime_ns for path in paths]
    for number in lost:
        paths[number].unlink()
    (folder / "_finished.json").unlink()
    counting = Counting(monkeypatch, router)
    assert write(router, query_folder, folder) == paths
    assert contents(folder) == before
    n_rows = sum(pq.read_metadata(paths[number]).num_rows for number in lost)
    assert counting.n_routed == n_rows
    kept = [i for i in range(len(paths)) if i not in lost]
    assert [paths[i].stat().st_mtime_ns for i in kept] == [times[i] for i in kept]


def test_a_finished_folder_is_not_read_again(router, queries, tmp_path, monkeypatch):
    write(router, queries, tmp_path)
    monkeypatch.setattr(ResultStream, "_next_block", None)
    assert len(write(router, queries, tmp_path)) == 5


def test_a_deleted_part_of_a_finished_folder_is_made_again(router, queries, tmp_path):
    paths = write(router, queries, tmp_path)
    before = contents(tmp_path)
    paths[2].unlink()
    write(router, queries, tmp_path)
    assert contents(tmp_path) == before


def test_parts_of_another_job_are_refused(router, log, queries, query_folder, tmp_path):
    folder = tmp_path / "out"
    write(router, query_folder, folder)
    (folder / "_finished.json").unlink()
    other = KMeansRouter(3, random_state=0).fit(log, log["score"])
    for call in (
        lambda: write(other, query_folder, folder),
        lambda: write(router, query_folder, folder, unavailable=["m0"]),
        lambda: write_parts(
            rank_batches(router, query_folder, 2, batch_size=10),
            folder,
            batches_per_part=2,
        ),
        lambda: write_parts(route_batches(router, query_folder), folder),
        lambda: write(router, query_folder / "0.parquet", folder),
    ):
        with pytest.raises(ValueError, match=r"Part .*part-00000.* another job"):
            call()
    write(router, query_folder, folder)
    with pytest.raises(ValueError, match="results of another job"):
        write(other, query_folder, folder)


def test_a_router_that_was_pickled_is_the_same(router, queries, tmp_path):
    paths = write(router, queries, tmp_path)
    before = contents(tmp_path)
    paths[0].unlink()
    write(pickle.loads(pickle.dumps(router)), queries, tmp_path)
    assert contents(tmp_path) == before


def test_input_that_has_become_shorter_is_noticed(router, queries, tmp_path):
    write(router, queries, tmp_path)
    (tmp_path / "_finished.json").unlink()
    with pytest.raises(ValueError, match=r"part-00000.*the input has changed"):
        write(router, queries.slice(0, 7), tmp_path)


def test_a_damaged_part_is_named(router, queries, tmp_path):
    paths = write(router, queries, tmp_path)
    (tmp_path / "_finished.json").unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:50])
    with pytest.raises(OSError, match=r"part-00001.*cannot be read; delete it"):
        write(router, queries, tmp_path)


def test_a_full_disk_leaves_the_finished_parts(router, queries, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    write(router, queries, whole)
    plain, n_synced = os.fsync, []

    def fail_at_third_file(descriptor):
        n_synced.append(descriptor)
        if len(n_synced) > 4:  # each file and its folder
            raise OSError(28, "No space left on device")
        plain(descriptor)

    out = tmp_path / "out"
    monkeypatch.setattr(files.os, "fsync", fail_at_third_file)
    with pytest.raises(OSError, match=r"part-00002.*No space left") as caught:
        write(router, queries, out)
    assert caught.value.errno == 28
    assert sorted(os.listdir(out)) == ["part-00000.parquet", "part-00001.parquet"]
    monkeypatch.undo()
    write(router, queries, out)
    assert contents(out) == contents(whole)


def test_an_unreadable_input_is_not_taken_for_the_output(
    router, query_folder, tmp_path
):
    (query_folder / "3.parquet").write_bytes(b"PAR1")
    out = tmp_path / "out"
    with pytest.raises(OSError, match=r"3\.parquet") as caught:
        # The names and sizes of all files are read at the beginning.
        write(router, query_folder, out)
    assert "could not be written" not in str(caught.value)
    assert len(list(out.glob("part-*"))) >= 2


def test_other_iterables_are_written_too(tmp_path):
    frames = [pa.table({"a": [i, i + 1]}).to_pandas() for i in range(5)]
    write_parts(iter(frames), tmp_path, batches_per_part=2)
    (tmp_path / "part-00001.parquet").unlink()
    write_parts(iter(frames), tmp_path, batches_per_part=2)
    found = dataset.dataset(tmp_path).to_table()["a"].to_pylist()
    assert found == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_an_empty_stream(router, queries, tmp_path):
    assert write(router, queries.slice(0, 0), tmp_path) == []
    assert json.loads((tmp_path / "_finished.json").read_text())["n_parts"] == 0


WORKER = """
import pickle, sys, time
from pathlib import Path
from skl_locus.batches import route_batches, write_parts
router = pickle.loads(Path(sys.argv[1]).read_bytes())
stream = route_batches(router, sys.argv[2], batch_size=50)
print("ready", flush=True)
write_parts(stream, sys.argv[3], batches_per_part=2)
"""


@pytest.mark.integration
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(log, tmp_path):
    router = KMeansRouter(3, random_state=0).fit(log, log["score"])
    (tmp_path / "router").write_bytes(pickle.dumps(router))
    rng = np.random.default_rng(0)
    cells = pa.FixedSizeListArray.from_arrays(
        pa.array(rng.normal(size=4_000 * 16).astype(np.float32)), 16
    )
    table = pa.table({"query_id": np.arange(4_000), "query": cells})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=500)
    whole, out = tmp_path / "whole", tmp_path / "out"
    stream = route_batches(router, tmp_path / "in.parquet", batch_size=50)
    write_parts(stream, whole, batches_per_part=2)
    n_killed, n_before = 0, -1
    arguments = [tmp_path / "router", tmp_path / "in.parquet", out]
    root = Path(__file__).parents[2]
    while not (out / "_finished.json").exists():
        run = subprocess.Popen(
            [sys.executable, "-c", WORKER, *map(str, arguments)],
            cwd=root,
            stdout=subprocess.PIPE,
        )
        with run:
            assert run.stdout.readline() == b"ready\n"
            # Killed at any moment once some more parts are there: between two parts,
            # in the middle of a file, before its name is final.
            wanted = n_before + int(rng.integers(2, 15))
            while run.poll() is None and len(list(out.glob("part-*"))) < wanted:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)
                n_killed += 1
        parts = list(out.glob("part-*.parquet")) if out.exists() else []
        # Finished parts stay finished, and each of them can be read.
        assert len(parts) >= n_before
        assert sum(pq.read_metadata(p).num_rows for p in parts) == 100 * len(parts)
        n_before = len(parts)
        assert n_killed < 200
    assert n_killed >= 2
    assert contents(out) == contents(whole)
