"""RouterBench and EmbedLLM."""

import os
import pickle
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pytest
from reader_checks import NOT_UTF8, assert_bad, assert_routes, records, silently

from skl_locus.datasets import read_embedllm, read_routerbench
from skl_locus.exceptions import LogFormatError

ROUTERBENCH = pd.DataFrame(
    {
        "sample_id": ["mmlu.val.1", "mbpp.dev.2", "chat.3"],
        "prompt": ["['Answer with a letter.\\n1+1?', 'B) 2']", "Write it.", "[1, 2"],
        "eval_name": ["mmlu", "mbpp", "chat"],
        "org/small": [0.0, 1.0, 0.25],
        "gpt-4": [1.0, None, 0.75],
        "org/small|model_response": ["['B']", "x = [1]", "[1]"],
        "gpt-4|model_response": ["['A']", None, "fine"],
        "org/small|total_cost": [0.001, 0.002, 0.003],
        "gpt-4|total_cost": [0.1, None, 0.3],
        "oracle_model_to_route_to": ["gpt-4", "org/small", "gpt-4"],
    }
)


@pytest.fixture
def routerbench(tmp_path):
    path = tmp_path / "routerbench_0shot.csv"
    ROUTERBENCH.to_csv(path, index=False)
    return path


def test_routerbench(routerbench):
    table = silently(read_routerbench, path=routerbench)
    assert list(table.columns) == [
        "model",
        "query",
        "query_id",
        "score",
        "task",
        "cost",
        "response",
    ]
    assert records(table, "model", "query_id", "score", "task", "cost") == [
        ("org/small", "mmlu.val.1", 0.0, "mmlu", 0.001),
        ("gpt-4", "mmlu.val.1", 1.0, "mmlu", 0.1),
        ("org/small", "mbpp.dev.2", 1.0, "mbpp", 0.002),
        ("org/small", "chat.3", 0.25, "chat", 0.003),
        ("gpt-4", "chat.3", 0.75, "chat", 0.3),
    ]
    assert table["query"].unique().tolist() == [
        "Answer with a letter.\n1+1?\nB) 2",
        "Write it.",
        "[1, 2",
    ]
    assert table["response"].tolist() == ["B", "A", "x = [1]", "[1]", "fine"]
    assert_routes(table)


def test_routerbench_as_parquet_and_as_an_allowed_pickle(routerbench):
    expected = read_routerbench(routerbench)
    ROUTERBENCH.to_parquet(routerbench.with_suffix(".parquet"))
    ROUTERBENCH.to_pickle(routerbench.with_suffix(".pkl"))
    parquet = read_routerbench(routerbench.with_suffix(".parquet"))
    pickled = read_routerbench(routerbench.with_suffix(".pkl"), allow_pickle=True)
    pd.testing.assert_frame_equal(parquet, expected)
    pd.testing.assert_frame_equal(pickled, expected)


class Mark:
    """Leaves a mark where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("r.pkl", "runs whatever code"),
        ("r.PICKLE", "runs whatever code"),
        ("r.csv", "not UTF-8"),
        ("r.jsonl", "not UTF-8|is missing"),
        ("r.parquet", "not a readable parquet"),
    ],
)
def test_routerbench_never_unpickles_without_consent(tmp_path, name, match):
    mark = tmp_path / "mark"
    (tmp_path / name).write_bytes(pickle.dumps(Mark(str(mark))))
    for errors in ("raise", "skip"):
        with pytest.raises(LogFormatError, match=match):
            read_routerbench(tmp_path / name, errors=errors)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"no pickle", "not a readable pickle"), (pickle.dumps([1]), "a list is in it")],
)
def test_routerbench_with_a_bad_pickle(tmp_path, content, match):
    (tmp_path / "r.pkl").write_bytes(content)
    with pytest.raises(LogFormatError, match=match):
        read_routerbench(tmp_path / "r.pkl", allow_pickle=True)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("gpt-4", "good", "'gpt-4' is 'good'"),
        ("gpt-4|total_cost", "cheap", r"'gpt-4\|total_cost' is 'cheap'"),
        ("prompt", "", "'prompt' is ''"),
        ("sample_id", "", "'sample_id' is ''"),
        ("sample_id", "chat.3", "stands for another text"),
        ("eval_name", "", "'eval_name' is ''"),
    ],
)
def test_routerbench_malformed_row(routerbench, column, value, match):
    frame = pd.concat([ROUTERBENCH, ROUTERBENCH.tail(1)]).astype(object)
    frame.iloc[-1, frame.columns.get_loc("prompt")] = "new"
    frame.iloc[-1, frame.columns.get_loc("sample_id")] = "new"
    frame.iloc[-1, frame.columns.get_loc(column)] = value
    frame.to_csv(routerbench, index=False)
    skipped = None if "another" in match else 1
    read = partial(read_routerbench, routerbench)
    table = assert_bad(read, match, routerbench, line=5, skipped=skipped)
    assert table is None or len(table) == 5


def test_routerbench_unusable_columns(routerbench):
    ROUTERBENCH.drop(columns="eval_name").to_csv(routerbench, index=False)
    with pytest.raises(LogFormatError, match="'eval_name' is missing"):
        read_routerbench(routerbench)
    ROUTERBENCH.iloc[:, :5].to_csv(routerbench, index=False)
    with pytest.raises(LogFormatError, match="no column has another beside it"):
        read_routerbench(routerbench)
    ROUTERBENCH.assign(**{"gpt-4": 9.5}).to_csv(routerbench, index=False)
    with pytest.raises(LogFormatError, match="range from 0 to 9"):
        read_routerbench(routerbench)
    assert read_routerbench(routerbench, scale=10)["score"].max() == 0.95


def embedllm_rows(prompts, models=("a", "b"), labels=None):
    rows = [
        {
            "prompt_id": prompt,
            "model_id": None if model == "b" else 0,
            "model_name": model,
            "label": (prompt + code) % 2,
            "prompt": f"Question\n{prompt}?",
            "category_id": 7,
            "category": "mmlu",
        }
        for prompt in prompts
        for code, model in enumerate(models)
    ]
    frame = pd.DataFrame(rows)
    return frame if labels is None else frame.assign(label=labels)


@pytest.fixture
def embedllm(tmp_path):
    embedllm_rows(range(3)).to_csv(tmp_path / "train.csv", index=False)
    embedllm_rows(range(3, 5)).to_csv(tmp_path / "test.csv", index=False)
    order = pd.DataFrame({"model_id": [0, 1], "model_name": ["a", "b"]})
    order.to_csv(tmp_path / "model_order.csv", index=False)
    return tmp_path


def test_embedllm(embedllm, capsys):
    table = silently(read_embedllm, folder=embedllm)
    assert list(table.columns) == ["model", "query", "query_id", "score", "task"]
    assert records(table, *table.columns)[:2] == [
        ("a", "Question\n0?", "0", 0.0, "mmlu"),
        ("b", "Question\n0?", "0", 1.0, "mmlu"),
    ]
    assert len(table) == 10
    assert capsys.readouterr().err == ""
    assert_routes(table)
    test = read_embedllm(embedllm, splits=("test",), verbose=True)
    assert test["query_id"].tolist() == ["3", "3", "4", "4"]
    assert "test.csv: 100%" in capsys.readouterr().err


def test_embedllm_names_models_by_id(embedllm):
    path = embedllm / "train.csv"
    frame = embedllm_rows(range(2))
    frame["model_name"] = frame["model_name"].where(frame["model_name"] == "b")
    frame.to_csv(path, index=False)
    table = read_embedllm(embedllm, splits=("train",))
    assert table["model"].tolist() == ["a", "b", "a", "b"]
    (embedllm / "model_order.csv").unlink()
    read = partial(read_embedllm, embedllm, splits=("train",))
    assert len(assert_bad(read, "no 'model_name'", path, line=3, skipped=2)) == 2


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [("mean", 0.5), ("max", 1.0), ("first", 0.0), ("last", 1.0)],
)
def test_embedllm_duplicates(embedllm, duplicates, expected):
    embedllm_rows([0, 0], labels=[0, 1, 1, 1]).to_csv(embedllm / "train.csv")
    table = read_embedllm(embedllm, splits=("train",), duplicates=duplicates)
    assert records(table, "model", "query_id", "score") == [
        ("a", "0", expected),
        ("b", "0", 1.0),
    ]
    assert table.index.tolist() == [0, 1]
    assert table.attrs["skipped"] == {}


def test_embedllm_duplicates_that_are_refused(embedllm):
    embedllm_rows([0, 0]).to_csv(embedllm / "train.csv")
    with pytest.raises(LogFormatError, match="'a' has two rows for the prompt '0'"):
        read_embedllm(embedllm, duplicates="raise")
    with pytest.raises(ValueError, match="duplicates must be one of"):
        read_embedllm(embedllm, duplicates="sum")


@pytest.mark.parametrize(
    ("change", "match", "line"),
    [
        ({"label": "right"}, "'label' is 'right'", 9),
        ({"prompt": ""}, "'prompt' is ''", 8),
        ({"category": ""}, "'category' is ''", 9),
        ({"prompt_id": ""}, "'prompt_id' is ''", 9),
        ({"prompt_id": "0"}, "stands for another text", 9),
    ],
)
def test_embedllm_malformed_row(embedllm, change, match, line):
    path = embedllm / "train.csv"
    frame = embedllm_rows(range(2)).astype(object)
    frame.loc[3, list(change)] = list(change.values())
    frame.to_csv(path, index=False)
    read = partial(read_embedllm, embedllm, splits=("train",))
    assert len(assert_bad(read, match, path, line=line)) == 3


def test_embedllm_damaged_files(embedllm):
    path = embedllm / "train.csv"
    whole = path.read_bytes()
    read = partial(read_embedllm, embedllm, splits=("train",))
    path.write_bytes(whole.replace(b"Question\n1", NOT_UTF8, 1))
    assert len(assert_bad(read, "is not UTF-8", path, line=6)) == 5
    path.write_bytes(whole[:-8])
    assert len(assert_bad(read, "cells under a header of 7", path, line=13)) == 5
    path.write_bytes(whole.replace(b"label", b"score", 1))
    with pytest.raises(LogFormatError, match="'label' is missing"):
        read_embedllm(embedllm)
    path.write_bytes(b"")
    with pytest.raises(LogFormatError, match="it is empty"):
        read_embedllm(embedllm, errors="skip")
    path.write_bytes(whole.replace(b",0,", b",3,"))
    with pytest.raises(LogFormatError, match="scores range from"):
        read_embedllm(embedllm)


def test_embedllm_without_files(tmp_path):
    with pytest.raises(LogFormatError, match=r"there is no train\.csv"):
        read_embedllm(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_embedllm(tmp_path, splits=("train",))


def test_embedllm_keeps_a_prompt_once_in_memory(tmp_path):
    prompt = "x" * 20_000
    models = [f"model-{code}" for code in range(200)]
    frame = embedllm_rows([0], models).assign(prompt=prompt)
    frame.to_csv(tmp_path / "train.csv", index=False)
    size = (tmp_path / "train.csv").stat().st_size
    read_embedllm(tmp_path)
    tracemalloc.start()
    table = read_embedllm(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({id(text) for text in table["query"]}) == 1
    assert peak < size / 4
    np.testing.assert_array_equal(table["score"], np.arange(200) % 2)
