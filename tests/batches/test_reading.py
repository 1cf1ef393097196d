"""Files are read as they are asked for, with the columns of their paths."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import dataset

from skl_locus._data.streams import read_parts

N_ROWS, WIDTH, N_BATCHES = 500, 512, 40
BATCH_BYTES = N_ROWS * WIDTH * 4


@pytest.mark.parametrize("row_group_size", [N_ROWS, N_ROWS * N_BATCHES])
def test_nothing_is_read_ahead_of_a_slow_reader(row_group_size, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_ROWS * N_BATCHES, WIDTH)).astype(np.float32)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH)
    path = tmp_path / "vectors.parquet"
    table = pa.table({"query": cells})
    pq.write_table(table, path, row_group_size=row_group_size)
    del table, cells
    before, held, n_read = pa.total_allocated_bytes(), [], 0
    for part in read_parts(path, n_rows=N_ROWS):
        n_read += len(part.rows)
        time.sleep(0.01)
        held.append(pa.total_allocated_bytes() - before)
    assert n_read == len(vectors)
    # The file has 40 batches; a few of them are decoded, copied and passed on.
    assert max(held) < 12 * BATCH_BYTES


def test_columns_of_paths_and_of_other_types(tmp_path):
    for day, kind in (("monday", pa.string()), ("tuesday", pa.large_string())):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        ids = pa.array([f"{day} {i}" for i in range(5)], type=kind)
        pq.write_table(pa.table({"id": ids}), folder / "0.parquet")
    found = dataset.dataset(tmp_path, partitioning="hive")
    for source in (tmp_path, found):
        parts = [part.rows.to_pydict() for part in read_parts(source, n_rows=3)]
        days = [day for part in parts for day in part["day"]]
        ids = [name for part in parts for name in part["id"]]
        assert days == ["monday"] * 5 + ["tuesday"] * 5
        assert [name.split()[0] for name in ids] == days
    some = [part.rows for part in read_parts(tmp_path, ["day"])]
    assert [rows.schema.names for rows in some] == [["day"], ["day"]]


def test_some_row_groups_of_a_file(tmp_path):
    pq.write_table(pa.table({"i": range(10)}), tmp_path / "0.parquet", row_group_size=2)
    (fragment,) = dataset.dataset(tmp_path / "0.parquet").get_fragments()
    some = dataset.FileSystemDataset(
        [fragment.subset(row_group_ids=[1, 3])],
        fragment.physical_schema,
        fragment.format,
        fragment.filesystem,
    )
    found = [i for part in read_parts(some) for i in part.rows["i"].to_pylist()]
    assert found == [2, 3, 6, 7]
