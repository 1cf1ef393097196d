"""Summary of a log that was read."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import pandas as pd

from skl_locus._data.queries import distinct_values

MAX_ROWS = 20
"""Most models or tasks that a summary shows."""


class ReadSummary:
    """Summary of a log of evaluations.

    Its `repr` is a text, and notebooks show it as tables.

    Parameters
    ----------
    log : DataFrame
        The result of a reader, or any table with the columns model, query and score.

    Attributes
    ----------
    source : str or None
        File or folder that was read, if known.
    n_evaluations : int
        Number of rows.
    n_models : int
        Number of models.
    n_queries : int
        Number of queries, told apart by query_id, else by the query itself.
    models : DataFrame of shape (`n_models`, 2)
        Number of evaluations and mean score of each model.
    tasks : DataFrame of shape (n_tasks, 4)
        Number of models, queries and evaluations, and mean score, of each task; empty
        if the log has no tasks.
    skipped : dict of str to int
        Number of records that were left out, by reason.
    notes : list of str
        Remarks of the reader, such as choices between several ways to read the log.

    See Also
    --------
    read_log : Read a log of any known format.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.datasets import ReadSummary, read_wide
    >>> table = pd.DataFrame(
    ...     {"query": ["7 * 8?", "Who?"], "small": [0, 1], "large": [1, None]}
    ... )
    >>> ReadSummary(read_wide(table))
    the frame: 3 evaluations of 2 models on 2 queries
    models:
           evaluations  mean score
    large            1           1
    small            2         0.5
    """

    source: str | None
    n_evaluations: int
    n_models: int
    n_queries: int
    models: pd.DataFrame
    tasks: pd.DataFrame
    skipped: dict[str, int]
    notes: list[str]

    def __init__(self, log: pd.DataFrame) -> None:
        rows = pd.DataFrame(
            {
                "model": log["model"],
                "query": _query_codes(log),
                "score": log["score"],
            }
        )
        self.source = log.attrs.get("source")
        self.skipped = dict(log.attrs.get("skipped", {}))
        self.notes = list(log.attrs.get("notes", []))
        self.n_evaluations = len(rows)
        self.n_queries = rows["query"].nunique()
        by_model = rows.groupby("model", observed=True)
        self.models = by_model.agg(
            **{"evaluations": ("score", "size"), "mean score": ("score", "mean")}
        )
        self.models.index.name = None
        self.n_models = len(self.models)
        self.tasks = _tasks(rows, log)

    def __repr__(self) -> str:
        """Return the summary as text."""
        parts = [self._headline()]
        parts += [f"{name}:\n{_shown(table)}" for name, table in self._tables()]
        parts += [f"{name}: {remark}" for name, remark in self._remarks()]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        """Return the summary as HTML, for notebooks."""
        parts = [f"<p>{html.escape(self._headline())}</p>"]
        for name, table in self._tables():
            parts.append(f"<details open><summary>{name}</summary>")
            parts.append(table.to_html(max_rows=MAX_ROWS, float_format="{:.3g}".format))
            parts.append("</details>")
        parts += [
            f"<p>{name}: {html.escape(remark)}</p>" for name, remark in self._remarks()
        ]
        return f"<div>{''.join(parts)}</div>"

    def _headline(self) -> str:
        place = "" if self.source is None else f"{self.source}: "
        return (
            f"{place}{self.n_evaluations} evaluations of {self.n_models} models on "
            f"{self.n_queries} queries"
        )

    def _tables(self) -> Iterable[tuple[str, pd.DataFrame]]:
        yield "models", self.models
        if len(self.tasks):
            yield "tasks", self.tasks

    def _remarks(self) -> Iterable[tuple[str, str]]:
        if self.skipped:
            counts = ", ".join(f"{n} {reason}" for reason, n in self.skipped.items())
            yield "left out", counts
        for note in self.notes:
            yield "note", note


def _query_codes(log: pd.DataFrame) -> Any:
    """Return what tells queries apart, for texts and vectors alike."""
    if "query_id" in log:
        return log["query_id"]
    return distinct_values(log["query"], "query").codes


def _tasks(rows: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    if "task" not in log:
        return pd.DataFrame()
    by_task = rows.groupby(log["task"], observed=True)
    table = by_task.agg(
        **{
            "models": ("model", "nunique"),
            "queries": ("query", "nunique"),
            "evaluations": ("score", "size"),
            "mean score": ("score", "mean"),
        }
    )
    table.index.name = None
    return table


def _shown(table: pd.DataFrame) -> str:
    return table.to_string(max_rows=MAX_ROWS, float_format="{:.3g}".format)
