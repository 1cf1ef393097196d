"""The portfolio for the best average coverage."""

from __future__ import annotations

from collections.abc import Collection
from math import isqrt
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from skl_locus._utils.user_warnings import warn_user
from skl_locus.portfolio._base import COMMON_CONSTRAINTS, MEMORY_LIMIT, BasePortfolio
from skl_locus.portfolio._candidates import Candidates
from skl_locus.portfolio._k_center import k_center
from skl_locus.portfolio._kernel import MEBIBYTE
from skl_locus.portfolio._selection import coverage, improve_by_swaps
from skl_locus.portfolio._space import fixed_sample

SAMPLE_MODELS = 5000
"""Sample size of the search for swaps in a pool too large for memory."""


class KMedoidsPortfolio(ClusterMixin, BasePortfolio):
    """Choose models that cover the pool best on average.

    The search starts from the k-center solution. Each step makes the swap of a selected
    model for another one that increases J(S) = sum_i max_{s in S} K(i, s) most, as long
    as some swap increases it (eqs. 9, 12, 13). At the end, no single swap improves J.

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
        (8 bytes per pair: 1024 MiB are enough for 11,585 models). For larger
        pools, see Notes.
    max_iter : int, default=300
        Maximum number of searches through all swaps.

    Attributes
    ----------
    selected_indices_ : ndarray of shape (n_selected,)
        Row numbers of the selected models, in canonical order (see Notes).
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
        Coverage of the k-center solution and after each swap.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Length of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of a DataFrame, if they are strings.
    n_iter_ : int
        Number of searches through all swaps.

    See Also
    --------
    KCenterPortfolio : Coverage of the worst covered model.
    BudgetPortfolio : Coverage of the pool on average, within a budget.

    Notes
    -----
    The similarity is K(i, s) = exp(-distance(i, s)^2 / bandwidth^2) (eq. 7).

    The result does not depend on the order of the rows, since models are first put in
    canonical order: by name; without names by vector, first coordinate first (with
    precomputed distances, by the model's sorted distances). Of equally good models,
    the first in this order is chosen.

    The k-center solution of more than 50,000 models begins with the best one of 1,000
    candidates, see `KCenterPortfolio`.

    In a pool whose similarities exceed ``memory_limit``, swaps are searched in a
    sample: the k-center solution and a fixed random choice of as many models as the
    limit allows, at most 5,000. A swap is made only if it also increases the coverage
    of the full pool, which all attributes report. If it does not, no other swap that
    adds the same model is tried. The result is a local optimum with respect to models
    of the sample, and never worse than the k-center solution.

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
        metric: str = "euclidean",
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
            Present for scikit-learn's conventions.

        Returns
        -------
        self
            The fitted portfolio.

        Raises
        ------
        ValueError
            If the table or a parameter cannot be used; the portfolio stays unchanged.

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
            warn_user(
                f"KMedoidsPortfolio looked at max_iter={self.max_iter} swaps and may "
                "not have reached a local optimum; increase max_iter.",
                ConvergenceWarning,
            )
        self.n_iter_ = result.n_iter
        return members[result.chosen], result.values


def _searched(pool: Candidates) -> np.ndarray:
    """Return the models among which swaps are searched."""
    if pool.fits_in_memory:
        return np.arange(len(pool))
    storable = isqrt(int(pool.memory_limit * MEBIBYTE) // np.dtype(np.float64).itemsize)
    return fixed_sample(len(pool), min(storable, SAMPLE_MODELS))
