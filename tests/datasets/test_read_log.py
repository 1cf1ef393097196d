import json
import os
from functools import partial

import pandas as pd
import polars as pl
import pytest
from reader_checks import assert_routes, records, write_json, write_lines
from small_logs import (
    TEXTS,
    write_alpaca_eval,
    write_embedllm,
    write_evalscope,
    write_helm,
    write_inspect_eval,
    write_inspect_json,
    write_inspect_zstandard,
    write_jsonl,
    write_lighteval,
    write_llmrouterbench,
    write_lm_eval,
    write_long,
    write_mlflow,
    write_parquet,
    write_promptfoo,
    write_promptfoo_lines,
    write_routerbench,
    write_wide,
)

from skl_locus import datasets
from skl_locus.datasets import ReadSummary, read_log, read_long, read_wide
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

FORMATS = [
    (datasets.read_long, write_long),
    (datasets.read_long, write_jsonl),
    (datasets.read_long, write_parquet),
    (datasets.read_wide, write_wide),
    (datasets.read_routerbench, write_routerbench),
    (datasets.read_embedllm, write_embedllm),
    (datasets.read_lm_eval, write_lm_eval),
    (datasets.read_inspect, write_inspect_json),
    (datasets.read_inspect, write_inspect_eval),
    (datasets.read_inspect, write_inspect_zstandard),
    (datasets.read_llmrouterbench, write_llmrouterbench),
    (datasets.read_helm, write_helm),
    (datasets.read_alpaca_eval, write_alpaca_eval),
    (datasets.read_promptfoo, write_promptfoo),
    (datasets.read_promptfoo, write_promptfoo_lines),
    (datasets.read_evalscope, write_evalscope),
    (datasets.read_mlflow, write_mlflow),
    (datasets.read_lighteval, write_lighteval),
]


@pytest.mark.parametrize(("read", "write"), FORMATS, ids=lambda f: f.__name__)
def test_the_table_is_that_of_the_reader_of_the_format(tmp_path, read, write):
    source, file = write(tmp_path)
    expected = read(source)
    for place in (source, tmp_path):
        pd.testing.assert_frame_equal(read_log(place), expected)
    if source != file and read is not datasets.read_helm:
        table = read_log(file)
        pd.testing.assert_series_equal(table["score"], expected["score"])
        assert list(table["query"]) == list(expected["query"])


@pytest.mark.parametrize(("read", "write"), FORMATS, ids=lambda f: f.__name__)
def test_a_format_that_is_named(tmp_path, read, write):
    source, _ = write(tmp_path)
    format = read.__name__.removeprefix("read_")
    pd.testing.assert_frame_equal(read_log(source, format=format), read(source))


@pytest.mark.parametrize(("read", "write"), FORMATS, ids=lambda f: f.__name__)
def test_the_summary_says_what_was_read(tmp_path, read, write):
    source, _ = write(tmp_path)
    log, summary = read_log(source, return_summary=True)
    assert summary.n_evaluations == len(log)
    assert summary.n_queries == len(TEXTS)
    assert summary.n_models == log["model"].nunique()
    assert summary.models["evaluations"].sum() == len(log)
    assert summary.models["mean score"].to_dict() == pytest.approx(
        log.groupby("model", observed=True)["score"].mean().to_dict()
    )
    assert str(source) in repr(summary)


def test_frames():
    wide = pd.DataFrame({"query": TEXTS, "a": [0, 1, 1], "b": [1, 1, None]})
    pd.testing.assert_frame_equal(read_log(wide), read_wide(wide))
    pd.testing.assert_frame_equal(read_log(pl.from_pandas(wide)), read_wide(wide))
    long = read_wide(wide)
    pd.testing.assert_frame_equal(read_log(long), read_long(long))


def test_parameters_of_the_reader(tmp_path):
    rows = [{"llm": "a", "text": "q", "points": 5}]
    path = write_lines(tmp_path / "log.jsonl", rows)
    with pytest.raises(LogFormatError, match="its format is not known"):
        read_log(path)
    names = {"model_col": "llm", "query_col": "text", "score_col": "points"}
    assert read_log(path, **names, scale=10)["score"].tolist() == [0.5]
    with pytest.raises(TypeError, match="unexpected keyword argument 'points'"):
        read_log(path, format="long", points=10)


def test_several_formats_in_one_folder(tmp_path):
    write_lm_eval(tmp_path / "a")
    (tmp_path / "b").mkdir()
    write_inspect_eval(tmp_path / "b")
    match = r"'inspect' \(log\.eval\), 'lm_eval' \(samples_t\.jsonl\); name one by"
    with pytest.raises(LogFormatError, match=match) as caught:
        read_log(tmp_path)
    assert caught.value.path == str(tmp_path)
    assert len(read_log(tmp_path, format="lm_eval")) == len(TEXTS)
    assert len(read_log(tmp_path / "b")) == len(TEXTS)


def test_wide_and_long_tables_in_one_folder(tmp_path):
    write_long(tmp_path)
    pd.DataFrame({"query": TEXTS, "m": 1}).to_csv(tmp_path / "wide.csv", index=False)
    with pytest.raises(LogFormatError, match=r"'long' \(log.csv\), 'wide' \(wide.csv"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"nothing"),
        ("a.csv", b"x,y\n1,2\n"),
        ("a.json", b'{"a": 1}'),
        ("a.json", b'{"a": {"x": 1}}'),
        ("a.json", b"[]"),
        ("a.jsonl", b""),
        ("a.jsonl", b'{"x": 1}\n'),
    ],
)
@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_nobody_knows(tmp_path, name, content, place):
    path = tmp_path / name
    path.write_bytes(content)
    path = path if place == "file" else tmp_path
    with pytest.raises(LogFormatError, match="its format is not known") as e:
        read_log(path)
    assert e.value.path == str(path)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.json", b'{"eval": {', "not a complete JSON"),
        ("a.jsonl", b'{"model": ', "not a complete JSON"),
        ("a.parquet", b"PAR1", "not a readable parquet"),
        ("a.csv", b"", "it is empty"),
        ("a.csv.gz", b"\x1f\x8b\x08", "not a readable gzip|it is empty"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    for place in (path, tmp_path):
        with pytest.raises(LogFormatError, match=match) as caught:
            read_log(place)
        assert caught.value.path == str(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "nowhere.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(LogFormatError, match="a pipe or a device"):
        read_log(tmp_path / "pipe.csv")
    with pytest.raises(LogFormatError, match="its format is not known"):
        read_log(tmp_path)


def test_an_unknown_name_of_a_format(tmp_path):
    with pytest.raises(ValueError, match="format must be one of 'alpaca_eval', "):
        read_log(tmp_path, format="xlsx")


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "table.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(LogFormatError, match=r"it is a pickle.*allow_pickle=True"):
        read_log(tmp_path / "table.pkl")


def test_several_tables_of_routerbench(tmp_path):
    _, path = write_routerbench(tmp_path)
    path.with_name("second.csv").write_bytes(path.read_bytes())
    with pytest.raises(LogFormatError, match="2 tables of RouterBench"):
        read_log(tmp_path)


def test_errors_and_what_was_left_out(tmp_path):
    rows = [{"model": m, "query": t, "score": m == "a"} for t in TEXTS for m in "ab"]
    path = write_lines(tmp_path / "log.jsonl", [*rows, {**rows[0], "score": "?"}])
    with pytest.warns(SkippedRecordsWarning):
        log, summary = read_log(path, errors="skip", return_summary=True)
    assert summary.skipped == {"malformed": 1}
    assert "left out: 1 malformed" in repr(summary)
    assert "left out: 1 malformed" in summary._repr_html_()
    assert_routes(log)


def test_the_summary_as_text_and_html(tmp_path):
    frame = pd.DataFrame(
        {"query": TEXTS, "task": ["t", "t", "<u>"], "<b>": [0, 1, 1], "": [1, 2, 3]}
    )
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    _, summary = read_log(path, return_summary=True)
    assert repr(summary).splitlines() == [
        f"{path}: 3 evaluations of 1 models on 3 queries",
        "models:",
        "     evaluations  mean score",
        "<b>            3       0.667",
        "tasks:",
        "     models  queries  evaluations  mean score",
        "<u>       1        1            1           1",
        "t         1        2            2         0.5",
        "note: left out the index '', a column without a name",
    ]
    html = summary._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<u>" not in html


def test_the_summary_of_many_models_is_short():
    frame = pd.DataFrame({"model": range(100), "query": "q", "score": 1.0})
    summary = ReadSummary(frame)
    assert summary.n_models == 100
    assert len(repr(summary).splitlines()) < 30


def test_a_table_can_be_written_with_its_remarks(tmp_path):
    frame = pd.DataFrame({"query": TEXTS, "a": [0, 1, 1], "": [1, 2, 3]})
    log = read_log(frame)
    log.to_parquet(tmp_path / "log.parquet")
    again = pd.read_parquet(tmp_path / "log.parquet")
    assert again.attrs == log.attrs
    json.dumps(log.attrs)


def test_runs_of_helm_in_their_folder(tmp_path):
    folder = tmp_path / "runs" / "v1" / "t:model=m"
    folder.mkdir(parents=True)
    write_helm(folder)
    write_json(tmp_path / "runs" / "v1" / "schema.json", {"run_groups": []})
    table = read_log(tmp_path)
    assert records(table, "model", "task") == [("m", "t")] * 3
    with pytest.raises(LogFormatError, match="pass its folder"):
        partial(read_log, folder / "per_instance_stats.json")()
