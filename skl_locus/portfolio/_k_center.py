"""The portfolio for the worst covered model."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils._param_validation import Interval

from skl_locus.portfolio._base import COMMON_CONSTRAINTS, MEMORY_LIMIT, BasePortfolio
from skl_locus.portfolio._candidates import Candidates, ModelChoice
from skl_locus.portfolio._selection import (
    coverage_path,
    farthest_first,
    kernel_medoid,
)
from skl_locus.portfolio._space import fixed_sample

EXACT_UP_TO = 50_000
"""Models up to which the medoid is found by the similarities of all pairs: half a
minute on two cores."""

SAMPLE_MODELS = 5_000
"""Models by which candidates for the medoid of a larger pool are found. Sums over them
err by less than one part in a hundred, mostly by a small share of it."""

N_CANDIDATES = 1_000
"""Candidates whose similarities to all models are summed."""


class KCenterPortfolio(ClusterMixin, BasePortfolio):
    """Choose models so that the worst covered model is covered well.

    The first choice is the kernel medoid, the model with the largest mean similarity to
    the pool. Each further choice is the model with the smallest similarity to its
    nearest chosen model. This is a greedy solution of max min_i max_s K(i, s) (eqs. 8,
    10, 11).

    Parameters
    ----------
    n_models : int, default=10
        Number of models to select, including those in ``must_include``.
    metric : {"cosine", "euclidean", "precomputed"}, default="euclidean"
        Distance between models. "precomputed" means that `fit` is given the
        distances themselves, a square symmetric matrix. The cosine distance of a
        zero vector to all others is 1.
    bandwidth : "median" or float, default="median"
        Distance at which the similarity has fallen to 1/e. "median" is the median
        distance between two models; if that is zero, the median over pairs that
        differ. For more than 2,000 models, the median is taken over a fixed sample
        of 2,000 of them.
    must_include, exclude : collection of labels, default=()
        Models that must be chosen, and models that must not. Excluded models still
        count as models to cover. In a table without names, labels are row numbers.
    memory_limit : float, default=1024.0
        Largest matrix of similarities between all models that may be stored, in MiB
        (8 bytes per pair: 1024 MiB are enough for 11,585 models). Similarities
        are never stored here; above the limit they are computed in single instead
        of double precision, in blocks of a few MiB.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Row numbers of the selected models, in the order of choice.
    selected_models_ : ndarray of shape (n_selected,)
        Names of the selected models: index labels of a DataFrame, row numbers
        otherwise.
    labels_ : ndarray of shape (n_models,)
        Nearest selected model of each row, as an index into ``selected_models_``; on
        a tie the first.
    coverage_ : float
        Sum over the pool of the best similarity to a selected model (eq. 12),
        between 0 and n_models.
    min_coverage_ : float
        Best similarity of the model with the worst coverage (eq. 8).
    coverage_path_ : ndarray
        Coverage after each choice.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Length of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of a DataFrame, if they are strings.

    See Also
    --------
    KMedoidsPortfolio : Coverage of the pool on average.
    BudgetPortfolio : Coverage of the pool on average, within a budget.

    Notes
    -----
    The similarity is K(i, s) = exp(-distance(i, s)^2 / bandwidth^2) (eq. 7).

    The result does not depend on the order of the rows, since models are first put in
    canonical order: by name; without names by vector, first coordinate first (with
    precomputed distances, by the model's sorted distances). Of equally good models,
    the first in this order is chosen.

    The models of ``must_include`` come first, in place of the medoid.

    Each further choice takes the distances to the chosen models alone. The medoid of
    more than 50,000 models is the best one of 1,000 candidates, those with the largest
    mean similarity to a fixed sample of 5,000 models.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus import KCenterPortfolio
    >>> Z = pd.DataFrame([[0.0], [1.0], [2.0], [9.0]], index=["a", "b", "c", "d"])
    >>> portfolio = KCenterPortfolio(n_models=2, metric="euclidean").fit(Z)
    >>> portfolio.selected_models_
    array(['b', 'd'], dtype=object)
    >>> portfolio.labels_
    array([0, 0, 0, 1])
    """

    _parameter_constraints: dict = {
        "n_models": [Interval(Integral, 1, None, closed="left")],
        **COMMON_CONSTRAINTS,
    }

    def __init__(
        self,
        n_models: int = 10,
        *,
        metric: str = "euclidean",
        bandwidth: str | float = "median",
        must_include: Collection = (),
        exclude: Collection = (),
        memory_limit: float = MEMORY_LIMIT,
    ) -> None:
        self.n_models = n_models
        self.metric = metric
        self.bandwidth = bandwidth
        self.must_include = must_include
        self.exclude = exclude
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the models.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_features)
            One embedding per model, or the distances between all models.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted portfolio.

        Raises
        ------
        ValueError
            If the table or a parameter cannot be used; the portfolio stays unchanged.
        """
        return self._fit(X)

    def _select(self, pool: Candidates) -> tuple[np.ndarray, np.ndarray]:
        chosen = k_center(pool, self.n_models)
        return chosen, coverage_path(pool.space, pool.bandwidth, chosen)


def k_center(pool: Candidates, n_models: int) -> np.ndarray:
    """Choose ``n_models`` of a pool, in the order of choice."""
    check_size(pool, n_models)
    start = pool.required
    if len(start) == 0:
        start = np.array([medoid(pool)])
    return farthest_first(pool.space, start, n_models, pool.allowed)


def medoid(pool: Candidates) -> int:
    """Return the model with the largest mean similarity to a pool.

    In a large pool, only models that are near to a sample of it are candidates: sums
    over all pairs would take longer than everything else together.
    """
    if len(pool) <= EXACT_UP_TO:
        return kernel_medoid(pool.sums, pool.allowed)
    allowed = np.flatnonzero(pool.allowed)
    sample = fixed_sample(len(pool), SAMPLE_MODELS)
    estimates = pool.kernel.sums_over(allowed, sample)
    order = np.argsort(-estimates, kind="stable")[:N_CANDIDATES]
    candidates = np.sort(allowed[order])
    sums = pool.kernel.sums_over(candidates, np.arange(len(pool)))
    return int(candidates[sums.argmax()])


def check_size(pool: ModelChoice, n_models: int) -> None:
    """Check that the number of models can be chosen."""
    n_allowed = int(np.count_nonzero(pool.allowed))
    if n_models > n_allowed:
        plural = "" if len(pool) == 1 else "s"
        raise ValueError(
            f"n_models={n_models} is larger than the pool: X has {len(pool)} "
            f"sample{plural}, of which {n_allowed} may be chosen."
        )
    if n_models < len(pool.required):
        raise ValueError(
            f"n_models={n_models} is smaller than the {len(pool.required)} models of "
            "must_include."
        )
