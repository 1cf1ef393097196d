"""What the help says, and how little it loads."""

import subprocess
import sys

import pytest
from command_line import run

from skl_locus._cli.logs import FORMATS
from skl_locus._cli.program import program
from skl_locus.datasets._readers._detect import READERS

COMMANDS = sorted(program.commands)

HEAVY = {"numpy", "pandas", "scipy", "sklearn", "skops", "torch", "tqdm"}


def test_there_is_a_command_for_each_step():
    expected = "add describe evaluate fit read remove report route"
    assert expected.split() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example_and_the_common_options(command):
    outcome = run(command, "--help")
    assert outcome.status == 0
    assert f"skl-locus {command} " in outcome.out.partition("Example:")[2]
    for option in ("--json", "--quiet", "--debug"):
        assert option in outcome.out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"]])
def test_help_loads_nothing_that_takes_long(arguments):
    code = (
        "import sys; from skl_locus._cli.program import run;"
        f"status = run({arguments}); assert status == 0;"
        f"loaded = {HEAVY} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_module_runs_as_the_script_does():
    command = [sys.executable, "-m", "skl_locus", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("Usage: skl-locus [OPTIONS] COMMAND")
    assert ended.stdout == run("--help").out


def test_without_click_one_sentence_says_what_to_install():
    code = (
        "import runpy, sys; sys.modules['click'] = None;"
        "sys.argv = ['skl-locus', '--help'];"
        "runpy.run_module('skl_locus', run_name='__main__')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == (
        "The command line needs click; install it with pip install 'skl-locus[cli]'.\n"
    )


def test_another_missing_module_is_not_called_click(monkeypatch):
    from skl_locus.__main__ import main

    monkeypatch.setitem(sys.modules, "skl_locus._cli.program", None)
    with pytest.raises(ModuleNotFoundError, match="program"):
        main()


def test_the_formats_are_those_of_the_readers():
    assert sorted(FORMATS) == sorted(READERS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["fit"],
        ["fit", "log.csv"],
        ["route", "router.locus", "-k", "0"],
        ["fit", "log.csv", "-o", "x", "--router", "oracle"],
        ["fit", "log.csv", "-o", "x", "-p", "n_clusters"],
        ["fit", "log.csv", "-o", "x", "-p", "n_oracles=3"],
        ["fit", "log.csv", "-o", "x", "--costs", "prices.csv"],
        ["fit", "log.csv", "-o", "x", "--target-quality", "good"],
        ["read", "log.csv", "-o", "log.xlsx"],
        ["read", "log.csv", "--scale", "1,2,3"],
        ["evaluate", "log.csv", "--saved", "a", "--compare", "knn"],
        ["remove", "router.locus"],
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert "Usage: skl-locus" in outcome.err
    assert "Traceback" not in outcome.err
