from functools import partial

import numpy as np
import pandas as pd
import pytest
from reader_checks import (
    NOT_UTF8,
    assert_bad,
    assert_routes,
    records,
    write_lines,
)

from skl_locus import KMeansRouter
from skl_locus.datasets import read_long, read_wide
from skl_locus.exceptions import LogFormatError

CSV = (
    "model,query,query_id,score,task,cost,note\n"
    'small,"What is\n7 * 8?",q1,0,maths,0.1,x\n'
    'large,"What is\n7 * 8?",q1,1,maths,0.9,x\n'
    "small,Who wrote Faust?,q2,1,,,x\n"
    "large,Who wrote Faust?,q2,0.5,books,0.8,x\n"
)


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    return path


def test_csv_file(csv_file):
    table = read_long(csv_file)
    assert list(table.columns) == [
        "model",
        "query",
        "query_id",
        "score",
        "task",
        "cost",
    ]
    assert table["query"].iloc[0] == "What is\n7 * 8?"
    assert table["score"].tolist() == [0, 1, 1, 0.5]
    assert table["task"].isna().tolist() == [False, False, True, False]
    assert np.isnan(table["cost"].iloc[2])
    assert table.attrs["skipped"] == {}
    assert table["query"].iloc[0] is table["query"].iloc[1]
    assert_routes(table)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_files_give_the_same_table(csv_file, kind):
    expected = read_long(csv_file)
    frame = expected.astype({"model": object, "task": object})
    path = csv_file.with_suffix(f".{kind}")
    if kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    pd.testing.assert_frame_equal(read_long(path), expected)


def test_vectors_in_the_query_column(tmp_path):
    rows = [
        {"model": model, "query": [float(i), 1.0], "query_id": i, "score": i % 2}
        for i in range(4)
        for model in ("a", "b")
    ]
    tables = [read_long(write_lines(tmp_path / "log.jsonl", rows))]
    pd.DataFrame(rows).to_parquet(tmp_path / "log.parquet")
    tables.append(read_long(tmp_path / "log.parquet"))
    for table in tables:
        router = KMeansRouter(n_clusters=1).fit(table, table["score"])
        assert router.n_features_in_ == 2


def test_names_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("llm,text,id,grade,area,usd,n,s,out,score\na,q,1,1,t,2,3,4,o,7\n")
    table = read_long(
        path,
        model_col="llm",
        query_col="text",
        query_id_col="id",
        score_col="grade",
        task_col="area",
        cost_col="usd",
        tokens_col="n",
        latency_col="s",
        response_col="out",
    )
    assert records(table, *table.columns) == [
        ("a", "q", "1", 1.0, "t", 2.0, 3.0, 4.0, "o")
    ]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(10, [0.2, 0.8]), ((2, 8), [0, 1]), ((8, 2), [1, 0]), ({"t": (0, 8)}, [0.25, 1])],
)
def test_scale(tmp_path, scale, expected):
    path = tmp_path / "log.csv"
    path.write_text("model,query,score,task\na,q,2,t\nb,q,8,t\n")
    assert read_long(path, scale=scale)["score"].tolist() == expected


@pytest.mark.parametrize("scale", [0, -1, (1, 1), (1,), "10", (0, np.inf), {"t": 0}])
def test_a_scale_that_is_none(csv_file, scale):
    with pytest.raises(ValueError, match="scale must be"):
        read_long(csv_file, scale=scale)


@pytest.mark.parametrize("errors", ["raise", "skip"])
@pytest.mark.parametrize("scale", [None, 5, (4, 8), {"other": 9}])
def test_scores_that_do_not_fit_are_never_skipped(tmp_path, scale, errors):
    path = tmp_path / "log.csv"
    path.write_text("model,query,score,task\na,q,2,t\nb,q,8,t\n")
    with pytest.raises(LogFormatError, match=r"range from 2 to 8.*pass scale="):
        read_long(path, scale=scale, errors=errors)


def test_scale_by_task_needs_tasks(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("model,query,score\na,q,2\n")
    with pytest.raises(ValueError, match="has no tasks"):
        read_long(path, scale={"t": 2})


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("a,q\n", "2 cells under a header of 7"),
        ("a,q,i,1,t,0,x,y\n", "8 cells"),
        ("a,q,i,high,t,0,x\n", "'score' is 'high', not a finite number"),
        ("a,q,i,,t,0,x\n", "'score' has no value"),
        ("a,q,i,inf,t,0,x\n", "not a finite number"),
        (",q,i,1,t,0,x\n", "'model' is '', not a text"),
        ("a,,i,1,t,0,x\n", "'query' is '', not a text"),
        ("a,q,,1,t,0,x\n", "'query_id' is '', not a text"),
        ("a,q,i,1,t,cheap,x\n", "'cost' is 'cheap'"),
        ("a,another text,q1,1,t,0,x\n", "query id 'q1' stands for another text"),
    ],
)
def test_malformed_row(csv_file, row, match):
    with csv_file.open("a") as file:
        file.write(row)
        file.write("late,Who wrote Faust?,q2,1,books,0,x\n")
    table = assert_bad(partial(read_long, csv_file), match, csv_file, line=8)
    assert table["model"].iloc[-1] == "late"
    assert len(table) == 5


def test_not_utf8(csv_file):
    lines = csv_file.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b"Who", NOT_UTF8)
    csv_file.write_bytes(b"".join(lines))
    read = partial(read_long, csv_file)
    assert len(assert_bad(read, "0xe9 is not UTF-8", csv_file, line=6)) == 3


def test_truncated_csv_file(csv_file):
    csv_file.write_text(CSV[: CSV.index("7 * 8", 80)])
    read = partial(read_long, csv_file)
    assert len(assert_bad(read, "unexpected end of data", csv_file, line=4)) == 1


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b'{"model": "a", "query": "q", "sco', "not a complete JSON document"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"model": "a", "query": "' + NOT_UTF8 + b'", "score": 1}', "not UTF-8"),
        (b'{"model": "a", "query": "q"}', "'score' has no value"),
        (b'{"model": "a", "query": ["x"], "score": 1}', "neither a text nor a list"),
        (b"[" * 100_000, "not a usable JSON document|not a complete JSON"),
        (
            b'{"model": "a", "query": "q", "score": ' + b"1" * 5000 + b"}",
            "usable|finite",
        ),
    ],
)
def test_malformed_line(tmp_path, line, match):
    good = b'{"model": "a", "query": "q", "score": 1}'
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([good, b"", line, good]))
    assert len(assert_bad(partial(read_long, path), match, path, line=3)) == 2


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("log.csv", b"", "it is empty"),
        ("log.csv", b"model,query,score\n", "no rows"),
        ("log.csv", b"model,query,model\na,b,c\n", "two columns are called 'model'"),
        ("log.csv", b"model,query,points\na,b,1\n", "'score' is missing; it has"),
        ("log.csv", NOT_UTF8 + b",query\n", "not UTF-8"),
        ("log.jsonl", b"", "'model' is missing"),
        ("log.parquet", b"PAR1 and no more", "not a readable parquet file"),
        ("log.parquet", b"", "not a readable parquet file"),
        ("log.pkl", b"cos\nsystem\n(S'false'\ntR.", "'.pkl' is not one of"),
    ],
)
@pytest.mark.parametrize("errors", ["raise", "skip"])
def test_unusable_file(tmp_path, name, content, match, errors):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LogFormatError, match=match) as caught:
        read_long(path, errors=errors)
    assert caught.value.path == str(path)


def test_no_file(tmp_path):
    for name in ("log.csv", "log.jsonl", "log.parquet"):
        with pytest.raises(FileNotFoundError):
            read_long(tmp_path / name)


def test_errors_is_checked(csv_file):
    with pytest.raises(ValueError, match="errors must be 'raise' or 'skip'"):
        read_long(csv_file, errors="ignore")


def test_a_cell_longer_than_the_default_limit_of_csv(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"model,query,score\na,{'x' * 200_000},1\n")
    assert len(read_long(path)["query"].iloc[0]) == 200_000


WIDE = pd.DataFrame(
    {
        "query": ["What is 7 * 8?", "Who wrote Faust?", "Why?"],
        "task": ["maths", "books", "books"],
        "small": [0.0, 1.0, None],
        "large": [1.0, None, 0.5],
    }
)


def test_wide_frame_and_file(tmp_path):
    table = read_wide(WIDE)
    assert records(table, "model", "query", "score", "task") == [
        ("small", "What is 7 * 8?", 0.0, "maths"),
        ("large", "What is 7 * 8?", 1.0, "maths"),
        ("small", "Who wrote Faust?", 1.0, "books"),
        ("large", "Why?", 0.5, "books"),
    ]
    assert_routes(table)
    WIDE.to_csv(tmp_path / "wide.csv", index=False)
    pd.testing.assert_frame_equal(read_wide(tmp_path / "wide.csv"), table)


def test_wide_with_named_columns():
    frame = WIDE.rename(columns={"query": "text", "task": "area"}).assign(id=[3, 1, 2])
    names = {"query_col": "text", "task_col": "area", "query_id_col": "id"}
    table = read_wide(frame, models=["large"], **names)
    assert records(table, "model", "query_id") == [("large", 3), ("large", 2)]


def test_wide_refuses_what_it_cannot_read(tmp_path):
    bad = WIDE.astype({"large": object})
    bad.loc[1, "large"] = "good"
    table = assert_bad(
        partial(read_wide, bad), "'large' is 'good', not a finite", "the frame", line=2
    )
    assert len(table) == 3
    with pytest.raises(LogFormatError, match="'huge' is missing"):
        read_wide(WIDE, models=["huge"])
    with pytest.raises(LogFormatError, match="two columns are called 'query'"):
        read_wide(pd.concat([WIDE, WIDE[["query"]]], axis=1))
    with pytest.raises(LogFormatError, match="no evaluation to read"):
        read_wide(WIDE.iloc[:0])
    with pytest.raises(LogFormatError, match="range from 0 to 1"):
        read_wide(WIDE.assign(large=1.5))
