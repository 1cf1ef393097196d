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

from skl_locus.datasets import read_alpaca_eval
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning


def annotation(number, preference, model="small", **more):
    return {
        "instruction": f"Instruction {number}.",
        "output_1": "By the reference.",
        "generator_1": "gpt4_1106_preview",
        "dataset": "helpful_base",
        "output_2": f"By {model}.",
        "generator_2": model,
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": preference,
        **more,
    }


@pytest.fixture
def folder(tmp_path):
    write_json(
        tmp_path / "large" / "judge" / "annotations.json",
        [annotation(0, 2.0, "large"), annotation(1, 1.5, "large")],
    )
    write_json(
        tmp_path / "small" / "judge" / "annotations.json",
        [annotation(0, 1.25), annotation(1, 0)],
    )
    return tmp_path


def small(folder):
    return folder / "small" / "judge" / "annotations.json"


def test_folder(folder):
    table = silently(read_alpaca_eval, folder=folder)
    columns = ["model", "query", "score", "task", "response"]
    assert list(table.columns) == columns
    assert records(table, *columns)[::2] == [
        ("large", "Instruction 0.", 1.0, "helpful_base", "By large."),
        ("small", "Instruction 0.", 0.25, "helpful_base", "By small."),
    ]
    assert table["score"].tolist() == [1.0, 0.5, 0.25, 0.5]
    assert_routes(table)


def test_missing_preferences_are_counted(folder):
    rows = [annotation(0, None), annotation(1, float("nan")), annotation(2, 1)]
    del rows[2]["dataset"]
    write_json(
        small(folder), [*rows, {k: v for k, v in rows[2].items() if k[0] != "p"}]
    )
    with pytest.warns(SkippedRecordsWarning, match="3 missing score"):
        table = read_alpaca_eval(folder)
    assert table.attrs["skipped"] == {"missing score": 3}
    assert table["score"].tolist() == [1.0, 0.5, 0.0]
    assert table["task"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (annotation(1, 3), "record 2: 'preference' is 3, not from 1 to 2"),
        (annotation(1, 0.5), "'preference' is 0.5"),
        (annotation(1, -1), "'preference' is -1"),
        (annotation(1, "m"), "'preference' is 'm', not a finite"),
        (annotation(1, 1, None), "'generator_2' is None"),
        (annotation(1, 1, instruction=""), "'instruction' is ''"),
        (7, "the annotation is 7"),
    ],
)
def test_malformed_annotation(folder, bad, match):
    write_json(small(folder), [annotation(0, 1), bad, annotation(2, 1)])
    read = partial(read_alpaca_eval, folder)
    assert len(assert_bad(read, match, small(folder))) == 4


@pytest.mark.parametrize(
    ("content", "match", "line"),
    [
        (b"", "it is empty", None),
        (b'[\n{"instruction": "x"', "not a complete JSON", 2),
        (b"[\n\n" + NOT_UTF8, "not UTF-8", 3),
        (b'{"instruction": "x"}', "not a list", None),
    ],
)
def test_malformed_file(folder, content, match, line):
    small(folder).write_bytes(content)
    read = partial(read_alpaca_eval, folder)
    assert len(assert_bad(read, match, small(folder), line)) == 2


def test_no_annotations(tmp_path):
    with pytest.raises(LogFormatError, match=r"no annotations\.json in it"):
        read_alpaca_eval(tmp_path)
    write_json(tmp_path / "annotations.json", [])
    with pytest.raises(LogFormatError, match="there is no evaluation to read"):
        read_alpaca_eval(tmp_path)
