"""Files that cannot be used, and processes that are cut short."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from command_line import run, run_well

import skl_locus


def arguments_of(command, log, saved, output):
    """Return arguments with which a command works."""
    return {
        "read": ["read", log, "-o", output],
        "fit": ["fit", log, "-o", output, "--router", "kmeans", "--encoder", "hashing"],
        "evaluate": ["evaluate", log, "--saved", saved],
        "route": ["route", saved, log, "-o", output],
        "add": ["add", saved, log, "-o", output],
        "remove": ["remove", saved, "model-1", "-o", output],
        "describe": ["describe", saved],
        "report": ["report", saved, log, "-o", output],
    }[command]


READ_LOGS = ["read", "fit", "evaluate", "route", "add", "report"]
READ_SAVED = ["evaluate", "route", "add", "remove", "describe", "report"]
WRITE = ["read", "fit", "route", "add", "remove", "report"]


def check_refused(arguments, message):
    outcome = run(*arguments)
    assert outcome.status == 1
    assert outcome.out == ""
    *_, last = outcome.err.splitlines()
    assert last.startswith("skl-locus: error: ")
    assert message in last
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", READ_LOGS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "log.csv"),
        (b"a,b\n1,2\n", "log.csv"),
        (b"model,query,score\na,\xff\xfe,1\n", "UTF-8"),
    ],
)
def test_logs_that_cannot_be_used(command, content, message, saved, tmp_path):
    log, output = tmp_path / "log.csv", tmp_path / "output.csv"
    if content is not None:
        log.write_bytes(content)
    if command == "route" and content == b"model,query,score\na,\xff\xfe,1\n":
        message = "utf-8"
    check_refused(arguments_of(command, log, saved, output), message)
    assert not output.exists()


@pytest.mark.parametrize("command", READ_SAVED)
@pytest.mark.parametrize(
    "damage", ["missing", "truncated", "no file of save", "folder"]
)
def test_saved_files_that_cannot_be_used(command, damage, logs, saved, tmp_path):
    content = saved.read_bytes()
    saved.unlink()
    if damage == "truncated":
        saved.write_bytes(content[: len(content) // 2])
    elif damage == "no file of save":
        saved.write_bytes(b"model,query,score\n")
    elif damage == "folder":
        saved.mkdir()
    output = tmp_path / "output.csv"
    check_refused(
        arguments_of(command, logs / "new.csv", saved, output), "router.locus"
    )
    assert not output.exists()


@pytest.mark.parametrize("command", WRITE)
def test_files_that_exist_are_replaced_by_force_alone(command, logs, saved, tmp_path):
    output = tmp_path / "output.csv"
    output.write_text("precious")
    arguments = arguments_of(command, logs / "new.csv", saved, output)
    check_refused(arguments, "output.csv exists already; pass --force to replace it.")
    assert output.read_text() == "precious"
    run_well(*arguments, "--force")
    assert output.read_bytes() != b"precious"


@pytest.mark.parametrize("command", WRITE)
def test_a_missing_folder_is_found_before_the_work(command, logs, saved, tmp_path):
    output = tmp_path / "gone" / "output.csv"
    arguments = arguments_of(command, logs / "new.csv", saved, output)
    check_refused(arguments, "There is no folder")
    output.parent.write_text("a file")
    check_refused(arguments, "There is no folder")


@pytest.mark.parametrize("command", ["evaluate", "route", "add", "report"])
def test_a_file_without_a_router_is_refused(command, logs, tmp_path):
    path = tmp_path / "encoder.locus"
    skl_locus.save(skl_locus.KCenterPortfolio(2), path)
    arguments = arguments_of(command, logs / "new.csv", path, tmp_path / "output.csv")
    check_refused(arguments, "KCenterPortfolio, which is no router")


def test_a_router_that_is_not_fitted_is_refused(logs, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(skl_locus.KMeansRouter(), path)
    check_refused(["route", path, logs / "new.csv"], "not fitted")


def test_debug_shows_where_an_error_was_raised(tmp_path):
    outcome = run("describe", tmp_path / "gone", "--debug")
    assert outcome.status == 1
    assert "Traceback" in outcome.err


def test_quiet_leaves_the_result_alone(logs):
    outcome = run_well("read", logs / "log.csv", "--quiet")
    assert outcome.err == ""
    assert outcome.out


def test_errors_that_nobody_expected_say_so(monkeypatch):
    def fail(_):
        raise KeyError("oops")

    monkeypatch.setattr(skl_locus, "describe", fail)
    check_refused(["describe", "x"], "unexpected KeyError: 'oops'; --debug shows")


@pytest.mark.parametrize("command", ["describe", "read", "evaluate"])
def test_json_is_ascii_and_has_no_numbers_that_json_lacks(command, logs, saved):
    arguments = arguments_of(command, logs / "new.csv", saved, None)
    out = run_well(*[a for a in arguments if a not in ("-o", None)], "--json").out
    assert out.isascii()
    json.loads(out, parse_constant=pytest.fail)


def process(*arguments, **options):
    command = [sys.executable, "-m", "skl_locus", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, stdin=subprocess.PIPE, **{**pipes, **options})


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("command", ["route", "describe", "help"])
def test_a_reader_that_ends_early_is_no_error(command, saved):
    reading, writing = os.pipe()
    os.close(reading)  # what `head` does once it has its lines
    arguments = {
        "route": ["route", saved, "--batch-size=1"],
        "describe": ["describe", saved],
        "help": ["--help"],
    }
    running = process(*arguments[command], stdout=writing)
    os.close(writing)
    _, errors = running.communicate(b"about task-1\n" * 50)
    assert errors == b""
    assert running.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_an_error_in_one_sentence(saved):
    with open("/dev/full", "wb") as full:
        running = process("describe", saved, stdout=full)
        _, errors = running.communicate()
    assert running.returncode == 1
    assert errors.startswith(b"skl-locus: error: ")
    assert errors.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupted_process_ends_with_130(saved):
    running = process("route", saved, "--batch-size=1")
    running.stdin.write(b"about task-1\n")
    running.stdin.flush()
    assert running.stdout.readline()  # it is at work, and waits for the next line
    time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 130
    assert b"Traceback" not in errors


def test_lines_are_answered_before_all_are_read(saved):
    running = process("route", saved, "--batch-size=1")
    for _ in range(2):
        running.stdin.write(b"about task-1\n")
        running.stdin.flush()
        assert running.stdout.readline().startswith(b"model-")
    running.communicate()
    assert running.returncode == 0
