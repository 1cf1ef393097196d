"""Costs and prices as users give them: by label, by pair or in a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from skl_locus._data.codes import find_sorted
from skl_locus._data.columns import (
    as_frame,
    factorize_labels,
    read_amounts,
    read_column,
)
from skl_locus._data.evaluations import positions_of
from skl_locus._utils.statistics import group_means
from skl_locus._utils.validation import check_by_label

PRICE_COLUMNS = ("price_in", "price_out")
"""Columns of a table of prices: for a million tokens of input and of output."""


@dataclass(frozen=True)
class PairCosts:
    """Costs of single (query, model) pairs, looked up by the queries' keys.

    Parameters
    ----------
    keys : ndarray of shape (n_queries,)
        Digests of the queries' identities, ascending.
    labels : list
        Sorted labels of the models.
    pairs : ndarray of shape (n_pairs,)
        ``query * n_models + model`` of each pair, ascending.
    costs : ndarray of shape (n_pairs,), float64
        Mean cost of each pair's rows.
    """

    keys: np.ndarray
    labels: list
    pairs: np.ndarray
    costs: np.ndarray

    def matrix(self, keys: np.ndarray, labels: Iterable) -> np.ndarray:
        """Return costs, NaN where there is none: (n_keys, n_labels)."""
        columns = positions_of(list(labels), self.labels)
        rows = find_sorted(self.keys, keys)
        wanted = rows[:, None] * np.int64(len(self.labels)) + columns
        wanted[(rows < 0)[:, None] | (columns < 0)] = -1
        found = find_sorted(self.pairs, wanted.ravel())
        return np.where(found < 0, np.nan, self.costs[found]).reshape(wanted.shape)


def read_pair_costs(
    frame: nw.DataFrame, keys: np.ndarray, model_col: str, cost_col: str
) -> PairCosts:
    """Read costs of (query, model) rows; repeated rows are averaged.

    Parameters
    ----------
    frame : narwhals DataFrame of n_rows rows
        With columns of the model and the cost.
    keys : ndarray of shape (n_rows,)
        Digest of each row's query.
    model_col, cost_col : str
        Names of the columns.

    Returns
    -------
    PairCosts
        Sorted, each pair once.
    """
    codes, labels = factorize_labels(read_column(frame, model_col), model_col)
    costs = read_amounts(frame, cost_col)
    if np.isnan(costs).any():
        row = int(np.argmax(np.isnan(costs)))
        raise ValueError(
            f"The column {cost_col!r} has no cost in row {row}, of the model "
            f"{labels[codes[row]]!r}; drop such rows."
        )
    distinct, queries = np.unique(keys, return_inverse=True)
    pairs, rows = np.unique(
        queries * np.int64(len(labels)) + codes, return_inverse=True
    )
    return PairCosts(distinct, labels, pairs, group_means(costs, rows, len(pairs)))


def costs_by_label(
    costs: Any,
    labels: Iterable | None = None,
    name: str = "costs",
    *,
    positive: bool = False,
) -> dict:
    """Return the cost of each label, checked.

    Parameters
    ----------
    costs : mapping or Series
        Costs by label.
    labels : iterable of labels, default=None
        Labels that must have a cost; the costs of others are not looked at. None
        takes all labels of ``costs``.
    name : str, default="costs"
        Name of the argument, for messages.
    positive : bool, default=False
        Whether a cost of 0 is refused.

    Returns
    -------
    dict of label to float
        Finite costs.
    """
    wanted = None if labels is None else list(labels)
    check_by_label(costs, wanted or (), name)
    known = dict(costs.items())
    return {
        label: _checked_amount(known[label], label, name, positive=positive)
        for label in (known if wanted is None else wanted)
    }


def model_costs(cost: Any, labels: np.ndarray) -> np.ndarray:
    """Return the cost of each model, in the order of the labels.

    Parameters
    ----------
    cost : mapping, Series, array-like or None
        Costs by label, or in the order of the rows; None for 1 each.
    labels : ndarray of shape (n_models,)
        Names, or row numbers.

    Returns
    -------
    ndarray of shape (n_models,)
        Costs, positive and finite.
    """
    if cost is None:
        return np.ones(len(labels))
    if not isinstance(cost, (Mapping, pd.Series)):
        if np.ndim(cost) != 1 or len(cost) != len(labels):
            raise ValueError(
                "cost must be a mapping or Series by model, or have one entry for "
                f"each of the {len(labels)} rows of X; got shape {np.shape(cost)}."
            )
        cost = dict(zip(labels, cost, strict=True))
    known = costs_by_label(cost, labels, "cost", positive=True)
    return np.array(list(known.values()))


def read_prices(prices: Any, model_col: str) -> dict:
    """Read prices for a million tokens of input and output of each label.

    Models with a blank price are left out: nobody knows what they cost.
    """
    if isinstance(prices, pd.DataFrame):
        prices = _priced_rows(prices, model_col)
    if not isinstance(prices, Mapping):
        raise ValueError(
            "prices must be a DataFrame with the columns price_in and price_out, or a "
            f"mapping of label to (price_in, price_out); got {type(prices).__name__}."
        )
    known = {}
    for label, both in prices.items():
        if np.shape(both) != (2,):
            raise ValueError(
                f"The prices of the model {label!r} must be a pair (price_in, "
                f"price_out), got {both!r}."
            )
        if not pd.isna(list(both)).any():
            known[label] = tuple(_checked_amount(p, label, "prices") for p in both)
    return known


def cost_matrix(
    costs: Any, queries: Any, n_queries: int, labels: np.ndarray
) -> np.ndarray:
    """Return what each model costs for each query, checked.

    Parameters
    ----------
    costs : mapping, Series, CostModel, dataframe or array of shape \
            (n_queries, n_models)
        Costs by label, by a fitted model of costs, or one by one. The columns of a
        dataframe are named by label, and may have any order; those of an array are in
        the order of the labels.
    queries : list of str, array, Series or dataframe of n_queries queries
        What a model of costs reads lengths from.
    n_queries : int
        Number of queries.
    labels : ndarray of shape (n_models,), object
        The models, in the order of the columns.

    Returns
    -------
    ndarray of shape (n_queries, n_models), float64
        Finite costs of at least 0.

    Raises
    ------
    ValueError
        If a cost is missing, negative or not finite, naming the model.
    """
    if hasattr(costs, "matrix"):
        matrix = costs.matrix(queries, labels)
    elif isinstance(costs, (Mapping, pd.Series)):
        known = costs_by_label(costs)
        row = [_cost_of(label, known) for label in labels]
        matrix = np.tile(np.array(row, dtype=np.float64), (n_queries, 1))
    else:
        frame = as_frame(costs)
        if frame is not None:
            costs = _named_columns(frame, labels)
        matrix = _as_matrix(costs, (n_queries, len(labels)))
    check_matrix(matrix, labels)
    return matrix


def labels_without_cost(costs: Any, labels: Iterable) -> set:
    """Return the labels of which nothing says what they cost, whatever the query."""
    if isinstance(costs, (Mapping, pd.Series)):
        known = costs.index if isinstance(costs, pd.Series) else costs
        return {label for label in labels if label not in known}
    knows = getattr(costs, "_knows_cost_of", None)
    return set() if knows is None else {x for x in labels if not knows(x)}


def check_matrix(matrix: np.ndarray, labels: np.ndarray) -> None:
    """Raise on negative, missing and infinite costs, naming the model."""
    wrong = ~((matrix >= 0) & np.isfinite(matrix))
    if wrong.any():
        query, model = np.argwhere(wrong)[0]
        raise ValueError(
            f"costs has the value {matrix[query, model]:g} for the model "
            f"{labels[model]!r} (query {query}); costs must be finite and not negative."
        )


def _named_columns(frame: nw.DataFrame, labels: np.ndarray) -> np.ndarray:
    """Return the costs of a table with a column per model, in the order of labels."""
    table = frame.to_pandas()  # whose names of columns may be any labels
    missing = [label for label in labels if label not in table.columns]
    if missing:
        raise ValueError(
            f"costs is a table without a column for the model {missing[0]!r}; name its "
            "columns by the labels of the models, or pass an array."
        )
    return np.column_stack([table[label] for label in labels])


def _as_matrix(costs: Any, shape: tuple[int, int]) -> np.ndarray:
    matrix = np.asarray(costs)
    if matrix.dtype.kind not in "biuf" or matrix.shape != shape:
        raise ValueError(
            "costs must be given by label (a mapping or a pandas Series), as a "
            "CostModel, or as numbers of shape (n_queries, n_models) = "
            f"{shape}; got {type(costs).__name__} of shape {np.shape(costs)}."
        )
    return matrix.astype(np.float64)


def _cost_of(label: Any, known: dict) -> float:
    if label not in known:
        raise ValueError(
            f"costs has no entry for the model {label!r}; add one, or leave the model "
            "out with models=."
        )
    return known[label]


def _priced_rows(prices: pd.DataFrame, model_col: str) -> dict:
    missing = [name for name in PRICE_COLUMNS if name not in prices.columns]
    if missing:
        raise ValueError(f"prices has no column {missing[0]!r}.")
    if model_col in prices.columns:
        prices = prices.set_index(model_col)
    if not prices.index.is_unique:
        repeated = prices.index[prices.index.duplicated()][0]
        raise ValueError(f"prices has the model {repeated!r} twice.")
    pairs = prices[list(PRICE_COLUMNS)].itertuples(index=False, name=None)
    return dict(zip(prices.index, pairs, strict=True))


def _checked_amount(
    amount: Any, label: Any, name: str, *, positive: bool = False
) -> float:
    try:
        number = float(amount)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} has {amount!r} for the model {label!r}, which is no number."
        ) from error
    except OverflowError:  # an integer of Python, which has no limit
        number = np.inf
    if not (0 <= number < np.inf) or (positive and number == 0):
        wanted = (
            "a positive, finite number"
            if positive
            else ("a finite number of at least 0")
        )
        raise ValueError(
            f"{name} has {number:g} for the model {label!r}; give {wanted}."
        )
    return number
