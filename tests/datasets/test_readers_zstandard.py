"""Logs of newer versions of Inspect: zip archives compressed by Zstandard."""

import json
import sys
from functools import partial

import pytest
from reader_checks import assert_bad
from zstandard_zip import EXTRA, write_zip

from skl_locus.datasets import read_inspect

pytest.importorskip("pyarrow")  # writes the archives of these tests
if sys.version_info < (3, 14):
    pytest.importorskip("backports.zstd")

HEADER = {"eval": {"model": "org/small", "task": "quiz"}}


def members(n=3, **more):
    samples = {
        f"samples/{i}_epoch_1.json": json.dumps(
            {
                "id": i,
                "input": f"Question {i}?",
                "scores": {"s": {"value": "CI"[i % 2]}},
            }
        )
        for i in range(n)
    }
    return {"_journal/start.json": json.dumps(HEADER), **samples, **more}


def test_it_is_read_like_any_other(tmp_path):
    path = write_zip(tmp_path / "1.eval", members(3))
    table = read_inspect(path)
    assert table["query_id"].tolist() == ["quiz/0", "quiz/1", "quiz/2"]
    assert table["score"].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("damage", [b"\0" * 12, b"\xff" * 12])
def test_a_damaged_member_is_named(tmp_path, damage):
    path = write_zip(tmp_path / "1.eval", members(3))
    content = bytearray(path.read_bytes())
    start = content.index(b"samples/2_epoch_1.json") + 22 + len(EXTRA)
    content[start + 2 : start + 14] = damage
    path.write_bytes(content)
    match = r"'samples/2_epoch_1\.json' is damaged"
    assert len(assert_bad(partial(read_inspect, path), match, path)) == 2


def test_a_member_that_is_larger_than_listed_is_not_decompressed(tmp_path):
    path = write_zip(tmp_path / "1.eval", members(3), listed=9)
    assert_bad(partial(read_inspect, path), "is damaged", path, skipped=None)


def test_limits_hold(tmp_path):
    long = json.dumps({"id": "z", "input": " " * 100_000})
    path = write_zip(tmp_path / "1.eval", members(1, **{"samples/z.json": long}))
    read = partial(read_inspect, path, max_bytes=1_000_000)
    assert_bad(read, "more than a sixteenth of max_bytes", path, skipped=None)


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "1.eval", members(1), flags=1)
    assert_bad(partial(read_inspect, path), "encrypted", path, skipped=None)


def test_a_missing_decompressor_is_named_with_the_way_to_install_it(
    tmp_path, monkeypatch
):
    path = write_zip(tmp_path / "1.eval", members(1))
    # None in place of a module makes its import fail.
    for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    match = (
        r"Zstandard, which needs backports\.zstd.*pip install 'skl-locus\[inspect\]'"
    )
    assert_bad(partial(read_inspect, path), match, path, skipped=None)
