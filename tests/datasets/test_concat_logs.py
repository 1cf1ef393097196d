import numpy as np
import pandas as pd
import polars as pl
import pytest
from reader_checks import assert_routes, records

from skl_locus import KMeansRouter
from skl_locus.datasets import concat_logs, read_long, read_wide


def log_of(model, **columns):
    score = float(model == "a")
    return read_long(pd.DataFrame({"model": model, "score": score, **columns}))


WITH_IDS = log_of("a", query=["x", "y"], query_id=["q1", "q2"], task=["t", "u"])
WITHOUT = log_of("b", query=["y", "z"], cost=[1.0, 2.0])


@pytest.mark.parametrize("order", [1, -1])
def test_a_log_without_ids_gets_those_of_its_texts(order):
    table = concat_logs([WITH_IDS, WITHOUT][::order])
    assert list(table.columns) == [
        "model",
        "query",
        "query_id",
        "score",
        "task",
        "cost",
    ]
    expected = [("a", "x", "q1"), ("a", "y", "q2"), ("b", "y", "q2"), ("b", "z", "z")]
    found = records(table.sort_values("model", kind="stable"), *table.columns[:3])
    assert found == expected
    assert table["cost"].isna().sum() == 2
    assert_routes(table)


def test_the_router_sees_one_query_in_both_logs():
    table = concat_logs([WITH_IDS, WITHOUT])
    vectors = {text: np.eye(3)[i] for i, text in enumerate("xyz")}
    table["query"] = pd.Series([vectors[t] for t in table["query"]], dtype=object)
    router = KMeansRouter(n_clusters=1).fit(table, table["score"])
    assert sorted(router.models_) == ["a", "b"]
    assert table["query_id"].nunique() == 3


def test_ids_that_mean_different_texts():
    other = log_of("b", query=["z"], query_id=["q1"])
    with pytest.raises(ValueError, match=r"'q1' stands for different texts.*keys="):
        concat_logs([WITH_IDS, other])
    table = concat_logs([WITH_IDS, other], keys=["one", "two"])
    assert table["query_id"].tolist() == ["one/q1", "one/q2", "two/q1"]


def test_the_same_texts_under_different_ids():
    other = log_of("b", query=["x"], query_id=["7"])
    assert concat_logs([WITH_IDS, other])["query_id"].tolist() == ["q1", "q2", "7"]
    table = concat_logs([WITH_IDS, other], match="text")
    assert "query_id" not in table
    assert table["query"].tolist() == ["x", "y", "x"]


def test_a_text_with_two_ids_gives_none_of_them_to_others():
    twice = log_of("a", query=["x", "x"], query_id=["q1", "q2"])
    table = concat_logs([twice, log_of("b", query=["x"])])
    assert table["query_id"].tolist() == ["q1", "q2", "x"]


def test_one_log_and_logs_that_fit():
    pd.testing.assert_frame_equal(concat_logs([WITH_IDS]), WITH_IDS)
    table = concat_logs([WITHOUT, WITHOUT])
    assert "query_id" not in table
    assert len(table) == 4


def test_vectors():
    one = log_of("a", query=[[1.0, 0.0]])
    table = concat_logs([one, log_of("b", query=[[0.0, 1.0]])])
    assert [list(cell) for cell in table["query"]] == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="have texts as queries and others have vec"):
        concat_logs([one, WITHOUT])
    with pytest.raises(ValueError, match="vectors, which do not identify"):
        concat_logs([one, log_of("b", query=[[0.0, 1.0]], query_id=["i"])])


def test_what_was_left_out_is_summed_up():
    first, second = WITH_IDS.copy(), WITHOUT.copy()
    first.attrs = {"skipped": {"malformed": 2, "older run": 1}, "notes": ["one"]}
    second.attrs = {"skipped": {"malformed": 3}, "notes": ["two"]}
    table = concat_logs([first, second])
    assert table.attrs["skipped"] == {"malformed": 5, "older run": 1}
    assert table.attrs["notes"] == ["one", "two"]
    assert first.attrs["skipped"] == {"malformed": 2, "older run": 1}


def test_inputs_stay_as_they_are():
    before = WITH_IDS.copy(), WITHOUT.copy()
    concat_logs([WITH_IDS, WITHOUT], keys=["one", "two"])
    for now, then in zip((WITH_IDS, WITHOUT), before, strict=True):
        pd.testing.assert_frame_equal(now, then)


def test_other_frames_and_further_columns():
    frame = pl.DataFrame({"model": ["a"], "query": ["x"], "score": [1], "note": ["n"]})
    table = concat_logs([frame, read_wide(pd.DataFrame({"query": ["x"], "b": [0]}))])
    assert records(table, *table.columns) == [("a", "x", 1.0), ("b", "x", 0.0)]


@pytest.mark.parametrize(
    ("logs", "parameters", "match"),
    [
        ([], {}, "no log to join"),
        ([WITH_IDS.drop(columns="score")], {}, "Log 0 has no column 'score'"),
        ([WITH_IDS], {"keys": ["a", "b"]}, "keys must be 1 different names"),
        ([WITH_IDS, WITHOUT], {"keys": ["a", "a"]}, "keys must be 2 different names"),
        ([WITH_IDS], {"match": "id"}, "match must be one of"),
    ],
)
def test_bad_arguments(logs, parameters, match):
    with pytest.raises(ValueError, match=match):
        concat_logs(logs, **parameters)


def test_what_is_no_frame():
    with pytest.raises(TypeError, match="Log 1 is a str"):
        concat_logs([WITH_IDS, "log.csv"])
