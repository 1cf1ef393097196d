from functools import partial

import pytest
from reader_checks import assert_bad, assert_routes, records, silently, write_lines

from skl_locus.datasets import read_evalscope
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

TASK = "general_qa_sums"


def review(index, value=None, question=None, **score):
    """A review as EvalScope 1.14.1 writes it, without details."""
    return {
        "index": index,
        "target": ["56"],
        "messages": [
            {"role": "system", "content": "Be brief.", "source": None},
            {"role": "user", "content": question or f"{index} * 8?", "source": None},
            {"role": "assistant", "content": "56", "source": "generate"},
            {"role": "user", "content": "Sure?", "source": None},
        ],
        "sample_score": {
            "score": {
                "value": {"acc": 1.0} if value is None else value,
                "status": "success",
                "prediction": "56",
                "main_score_name": None,
                **score,
            },
            "sample_id": index,
            "group_id": index,
        },
    }


def old_review(index):
    """A review of EvalScope 1.0.2, whose input is one text."""
    new = review(index)
    del new["messages"]
    return {**new, "input": f"**User**: \n{index} * 8?", "target": "56"}


def write(folder, rows, model="small", run="20260101_120000", kind="reviews"):
    return write_lines(folder / run / kind / model / f"{TASK}.jsonl", rows)


def prediction(index, tokens=6, time=0.5):
    return {
        "index": index,
        "model_output": {"usage": {"total_tokens": tokens}, "time": time},
    }


def test_all_columns(tmp_path):
    write(tmp_path, [review(0), review(1, {"acc": 0.0})])
    write(tmp_path, [prediction(1, 7, 2)], kind="predictions")
    write(tmp_path, [review(0, {"acc": True})], model="large")
    table = silently(read_evalscope, path=tmp_path)
    columns = ["model", "query", "query_id", "score", "task", "tokens", "latency"]
    assert list(table.columns) == [*columns, "response"]
    assert records(table, *columns[:5]) == [
        ("large", "Be brief.\n0 * 8?", f"{TASK}/0", 1.0, TASK),
        ("small", "Be brief.\n0 * 8?", f"{TASK}/0", 1.0, TASK),
        ("small", "Be brief.\n1 * 8?", f"{TASK}/1", 0.0, TASK),
    ]
    assert table["tokens"].fillna(0).tolist() == [0, 0, 7]
    assert table["latency"].fillna(0).tolist() == [0, 0, 2]
    assert table["response"].tolist() == ["56"] * 3
    assert_routes(table)


def test_one_file_and_one_text(tmp_path):
    path = write(tmp_path, [old_review(0)])
    table = silently(read_evalscope, path=path)
    assert records(table, "model", "query", "score") == [("small", "0 * 8?", 1.0)]


def test_repetitions_are_rows_of_one_question(tmp_path):
    rows = [review(i, {"acc": i % 2}, question="7 * 8?") for i in range(4)]
    for row in rows:
        row["sample_score"]["group_id"] = row["index"] // 2
    table = silently(read_evalscope, path=write(tmp_path, rows))
    assert records(table, "query_id", "score") == [
        (f"{TASK}/0", 0.0),
        (f"{TASK}/0", 1.0),
        (f"{TASK}/1", 0.0),
        (f"{TASK}/1", 1.0),
    ]


def test_the_metric(tmp_path):
    values = {"bleu": 0.25, "rouge": 0.5}
    path = write(tmp_path, [review(0, values, main_score_name="rouge")])
    assert silently(read_evalscope, path=path)["score"].tolist() == [0.5]
    named = silently(read_evalscope, path=path, metric={TASK: "bleu"})
    assert named["score"].tolist() == [0.25]
    match = "the metrics 'bleu', 'rouge'; name one by metric="
    for metric in ("acc", {TASK: "acc"}):
        with pytest.raises(LogFormatError, match=match):
            read_evalscope(path, metric=metric)
    write(tmp_path, [review(0, values)])
    with pytest.raises(LogFormatError, match=match):
        read_evalscope(path)


def test_models_with_different_main_metrics(tmp_path):
    values = {"bleu": 0.25, "rouge": 0.5}
    for name in values:
        write(tmp_path, [review(0, values, main_score_name=name)], model=name)
    match = "is scored by 'rouge' here, but by 'bleu' before"
    with pytest.raises(LogFormatError, match=match):
        read_evalscope(tmp_path)
    assert len(silently(read_evalscope, path=tmp_path, metric="bleu")) == 2


@pytest.mark.parametrize(
    "unusable",
    [
        review(1, status="parse_error"),
        review(1, status="excluded"),
        review(1, {}),
        review(1, {"acc": None}),
        review(1, {"acc": float("nan")}),
    ],
)
def test_what_has_no_score_is_counted(tmp_path, unusable):
    path = write(tmp_path, [review(0), unusable])
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        table = read_evalscope(path)
    assert len(table) == 1


def test_the_largest_run_is_read_and_the_newest_of_these(tmp_path):
    write(tmp_path, [review(0), review(1)], run="20260101_120000")
    write(tmp_path, [review(0), review(1, {"acc": 0})], run="20260102_120000")
    write(tmp_path, [review(0)], run="20260103_120000")
    with pytest.warns(AmbiguousLogWarning, match=f"'small' has 3 runs on '{TASK}'"):
        table = read_evalscope(tmp_path)
    assert table["score"].tolist() == [1.0, 0.0]
    assert table.attrs["skipped"] == {"other run": 2}


def test_another_text_under_one_number(tmp_path):
    write(tmp_path, [review(0)])
    path = write(tmp_path, [review(0, question="Who?")], model="tiny")
    read = partial(read_evalscope, tmp_path)
    assert len(assert_bad(read, "stands for another text", path, line=1)) == 1


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ([], "not a JSON object"),
        ({**review(1), "index": None}, "'index' is None"),
        ({**review(1), "messages": []}, "'messages' is ''"),
        ({**review(1), "messages": "text"}, "'messages' is 'text', not a list"),
        ({**review(1), "sample_score": None}, "'sample_score' is None"),
        (review(1, {"acc": "high"}), "'acc' is 'high', not a finite"),
        (review(1, [1]), "'value' is \\[1\\], not an object"),
    ],
)
def test_malformed_review(tmp_path, bad, match):
    path = write(tmp_path, [review(0), bad, review(2)])
    read = partial(read_evalscope, tmp_path)
    assert len(assert_bad(read, match, path, line=2)) == 2


def test_malformed_prediction(tmp_path):
    write(tmp_path, [review(0)])
    path = write(tmp_path, [prediction(0, tokens="many")], kind="predictions")
    read = partial(read_evalscope, tmp_path)
    table = assert_bad(read, "'total_tokens' is 'many'", path, line=1)
    assert "tokens" not in table


def test_a_folder_without_reviews(tmp_path):
    write_lines(tmp_path / "other.jsonl", [{}])
    with pytest.raises(LogFormatError, match="no reviews/<model>/"):
        read_evalscope(tmp_path)
