"""The command that converts a log."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skl_locus._cli.commands import Command, note, write_out
from skl_locus._cli.logs import LogSource, log_argument
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
    records,
    write_file,
)
from skl_locus.exceptions import LogFormatError

if TYPE_CHECKING:
    import pandas as pd

    from skl_locus.datasets import ReadSummary

ENDINGS = (".parquet", ".csv", ".jsonl")
"""Endings of the files that are written."""


@click.command(
    cls=Command,
    example="skl-locus read results/ -o log.parquet\n"
    "skl-locus read runs.csv --model-col llm --scale 10",
)
@log_argument(with_encodings=True)
@output_options(required=False)
@json_option
def read(log: LogSource, output: Path | None, force: bool, as_json: bool) -> None:
    """Read LOG, a file or folder of any known format, and summarize it.

    With --output, the log is written as a table with one row per evaluation. The ending
    of the file is .parquet, .csv or .jsonl.
    """
    if output is not None and output.suffix not in ENDINGS:
        raise click.UsageError(f"--output must end in {', '.join(ENDINGS)}.")
    check_writable(output, force=force)
    table, summary = log.read()
    if output is not None:
        content = _content(table, output)
        check_writable(output, force=force)
        write_file(output, content)
        note(f"wrote {output}")
    write_out(json_text(_as_dict(summary)) if as_json else repr(summary))


def _content(table: pd.DataFrame, path: Path) -> bytes:
    """Return the bytes of a file in the format of its ending."""
    # Parquet files would also store the attributes, which name the source's folder.
    table.attrs = {}
    if path.suffix == ".parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if path.suffix == ".csv":
        if not table["query"].map(lambda query: isinstance(query, str)).all():
            raise LogFormatError(
                "csv files cannot hold vectors; write .parquet or .jsonl", path
            )
        return table.to_csv(index=False, lineterminator="\n").encode()
    # The writer of pandas rounds numbers.
    lines = (json_text(record) + "\n" for record in records(table))
    return "".join(lines).encode()


def _as_dict(summary: ReadSummary) -> dict[str, Any]:
    return {
        "source": summary.source,
        "n_evaluations": summary.n_evaluations,
        "n_models": summary.n_models,
        "n_queries": summary.n_queries,
        "models": summary.models.to_dict("index"),
        "tasks": summary.tasks.to_dict("index"),
        "skipped": summary.skipped,
        "notes": summary.notes,
    }
