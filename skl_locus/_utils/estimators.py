"""Estimator helpers: fits that keep nothing of an error, pickle versions."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from typing import Any, Self, TypeVar, cast

from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skl_locus._utils.runtime import lock_of

Estimator = TypeVar("Estimator")
Method = TypeVar("Method", bound=Callable[..., Any])

FORMAT_VERSION = 1
"""Version of the fitted state; raised when older code could misread it."""


class _MovedModules(MetaPathFinder):
    """Say why a private module is not here: pickles name modules of their version."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Raise for a private module of this package, which no other finder has."""
        package, *parts = fullname.split(".")
        is_private = any(p[0] == "_" and not p.startswith("__") for p in parts)
        if package == __name__.partition(".")[0] and is_private:
            raise ModuleNotFoundError(
                f"This version of skl-locus ({version('skl-locus')}) has no module "
                f"{fullname!r}. A pickle or joblib file that asks for it was written "
                "by another version: load it with that one and save it with "
                "skl_locus.save, whose files do not depend on where classes are.",
                name=fullname,
            )


# The class of a pickled estimator is imported, and with it this module, before what the
# estimator is made of. Last in the list, so that only what nobody finds comes here.
sys.meta_path.append(_MovedModules())


@contextmanager
def draft_of(estimator: Estimator) -> Iterator[Estimator]:
    """Yield a copy of an estimator, the attributes of which it takes over at the end.

    An error in between leaves the estimator as it was. All attributes are replaced by
    one assignment: whoever reads them from another thread finds those of the old fit
    before it and those of the new one after it. Whoever wants to change them waits.
    """
    with lock_of(estimator):
        draft = copy.copy(estimator)
        yield draft
        estimator.__dict__ = draft.__dict__


def atomic_fit(fit: Method) -> Method:
    """Make a method of fitting leave a fitted estimator as it was on an error.

    The method runs on a copy of the estimator (`draft_of`). If it returns that copy,
    as ``return self`` does, the estimator is returned instead.
    """

    @functools.wraps(fit)
    def fit_on_draft(self: Any, *args: Any, **kwargs: Any) -> Any:
        with draft_of(self) as draft:
            result = fit(draft, *args, **kwargs)
        return self if result is draft else result

    return cast(Method, fit_on_draft)


class PickleVersionMixin:
    """Format version in every pickle; newer versions are refused.

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


class StoredWithoutFit:
    """Base of what `skl_locus.save` takes beside estimators.

    The attributes of such an object are all there is to it, and are stored.
    """


def is_fitted(value: Any) -> bool:
    """Return whether something is an estimator that has been fitted."""
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
