"""The command that converts a log."""

import numpy as np
import pandas as pd
import pytest
from command_line import run, run_well

from skl_locus.datasets import read_log


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_is_written_reads_as_the_log_itself(logs, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"log.{ending}"
    outcome = run_well("read", logs / "log.csv", "-o", output)
    assert outcome.out.splitlines()[0].endswith(
        "600 evaluations of 5 models on 120 queries"
    )
    given, written = read_log(logs / "log.csv"), read_log(output)
    pd.testing.assert_frame_equal(written, given, check_like=True)


def test_the_summary_is_json_if_asked_for(logs):
    summary = run_well("read", logs / "log.csv", "--json", "-q").json
    assert (summary["n_models"], summary["n_queries"]) == (5, 120)
    assert summary["models"]["model-0"]["evaluations"] == 120
    assert summary["tasks"]["task-1"]["queries"] == 30


def test_names_of_columns_and_the_scale_are_options(tmp_path):
    table = pd.DataFrame({"llm": ["a", "b"], "q": ["Who?"] * 2, "points": [4, 10]})
    table.to_csv(tmp_path / "runs.csv", index=False)
    columns = ["--model-col", "llm", "--query-col", "q", "--score-col", "points"]
    outcome = run_well(
        "read", tmp_path / "runs.csv", *columns, "--scale", "10", "--json"
    )
    assert outcome.json["models"]["a"]["mean score"] == 0.4


def test_damaged_records_are_an_error_or_left_out_and_noted(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("model,query,score\na,Who?,1\nb,Who?,much\n")
    refused = run("read", path)
    assert refused.status == 1
    assert refused.err == (
        f"skl-locus: error: {path}, line 3: 'score' is 'much', not a finite number\n"
    )
    outcome = run_well("read", path, "--errors", "skip")
    assert "skl-locus: warning: " in outcome.err
    assert "left out: 1" in outcome.out


def test_vectors_from_a_file_are_joined_by_row_or_by_query(tmp_path):
    log = pd.DataFrame(
        {"model": ["a", "a", "b"], "query": ["x", "y", "y"], "score": [0, 1, 1]}
    )
    log.to_csv(tmp_path / "log.csv", index=False)
    pd.DataFrame({"query": ["y", "x"]}).to_csv(tmp_path / "q.csv", index=False)
    vectors = np.arange(4.0).reshape(2, 2)
    np.save(tmp_path / "by_query.npy", vectors)
    np.save(tmp_path / "by_row.npy", vectors[[1, 0, 0]])
    joined = []
    for name, options in (("by_row", []), ("by_query", ["--queries", "q.csv"])):
        output = tmp_path / f"{name}.jsonl"
        options = [
            option if option[0] == "-" else tmp_path / option for option in options
        ]
        run_well(
            "read",
            tmp_path / "log.csv",
            "-o",
            output,
            "--encodings",
            tmp_path / f"{name}.npy",
            *options,
        )
        joined.append(read_log(output))
    pd.testing.assert_frame_equal(*joined)
    assert np.stack(joined[0]["query"]).tolist() == [[2, 3], [0, 1], [0, 1]]
    assert joined[0]["query_id"].tolist() == ["x", "y", "y"]


@pytest.mark.parametrize(
    ("vectors", "queries", "message"),
    [
        (np.zeros((2, 2)), None, "it has 2 vectors for 3 rows of "),
        (np.zeros((3, 2)), "query\ny\nx\n", "it has 3 vectors for 2 rows of "),
        (np.zeros((1, 2)), "query\nx\n", "the query 'y' is not in it"),
        (np.zeros((1, 2)), "text\nx\n", "it has no column query_id or query"),
        (np.zeros(3), None, "it is not a matrix of numbers"),
        (np.array([["a"], ["b"], ["c"]]), None, "it is not a matrix of numbers"),
        (np.array([None, None, None]), None, "it is not a readable .npy file"),
        (b"no array", None, "it is not a readable .npy file"),
        (b"", None, "it is not a readable .npy file"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path, vectors, queries, message):
    log = tmp_path / "log.csv"
    log.write_text("model,query,score\na,x,0\na,y,1\nb,y,1\n")
    file, options = tmp_path / "v.npy", []
    if isinstance(vectors, bytes):
        file.write_bytes(vectors)
    else:
        np.save(file, vectors, allow_pickle=True)
    if queries is not None:
        (tmp_path / "q.csv").write_text(queries)
        options = ["--queries", tmp_path / "q.csv"]
    outcome = run("read", log, "--encodings", file, *options)
    assert outcome.status == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_csv_files_cannot_hold_vectors(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"model": "a", "query": [0.5, 1.0], "score": 1}\n')
    outcome = run("read", log, "-o", tmp_path / "out.csv")
    assert outcome.status == 1
    assert "csv files cannot hold vectors" in outcome.err
    assert not (tmp_path / "out.csv").exists()


def test_options_that_the_format_does_not_have_are_named(logs):
    outcome = run("read", logs / "log.csv", "--metric", "acc")
    assert outcome.status == 2
    assert "'metric'" in outcome.err


def test_no_path_of_the_source_is_in_a_parquet_file(logs, tmp_path):
    pytest.importorskip("pyarrow")
    run_well("read", logs / "log.csv", "-o", tmp_path / "log.parquet")
    assert str(logs).encode() not in (tmp_path / "log.parquet").read_bytes()
