"""Estimators inside another one that stay what they are once they are fitted."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skl_locus._routing import RouterMixin


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


def fitted_router(router: Any) -> RouterMixin:
    """Return a router out of its freezer, which must be fitted."""
    if isinstance(router, FrozenEstimator):
        router = router.estimator
    if not isinstance(router, RouterMixin):
        raise TypeError(
            f"router must be a router of this package, got {type(router).__name__}; "
            "of a pipeline, pass the last step, and queries as that step sees them."
        )
    check_is_fitted(router)
    return router
