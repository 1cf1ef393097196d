"""Logs of evaluations, as the options of a command say how to read them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skl_locus._cli.commands import note
from skl_locus.exceptions import LogFormatError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skl_locus.datasets import ReadSummary

FORMATS = (
    "alpaca_eval",
    "embedllm",
    "evalscope",
    "helm",
    "inspect",
    "lighteval",
    "llmrouterbench",
    "lm_eval",
    "long",
    "mlflow",
    "promptfoo",
    "routerbench",
    "wide",
)
"""Formats of `skl_locus.datasets.read_log`; a test compares them."""

COLUMNS = ("model", "query", "query_id", "score", "task")
"""Columns whose names in the file are options."""


class Scale(click.ParamType):
    """A number to divide scores by, or the worst and the best score."""

    name = "scale"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a number or a pair of numbers."""
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            self.fail(f"{value!r} is neither a number nor WORST,BEST.", param, ctx)
        return numbers[0] if len(numbers) == 1 else tuple(numbers)


OPTIONS = (
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="Format of the log; found by itself by default.",
    ),
    *(
        click.option(
            f"--{name.replace('_', '-')}-col",
            metavar="NAME",
            help=f"Column of the {name.replace('_', ' ')} in the log.",
        )
        for name in COLUMNS
    ),
    click.option("--metric", metavar="NAME", help="Metric to read, if there are more."),
    click.option(
        "--scale",
        type=Scale(),
        metavar="MAX|WORST,BEST",
        help="What scores are divided by, or the range that they are in.",
    ),
    click.option(
        "--errors",
        type=click.Choice(["raise", "skip"]),
        help="Whether to stop at a record that cannot be used, or leave it out.",
    ),
    click.option(
        "--allow-pickle",
        is_flag=True,
        default=None,
        help="Read pickles, which run the code inside: only of origins you trust.",
    ),
)
"""Options that are passed to the reader where they are given."""

ENCODINGS = (
    click.option(
        "--encodings",
        type=click.Path(path_type=Path),
        metavar="FILE.npy",
        help="Vectors of the queries, one for each row of LOG or of --queries.",
    ),
    click.option(
        "--queries",
        type=click.Path(path_type=Path),
        metavar="TABLE",
        help="Table (csv, jsonl, parquet) with the column query_id or query, whose "
        "rows the vectors of --encodings belong to.",
    ),
)
"""Options of commands that need vectors."""


@dataclass(frozen=True)
class LogSource:
    """A log in files, and how it is read.

    Parameters
    ----------
    path : Path
        File or folder.
    options : dict
        Parameters of `skl_locus.datasets.read_log` that were given.
    encodings, queries : Path or None
        Files of vectors, and of the queries that they belong to.
    """

    path: Path
    options: dict[str, Any]
    encodings: Path | None = None
    queries: Path | None = None

    def read(self) -> tuple[pd.DataFrame, ReadSummary]:
        """Read the log, with the vectors in place of texts if there are any."""
        from skl_locus.datasets import read_log

        try:
            log, summary = read_log(self.path, return_summary=True, **self.options)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise click.UsageError(
                f"An option does not fit the format of {self.path}: {error}."
            ) from error
        note(
            f"read {self.path}: {summary.n_evaluations} evaluations of "
            f"{summary.n_models} models on {summary.n_queries} queries"
        )
        return self._encoded(log), summary

    def _encoded(self, log: pd.DataFrame) -> pd.DataFrame:
        import numpy as np

        if self.encodings is None:
            if self.queries is not None:
                raise click.UsageError("--queries goes with --encodings.")
            return log
        vectors = read_vectors(self.encodings)
        if self.queries is None:
            rows = _same_length(vectors, len(log), f"rows of {self.path}", self)
        else:
            rows = self._rows_of_queries(log, vectors)
        cells = list(np.asarray(vectors))
        ids = log["query_id"] if "query_id" in log else log["query"].astype(str)
        return log.assign(query=[cells[row] for row in rows], query_id=ids)

    def _rows_of_queries(self, log: pd.DataFrame, vectors: np.ndarray) -> Any:
        """Find the vector of each row by the table of the queries."""
        assert self.queries is not None
        table = read_table(self.queries)
        _same_length(vectors, len(table), f"rows of {self.queries}", self)
        # A log may have ids alone, in the column that it calls the query.
        pairs = (("query_id", "query_id"), ("query", "query"), ("query", "query_id"))
        missing = None
        for own, other in pairs:
            if own not in log or other not in table:
                continue
            places = {key: row for row, key in enumerate(table[other].astype(str))}
            rows = log[own].astype(str).map(places)
            if rows.notna().all():
                return rows.astype(int)
            missing = log[own][rows.isna()].iloc[0]
        if missing is None:
            raise LogFormatError("it has no column query_id or query", self.queries)
        raise LogFormatError(f"the query {missing!r:.60} is not in it", self.queries)


def log_argument(*, with_encodings: bool) -> Callable[[Callable], Callable]:
    """Add the argument LOG and its options, which are passed as one ``log``.

    Parameters
    ----------
    with_encodings : bool
        Whether the vectors of the queries can be in a file.
    """
    options = OPTIONS + (ENCODINGS if with_encodings else ())

    def add(command: Callable) -> Callable:
        @functools.wraps(command)
        def with_log(*, log: Path, **values: Any) -> Any:
            files = {name: values.pop(name, None) for name in ("encodings", "queries")}
            names = [f"{name}_col" for name in COLUMNS]
            names += ["format", "metric", "scale", "errors", "allow_pickle"]
            given = {name: values.pop(name) for name in names}
            given = {name: value for name, value in given.items() if value is not None}
            return command(log=LogSource(log, given, **files), **values)

        # Parameters of click are collected from the last one to the first one.
        for option in reversed(options):
            with_log = option(with_log)
        return click.argument("log", type=click.Path(path_type=Path))(with_log)

    return add


def read_vectors(path: Path) -> np.ndarray:
    """Read a matrix of one vector per row from a file of numpy."""
    import numpy as np

    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LogFormatError("it is not a readable .npy file of numbers", path) from (
            error
        )
    is_matrix = isinstance(vectors, np.ndarray) and vectors.ndim == 2
    if not is_matrix or vectors.dtype.kind not in "fiu":
        raise LogFormatError(
            "it is not a matrix of numbers with one vector per row", path
        )
    return vectors


def _same_length(
    vectors: np.ndarray, length: int, what: str, source: LogSource
) -> range:
    if len(vectors) != length:
        raise LogFormatError(
            f"it has {len(vectors)} vectors for {length} {what}", source.encodings
        )
    return range(length)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of queries from a csv, tsv, jsonl or parquet file."""
    import pandas as pd

    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if path.suffix in (".jsonl", ".ndjson"):
            return pd.read_json(path, lines=True, dtype=False)
        # Ids such as 007 and texts such as "NA" are what they are.
        separator = "\t" if path.suffix == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise LogFormatError(f"it is not a readable table ({error})", path) from error
