"""The command that shows what is in a saved file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from skl_locus._cli.commands import Command, write_out
from skl_locus._cli.outputs import json_option, json_text
from skl_locus._cli.saved import saved_argument


@click.command(cls=Command, example="skl-locus describe router.locus")
@saved_argument
@json_option
def describe(saved: Path, as_json: bool) -> None:
    """Show what is in SAVED, a saved file, without loading it."""
    import skl_locus

    header = skl_locus.describe(saved)
    write_out(json_text(header) if as_json else "\n".join(_lines(header)))


def _lines(header: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in header.items():
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            if value:
                yield f"{indent}{name}: {', '.join(map(_entry, value))}"
        elif value is not None:
            yield f"{indent}{name}: {value}"


def _entry(value: Any) -> str:
    """Return an entry of a list, such as a label or what is known of an encoder."""
    if not isinstance(value, Mapping):
        return str(value)
    return " ".join(f"{name}={cell}" for name, cell in value.items())
