"""Random splits of groups that are read from X."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseShuffleSplit, ShuffleSplit

DEFAULT_TEST_SIZE = 0.2
"""Share of the groups to test on where no size is given, as in GroupShuffleSplit."""


class ShuffleSplitOfGroups(BaseShuffleSplit):
    """Draw the groups of the test rows at random, independently for each split."""

    _group_noun: str

    @abstractmethod
    def _groups_of(self, X: Any) -> tuple[np.ndarray, int]:
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
            Not used.
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
        codes, n_groups = self._groups_of(X)
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
