"""AlpacaEval: preferences between a model and a reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skl_locus._utils.validation import shortest
from skl_locus.datasets._readers._builder import LogBuilder
from skl_locus.datasets._readers._files import file_or_folder, files_in, json_document
from skl_locus.datasets._readers._values import (
    RecordError,
    as_list,
    as_mapping,
    number_or_none,
    required_text,
)

TIE = 1.5
"""Preference for neither answer."""


def read_alpaca_eval(
    folder: str | os.PathLike, *, errors: str = "raise"
) -> pd.DataFrame:
    """Read the annotations of AlpacaEval.

    The files are ``annotations.json``, in a folder per model. A preference runs from 1
    (the reference is better) to 2 (the model is better), and the score is the
    preference minus 1; a preference of 0, in old files, is a tie. Annotations without
    a preference are left out and counted.

    Parameters
    ----------
    folder : str or path-like
        The folder below which the files are. Files of several annotators give several
        rows for one model and query, which estimators combine as their ``duplicates``
        says; pass the folder of one annotator to have its judgements alone.
    errors : {"raise", "skip"}, default="raise"
        Whether a malformed file or annotation is an error, or is left out and counted.

    Returns
    -------
    evaluations : DataFrame
        With the columns model (categorical, the generator_2), query (the
        instruction), score, task (categorical, the dataset, where files have it) and
        response (the output_2). The text identifies a query. ``attrs["skipped"]``
        counts what was left out, by reason.

    Raises
    ------
    LogFormatError
        If a file or annotation cannot be used, with the file and the number of the
        annotation.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from skl_locus.datasets import read_alpaca_eval
    >>> annotation = {
    ...     "instruction": "Say hello.", "generator_1": "reference",
    ...     "generator_2": "small", "output_2": "Hi!", "preference": 1.25,
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "small", "annotations.json")
    ...     path.parent.mkdir()
    ...     _ = path.write_text(json.dumps([annotation]))
    ...     read_alpaca_eval(folder)
       model       query  score response
    0  small  Say hello.   0.25      Hi!
    """
    folder = file_or_folder(folder)
    log = LogBuilder(folder, errors=errors)
    for path in files_in(folder, "annotations.json"):
        with log.record_errors(path):
            _read_file(path, log)
    return log.frame()


def _read_file(path: Path, log: LogBuilder) -> None:
    annotations = as_list(json_document(path), "the file")
    for number, annotation in enumerate(annotations, start=1):
        with log.record_errors(path, record=number):
            annotation = as_mapping(annotation, "the annotation")
            log.add(
                model=required_text(annotation.get("generator_2"), "generator_2"),
                query=required_text(annotation.get("instruction"), "instruction"),
                score=_score(annotation),
                task=_text_or_none(annotation.get("dataset")),
                response=_text_or_none(annotation.get("output_2")),
            )


def _score(annotation: Mapping[str, Any]) -> float | None:
    preference = number_or_none(annotation.get("preference"), "preference")
    if preference is None:
        return None
    if preference == 0:  # how old annotators wrote a tie
        preference = TIE
    if not 1 <= preference <= 2:
        raise RecordError(f"'preference' is {shortest(preference)}, not from 1 to 2")
    return preference - 1


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
