"""Splitters that read queries and models from the columns of X."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit, ShuffleSplit
from sklearn.utils import check_random_state

from skl_locus._data.columns import model_groups
from skl_locus._data.queries import query_groups
from skl_locus._data.schema import Columns

DEFAULT_TEST_SIZE = 0.2
"""Share of the groups to test on where no size is given, as in GroupShuffleSplit."""


class ShuffleSplitOfGroups(BaseShuffleSplit):
    """Draw the groups of the test rows at random, independently for each split."""

    _group_noun: str

    @abstractmethod
    def _groups_of(self, X: Any, y: Any) -> tuple[np.ndarray, int]:
        """Return the group of each row and the number of groups."""

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows of each split.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_rows, n_features)
            Evaluations, one per row.
        y : array-like of shape (n_rows,), default=None
            Scores. Where encodings are read from columns that nobody named, none of
            them may equal the scores.
        groups : object, default=None
            Ignored: the groups are read from X.

        Yields
        ------
        train : ndarray of int
            Rows to train on, ascending.
        test : ndarray of int
            Rows to test on, ascending.
        """
        return super().split(X, y)

    def _iter_indices(self, X, y=None, groups=None):
        codes, n_groups = self._groups_of(X, y)
        for train, test in self._group_splits(n_groups):
            yield np.flatnonzero(train[codes]), np.flatnonzero(test[codes])

    def _group_splits(self, n_groups: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate masks of the groups to train and to test on: (n_groups,) each."""
        if n_groups < 2:
            raise ValueError(
                f"X has {n_groups} distinct {self._group_noun}; at least 2 are "
                "needed to split them."
            )
        splitter = ShuffleSplit(
            self.n_splits,
            test_size=self._test_size(),
            train_size=self.train_size,
            random_state=self.random_state,
        )
        try:
            splits = list(splitter.split(np.arange(n_groups)))
        except ValueError as error:
            raise ValueError(
                f"The {n_groups} {self._group_noun} of X cannot be split (they are "
                f"the samples here): {error}"
            ) from error
        for train, test in splits:
            yield _mask(train, n_groups), _mask(test, n_groups)

    def _test_size(self) -> float | None:
        if self.test_size is None and self.train_size is None:
            return DEFAULT_TEST_SIZE
        return self.test_size


class QueryKFold(BaseCrossValidator):
    """Split rows into folds so that no query is in two of them.

    The distinct queries are dealt to the folds in turn, in an order that depends
    on what the queries are and not on the order of the rows, so that the same
    queries share a fold however the table is sorted. Folds are balanced in
    queries, not in rows.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to permute the queries before they are dealt.
    random_state : int, RandomState instance or None, default=None
        Seed of the permutation; only with ``shuffle=True``.
    query_col : str, default="query"
        Column with the query, a text or a vector per row.
    query_id_col : str, default="query_id"
        Column with the identity of the query, read where there is no text.
    encoding_cols : list of str, default=None
        Columns of the encodings of the queries, of a table with neither column;
        None takes all numeric columns but those of the model, the score and what else
        is carried along (task, cost, tokens, latency), as the routers do.
    score_col : str, default="score"
        Column of the scores, which is never a part of an encoding.
    model_col : str, default="model"
        Column of the models, which is never a part of an encoding.

    Raises
    ------
    ValueError
        If ``n_splits`` is not an integer of at least 2, or ``random_state`` is
        given without ``shuffle``; in ``split``, if there are fewer queries than
        folds, no query can be read from X, or what would be read is not the query
        alone.

    See Also
    --------
    QueryShuffleSplit : Random splits of the queries.
    ModelShuffleSplit : Random splits of the models.

    Notes
    -----
    Rows with the same text have the same query, whatever their ids: otherwise a
    router would be tested on what it learned from. Where there is no text, the
    id decides, else the vector. The rows of an ndarray are queries themselves.

    Encodings in columns of their own (``encoding_cols``) must be told from scores,
    times and what describes models. A column that equals ``y`` is refused, and so is
    one because of which alone every row is a query of its own.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.model_selection import QueryKFold
    >>> log = pd.DataFrame({
    ...     "model": ["a", "b", "a", "b", "a", "b"],
    ...     "query": ["1+1?", "1+1?", "2+2?", "2+2?", "3+3?", "3+3?"],
    ... })
    >>> for train, test in QueryKFold(n_splits=3).split(log):
    ...     print(sorted(set(log["query"].iloc[test])))
    ['3+3?']
    ['2+2?']
    ['1+1?']
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Sequence[str] | None = None,
        score_col: str = "score",
        model_col: str = "model",
    ):
        check_n_splits(n_splits, at_least=2)
        if random_state is not None and not shuffle:
            raise ValueError("random_state has no effect unless shuffle=True.")
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.score_col = score_col
        self.model_col = model_col

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows of each split.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_rows, n_features)
            Evaluations, one per row.
        y : array-like of shape (n_rows,), default=None
            Scores. Where encodings are read from columns that nobody named, none of
            them may equal the scores.
        groups : object, default=None
            Ignored: the groups are the queries of X.

        Yields
        ------
        train : ndarray of int
            Rows to train on.
        test : ndarray of int
            Rows to test on.
        """
        return super().split(X, y)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        int
            Number of folds.
        """
        return self.n_splits

    def _iter_test_indices(self, X=None, y=None, groups=None):
        queries, n_queries = query_groups(X, Columns.of(self), y)
        if n_queries < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {n_queries} distinct "
                "queries in X."
            )
        folds = self._folds(n_queries)[queries]
        for fold in range(self.n_splits):
            yield np.flatnonzero(folds == fold)

    def _folds(self, n_queries: int) -> np.ndarray:
        """Deal the queries to the folds: (n_queries,)."""
        folds = np.arange(n_queries) % self.n_splits
        if self.shuffle:
            check_random_state(self.random_state).shuffle(folds)
        return folds


class QueryShuffleSplit(ShuffleSplitOfGroups):
    """Draw queries at random to test on; no query is on both sides.

    Which queries are drawn depends on the queries and the seed, not on the order
    of the rows.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent splits.
    test_size : float, int or None, default=None
        Share in (0, 1) of the distinct queries (rounded up), or their number,
        to test on; None takes what ``train_size`` leaves, or 0.2.
    train_size : float, int or None, default=None
        Share in (0, 1) of the distinct queries, or their number, to train on;
        None takes what ``test_size`` leaves.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.
    query_col : str, default="query"
        Column with the query, a text or a vector per row.
    query_id_col : str, default="query_id"
        Column with the identity of the query, read where there is no text.
    encoding_cols : list of str, default=None
        Columns of the encodings of the queries, of a table with neither column;
        None takes all numeric columns but those of the model, the score and what else
        is carried along (task, cost, tokens, latency), as the routers do.
    score_col : str, default="score"
        Column of the scores, which is never a part of an encoding.
    model_col : str, default="model"
        Column of the models, which is never a part of an encoding.

    Raises
    ------
    ValueError
        If ``n_splits`` is not a positive integer; in ``split``, if the sizes do
        not fit, there are fewer than 2 queries, none can be read from X, or what
        would be read is not the query alone.

    See Also
    --------
    QueryKFold : Folds of the queries.

    Notes
    -----
    Rows with the same text have the same query, whatever their ids. Where there
    is no text, the id decides, else the vector. The rows of an ndarray are
    queries themselves. Scores, times and numbers of models among encodings in columns
    of their own are refused as by `QueryKFold`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.model_selection import QueryShuffleSplit
    >>> log = pd.DataFrame({
    ...     "model": ["a", "b"] * 4,
    ...     "query_id": [1, 1, 2, 2, 3, 3, 4, 4],
    ... })
    >>> splitter = QueryShuffleSplit(n_splits=2, test_size=0.25, random_state=0)
    >>> [len(test) for train, test in splitter.split(log)]
    [2, 2]
    """

    _group_noun = "queries"

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | None = None,
        train_size: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Sequence[str] | None = None,
        score_col: str = "score",
        model_col: str = "model",
    ):
        check_n_splits(n_splits, at_least=1)
        super().__init__(
            n_splits,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.score_col = score_col
        self.model_col = model_col

    def _groups_of(self, X: Any, y: Any) -> tuple[np.ndarray, int]:
        return query_groups(X, Columns.of(self), y)


class ModelShuffleSplit(ShuffleSplitOfGroups):
    """Draw models at random to test on; no model is on both sides.

    A router cannot predict for a model it has not met, so that this goes with
    :func:`skl_locus.metrics.make_onboarding_scorer`. Which models are drawn
    depends on their labels and the seed, not on the order of the rows.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent splits.
    test_size : float, int or None, default=None
        Share in (0, 1) of the models (rounded up), or their number, to test on;
        None takes what ``train_size`` leaves, or 0.2.
    train_size : float, int or None, default=None
        Share in (0, 1) of the models, or their number, to train on; None takes
        what ``test_size`` leaves.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.
    model_col : str, default="model"
        Column with the model of each row.

    Raises
    ------
    ValueError
        If ``n_splits`` is not a positive integer; in ``split``, if the sizes do
        not fit, there are fewer than 2 models, or the column is missing.
    TypeError
        In ``split``, if X is not a dataframe.

    See Also
    --------
    QueryShuffleSplit : Random splits of the queries.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus.model_selection import ModelShuffleSplit
    >>> log = pd.DataFrame({"model": ["a", "b", "c"] * 2})
    >>> splitter = ModelShuffleSplit(n_splits=2, test_size=1, random_state=0)
    >>> for train, test in splitter.split(log):
    ...     print(set(log["model"].iloc[test]))
    {'c'}
    {'c'}
    """

    _group_noun = "models"

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | None = None,
        train_size: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        model_col: str = "model",
    ):
        check_n_splits(n_splits, at_least=1)
        super().__init__(
            n_splits,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )
        self.model_col = model_col

    def _groups_of(self, X: Any, y: Any) -> tuple[np.ndarray, int]:
        codes, labels = model_groups(X, self.model_col)
        return codes, len(labels)


def check_n_splits(n_splits: Any, *, at_least: int) -> None:
    """Raise unless ``n_splits`` is an integer of at least ``at_least``."""
    if not isinstance(n_splits, Integral) or n_splits < at_least:
        raise ValueError(
            f"n_splits must be an integer of at least {at_least}; got {n_splits!r}."
        )


def _mask(members: np.ndarray, n_groups: int) -> np.ndarray:
    mask = np.zeros(n_groups, dtype=bool)
    mask[members] = True
    return mask
