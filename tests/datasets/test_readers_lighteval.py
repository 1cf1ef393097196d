from functools import partial

import pandas as pd
import pytest
from reader_checks import assert_bad, assert_routes, records, silently

from skl_locus.datasets import read_lighteval
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

TASK = "sums|0"
TIME = "2026-01-01T12-00-00.000000"


def sample(number, metric=None, doc=None, **answer):
    """A sample as lighteval 0.13.0 writes it, without details."""
    document = {"query": f"{number} * 8 =", "id": str(number), "task_name": TASK}
    return {
        "doc": document | (doc or {}),
        "metric": {"em": 1} if metric is None else metric,
        "model_response": {
            "text": ["56"],
            "input_tokens": [1, 2, 3],
            "output_tokens": [[4, 5]],
            **answer,
        },
    }


def write(folder, samples, model="org/small", time=TIME):
    path = folder / "details" / model / time / f"details_{TASK}_{time}.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame(samples).to_parquet(path)
    return path


def test_all_columns(tmp_path):
    write(tmp_path, [sample(0), sample(1, {"em": 0})])
    write(tmp_path, [sample(0, {"em": 0}, text=[], input_tokens=[])], model="large")
    table = silently(read_lighteval, path=tmp_path)
    columns = ["model", "query", "query_id", "score", "task"]
    assert list(table.columns) == [*columns, "tokens", "response"]
    assert records(table, *columns) == [
        ("large", "0 * 8 =", f"{TASK}/0", 0.0, TASK),
        ("org/small", "0 * 8 =", f"{TASK}/0", 1.0, TASK),
        ("org/small", "1 * 8 =", f"{TASK}/1", 0.0, TASK),
    ]
    assert table["tokens"].fillna(0).tolist() == [0, 5, 5]
    assert table["response"].tolist() == [None, "56", "56"]
    assert_routes(table)


def test_one_file_outside_its_folders(tmp_path):
    path = write(tmp_path, [sample(0)])
    alone = tmp_path / "mine" / "details_x.parquet"
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    for place, model in ((path, "org/small"), (alone, "mine")):
        table = silently(read_lighteval, path=place)
        assert table["model"].tolist() == [model]


def test_the_metric(tmp_path):
    path = write(tmp_path, [sample(0, {"em": 0, "f1": 0.5})])
    match = r"the metrics 'em', 'f1'; name one by metric="
    for metric in (None, "acc", {"other": "em"}):
        with pytest.raises(LogFormatError, match=match):
            read_lighteval(path, metric=metric)
    for metric in ("f1", {TASK: "f1"}):
        table = silently(read_lighteval, path=path, metric=metric)
        assert table["score"].tolist() == [0.5]


def test_models_with_different_metrics(tmp_path):
    write(tmp_path, [sample(0, {"em": 1})], model="a")
    write(tmp_path, [sample(0, {"f1": 1})], model="b")
    with pytest.raises(LogFormatError, match="scored by 'f1' here, but by 'em'"):
        read_lighteval(tmp_path)


def test_what_has_no_score_is_counted(tmp_path):
    path = write(tmp_path, [sample(0), sample(1, {"em": None})])
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        assert len(read_lighteval(path)) == 1


def test_the_largest_run_is_read_and_the_newest_of_these(tmp_path):
    write(tmp_path, [sample(0), sample(1)], time="2026-01-01T12-00-00.000000")
    rows = [sample(0), sample(1, {"em": 0})]
    write(tmp_path, rows, time="2026-01-02T12-00-00.000000")
    write(tmp_path, [sample(0)], time="2026-01-03T12-00-00.000000")
    with pytest.warns(AmbiguousLogWarning, match="'org/small' has 3 runs on"):
        table = read_lighteval(tmp_path)
    assert table["score"].tolist() == [1.0, 0.0]
    assert table.attrs["skipped"] == {"other run": 2}


def test_another_text_under_one_id(tmp_path):
    write(tmp_path, [sample(0)], model="a")
    path = write(tmp_path, [sample(0, doc={"query": "Who?"})], model="b")
    read = partial(read_lighteval, tmp_path)
    assert len(assert_bad(read, "stands for another text", path)) == 1


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (sample(1, doc={"id": ""}), "record 2: 'id' is ''"),
        (sample(1, doc={"query": None}), "record 2: 'query' is None"),
        (sample(1, doc={"task_name": ""}), "record 2: 'task_name' is ''"),
        (sample(1) | {"doc": None}, "record 2: 'doc' is None, not an object"),
        (sample(1) | {"metric": None}, "record 2: 'metric' is None"),
        (sample(1) | {"model_response": None}, "'model_response' is None"),
        (sample(1, {"em": 3}), None),
    ],
)
def test_malformed_sample(tmp_path, bad, match):
    path = write(tmp_path, [sample(0), bad, sample(2)])
    read = partial(read_lighteval, tmp_path)
    if match is None:
        with pytest.raises(LogFormatError, match=r"range from .* to 3"):
            read()
        return
    assert len(assert_bad(read, match, path)) == 2


def test_malformed_file(tmp_path):
    write(tmp_path, [sample(0)], model="a")
    path = write(tmp_path, [{"doc": 1}], model="b")
    read = partial(read_lighteval, tmp_path)
    assert len(assert_bad(read, "the column 'metric' is missing", path)) == 1
    path.write_bytes(b"PAR1")
    with pytest.raises(LogFormatError, match="not a readable parquet") as caught:
        read()
    assert caught.value.path == str(path)
