"""Results as JSON, and files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from skl_locus._utils.files import new_file


def output_options(*, required: bool) -> Callable[[Callable], Callable]:
    """Add the options ``--output`` and ``--force``, passed as one ``output``.

    Parameters
    ----------
    required : bool
        Whether there must be a file; otherwise it may be None.
    """
    place = click.option(
        "--output",
        "-o",
        "output",
        type=click.Path(path_type=Path),
        required=required,
        metavar="FILE",
        help="File to write; it appears in one step.",
    )
    force = click.option(
        "--force", is_flag=True, help="Replace the file if it exists already."
    )
    return lambda command: place(force(command))


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write the result as JSON."
)


def check_writable(path: Path | None, *, force: bool) -> None:
    """Raise if a file cannot be written, before any work is done for it.

    Raises
    ------
    OSError
        If the file exists and ``force`` is False, or its folder does not exist or
        takes no files.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent}; make it first.")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists already; pass --force to replace it.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"Files cannot be written in the folder {path.parent}.")


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one step."""
    with new_file(path) as file:
        file.write(content)


def json_text(value: Any) -> str:
    """Return a result as one line of JSON, in ASCII."""
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    """Return what JSON has; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(cell) for key, cell in value.items()}
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(cell) for cell in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def records(table: Any) -> list[dict]:
    """Return the rows of a DataFrame as dictionaries."""
    return table.to_dict("records")
