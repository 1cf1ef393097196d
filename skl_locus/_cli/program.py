"""The program of the command line, with all its commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from skl_locus._cli.add import add
from skl_locus._cli.commands import (
    BROKEN_PIPE,
    NAME,
    Program,
    drop_standard_output,
)
from skl_locus._cli.describe import describe
from skl_locus._cli.evaluate import evaluate
from skl_locus._cli.fit import fit
from skl_locus._cli.read import read
from skl_locus._cli.remove import remove
from skl_locus._cli.report import report
from skl_locus._cli.route import route


@click.group(cls=Program)
@click.version_option(package_name="skl-locus", prog_name=NAME)
def program() -> None:
    """Choose among language models by a log of their evaluations.

    Results are written on standard output, notes and errors on standard error. The exit
    status is 0, or 1 if a file or its content cannot be used, or 2 if the command line
    is wrong.
    """


for command in (read, fit, evaluate, route, add, remove, describe, report):
    program.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of str
        Arguments, without the name of the program.

    Returns
    -------
    int
        Exit status.
    """
    if hasattr(sys.stdout, "reconfigure"):
        # A label that the terminal cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = _status(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = BROKEN_PIPE
        drop_standard_output()
    except OSError:  # such as a full disk, which the command has reported
        drop_standard_output()
    return status


def _status(arguments: Sequence[str]) -> int:
    try:
        status = program.main(list(arguments), prog_name=NAME, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit as ended:
        # The way in which click ends where a pipe breaks while it shows a help.
        return BROKEN_PIPE if ended.code else 0
    return status if isinstance(status, int) else 0
