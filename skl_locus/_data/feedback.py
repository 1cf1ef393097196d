"""Feedback on decisions: scores that came later, joined by the names of requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame

REQUEST = "request_id"
"""Column that names the request of a decision and of its feedback."""


def with_feedback(decisions: pd.DataFrame, feedback: Any) -> pd.DataFrame:
    """Join feedback to decisions, and leave out those without any.

    Parameters
    ----------
    decisions : DataFrame of n_decisions rows
        With the columns request_id and time.
    feedback : mapping, Series or dataframe
        Scores by request, or a table with request_id, score and perhaps more columns,
        which are joined too.

    Returns
    -------
    DataFrame
        One row for each request that has a score and was routed; of several decisions
        on one request, as retries make them, the last one.
    """
    check_decisions(decisions, ("time", "model"))
    if REQUEST not in decisions.columns:
        raise ValueError(
            f"The decisions have no column {REQUEST!r} to join scores by; call the "
            "service with request_id=."
        )
    table = _as_table(feedback)
    known = decisions[decisions[REQUEST].notna() & decisions["model"].notna()]
    known = known.assign(**{REQUEST: known[REQUEST].astype(str)})
    last = known.sort_values("time", kind="stable").drop_duplicates(
        REQUEST, keep="last"
    )
    last = last.drop(columns=table.columns.difference([REQUEST]), errors="ignore")
    joined = last.merge(table, on=REQUEST, how="inner", validate="1:1")
    return joined.sort_values("time", kind="stable", ignore_index=True)


def check_decisions(decisions: Any, columns: Collection[str]) -> None:
    """Raise a ValueError if decisions are no pandas table, or a column is missing."""
    if not isinstance(decisions, pd.DataFrame):
        raise ValueError(
            "The decisions must be a pandas DataFrame, such as of read_decisions, got "
            f"{type(decisions).__name__}."
        )
    for name in columns:
        if name not in decisions.columns:
            raise ValueError(f"The decisions need a column {name!r}.")


def _as_table(feedback: Any) -> pd.DataFrame:
    """Return feedback in any form as a table of requests, each of them once."""
    frame = as_frame(feedback)
    if frame is not None:
        table = frame.to_pandas()
    elif isinstance(feedback, (Mapping, pd.Series)):
        scores = pd.Series(feedback, dtype=object)
        table = pd.DataFrame({REQUEST: scores.index, "score": scores.to_numpy()})
    else:
        raise ValueError(
            "Scores must be a mapping or Series of request_id to score, or a table "
            f"with the columns request_id and score, got {type(feedback).__name__}."
        )
    missing = {REQUEST, "score"}.difference(table.columns)
    if missing:
        raise ValueError(f"The scores have no column {min(missing)!r}.")
    table = table[table["score"].notna()]
    repeated = table[REQUEST].duplicated()
    if repeated.any():
        raise ValueError(
            f"The request {table[REQUEST][repeated].iloc[0]!r} has two scores; keep "
            "one for each request_id."
        )
    for name, score in zip(table[REQUEST], table["score"], strict=True):
        is_number = isinstance(score, (Real, np.bool_))
        if not is_number or not 0 <= float(score) <= 1:
            raise ValueError(
                f"The score of the request {name!r} is {score!r:.60}, not a number in "
                "[0, 1]."
            )
    return table.assign(
        **{REQUEST: table[REQUEST].astype(str), "score": table["score"].astype(float)}
    )
