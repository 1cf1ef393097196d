"""The decision log: whole lines, whatever happens, and read back as a log."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from small import SMALL
from stand_in_models import StandInModel

from skl_locus import LocusRouter
from skl_locus.datasets import read_decisions, read_long
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning
from skl_locus.inspection import drift_test, feedback_report
from skl_locus.integrations import Decision, DecisionLog
from skl_locus.integrations import _decision_log as module

START = datetime(2026, 11, 2, tzinfo=UTC)


def decision(i, **others):
    values = {
        "request_id": f"request {i}",
        "session": f"session {i % 3}",
        "digest": f"{i:032x}",
        "chosen": "small",
        "probability": 0.75,
        "alternatives": {"small": 0.75, "large": 0.5},
        "trust": 0.25,
        "cost": 0.125,
        "reached": True,
        "router_version": "abc",
    }
    return Decision(START + timedelta(minutes=i), 0.002, **{**values, **others})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.jsonl"


def write(path, decisions, **options):
    with DecisionLog(path, **options) as log:
        for one in decisions:
            log.observe(one)
    assert log.n_dropped == 0


def test_what_is_logged_is_read_back(path):
    decisions = [
        decision(0),
        decision(1, chosen=7, alternatives={7: 0.5, ("a", 1): np.float32(0.25)}),
        decision(2, chosen=None, declined="no_text", digest=None, probability=None),
        decision(3, probability=np.float64(0.5), reached=np.bool_(False), trust=None),
        decision(4, chosen="\ud83d half", session="täglich\n", cost=float("nan")),
    ]
    write(path, decisions)
    table = read_decisions(path)
    assert len(path.read_bytes().splitlines()) == 5
    assert table["time"].tolist() == [d.time for d in decisions]
    assert str(table["time"].dtype).endswith("UTC]")
    assert table["model"].tolist() == ["small", 7, None, "small", "\ud83d half"]
    assert table["alternatives"][1] == [(7, 0.5), (("a", 1), 0.25)]
    assert table["probability"][3] == 0.5
    assert table["reached"].tolist()[3] is False
    assert table["declined"][2] == "no_text"
    assert table["session"][4] == "täglich\n"
    assert table["cost"].isna().tolist() == [False] * 4 + [True]
    for name in ("request_id", "digest", "router_version", "duration"):
        assert table[name][0] == getattr(decisions[0], name)
    assert table.attrs["skipped"] == 0


def test_half_a_character_of_a_client_does_not_make_a_log_unreadable(path):
    halves = {"chosen": "small\ud800", "session": "\ud800", "request_id": "r\udfff"}
    write(path, [decision(0, **halves), decision(1)])
    table = read_decisions(path, errors="raise")
    assert table["model"].tolist() == ["small\ud800", "small"]
    assert table["session"][0] == "\\ud800"
    assert table["request_id"][0] == "r\\udfff"


def test_threads_write_whole_lines(path):
    with DecisionLog(path) as log, ThreadPoolExecutor(8) as threads:
        list(threads.map(log.observe, map(decision, range(2000))))
    table = read_decisions(path, errors="raise")
    assert sorted(table["request_id"]) == sorted(f"request {i}" for i in range(2000))


def test_a_full_log_is_rotated_and_the_oldest_part_removed(path):
    size = len(module.decision_line(decision(100)))
    write(path, map(decision, range(100, 200)), max_bytes=10 * size, backups=3)
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == [path.name, *(f"{path.name}.{i}" for i in (1, 2, 3))]
    assert all(p.stat().st_size <= 10 * size for p in path.parent.iterdir())
    table = read_decisions(path, errors="raise")
    kept = [f"request {i}" for i in range(200 - len(table), 200)]
    assert table["request_id"].tolist() == kept
    assert len(table) == 40


def test_a_rotated_log_is_continued_by_the_next_process(path):
    size = len(module.decision_line(decision(100)))
    for i in range(100, 130):
        write(path, [decision(i)], max_bytes=10 * size, backups=5)
    assert len(read_decisions(path, errors="raise")) == 30
    assert len(list(path.parent.iterdir())) == 3


def test_without_backups_or_without_a_limit(path):
    size = len(module.decision_line(decision(100)))
    write(path, map(decision, range(100, 125)), max_bytes=10 * size, backups=0)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert read_decisions(path)["request_id"].tolist()[-1] == "request 124"
    path.unlink()
    write(path, map(decision, range(50)), max_bytes=None)
    assert len(read_decisions(path)) == 50


def test_a_cut_line_is_lost_and_no_other(path):
    write(path, map(decision, range(3)))
    path.write_bytes(path.read_bytes()[:-20])
    write(path, [decision(3)])
    with pytest.warns(SkippedRecordsWarning, match="1 lines"):
        table = read_decisions(path)
    assert table["request_id"].tolist() == ["request 0", "request 1", "request 3"]
    assert table.attrs["skipped"] == 1
    with pytest.raises(LogFormatError, match="line 3"):
        read_decisions(path, errors="raise")


WRITE_UNTIL_KILLED = """
import sys
from datetime import UTC, datetime
from skl_locus.integrations import Decision, DecisionLog
log = DecisionLog(sys.argv[1], max_bytes=20_000, backups=100)
for i in range(10**9):
    log.observe(Decision(datetime.now(UTC), 0.0, f"request {i}", chosen="small"))
    if i % 20 == 0:
        log.flush()
"""


@pytest.mark.integration
def test_a_kill_loses_one_line_at_most(path):
    for _ in range(5):
        command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not path.exists() or path.stat().st_size < 5_000:
            time.sleep(0.01)
        time.sleep(0.05 * np.random.default_rng().random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        write(path, [decision(0)])
        n_lines, n_broken = 0, 0
        for part in path.parent.iterdir():
            for line in part.read_bytes().splitlines():
                n_lines += 1
                try:
                    json.loads(line)
                except ValueError:
                    n_broken += 1
            part.unlink()
        assert n_broken <= 1 < n_lines


def test_nothing_waits_for_a_slow_disk(path, monkeypatch):
    log = DecisionLog(path, max_waiting=10)
    append = module._RotatedFile.write

    def slowly(self, lines):
        time.sleep(0.05)
        append(self, lines)

    monkeypatch.setattr(module._RotatedFile, "write", slowly)
    start = time.perf_counter()
    decisions = map(decision, range(1000))
    with pytest.warns(RuntimeWarning, match="too slow"):
        list(map(log.observe, decisions))
    assert time.perf_counter() - start < 2
    log.close()
    assert len(read_decisions(path)) + log.n_dropped == 1000
    assert log.n_dropped > 0


@pytest.mark.filterwarnings("ignore:Decisions are not written:RuntimeWarning")
def test_an_error_of_the_disk_does_not_end_the_log(path, monkeypatch):
    log = DecisionLog(path)
    write_bytes = os.write

    def half(file, data):
        monkeypatch.setattr(os, "write", full)
        return write_bytes(file, bytes(data)[: len(data) // 2])

    def full(file, data):
        raise OSError(28, "No space left on device")

    log.observe(decision(0))
    log.flush()
    monkeypatch.setattr(os, "write", half)
    log.observe(decision(1))
    log.flush()
    monkeypatch.setattr(os, "write", write_bytes)
    log.observe(decision(2))
    log.close()
    assert log.n_dropped == 1
    with pytest.warns(SkippedRecordsWarning):
        table = read_decisions(path)
    assert table["request_id"].tolist() == ["request 0", "request 2"]


def test_a_file_that_others_rename_is_begun_anew(path):
    with DecisionLog(path) as log:
        log.observe(decision(0))
        log.flush()
        path.rename(path.with_suffix(".old"))
        log.observe(decision(1))
    assert read_decisions(path)["request_id"].tolist() == ["request 1"]


def test_after_it_is_closed_decisions_are_dropped(path):
    log = DecisionLog(path)
    log.close()
    log.close()
    with pytest.warns(RuntimeWarning, match="closed"):
        log.observe(decision(0))
    assert log.n_dropped == 1


def test_what_waits_is_written_when_the_interpreter_ends(path):
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from skl_locus.integrations import Decision, DecisionLog\n"
        "log = DecisionLog(sys.argv[1])\n"
        "for i in range(300):\n"
        "    log.observe(Decision(datetime.now(UTC), 0.0, f'request {i}'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert len(read_decisions(path)) == 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_logs_its_own_decisions(path):
    log = DecisionLog(path)
    log.observe(decision(0))
    child = os.fork()
    if not child:
        log.observe(decision(1))
        log.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.close()
    assert sorted(read_decisions(path)["request_id"]) == ["request 0", "request 1"]


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"backups": -1}, {"max_waiting": 0}]
)
def test_bad_parameters_are_refused(path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DecisionLog(path, **options)
    assert not path.exists()


BAD_LINES = {
    "no object": "[1, 2]",
    "no JSON": "{oops",
    "no choice": '{"time": "2026-11-02T00:00:00+00:00"}',
    "no time": '{"chosen": "small"}',
    "a time of no zone": '{"time": "2026-11-02T00:00:00", "chosen": "small"}',
    "a number that is none": (
        '{"time": "2026-11-02T00:00:00+00:00", "chosen": "a", "trust": "high"}'
    ),
    "alternatives": (
        '{"time": "2026-11-02T00:00:00+00:00", "chosen": "a", "alternatives": [1]}'
    ),
    "a number without an end": (
        '{"time": "2026-11-02T00:00:00+00:00", "chosen": "a", "cost": 1e999}'
    ),
    "a number too large": (
        '{"time": "2026-11-02T00:00:00+00:00", "chosen": "a", "cost": 1'
        + "0" * 400
        + "}"
    ),
    "a label that is an object": (
        '{"time": "2026-11-02T00:00:00+00:00", "chosen": {"a": 1}}'
    ),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_lines_that_are_no_decisions_are_named(path, line):
    write(path, [decision(0)])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(LogFormatError, match="line 2"):
        read_decisions(path, errors="raise")
    with pytest.warns(SkippedRecordsWarning):
        assert len(read_decisions(path)) == 1


def test_a_folder_of_logs_is_read_in_the_order_of_time(tmp_path):
    for start in (0, 1):
        write(tmp_path / f"{start}.jsonl", map(decision, range(start, 10, 2)))
    table = read_decisions(tmp_path)
    assert table["request_id"].tolist() == [f"request {i}" for i in range(10)]


def test_a_folder_may_have_older_parts_alone(tmp_path):
    write(tmp_path / "a.jsonl", [decision(0)])
    write(tmp_path / "b.jsonl", [decision(1)])
    (tmp_path / "a.jsonl").rename(tmp_path / "a.jsonl.1")
    assert len(read_decisions(tmp_path)) == 2
    assert len(read_decisions(tmp_path / "a.jsonl")) == 1


@pytest.mark.parametrize("score", ["good", 2.0, -1, [1]])
def test_scores_that_are_none_are_named(path, score):
    write(path, [decision(0)])
    with pytest.raises(ValueError, match="'request 0'"):
        read_decisions(path, scores={"request 0": score})


def test_scores_are_joined_by_the_request(path):
    write(
        path,
        [
            decision(0),
            decision(1),
            decision(2, chosen=None, declined="busy"),
            # A retry of the first request by another model.
            decision(3, request_id="request 0", chosen="large"),
        ],
    )
    scores = {"request 0": 1, "request 2": 1, "request 9": 0}
    table = read_decisions(path, scores=scores)
    assert table[["request_id", "model", "score"]].to_numpy().tolist() == [
        ["request 0", "large", 1.0]
    ]
    assert table["query"].tolist() == table["digest"].tolist()
    as_series = read_decisions(path, scores=pd.Series(scores))
    pd.testing.assert_frame_equal(as_series, table)
    feedback = pd.DataFrame({"request_id": ["a", "a"], "score": [0, 1]})
    with pytest.raises(ValueError, match="two scores"):
        read_decisions(path, scores=feedback)
    with pytest.raises(ValueError, match="'score'"):
        read_decisions(path, scores=pd.DataFrame({"request_id": ["a"]}))
    with pytest.raises(ValueError, match="mapping"):
        read_decisions(path, scores=[1.0])


@pytest.fixture(scope="module")
def router():
    """Return a router of texts, of which "worse" answers half of the queries."""
    rng = np.random.default_rng(0)
    texts = [f"query {i}" for i in range(120)]
    able = {"small": rng.random(120) < 0.9, "worse": rng.random(120) < 0.5}
    log = pd.DataFrame(
        [(m, q, float(s)) for m in able for q, s in zip(texts, able[m], strict=True)],
        columns=["model", "query", "score"],
    )
    router = LocusRouter(**SMALL, encoder=StandInModel(0))
    return router.fit(log, log["score"])


def test_decisions_with_feedback_are_a_log_of_evaluations(path, router):
    texts = [f"query {i}" for i in range(120)]
    labels, P = router.rank(texts)
    keys = router._read_queries(texts).unique.keys
    digests = dict(zip(router._read_queries(texts).unique.texts, keys, strict=True))
    decisions = [
        decision(
            i,
            digest=digests[text].hex(),
            chosen=labels[i, 0],
            probability=P[i, 0],
            alternatives=dict(zip(labels[i], P[i], strict=True)),
        )
        for i, text in enumerate(texts)
    ]
    write(path, decisions)
    answers = pd.DataFrame(
        {"request_id": [f"request {i}" for i in range(120)], "query": texts}
    )
    # The model has become much worse since.
    answers["score"] = (np.arange(120) % 5 == 0).astype(float)
    table = read_decisions(path, scores=answers)
    log = read_long(table)
    assert set(log["query"]) <= set(texts)
    assert len(log) == 120
    own = log[log["model"] == "small"]
    assert len(own) > 60
    test = drift_test(router, "small", own, own["score"], random_state=0)
    assert test.n_shared == len(own)
    assert test.p_value < 0.01
    assert feedback_report(table).models.loc["small", "verdict"] == "too high"
    # The digest is that of the router: without the text, it still names the query.
    read_long(read_decisions(path, scores=answers[["request_id", "score"]]))


@pytest.mark.filterwarnings("ignore:Decisions are not written:RuntimeWarning")
def test_a_log_that_cannot_be_rotated_touches_no_other_file(
    path, tmp_path, monkeypatch
):
    log = DecisionLog(path, max_bytes=1)
    log.observe(decision(0))
    log.flush()
    opened = os.open

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    # Between the end of the old file and the begin of the new one.
    monkeypatch.setattr(module.os, "open", fail)
    log.observe(decision(1))
    log.flush()
    monkeypatch.setattr(module.os, "open", opened)
    # These take the numbers of files that are free now.
    with ExitStack() as stack:
        others = [
            stack.enter_context(open(tmp_path / f"other-{number}", "wb"))
            for number in range(9)
        ]
        log.observe(decision(2))
        log.flush()
        for other in others:
            other.write(b"mine")
            other.flush()  # raises if somebody has closed it
    log.close()
    for number in range(9):
        assert (tmp_path / f"other-{number}").read_bytes() == b"mine"
    assert log.n_dropped == 1
    names = read_decisions(path)["request_id"].tolist()
    assert names == ["request 0", "request 2"]


WRITER = """
import sys
from datetime import UTC, datetime
from skl_locus.integrations import Decision, DecisionLog

path, name = sys.argv[1:]
log = DecisionLog(path, max_bytes=5_000, backups=500)
for i in range(1_000):
    log.observe(Decision(datetime.now(UTC), 0.002, f"{name}-{i}", chosen="small"))
    if i % 7 == 0:
        log.flush()
log.close()
assert log.n_dropped == 0
"""


def test_processes_may_share_a_log_and_lose_nothing(path):
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WRITER, path, name])
        for name in ("a", "b", "c")
    ]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    table = read_decisions(path, errors="raise")
    assert sorted(table["request_id"]) == sorted(
        f"{name}-{i}" for name in "abc" for i in range(1_000)
    )
    assert len(list(path.parent.iterdir())) > 10
    # All processes see the size of the file, to which each of them adds.
    assert all(part.stat().st_size < 10_000 for part in path.parent.iterdir())
