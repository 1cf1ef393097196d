"""Data of EmbedLLM: one row per prompt and model, in large csv files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus._data.evaluations import DUPLICATES
from skl_locus.datasets._readers._builder import LogBuilder
from skl_locus.datasets._readers._files import csv_rows, folder_of
from skl_locus.datasets._readers._values import (
    RecordError,
    number_or_none,
    required_number,
    required_score,
    required_text,
)
from skl_locus.exceptions import LogFormatError

SPLITS = ("train", "val", "test")
"""Names of the csv files."""

COLUMNS = ("prompt_id", "model_name", "label", "prompt", "category")
"""Required columns of the csv files."""

_PAIR = ["model", "query_id"]


def read_embedllm(
    folder: str | os.PathLike,
    *,
    splits: tuple[str, ...] = SPLITS,
    duplicates: str = "mean",
    errors: str = "raise",
    verbose: bool = False,
) -> pd.DataFrame:
    """Read the data that EmbedLLM published.

    The files are read row by row, and equal texts are kept once, so that memory is
    needed for the distinct prompts and a few numbers per row rather than for the
    files (train.csv has 2.7 GB).

    Parameters
    ----------
    folder : str or path-like
        With ``train.csv``, ``val.csv`` and ``test.csv``, and with ``model_order.csv``
        if there are rows that have a model_id but no model_name.
    splits : tuple of str, default=("train", "val", "test")
        Which files to read; by default those that are there, at least one.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        How the labels of a repeated (model, prompt) are combined; "raise" makes it an
        error. Rows count in the order of `splits` and of the files.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed row is an error, or is left out and counted.
    verbose : bool, default=False
        Whether to show the progress.

    Returns
    -------
    evaluations : DataFrame
        With the columns model and task (categorical, the category), query, query_id
        (the prompt_id) and score (the label). ``attrs["skipped"]`` counts what was
        left out, by reason.

    Raises
    ------
    LogFormatError
        If a file or row cannot be used, with the file and the line.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from skl_locus.datasets import read_embedllm
    >>> rows = pd.DataFrame({
    ...     "prompt_id": [0, 0], "model_id": [1, None], "model_name": ["a", "b"],
    ...     "label": [0, 1], "prompt": ["7 * 8?"] * 2, "category": ["sums"] * 2,
    ... })
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows.to_csv(os.path.join(folder, "train.csv"), index=False)
    ...     read_embedllm(folder)
      model   query query_id  score  task
    0     a  7 * 8?        0    0.0  sums
    1     b  7 * 8?        0    1.0  sums
    """
    if duplicates not in DUPLICATES:
        raise ValueError(f"duplicates must be one of {DUPLICATES}, got {duplicates!r}.")
    folder = folder_of(folder)
    log = LogBuilder(folder, errors=errors)
    names = _model_names(folder / "model_order.csv", log)
    for path in _files_of(folder, tuple(splits)):
        for line, row in csv_rows(path, log, needed=COLUMNS, verbose=verbose):
            with log.record_errors(path, line):
                log.add(
                    model=_model_of(row, names),
                    query=required_text(row["prompt"], "prompt"),
                    query_id=required_text(row["prompt_id"], "prompt_id"),
                    score=required_score(row["label"], "label"),
                    task=required_text(row["category"], "category"),
                )
    return _combined(log.frame(), duplicates, folder)


def _files_of(folder: Path, splits: tuple[str, ...]) -> list[Path]:
    files = [folder / f"{split}.csv" for split in splits]
    if splits == SPLITS:
        files = [path for path in files if path.is_file()]
    if not files:
        raise LogFormatError("there is no train.csv, val.csv or test.csv in it", folder)
    return files


def _model_names(path: Path, log: LogBuilder) -> dict[int, str]:
    """Return the names of the models by id; none without the file."""
    names: dict[int, str] = {}
    if not path.is_file():
        return names
    for line, row in csv_rows(path, log, needed=("model_id", "model_name")):
        with log.record_errors(path, line):
            number = int(required_number(row["model_id"], "model_id"))
            names[number] = required_text(row["model_name"], "model_name")
    return names


def _model_of(row: Mapping[str, Any], names: Mapping[int, str]) -> str:
    # Some rows have only the number of their model.
    if row["model_name"]:
        return row["model_name"]
    number = number_or_none(row.get("model_id"), "model_id")
    if number is None or int(number) not in names:
        raise RecordError("the row has no 'model_name', nor a 'model_id' that has one")
    return names[int(number)]


def _combined(table: pd.DataFrame, duplicates: str, folder: Path) -> pd.DataFrame:
    """Return the table with one row per model and prompt."""
    repeated = table.duplicated(_PAIR)
    if not repeated.any():
        return table
    if duplicates == "raise":
        model, prompt = table.loc[repeated, _PAIR].iloc[0]
        raise LogFormatError(
            f"model {model!r} has two rows for the prompt {prompt!r} and "
            "duplicates='raise'; choose how to combine them",
            folder,
        )
    if duplicates in ("mean", "max"):
        pairs = table.groupby(_PAIR, observed=True, sort=False)["score"]
        table["score"] = pairs.transform(duplicates)
    keep = "last" if duplicates == "last" else "first"
    return table.drop_duplicates(_PAIR, keep=keep, ignore_index=True)
