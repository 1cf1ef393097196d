"""Streams of decisions, rankings and scores equal those of one table."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyarrow import dataset

from skl_locus import CostModel, KMeansRouter
from skl_locus.batches import rank_batches, route_batches, score_batches


def table_of(results):
    return pa.Table.from_batches(list(results)).to_pandas()


FORMS = {
    "path": lambda folder, table: folder,
    "text of a path": lambda folder, table: str(folder),
    "dataset": lambda folder, table: dataset.dataset(folder),
    "arrow table": lambda folder, table: table,
    "record batches": lambda folder, table: table.to_batches(max_chunksize=17),
    "generator": lambda folder, table: (b for b in table.to_batches(max_chunksize=17)),
    "pandas": lambda folder, table: table.to_pandas(),
    "pandas frames": lambda folder, table: [
        table.slice(i, 40).to_pandas() for i in range(0, 90, 40)
    ],
    "polars": lambda folder, table: pl.from_arrow(table),
    "polars frames": lambda folder, table: pl.from_arrow(table).iter_slices(40),
    "polars streaming": lambda folder, table: (
        pl.from_arrow(table).lazy().collect_batches(chunk_size=40)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_stream_is_routed_like_one_table(
    form, router, queries, vectors, query_folder
):
    source = FORMS[form](query_folder, queries)
    found = table_of(route_batches(router, source, batch_size=32))
    assert found.columns.tolist() == ["query_id", "model"]
    assert found["query_id"].tolist() == queries["query_id"].to_pylist()
    assert_array_equal(found["model"], router.route(vectors))


def test_batches_are_no_larger_than_asked_for(router, query_folder):
    sizes = [len(b) for b in route_batches(router, query_folder, batch_size=10)]
    assert max(sizes) == 10
    assert sum(sizes) == 90


def test_options_of_route_are_passed(router, queries, vectors):
    costs = {name: i for i, name in enumerate(router.models_)}
    options = {"costs": costs, "cost_weight": 0.05, "unavailable": ["m0"]}
    found = table_of(route_batches(router, queries, **options))
    assert_array_equal(found["model"], router.route(vectors, **options))


def test_a_model_of_costs_reads_other_columns(router, queries, vectors):
    prices = {name: (float(8 - i), 1.0) for i, name in enumerate(router.models_)}
    costs = CostModel(prices=prices, default_output_tokens=10)
    costs.fit(pd.DataFrame({"model": ["m0"], "query": ["a"]}))
    table = queries.to_pandas()
    table["input_tokens"] = np.arange(90) * 1000
    options = {"costs": costs, "cost_weight": 1.0}
    found = table_of(route_batches(router, table, batch_size=20, **options))
    expected = router.route(table, **options)
    assert_array_equal(found["model"], expected)
    # Without the column, long queries would cost no more than others.
    assert (expected[45:] == "m7").sum() > (expected[:45] == "m7").sum()


def test_rankings(router, queries, vectors):
    found = table_of(rank_batches(router, queries, 3, batch_size=40))
    expected = router.rank(vectors, 3)
    assert_array_equal(np.stack(found["models"]), expected.labels)
    assert_allclose(np.stack(found["probabilities"]), expected.probabilities, atol=1e-6)
    assert "reached" not in found


def test_rankings_with_a_floor_say_which_models_reach_it(router, queries, vectors):
    options = {"costs": dict.fromkeys(router.models_, 1.0), "min_correctness": 0.6}
    found = table_of(rank_batches(router, queries, 3, batch_size=40, **options))
    assert_array_equal(
        np.stack(found["reached"]), router.rank(vectors, 3, **options).reached
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 3e-4)])
def test_scores_of_all_models(router, queries, vectors, dtype, tolerance):
    batches = list(score_batches(router, queries, dtype=dtype, batch_size=40))
    field = batches[0].schema.field("probabilities")
    assert json.loads(field.metadata[b"models"]) == router.models_.tolist()
    P = np.stack(table_of(batches)["probabilities"])
    assert P.dtype == dtype
    assert_allclose(P, router.correctness_matrix(vectors), atol=tolerance)


def test_scores_of_the_best_models(router, queries, vectors):
    models = ["m5", "m2", "m1"]
    found = table_of(score_batches(router, queries, k=2, models=models))
    P = router.correctness_matrix(vectors, models)
    order = np.argsort(-P, axis=1, kind="stable")[:, :2]
    assert_array_equal(np.stack(found["models"]), np.array(models)[order])
    assert_allclose(
        np.stack(found["probabilities"]), np.take_along_axis(P, order, axis=1)
    )


def test_columns_of_encodings_are_read(vectors):
    names = [f"e{i}" for i in range(vectors.shape[1])]
    table = pd.DataFrame(vectors, columns=names)
    log = pd.concat([table.assign(model=m) for m in ("a", "b")], ignore_index=True)
    y = (log["e0"] > 0).to_numpy() == (log["model"] == "a").to_numpy()
    router = KMeansRouter(3, random_state=0).fit(log, y.astype(int))
    found = table_of(route_batches(router, table, batch_size=30))
    assert_array_equal(found["model"], router.route(table))


def test_kept_columns(router, queries):
    table = queries.append_column("task", pa.array(["math"] * 90))
    found = table_of(route_batches(router, table, keep=["task"]))
    assert found.columns.tolist() == ["task", "model"]
    with pytest.raises(ValueError, match="Part number 0: it has no column 'hour'"):
        list(route_batches(router, table, keep=["hour"]))


def test_columns_that_change_name_the_part(router, queries):
    changed = queries.rename_columns(["id", "query"])
    with pytest.raises(ValueError, match=r"Part number 1: .*missing: \['query_id'\]"):
        list(route_batches(router, [queries, changed]))
    shorter = pa.table({"query_id": queries["query_id"], "query": ["text"] * 90})
    with pytest.raises(ValueError, match="Part number 1: its column 'query' is of"):
        list(route_batches(router, [queries, shorter]))


def test_changed_columns_of_a_file_name_it(router, query_folder, queries):
    queries.rename_columns(["query_id", "text"]).to_pandas().to_parquet(
        query_folder / "2.parquet"
    )
    stream = route_batches(router, query_folder)
    with pytest.raises(ValueError, match=r"2\.parquet: it has no column 'query'"):
        list(stream)


def test_missing_files_are_named(router, query_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        list(route_batches(router, tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no parquet files"):
        list(route_batches(router, tmp_path / "empty"))
    stored = dataset.dataset(query_folder)
    (query_folder / "1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"Part .*1\.parquet is missing"):
        list(route_batches(router, stored))


def test_an_unreadable_file_is_named(router, query_folder):
    path = query_folder / "1.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OSError, match=r"Part .*1\.parquet cannot be read"):
        list(route_batches(router, query_folder))


def test_vectors_that_are_missing_or_of_two_lengths(router, vectors):
    cells = pa.array([[1.0] * 16, None])
    with pytest.raises(ValueError, match=r"Part number 0: .*missing vectors"):
        list(route_batches(router, pa.table({"query": cells})))
    cells = pa.array([[1.0] * 16, [1.0]])
    with pytest.raises(ValueError, match="of length 16 and of length 1"):
        list(route_batches(router, pa.table({"query": cells})))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, q: route_batches(r, q, batch_size=0), "batch_size"),
        (lambda r, q: score_batches(r, q, dtype="int8"), "dtype"),
        (lambda r, q: score_batches(r, q, k=9), "k must be from 1 to 8"),
    ],
)
def test_bad_arguments(router, queries, call, message):
    with pytest.raises(ValueError, match=message):
        list(call(router, queries))


def test_what_is_no_stream(router):
    with pytest.raises(TypeError, match="pass a path"):
        list(route_batches(router, 7))
    with pytest.raises(TypeError, match="collect_batches"):
        list(route_batches(router, [pl.LazyFrame({"a": [1]})]))
