"""Learning curves over the number of queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state

from skl_locus._data.queries import query_groups
from skl_locus._data.schema import Columns
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus.model_selection._split import QueryShuffleSplit

SIZES = (0.1, 0.33, 0.55, 0.78, 1.0)
"""Shares of the training queries, those of `sklearn.model_selection.learning_curve`."""


def query_learning_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    train_sizes: Sequence[float] = SIZES,
    cv: Any = None,
    scoring: Any = None,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Score an estimator after fits to more and more queries.

    `sklearn.model_selection.learning_curve` takes the first rows of a table, which are
    those of one model where a log is sorted by model. Here queries are drawn at random,
    with the rows of all models, and a larger set contains the smaller ones.

    Parameters
    ----------
    estimator : estimator
        A router, or a pipeline that ends in one; it is cloned.
    X : dataframe or array-like of shape (n_rows, n_features)
        Evaluations, one per row.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    train_sizes : sequence of float or int
        Shares of the training queries in (0, 1], or numbers of queries.
    cv : cross-validator, default=None
        Splitter by query; None means ``QueryShuffleSplit(5)``. Its names of columns
        are used.
    scoring : callable, default=None
        Scorer ``scoring(estimator, X, y)``, such as those of `skl_locus.metrics`; None
        means the estimator's ``score``.
    random_state : int, RandomState instance or None, default=None
        Determines the draws, and the splits where ``cv`` is None.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame of shape (n_splits * n_sizes, 4)
        Columns split, n_queries, score (on the test queries of the split) and fit_time
        in seconds.

    Raises
    ------
    ValueError
        If a size is out of range.

    Examples
    --------
    >>> from skl_locus import KMeansRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.model_selection import query_learning_curve
    >>> log = make_evaluations(n_models=4, n_queries=100, random_state=0).evaluations
    >>> curve = query_learning_curve(
    ...     KMeansRouter(4, random_state=0), log, log["score"], random_state=0
    ... )
    >>> sorted(set(curve["n_queries"]))
    [8, 26, 44, 62, 80]
    """
    rng = check_random_state(random_state)
    if cv is None:
        cv = QueryShuffleSplit(5, random_state=rng.randint(2**31 - 1))
    names = ("query_col", "query_id_col", "encoding_cols", "score_col", "model_col")
    reader = QueryShuffleSplit(
        1, **{name: getattr(cv, name) for name in names if hasattr(cv, name)}
    )
    codes, _ = query_groups(X, Columns.of(reader), y)
    rows = []
    splits = list(cv.split(X, y))
    n_fits = len(splits) * len(train_sizes)
    with (
        progress_shown(verbose),
        progress_bar("learning curve", n_fits, unit="fit") as bar,
    ):
        for split, (train, test) in enumerate(splits):
            X_test, y_test = _safe_indexing(X, test), _safe_indexing(y, test)
            for n_queries, some in _nested(codes, train, train_sizes, rng):
                fitted = clone(estimator)
                start = perf_counter()
                fitted.fit(_safe_indexing(X, some), _safe_indexing(y, some))
                seconds = perf_counter() - start
                score = fitted.score if scoring is None else _bound(scoring, fitted)
                rows.append((split, n_queries, float(score(X_test, y_test)), seconds))
                bar.advance()
    return pd.DataFrame(rows, columns=["split", "n_queries", "score", "fit_time"])


def _nested(
    codes: np.ndarray,
    train: np.ndarray,
    sizes: Sequence[float],
    rng: np.random.RandomState,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield numbers of queries, ascending, and the training rows of as many."""
    queries = np.unique(codes[train])
    place = np.empty(codes.max() + 1, dtype=np.intp)
    place[queries] = rng.permutation(len(queries))
    for n_queries in sorted({_number(size, len(queries)) for size in sizes}):
        yield n_queries, train[place[codes[train]] < n_queries]


def _number(size: Any, n_queries: int) -> int:
    if isinstance(size, Integral) and not isinstance(size, bool):
        if 1 <= int(size) <= n_queries:
            return int(size)
    elif isinstance(size, Real) and not isinstance(size, bool) and 0 < float(size) <= 1:
        return max(1, round(float(size) * n_queries))
    raise ValueError(
        f"train_sizes has {size!r}; give shares in (0, 1] or numbers of queries from 1 "
        f"to {n_queries}, the training queries of a split."
    )


def _bound(scoring: Any, fitted: Any) -> Any:
    return lambda X, y: scoring(fitted, X, y)
