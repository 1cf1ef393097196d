import json
from functools import partial

import pandas as pd
import pytest
from reader_checks import assert_bad, assert_routes, records, silently, write_json

from skl_locus.datasets import read_log, read_mlflow
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

COLUMNS = ["inputs", "truth", "outputs", "token_count", "latency", "match/v1/score"]


def row(question="7 * 8?", score=1.0, answer="56"):
    return [question, "56", answer, 2, 0.5, score]


def write(folder, rows, run="small", columns=COLUMNS):
    """A table as MLflow 2.22.5 and 3.17.2 write it."""
    path = folder / run / "artifacts" / "eval_results_table.json"
    return write_json(path, {"columns": columns, "data": rows})


def trace(question, named=True, **scores):
    """A row of the table of traces of MLflow 3.17.2, without details."""
    assessments = [{"assessment_name": name, "feedback": {}} for name in scores]
    expected = {"assessment_name": "expected", "expectation": {"value": "56"}}
    return {
        "trace_id": f"tr-{question}",
        **{f"{name}/value": value for name, value in scores.items()},
        "expected/value": "56",
        "request": {"question": question},
        "response": "56",
        "execution_duration": 250,
        "trace_metadata": {"mlflow.sourceRun": "run-1"} if named else {},
        "assessments": [*assessments, expected],
    }


def test_all_columns(tmp_path):
    write(tmp_path, [row(), row("2 + 2?", 0.0)])
    write(tmp_path, [row(score=0.25)], run="large")
    table = silently(read_mlflow, path=tmp_path)
    columns = ["model", "query", "score", "tokens", "latency", "response"]
    assert list(table.columns) == columns
    assert records(table, *columns) == [
        ("large", "7 * 8?", 0.25, 2.0, 0.5, "56"),
        ("small", "7 * 8?", 1.0, 2.0, 0.5, "56"),
        ("small", "2 + 2?", 0.0, 2.0, 0.5, "56"),
    ]
    assert_routes(table)


def test_names_of_models(tmp_path):
    path = write(tmp_path, [row()])
    name = path.parents[1] / "tags" / "mlflow.runName"
    name.parent.mkdir()
    name.write_text("org/small")
    assert silently(read_mlflow, path=path)["model"].tolist() == ["org/small"]
    table = silently(read_mlflow, path=path, model="mine")
    assert table["model"].tolist() == ["mine"]
    write(tmp_path, [row(score=0.0)], run="org")
    with pytest.warns(AmbiguousLogWarning, match="several runs are called 'mine'"):
        assert len(read_mlflow(tmp_path, model="mine")) == 2


def test_the_metric(tmp_path):
    columns = [*COLUMNS, "judge/score"]
    path = write(tmp_path, [[*row(), "no"]], columns=columns)
    match = "the table has 'match/v1', 'judge'; name one by metric="
    for metric in (None, "other"):
        with pytest.raises(LogFormatError, match=match):
            read_mlflow(path, metric=metric)
    for metric, score in (("match/v1", 1.0), ("judge", 0.0)):
        table = silently(read_mlflow, path=path, metric=metric)
        assert table["score"].tolist() == [score]


def test_the_column_of_the_query(tmp_path):
    columns = ["text", *COLUMNS[1:]]
    path = write(tmp_path, [row()], columns=columns)
    with pytest.raises(LogFormatError, match=r"query is not known.*by query_col="):
        read_mlflow(path)
    table = silently(read_mlflow, path=path, query_col="text")
    assert table["query"].tolist() == ["7 * 8?"]
    with pytest.raises(LogFormatError, match="there is no column 'other'"):
        read_mlflow(path, query_col="other")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"question": "7 * 8?"}, "7 * 8?"),
        ({"messages": [{"role": "user", "content": "7 * 8?"}]}, "7 * 8?"),
        ([{"role": "user", "content": "7 * 8?"}], "7 * 8?"),
        ({"b": 1, "a": "x"}, '{"a": "x", "b": 1}'),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_inputs_that_are_objects(tmp_path, inputs, text):
    path = write(tmp_path, [row(inputs)])
    assert silently(read_mlflow, path=path)["query"].tolist() == [text]


def test_traces():
    frame = pd.DataFrame([trace("7 * 8?", right=True), trace("2 + 2?", right=False)])
    for read in (read_mlflow, read_log):
        table = silently(partial(read, frame))
        assert records(table, "model", "query", "score", "latency") == [
            ("run-1", "7 * 8?", 1.0, 0.25),
            ("run-1", "2 + 2?", 0.0, 0.25),
        ]


def test_traces_with_several_scorers():
    frame = pd.DataFrame([trace("7 * 8?", named=False, right=True, judge="no")])
    with pytest.raises(LogFormatError, match="has 'right', 'judge'; name one"):
        read_mlflow(frame)
    with pytest.raises(LogFormatError, match="does not name its run"):
        read_mlflow(frame, metric="judge")
    table = silently(read_mlflow, path=frame, metric="judge", model="small")
    assert records(table, "model", "score") == [("small", 0.0)]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_what_has_no_score_is_counted(tmp_path, missing):
    path = write(tmp_path, [row(), row("2 + 2?", missing)])
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        table = read_mlflow(path)
    assert len(table) == 1


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (row(score="high"), "record 2: 'match/v1/score' is 'high', not a finite"),
        (row(""), "record 2: 'inputs' is ''"),
        (row({}), "record 2: 'inputs' is empty"),
        ([*row()[:4], "slow", 1.0], "record 2: 'latency' is 'slow'"),
    ],
)
def test_malformed_row(tmp_path, bad, match):
    path = write(tmp_path, [row("a"), bad, row("b")])
    read = partial(read_mlflow, tmp_path)
    assert len(assert_bad(read, match, path)) == 2


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ([], "the file is"),
        ({"columns": COLUMNS}, "'data' is None, not a list"),
        ({"columns": [1], "data": []}, "not a list of texts"),
        ({"columns": ["a", "a"], "data": []}, "two columns have one name"),
        ({"columns": COLUMNS, "data": [[1]]}, "row 1 has not 6 cells"),
        ({"columns": COLUMNS, "data": [7]}, "row 1 is 7, not a list"),
        ({"columns": ["inputs"], "data": [["a"]]}, "has no metric"),
    ],
)
def test_malformed_table(tmp_path, document, match):
    write(tmp_path, [row()], run="large")
    path = write(tmp_path, [])
    path.write_text(json.dumps(document))
    read = partial(read_mlflow, tmp_path)
    assert len(assert_bad(read, match, path)) == 1
