"""A portfolio that covers the pool best on average."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from math import isqrt
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from skl_locus.portfolio._base import COMMON_CONSTRAINTS, MEMORY_LIMIT, BasePortfolio
from skl_locus.portfolio._candidates import Candidates
from skl_locus.portfolio._k_center import k_center
from skl_locus.portfolio._kernel import MEBIBYTE
from skl_locus.portfolio._selection import coverage, improve_by_swaps
from skl_locus.portfolio._space import fixed_sample

SAMPLE_MODELS = 5000
"""Models among which swaps are looked for in a pool that is too large for memory."""


class KMedoidsPortfolio(ClusterMixin, BasePortfolio):
    """Choose models that cover the pool best on average.

    Start with the k-center solution, then make the swap of a selected for another
    model that adds most to J(S) = sum_i max_{s in S} K(i, s), as long as one adds
    anything (eqs. 9, 12, 13). At the end no single swap improves J.

    Parameters
    ----------
    n_models : int, default=10
        Number of models to select, those of ``must_include`` among them.
    metric : {"cosine", "euclidean", "precomputed"}, default="cosine"
        Distance between models; "precomputed" takes the distances themselves, a
        square symmetric matrix. A zero vector has cosine distance 1 to all others.
    bandwidth : "median" or float, default="median"
        Distance at which the similarity has fallen to 1/e. "median" is the median
        distance between two models; where it is zero, that of the models that
        differ. Beyond 2,000 models it is taken over 2,000 of them, always the same.
    must_include, exclude : collection of labels, default=()
        Models that must, and that must not, be chosen. Excluded models still count
        as models to cover. A table without names takes row numbers.
    memory_limit : float, default=1024.0
        Largest matrix of similarities between all models that may be stored, in MiB
        (8 bytes per pair: 1024 are enough for 11,585 models). For larger
        pools see Notes.
    max_iter : int, default=300
        Number of swaps to look at, at most.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Rows of the selected models, in canonical order (see Notes).
    selected_models_ : ndarray of shape (n_selected,)
        Their names: index labels of a DataFrame, row numbers otherwise.
    labels_ : ndarray of shape (n_models,)
        The nearest selected model of each row, as an index into
        ``selected_models_``; on a tie the first.
    coverage_ : float
        Sum over the pool of the best similarity to a selected model (eq. 12),
        between 0 and n_models.
    min_coverage_ : float
        Best similarity of the model that is covered worst (eq. 8).
    coverage_path_ : ndarray
        Coverage of the k-center solution and after each swap.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Length of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Columns of the DataFrame, where they are strings.
    n_iter_ : int
        Number of times that all swaps were looked at.

    See Also
    --------
    KCenterPortfolio : Covers the worst covered model.
    BudgetPortfolio : Covers the pool on average, within a budget.

    Notes
    -----
    The similarity is K(i, s) = exp(-distance(i, s)^2 / bandwidth^2) (eq. 7). The order
    of the rows never matters: models are put in canonical order, that of the names;
    without names that of the vectors, first coordinate first (distances: each model's
    sorted distances). Of models that would do equally well, the first in that order is
    taken.

    In a pool whose similarities exceed ``memory_limit``, swaps are looked for in a
    sample: a fixed random choice of as many models as the limit allows, 5,000 at
    most, and the k-center solution. A swap is made only if it also adds to the
    coverage of the full pool, which is what all attributes report; one that does not
    is not made, nor any other with the same newcomer. The result is a local optimum
    for newcomers from the sample, and never worse than the k-center solution.

    Examples
    --------
    >>> import pandas as pd
    >>> from skl_locus import KMedoidsPortfolio
    >>> Z = pd.DataFrame([[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]], list("abcdef"))
    >>> portfolio = KMedoidsPortfolio(n_models=2, metric="euclidean").fit(Z)
    >>> portfolio.selected_models_
    array(['b', 'e'], dtype=object)
    >>> portfolio.labels_
    array([0, 0, 0, 1, 1, 1])
    """

    _parameter_constraints: dict = {
        "n_models": [Interval(Integral, 1, None, closed="left")],
        **COMMON_CONSTRAINTS,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_models: int = 10,
        *,
        metric: str = "cosine",
        bandwidth: str | float = "median",
        must_include: Collection = (),
        exclude: Collection = (),
        memory_limit: float = MEMORY_LIMIT,
        max_iter: int = 300,
    ) -> None:
        self.n_models = n_models
        self.metric = metric
        self.bandwidth = bandwidth
        self.must_include = must_include
        self.exclude = exclude
        self.memory_limit = memory_limit
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the models.

        Parameters
        ----------
        X : DataFrame or array of shape (n_models, n_features)
            One embedding per model, or the distances between all models.
        y : ignored
            For scikit-learn's conventions.

        Returns
        -------
        KMedoidsPortfolio
            Itself.

        Raises
        ------
        ValueError
            If the table or a parameter cannot be used; the portfolio stays as it was.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` is reached before a local optimum.
        """
        return self._fit(X)

    def _select(self, pool: Candidates) -> tuple[np.ndarray, np.ndarray]:
        start = np.sort(k_center(pool, self.n_models))
        members = np.union1d(_searched(pool), start)
        result = improve_by_swaps(
            matrix=pool.similarities(members),
            chosen=np.searchsorted(members, start),
            fixed=np.searchsorted(members, pool.required),
            allowed=pool.allowed[members],
            value_of=lambda some: coverage(pool.space, pool.bandwidth, members[some]),
            max_iter=self.max_iter,
        )
        if not result.converged:
            warnings.warn(
                f"KMedoidsPortfolio looked at max_iter={self.max_iter} swaps and may "
                "not have reached a local optimum; increase max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )
        self.n_iter_ = result.n_iter
        return members[result.chosen], result.values


def _searched(pool: Candidates) -> np.ndarray:
    """Return the models among which swaps are looked for."""
    if pool.fits_in_memory:
        return np.arange(len(pool))
    storable = isqrt(int(pool.memory_limit * MEBIBYTE) // np.dtype(np.float64).itemsize)
    return fixed_sample(len(pool), min(storable, SAMPLE_MODELS))
