"""Helpers of estimators: pickle version, fitted or not."""

from __future__ import annotations

import copy
from typing import Any, Self

from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

FORMAT_VERSION = 1
"""Version of the fitted state; raised when older code could misread it."""


class PickleVersionMixin:
    """Write a format version into every pickle and refuse newer ones.

    Comes before `BaseEstimator` in the bases of an estimator. Copies stay in the
    process and keep everything; what a class leaves out of its pickles, it leaves
    out in `__getstate__`.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes with the version of their format."""
        state: Any = super().__getstate__()
        return {**state, "_skl_locus_format": FORMAT_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state, unless a newer version wrote it."""
        state = dict(state)
        version = state.pop("_skl_locus_format", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise ValueError(
                f"This {type(self).__name__} was saved in format {version}; this "
                f"version of skl-locus reads formats up to {FORMAT_VERSION}. Upgrade "
                "skl-locus to load it."
            )
        super().__setstate__(state)  # type: ignore[misc]

    def __copy__(self) -> Self:
        """Copy the attributes, not what they refer to."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict) -> Self:
        """Copy the attributes and what they refer to."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


def is_fitted(value: Any) -> bool:
    """Tell whether something is an estimator that has been fitted."""
    if not isinstance(value, BaseEstimator):
        return False
    try:
        check_is_fitted(value)
    except NotFittedError:
        return False
    return True


def kept_or_cloned(value: Any) -> Any:
    """Return a fitted estimator itself, and a clone of anything else."""
    return value if is_fitted(value) else clone(value, safe=False)
