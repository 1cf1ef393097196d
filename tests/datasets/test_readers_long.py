import gzip
import json
import os
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from reader_checks import (
    NOT_UTF8,
    assert_bad,
    assert_routes,
    records,
    silently,
    write_json,
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


LONG = pd.DataFrame(
    {"model": ["a", "b"] * 2, "query": list("xxyy"), "score": [0.0, 1.0, 1.0, 0.5]}
)


def written(folder, kind):
    """Write the long table in another form; return its place."""
    path = folder / f"log.{kind}"
    if kind == "json":
        LONG.to_json(path, orient="records")
    elif kind == "json by column":
        path = folder / "log.json"
        LONG.to_json(path)
    elif kind == "tsv":
        LONG.to_csv(path, sep="\t", index=False)
    elif kind in ("csv.gz", "tsv.gz"):
        LONG.to_csv(path, sep="\t" if kind == "tsv.gz" else ",", index=False)
    elif kind == "jsonl.gz":
        LONG.to_json(path, orient="records", lines=True)
    elif kind == "folder":
        path = folder / "logs"
        (path / "sub").mkdir(parents=True)
        LONG[:2].to_csv(path / "1.csv", index=False)
        LONG[2:].to_parquet(path / "sub" / "2.parquet")
        (path / "notes.txt").write_text("no table")
    return path


KINDS = [
    "json",
    "json by column",
    "tsv",
    "csv.gz",
    "tsv.gz",
    "jsonl.gz",
    "folder",
]


@pytest.mark.parametrize("kind", KINDS)
def test_further_forms_of_a_table(tmp_path, kind):
    expected = read_long(LONG)
    pd.testing.assert_frame_equal(read_long(written(tmp_path, kind)), expected)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_frames_of_other_libraries(convert):
    pd.testing.assert_frame_equal(read_long(convert(LONG)), read_long(LONG))
    wide = read_wide(convert(WIDE))
    pd.testing.assert_frame_equal(wide, read_wide(WIDE))


def test_a_wide_folder(tmp_path):
    WIDE[:1].to_csv(tmp_path / "1.csv", index=False)
    WIDE[1:].to_csv(tmp_path / "2.tsv", index=False, sep="\t")
    pd.testing.assert_frame_equal(read_wide(tmp_path), read_wide(WIDE))


def test_a_folder_without_tables(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(LogFormatError, match="there is no table in it"):
        read_long(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_truth_values_are_scores(tmp_path, kind):
    wide = pd.DataFrame({"query": ["x", "y"], "a": [True, False], "b": [False, True]})
    long = LONG.assign(score=[True, False, False, True])
    for name, frame in (("wide", wide), ("long", long)):
        path = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        elif kind == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_parquet(path)
    assert read_wide(tmp_path / f"wide.{kind}")["score"].tolist() == [1, 0, 0, 1]
    assert read_long(tmp_path / f"long.{kind}")["score"].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("again", [False, True])
def test_the_index_that_pandas_writes_is_no_model(tmp_path, again):
    path = tmp_path / "wide.csv"
    WIDE.to_csv(path)
    if again:
        pd.read_csv(path).to_csv(path)
    table = silently(read_wide, table=path)
    pd.testing.assert_frame_equal(table, read_wide(WIDE))
    assert "left out the index" in table.attrs["notes"][0]


@pytest.mark.parametrize("cells", [[0.5, 1.0, 0.0], [1, 0, 1], ["a", "b", "c"]])
def test_a_column_without_a_name_that_is_no_index_is_refused(tmp_path, cells):
    path = tmp_path / "wide.csv"
    WIDE.assign(**{"": cells}).to_csv(path, index=False)
    with pytest.raises(LogFormatError, match="'' has no name and does not count") as e:
        read_wide(path)
    assert e.value.path == str(path)
    pd.testing.assert_frame_equal(
        read_wide(path, models=["small", "large"]), read_wide(WIDE)
    )


@pytest.mark.parametrize(
    "cell", ["0_1", "1_000", "\u0661", "\uff11", "0x1", b"1".hex() + "_0"]
)
def test_a_number_is_read_as_people_write_it(tmp_path, cell):
    path = tmp_path / "log.csv"
    path.write_text(f"model,query,score\na,q,1\na,r,{cell}\n")
    assert_bad(partial(read_long, path), "not a finite number", path, line=3)


def test_a_truth_value_is_no_cost(tmp_path):
    row = {"model": "a", "query": "q", "score": 1, "cost": True}
    path = write_lines(tmp_path / "log.jsonl", [{**row, "cost": 1}, row])
    assert_bad(partial(read_long, path), "'cost' is True", path, line=2)


@pytest.mark.parametrize("name", ["model", "query_id", "task"])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, "half \ud83d"])
def test_what_cannot_be_a_label(tmp_path, name, value):
    row = {"model": "a", "query": "q", "query_id": "i", "task": "t", "score": 1}
    rows = [row, {**row, name: value, "query": "r"}]
    path = write_lines(tmp_path / "log.jsonl", rows)
    match = "not a label|half of a character"
    assert len(assert_bad(partial(read_long, path), match, path, line=2)) == 1


@pytest.mark.parametrize("values", [(1, 1.0), (1.0, 1)])
def test_two_labels_that_are_equal_are_not_taken_for_one(tmp_path, values):
    rows = [{"model": v, "query": "q", "score": 1} for v in values]
    path = write_lines(tmp_path / "log.jsonl", rows)
    assert_bad(partial(read_long, path), "which equals a label before", path, line=2)


def test_half_of_a_character_in_a_query_is_kept(tmp_path):
    rows = [{"model": "a", "query": "cut off \ud83d", "score": 1}]
    path = write_lines(tmp_path / "log.jsonl", rows)
    assert read_long(path)["query"].tolist() == ["cut off \ud83d"]


def test_a_key_that_occurs_twice(tmp_path):
    path = tmp_path / "log.jsonl"
    good = '{"model": "a", "query": "q", "score": 1}\n'
    path.write_text(good + '{"model": "a", "query": "q", "score": 1, "score": 0}\n')
    assert_bad(partial(read_long, path), "has the key 'score' twice", path, line=2)


def test_lines_that_a_quote_swallows_are_all_counted(tmp_path):
    path = tmp_path / "log.csv"
    good = "".join(f"a,question {i},1\n" for i in range(10))
    path.write_text(f'model,query,score\n{good}a,"no end,1\n{good}')
    read = partial(read_long, path)
    assert len(assert_bad(read, "unexpected end of data", path, 22, skipped=11)) == 10
    path.write_text(f'model,query,score\n{good}a,"no end,1\n{good}b,"x",1\n{good}')
    assert len(assert_bad(read, "expected after", path, 23, skipped=12)) == 20


def test_pipes_are_refused(tmp_path):
    for name in ("log.csv", "log.jsonl", "log.parquet", "log.csv.gz"):
        path = tmp_path / name
        os.mkfifo(path)
        with pytest.raises(LogFormatError, match="a pipe or a device") as caught:
            read_long(path)
        assert caught.value.path == str(path)


def test_a_parquet_file_that_unfolds_without_end(tmp_path):
    path = tmp_path / "log.parquet"
    texts = pa.array(["a"]).dictionary_encode()
    cells = pa.DictionaryArray.from_arrays(np.zeros(3_000_000, "i1"), texts.dictionary)
    table = pa.table({"model": cells, "query": cells, "score": cells})
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(LogFormatError, match="unfold to 9000000 values"):
        read_long(path)


def test_a_compressed_file_that_unfolds_without_end(tmp_path, monkeypatch):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"model,query,score\n" + b"a,q,1\n" * 1000))
    assert len(read_long(path)) == 1000
    monkeypatch.setattr("skl_locus.datasets._readers._files.MAX_BYTES", 1000)
    with pytest.raises(LogFormatError, match="more than 1000 bytes after") as caught:
        read_long(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_truncated_compressed_file(tmp_path, kind):
    path = tmp_path / f"log.{kind}.gz"
    rows = LONG.to_csv(index=False) if kind == "csv" else LONG.to_json(orient="records")
    if kind == "jsonl":
        rows = LONG.to_json(orient="records", lines=True)
    path.write_bytes(gzip.compress(rows.encode())[:-10])
    with pytest.raises(LogFormatError, match="not a readable gzip file") as caught:
        read_long(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "document",
    [7, {"a": 1}, {"a": {"0": 1}, "b": {"1": 1}}, {}, "text"],
)
def test_a_json_file_that_is_no_table(tmp_path, document):
    path = write_json(tmp_path / "log.json", document)
    with pytest.raises(
        LogFormatError, match=r"neither a list|different rows"
    ) as caught:
        read_long(path)
    assert caught.value.path == str(path)


def test_a_json_row_that_is_no_object(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps([*LONG.to_dict("records"), 7]))
    assert len(assert_bad(partial(read_long, path), "the row is 7", path, line=5)) == 4


@pytest.mark.parametrize("query", [[1.0, float("nan")], [[1], [1, 2]], [], [True]])
def test_a_vector_of_a_query_is_finite_and_flat(tmp_path, query):
    rows = [{"model": "a", "query": [1.0, 2.0], "score": 1}]
    path = write_lines(tmp_path / "log.jsonl", [*rows, {**rows[0], "query": query}])
    match = "neither a text|not finite"
    assert_bad(partial(read_long, path), match, path, line=2)


def test_a_score_just_above_1_is_shown_with_all_its_digits(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"model,query,score\na,q,0\nb,q,{float(np.nextafter(1, 2))!r}\n")
    with pytest.raises(LogFormatError, match=r"from 0 to 1\.0000000000000002"):
        read_long(path)
    with pytest.raises(ValueError, match=r"found 0 to 1\.0000000000000002"):
        KMeansRouter().fit(np.eye(2), [0, np.nextafter(1, 2)])
