"""Commands that share options, and that end with an exit status and one sentence."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

NAME = "skl-locus"
"""What messages start with."""

DATA_ERROR, USAGE_ERROR = 1, 2
"""Exit statuses: of data that cannot be used, and of a wrong command line."""

INTERRUPTED, BROKEN_PIPE = 130, 141
"""Exit statuses of shells for processes that SIGINT and SIGPIPE have ended."""

EXPECTED = (ValueError, TypeError, OSError, ImportError)
"""Errors that the package raises with a sentence for users."""

DEBUG, QUIET = f"{NAME}.debug", f"{NAME}.quiet"


class Command(click.Command):
    """A command with the options ``--quiet`` and ``--debug``, and an example.

    Parameters
    ----------
    *args, **kwargs
        As for `click.Command`.
    example : str
        Command lines, for the end of the help.
    """

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        # Without the mark, click would join the lines of the example.
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        super().__init__(*args, **kwargs)
        self.epilog = f"\b\nExample:\n{lines}"
        self.params += [
            _flag("--quiet", "-q", key=QUIET, help="Write no notes and no warnings."),
            _flag("--debug", key=DEBUG, help="Show where an error was raised."),
        ]


def _flag(*names: str, key: str, help: str) -> click.Option:
    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[key] = value

    return click.Option(
        names, is_flag=True, expose_value=False, callback=remember, help=help
    )


class Program(click.Group):
    """The group of all commands, which turns errors into exit statuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors become a sentence on standard error."""
        try:
            with _warnings_as_notes(self._option_names()):
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            # The shell has shown ^C without an end of the line.
            click.echo(err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except Exception as error:
            if ctx.meta.get(DEBUG):
                traceback.print_exc()
            else:
                message = in_options(_sentence(error), self._option_names())
                click.echo(f"{NAME}: error: {message}", err=True)
            raise click.exceptions.Exit(DATA_ERROR) from None

    def _option_names(self) -> dict[str, str]:
        """Return the options of all commands by the names of Python's parameters."""
        options = (name for cmd in self.commands.values() for name in _options_of(cmd))
        return {name[2:].replace("-", "_"): name for name in options}


def _options_of(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (name for name in parameter.opts if name.startswith("--"))


PARAMETER = re.compile(
    r"(?<![\w.?&/-])(?:set_params\()?(?P<name>\w+)="
    r"(?:(?P<plain>True|None)\b|'(?P<text>\w+)'|\.\.\.\)|(?=[\s.,;:)]|$))"
)
"""A parameter as messages write it, such as ``scale=``, ``encoder=None``,
``errors='skip'`` or ``set_params(encoder=...)``; what users write, such as the query of
an address, is not like it."""

READER = "the parameters of the reader"
"""What the error about an unknown format calls the options for names of columns."""


def in_options(message: str, options: Mapping[str, str]) -> str:
    """Return a message for users of Python in the words of the command line.

    Parameters
    ----------
    message : str
        Message of an error.
    options : mapping of str to str
        Options by the names of parameters.
    """

    def option_for(found: re.Match) -> str:
        option = options.get(found["name"])
        if option is None:
            return found[0]
        if found["plain"] == "None":
            return f"no {option}"
        return f"{option} {found['text']}" if found["text"] else option

    message = message.replace(READER, "--model-col, --query-col and --score-col")
    return PARAMETER.sub(option_for, message)


def note(message: str) -> None:
    """Write a line on standard error, unless ``--quiet`` was given."""
    if not _is_quiet():
        click.echo(message, err=True)


def shows_progress() -> bool:
    """Return whether somebody watches standard error."""
    return sys.stderr.isatty() and not _is_quiet()


def write_out(text: str) -> None:
    """Write a line on standard output."""
    click.echo(text)


def drop_standard_output() -> None:
    """Send what is left to write nowhere, since nobody reads it."""
    # Python flushes standard output at its end, and would complain about the pipe.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(QUIET, False)


def _sentence(error: Exception) -> str:
    """Return the message of an error in one line."""
    if not isinstance(error, EXPECTED):
        kind = type(error).__name__
        return f"unexpected {kind}: {error}; --debug shows where it was raised"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _warnings_as_notes(options: Mapping[str, str]) -> Iterator[None]:
    """Show warnings for users as notes, without the line of code that gave them."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = in_options(" ".join(str(message).split()), options)
        note(f"{NAME}: warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
