"""One table from the logs of several readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from skl_locus.datasets._readers._builder import COLUMNS, NUMBERS
from skl_locus.datasets._readers._files import as_pandas

REQUIRED = ("model", "query", "score")
"""Columns that every log must have."""

MATCHES = ("query_id", "text")
"""Ways to tell whether two logs have the same query."""


def concat_logs(
    logs: Iterable[pd.DataFrame],
    *,
    keys: Sequence[str] | None = None,
    match: str = "query_id",
) -> pd.DataFrame:
    """Join the tables of several readers into one.

    Unlike :func:`pandas.concat`, it takes care that each query is the same for all
    models: estimators tell queries apart by query_id where a table has that column, and
    an id that is missing, or that means two different texts, would mix them up.

    Parameters
    ----------
    logs : iterable of DataFrame
        Tables as readers return them, at least one.
    keys : sequence of str, default=None
        One name per log, to put in front of its query ids ("name/id"), for logs whose
        ids mean different queries.
    match : {"query_id", "text"}, default="query_id"
        What makes two queries the same. With "query_id", rows of logs without ids get
        the id that their text has in another log, or else the text itself as id. With
        "text", the ids are dropped, so that the same text is one query whatever its id.

    Returns
    -------
    evaluations : DataFrame
        With all columns of the logs that readers know (others are left out); cells
        that a log does not have are empty. Rows are in the order of the logs.
        ``attrs["skipped"]`` has the sums of the logs.

    Raises
    ------
    ValueError
        If a log lacks a column, some have texts and others vectors, or one id stands
        for different texts.

    See Also
    --------
    read_log : Read a log of any known format.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.datasets import concat_logs, read_long
    >>> first = pd.DataFrame(
    ...     {"model": ["a"], "query": ["7 * 8?"], "query_id": ["q1"], "score": [1]}
    ... )
    >>> second = pd.DataFrame(
    ...     {"model": ["b", "b"], "query": ["7 * 8?", "Who?"], "score": [0, 1]}
    ... )
    >>> concat_logs([read_long(first), read_long(second)])
      model   query query_id  score
    0     a  7 * 8?       q1    1.0
    1     b  7 * 8?       q1    0.0
    2     b    Who?     Who?    1.0
    """
    if match not in MATCHES:
        raise ValueError(f"match must be one of {MATCHES}, got {match!r}.")
    tables = [_checked(log, place) for place, log in enumerate(logs)]
    if not tables:
        raise ValueError("There is no log to join; pass at least one.")
    if keys is not None:
        tables = _prefixed(tables, keys)
    _check_kinds(tables)
    joined = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    if match == "text":
        joined = joined.drop(columns="query_id", errors="ignore")
    elif "query_id" in joined:
        joined["query_id"] = _completed_ids(joined)
        _check_one_text_per_id(joined)
    return _typed(joined, tables)


def _checked(log: Any, place: int) -> pd.DataFrame:
    table = as_pandas(log)
    if table is None:
        raise TypeError(f"Log {place} is a {type(log).__name__}, not a dataframe.")
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        raise ValueError(f"Log {place} has no column {missing[0]!r}.")
    return table[[name for name in table if name in (*COLUMNS, "score")]]


def _prefixed(tables: list[pd.DataFrame], keys: Sequence[str]) -> list[pd.DataFrame]:
    if len(keys) != len(tables) or len(set(keys)) != len(keys):
        raise ValueError(
            f"keys must be {len(tables)} different names, one per log, got {keys!r}."
        )
    prefixed = []
    for key, table in zip(keys, tables, strict=True):
        if "query_id" in table:
            ids = [f"{key}/{name}" for name in table["query_id"]]
            table = table.assign(query_id=pd.Series(ids, table.index, dtype=object))
        prefixed.append(table)
    return prefixed


def _check_kinds(tables: list[pd.DataFrame]) -> None:
    kinds = {_is_text(table["query"].iloc[0]) for table in tables if len(table)}
    if len(kinds) > 1:
        raise ValueError(
            "Some logs have texts as queries and others have vectors; encode the texts "
            "before, for instance by QueryEncoder."
        )


def _is_text(query: Any) -> bool:
    return isinstance(query, str)


def _completed_ids(joined: pd.DataFrame) -> pd.Series:
    """Return ids for all rows: their own, that of their text elsewhere, or the text."""
    ids = joined["query_id"]
    missing = ids.isna()
    if not missing.any():
        return ids
    if not _is_text(joined["query"].iloc[0]):
        raise ValueError(
            "Some logs have no query_id, and their queries are vectors, which do not "
            "identify a query; add ids to them."
        )
    named = joined.loc[~missing].drop_duplicates(["query", "query_id"])
    counts = Counter(named["query"])
    # A text with several ids does not say which of them a row without one belongs to.
    known = {
        text: name
        for text, name in zip(named["query"], named["query_id"], strict=True)
        if counts[text] == 1
    }
    texts = joined.loc[missing, "query"]
    completed = ids.copy()
    completed[missing] = [known.get(text, text) for text in texts]
    return completed


def _check_one_text_per_id(joined: pd.DataFrame) -> None:
    if not _is_text(joined["query"].iloc[0]):
        return
    pairs = joined[["query_id", "query"]].drop_duplicates()
    repeated = pairs["query_id"].duplicated()
    if repeated.any():
        name = pairs.loc[repeated, "query_id"].iloc[0]
        raise ValueError(
            f"The query id {name!r} stands for different texts in the logs; pass keys= "
            "to keep the ids of each log apart, or match='text'."
        )


def _typed(joined: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the table with the order and the types of columns of a reader."""
    order = [name for name in ("model", "query", "query_id") if name in joined]
    rest = [name for name in COLUMNS if name in joined and name not in order]
    joined = joined[[*order, "score", *rest]]
    kinds: dict[str, Any] = {"model": "category", "score": "float64"}
    kinds |= {name: "float64" for name in NUMBERS if name in joined}
    if "task" in joined:
        kinds["task"] = "category"
    joined = joined.astype(kinds)
    skipped: Counter[str] = Counter()
    for table in tables:
        skipped.update(table.attrs.get("skipped", {}))
    notes = [note for table in tables for note in table.attrs.get("notes", [])]
    joined.attrs = {"skipped": dict(skipped), "notes": notes}
    return joined
