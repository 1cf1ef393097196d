"""The commands on the page about the command line, typed one after the other."""

import doctest
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command_line.rst"

CHECKER = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

BLOCK = re.compile(
    r"^( *)\.\. code-block:: console\n\n((?:\1   .*\n|\n)+)", re.MULTILINE
)


def commands_of(page):
    """Return the commands of all console blocks, each with the output shown."""
    found = []
    for indent, block in BLOCK.findall(page):
        for line in block.splitlines():
            line = line.removeprefix(f"{indent}   ")
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line:
                found[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in found]


def has_shell_syntax(command):
    return any(sign in command for sign in "|><") or not command.startswith("skl-locus")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Go to a folder with the examples, where `skl-locus` and `python` can be typed."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for name, arguments in (("skl-locus", " -m skl_locus"), ("python", "")):
        script = bin / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{path}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="the page uses a shell of POSIX")
def test_the_commands_of_the_page_do_what_it_shows(folder):
    pytest.importorskip("pyarrow")
    commands = commands_of(PAGE.read_text())
    typed = {shlex.split(command)[1] for command, _ in commands}
    assert typed >= {"read", "fit", "evaluate", "add", "remove", "describe", "report"}
    for command, shown in commands:
        if has_shell_syntax(command):
            ended = subprocess.run(
                command, shell=True, capture_output=True, text=True, check=False
            )
            status, out, err = ended.returncode, ended.stdout, ended.stderr
        else:
            # Without a process of its own it takes a tenth of the time.
            outcome = run(*shlex.split(command)[1:])
            status, out, err = outcome.status, outcome.out, outcome.err
        assert status == 0, (command, err)
        if shown:
            assert CHECKER.check_output(shown, out, FLAGS), (command, out)
    assert (folder / "report.html").exists()


def test_commands_are_found_in_indented_blocks_too():
    page = (
        "Text\n\n.. code-block:: console\n\n   $ one\n   out\n   $ two\n\n"
        "- Item\n\n  .. code-block:: console\n\n     $ three\n     a\n\n     b\n\nEnd\n"
    )
    assert commands_of(page) == [("one", "out"), ("two", ""), ("three", "a\nb")]
