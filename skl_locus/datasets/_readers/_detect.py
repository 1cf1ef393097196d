"""Reading of a log whose format is found by its files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._alpaca_eval import read_alpaca_eval
from skl_locus.datasets._readers._builder import LogBuilder
from skl_locus.datasets._readers._embedllm import COLUMNS as EMBEDLLM_COLUMNS
from skl_locus.datasets._readers._embedllm import read_embedllm
from skl_locus.datasets._readers._evalscope import RECORD_KEYS as EVALSCOPE_KEYS
from skl_locus.datasets._readers._evalscope import is_review_file, read_evalscope
from skl_locus.datasets._readers._files import (
    TABLES,
    as_pandas,
    csv_rows,
    json_document,
    json_lines,
    json_object,
    require_file,
    table_suffix,
)
from skl_locus.datasets._readers._helm import read_helm
from skl_locus.datasets._readers._inspect import NO_LOGS, read_inspect
from skl_locus.datasets._readers._lighteval import COLUMNS as LIGHTEVAL_COLUMNS
from skl_locus.datasets._readers._lighteval import read_lighteval
from skl_locus.datasets._readers._llmrouterbench import read_llmrouterbench
from skl_locus.datasets._readers._lm_eval import read_lm_eval
from skl_locus.datasets._readers._long import read_long, read_wide
from skl_locus.datasets._readers._mlflow import TABLE as MLFLOW_TABLE
from skl_locus.datasets._readers._mlflow import is_mlflow_table, read_mlflow
from skl_locus.datasets._readers._promptfoo import RECORD_KEYS as PROMPTFOO_KEYS
from skl_locus.datasets._readers._promptfoo import read_promptfoo
from skl_locus.datasets._readers._routerbench import (
    DESCRIBED,
    PICKLES,
    read_routerbench,
)
from skl_locus.datasets._readers._summary import ReadSummary
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import LogFormatError

READERS: Mapping[str, Callable[..., pd.DataFrame]] = {
    "alpaca_eval": read_alpaca_eval,
    "embedllm": read_embedllm,
    "evalscope": read_evalscope,
    "helm": read_helm,
    "inspect": read_inspect,
    "lighteval": read_lighteval,
    "llmrouterbench": read_llmrouterbench,
    "lm_eval": read_lm_eval,
    "long": read_long,
    "mlflow": read_mlflow,
    "promptfoo": read_promptfoo,
    "routerbench": read_routerbench,
    "wide": read_wide,
}
"""Readers by the name of their format."""

SIGNS = (
    ("samples_*.jsonl", "lm_eval"),
    ("samples_*.jsonl.gz", "lm_eval"),
    ("*.eval", "inspect"),
    ("per_instance_stats.json", "helm"),
    ("annotations.json", "alpaca_eval"),
    (MLFLOW_TABLE, "mlflow"),
)
"""Names of files that only one tool writes."""

MAX_OPENED = 5
"""Most files of one ending that are opened to find the format of a folder."""


def read_log(
    path: str | os.PathLike | pd.DataFrame,
    *,
    format: str | None = None,
    return_summary: bool = False,
    **options: Any,
) -> Any:
    """Read a log of evaluations of any format that a reader of this package knows.

    Parameters
    ----------
    path : str, path-like or DataFrame
        A file, a folder or a frame.
    format : str, default=None
        "alpaca_eval", "embedllm", "evalscope", "helm", "inspect", "lighteval",
        "llmrouterbench", "lm_eval", "long", "mlflow", "promptfoo", "routerbench" or
        "wide". `None` finds it by the names of files and, where these do not say it,
        by their content. Several formats in one folder, or none, are an error.
    return_summary : bool, default=False
        Whether to return a summary, too.
    **options
        Further parameters of the reader of this format, such as ``metric``, ``scale``
        or ``errors``.

    Returns
    -------
    evaluations : DataFrame
        As of the reader of the format.
    summary : ReadSummary
        Models, tasks and queries, what was left out and why. Only if
        `return_summary` is True.

    Raises
    ------
    LogFormatError
        If the format is not found, or the reader cannot use a file or record.

    See Also
    --------
    ReadSummary : Summary of the table of any reader.
    concat_logs : Join the tables of several readers.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_log
    >>> sample = {
    ...     "doc_id": 0, "arguments": [["7 * 8 =", " 56"]], "filter": "none",
    ...     "metrics": ["acc"], "acc": 1.0,
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "org__small", "samples_sums.jsonl")
    ...     path.parent.mkdir()
    ...     _ = path.write_text(json.dumps(sample))
    ...     log, summary = read_log(folder, return_summary=True)
    >>> log
            model    query query_id  score  task
    0  org__small  7 * 8 =   sums/0    1.0  sums
    >>> summary.n_models, summary.tasks["mean score"].to_dict()
    (1, {'sums': 1.0})
    """
    if format is None:
        format, path = _format_of(path, options)
    if format not in READERS:
        names = ", ".join(map(repr, READERS))
        raise ValueError(f"format must be one of {names}, got {format!r}.")
    log = _read(format, path, options)
    return (log, ReadSummary(log)) if return_summary else log


def _read(format: str, path: Any, options: dict[str, Any]) -> pd.DataFrame:
    if format == "embedllm" and Path(path).is_file():
        # The reader takes the folder, whose other files may have names of models.
        file = Path(path)
        return read_embedllm(file.parent, **{"splits": (file.stem,), **options})
    if format == "helm" and Path(path).is_file():
        raise LogFormatError("it is one file of a run of HELM; pass its folder", path)
    return READERS[format](path, **options)


def _format_of(path: Any, options: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the format, and the place that its reader takes."""
    frame = as_pandas(path)
    if frame is not None:
        place: Any = "the frame"
        signs = _Signs(options)
        signs.add_table(list(frame.columns), place)
    else:
        place = Path(path)
        signs = _signs_at(place, options)
    if len(signs.found) == 1:
        return _only_format(signs, path)
    if signs.found:
        found = sorted(signs.found.items())
        parts = [f"{name!r} ({_name_of(seen[0])})" for name, seen in found]
        raise LogFormatError(
            f"it has signs of several formats: {', '.join(parts)}; name one by "
            "format=, or pass a part of it",
            place,
        )
    if signs.damage is not None:
        raise signs.damage
    raise LogFormatError(
        "its format is not known: there is no file that one of the readers knows by "
        "its name or content, nor a table with the columns 'query' and 'score', or "
        f"'query' and those of models; name the format by format= "
        f"({', '.join(READERS)}) and its columns by the parameters of the reader",
        place,
    )


def _only_format(signs: _Signs, path: Any) -> tuple[str, Any]:
    ((format, seen),) = signs.found.items()
    if format != "routerbench" or not isinstance(seen[0], Path):
        return format, path
    if len(seen) > 1:
        raise LogFormatError(
            f"it has {len(seen)} tables of RouterBench, such as {_name_of(seen[0])}; "
            "pass one of them",
            path,
        )
    return format, seen[0]


def _name_of(seen: Path | str) -> str:
    return seen.name if isinstance(seen, Path) else seen


@dataclass
class _Signs:
    """Formats that were seen, each with the files that it was seen by."""

    options: Mapping[str, Any]
    found: dict[str, list[Path | str]] = field(default_factory=dict)
    damage: LogFormatError | None = None

    def add(self, format: str, seen: Path | str) -> None:
        self.found.setdefault(format, []).append(seen)

    def add_table(self, columns: Iterable[Any], seen: Path | str) -> None:
        """Add the format of a table with these columns, if it has one."""
        names = set(columns)
        model, query, score = (
            self.options.get(f"{name}_col", name)
            for name in ("model", "query", "score")
        )
        if names >= PROMPTFOO_KEYS:
            self.add("promptfoo", seen)
        elif names >= EVALSCOPE_KEYS:
            self.add("evalscope", seen)
        elif set(LIGHTEVAL_COLUMNS) <= names:
            self.add("lighteval", seen)
        elif {"trace_id", "request"} <= names:
            self.add("mlflow", seen)
        elif set(DESCRIBED) <= names:
            self.add("routerbench", seen)
        elif set(EMBEDLLM_COLUMNS) <= names:
            self.add("embedllm", seen)
        elif {model, query, score} <= names:
            self.add("long", seen)
        elif query in names and model not in names and len(names) > 1:
            self.add("wide", seen)

    def add_document(self, document: Any, seen: Path) -> None:
        """Add the format of a JSON document, if it has one."""
        if isinstance(document, list):
            record = next(iter(document), None)
            keys = set(record) if isinstance(record, dict) else set()
            if {"instruction", "generator_2", "preference"} <= keys:
                self.add("alpaca_eval", seen)
            else:
                self.add_table(keys, seen)
        elif not isinstance(document, dict):
            return
        elif isinstance(document.get("eval"), dict) and "task" in document["eval"]:
            self.add("inspect", seen)
        elif isinstance(document.get("records"), list):
            self.add("llmrouterbench", seen)
        elif is_mlflow_table(document):
            self.add("mlflow", seen)
        elif _is_of_promptfoo(document.get("results")):
            self.add("promptfoo", seen)
        elif {"results", "config"} <= document.keys():
            self.add("lm_eval", seen)
        elif all(isinstance(column, dict) for column in document.values()):
            self.add_table(document, seen)


def _is_of_promptfoo(results: Any) -> bool:
    return isinstance(results, dict) and isinstance(results.get("results"), list)


def _signs_at(path: Path, options: Mapping[str, Any]) -> _Signs:
    signs = _Signs(options)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:
        require_file(path)
        files = [path]
    _add_names(signs, files)
    # Beside files that only one tool writes, others are its own tables and settings.
    if not signs.found:
        for file in _some_of_each_ending(files):
            _add_content(signs, file)
    return signs


def _add_names(signs: _Signs, files: list[Path]) -> None:
    for file in files:
        for pattern, format in SIGNS:
            if file.match(pattern):
                signs.add(format, file)
        if is_review_file(file):
            signs.add("evalscope", file)


def _some_of_each_ending(files: list[Path]) -> Iterable[Path]:
    opened: dict[str, int] = {}
    for file in files:
        suffix = table_suffix(file)
        known = suffix in TABLES or suffix in PICKLES or len(files) == 1
        if not known or file.name in NO_LOGS:
            continue
        opened[suffix] = opened.get(suffix, 0) + 1
        if opened[suffix] <= MAX_OPENED:
            yield file


def _add_content(signs: _Signs, file: Path) -> None:
    """Add the format of a file by its content; a damaged one is remembered."""
    suffix = table_suffix(file)
    try:
        if zipfile.is_zipfile(file):
            signs.add("inspect", file)
        elif suffix in PICKLES:
            signs.add("routerbench", file)
        elif suffix == ".json":
            signs.add_document(json_document(file), file)
        else:
            signs.add_table(_columns_of(file, suffix), file)
    except RecordError as error:
        signs.damage = signs.damage or LogFormatError(str(error), file, error.line)
    except LogFormatError as error:
        signs.damage = signs.damage or error


def _columns_of(file: Path, suffix: str) -> list[Any]:
    """Return the columns of a table by its first row."""
    if suffix in (".csv", ".tsv"):
        rows = csv_rows(
            file, LogBuilder(file), separator="\t" if suffix == ".tsv" else ","
        )
        return list(next(rows, (0, {}))[1])
    if suffix in (".jsonl", ".ndjson"):
        return next((list(json_object(raw)) for _, raw in json_lines(file)), [])
    if suffix in (".parquet", ".pq"):
        return list(_parquet_columns(file))
    return []


def _parquet_columns(file: Path) -> list[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        return list(pd.read_parquet(file).columns)
    try:
        return list(parquet.read_schema(file).names)
    except (ArrowException, OSError) as error:
        problem = f"not a readable parquet file ({str(error).splitlines()[0]:.200})"
        raise LogFormatError(problem, file) from error
