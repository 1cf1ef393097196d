from functools import partial

import pytest
from reader_checks import (
    NOT_UTF8,
    assert_bad,
    assert_routes,
    records,
    silently,
    write_json,
)

from skl_locus.datasets import read_llmrouterbench
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

OLD, NEW = "aime-20250101_120000.json", "aime-20250102_090000.json"


def record(number, score, **more):
    return {
        "index": number,
        "origin_query": f"Question {number}?",
        "prompt": f"Think. Question {number}?",
        "prediction": "5",
        "raw_output": "It is 5.",
        "ground_truth": "5",
        "score": score,
        "cost": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        **more,
    }


def run_of(*scores, **more):
    return {"records": [record(i, score) for i, score in enumerate(scores)], **more}


@pytest.fixture
def folder(tmp_path):
    names = {"model_name": "org/Small", "dataset_name": "aime", "split": "test"}
    write_json(tmp_path / "aime" / "test" / "small" / NEW, run_of(0.0, 1.0, **names))
    write_json(tmp_path / "aime" / "test" / "large" / NEW, run_of(1.0, True))
    return tmp_path


def small(folder, name=NEW):
    return folder / "aime" / "test" / "small" / name


def test_folder(folder):
    table = silently(read_llmrouterbench, folder=folder)
    columns = ["model", "query", "score", "task", "cost", "tokens", "response"]
    assert list(table.columns) == columns
    assert records(table, *columns)[1:3] == [
        ("large", "Question 1?", 1.0, "aime", 0.25, 15.0, "It is 5."),
        ("org/Small", "Question 0?", 0.0, "aime", 0.25, 15.0, "It is 5."),
    ]
    assert_routes(table)


def test_the_newest_run_that_is_no_demo_is_read(folder):
    write_json(small(folder, OLD), run_of(0.5))
    write_json(small(folder, "zzz.json"), run_of(0.5))
    write_json(small(folder, "aime-20260101_000000.json"), run_of(0.5, demo=True))
    table = read_llmrouterbench(folder)
    assert table["score"].tolist() == [1, 1, 0, 1]
    assert table.attrs["skipped"] == {"demo run": 1, "older run": 2}


def test_a_later_run_of_few_records_does_not_replace_the_whole_run(folder):
    write_json(small(folder, OLD), run_of(0.5, 0.5, 0.5))
    match = "has 2 records and one before has 3, which is read"
    with pytest.warns(AmbiguousLogWarning, match=match):
        table = read_llmrouterbench(folder)
    assert table["score"].tolist() == [1, 1, 0.5, 0.5, 0.5]
    assert table.attrs["skipped"] == {"older run": 1}


def test_without_a_time_the_name_decides(tmp_path):
    for name, score in (("run-1.json", 0.0), ("run-2.json", 1.0)):
        write_json(tmp_path / "aime" / "test" / "small" / name, run_of(score))
    assert read_llmrouterbench(tmp_path)["score"].tolist() == [1.0]


def test_null_scores_are_counted(folder):
    write_json(small(folder), run_of(None, 1.0, None))
    with pytest.warns(SkippedRecordsWarning, match="2 missing score"):
        table = read_llmrouterbench(folder)
    assert table.attrs["skipped"] == {"missing score": 2}
    assert len(table) == 3


def test_queries_of_other_kinds(folder):
    rows = [
        record(0, 1, origin_query={"question": "Wer?"}),
        record(1, 1, origin_query=None),
    ]
    rows[0].update(raw_output=["x"], cost=None)
    write_json(small(folder), {"records": rows})
    table = read_llmrouterbench(folder).tail(2)
    assert table["query"].tolist() == ['{"question": "Wer?"}', "Think. Question 1?"]
    assert table["cost"].isna().tolist() == [True, False]
    assert table["response"].tolist() == [None, "It is 5."]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (record(1, "good"), "record 2: 'score' is 'good'"),
        (record(1, 1, origin_query="", prompt=None), "'origin_query' is None"),
        (record(1, 1, cost="cheap"), "'cost' is 'cheap'"),
        (record(1, 1, prompt_tokens="few"), "'prompt_tokens' is 'few'"),
        ("text", "the record is 'text'"),
    ],
)
def test_malformed_record(folder, bad, match):
    write_json(small(folder), {"records": [record(0, 1), bad, record(2, 1)]})
    read = partial(read_llmrouterbench, folder)
    assert len(assert_bad(read, match, small(folder))) == 4


@pytest.mark.parametrize(
    ("content", "match", "line"),
    [
        (b"", "it is empty", None),
        (b'{"records": [\n{"score"', "not a complete JSON", 2),
        (b'{"x": "\n' + NOT_UTF8, "not UTF-8", 2),
        (b"[]", r"the run is \[\]", None),
        (b"{}", "'records' is None, not a list", None),
        (b'{"records": [{}], "model_name": null}', "'model_name' is None", None),
    ],
)
def test_malformed_file(folder, content, match, line):
    write_json(small(folder, OLD), run_of(0.25))
    small(folder).write_bytes(content)
    table = assert_bad(
        partial(read_llmrouterbench, folder), match, small(folder), line=line
    )
    assert table["score"].tolist() == [1, 1, 0.25]


def test_scale_by_data_set(folder):
    path = folder / "arena" / "test" / "small" / NEW
    write_json(path, run_of(10, 0))
    with pytest.raises(LogFormatError, match="range from 0 to 10"):
        read_llmrouterbench(folder)
    table = read_llmrouterbench(folder, scale={"arena": 10})
    assert table["score"].tolist() == [1, 1, 0, 1, 1, 0]


def test_no_results(tmp_path):
    with pytest.raises(LogFormatError, match=r"there is no \*\.json in it"):
        read_llmrouterbench(tmp_path)
