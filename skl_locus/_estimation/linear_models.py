"""Penalised regressions of models' scores on the query encoding, pooled or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from skl_locus._data.evaluations import EvaluationSet, positions_of
from skl_locus._data.queries import QuerySet
from skl_locus._data.query_groups import QueryGroup, group_by_queries
from skl_locus._estimation.clusters import MEAN_SHRINKAGE
from skl_locus._estimation.cross_validation import choose_setting
from skl_locus._estimation.linear_few import (
    GramDesign,
    ScalarProducts,
    fit_logistic_few,
)
from skl_locus._estimation.linear_solvers import (
    TOLERANCE,
    LinearPredictors,
    RotatedDesign,
    fit_logistic,
    fit_ridge,
)
from skl_locus._estimation.shared_basis import (
    design_of,
    is_of_few,
    shared_basis,
    shared_products,
)
from skl_locus._utils.blas_threads import map_tasks

Design = RotatedDesign | GramDesign

ALPHAS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""What ``alpha="auto"`` chooses from, the smoothest first, times the mean squared
distance of the encodings from their mean."""

COMMON_ALPHAS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""The same for the average model alone, whose scores are less noisy."""

CHOICE_TOLERANCE = 1e-4
"""How exactly the regressions are fitted that a penalty is chosen by: their log loss is
then known a hundred times as well as candidates differ in it."""

DESIGNS_OF_TASK = 16
"""Small designs that a thread fits before it asks for more: some 20 ms of work."""

PROBABILITY_CLIP_FLOAT32 = float(np.finfo(np.float32).eps)
"""Means of models without variation are kept this far from 0 and 1 before their logit
is taken: the resolution of float32 near 1."""


@dataclass(frozen=True)
class PooledRegression:
    """A family of regressions of models' scores on encodings, shrunk to one of them.

    Parameters
    ----------
    loss : {"log_loss", "squared_error"}
        Loss of an evaluation.
    alpha : float
        Penalty on departures from the coefficients of ``common``.
    prior : float
        Mean score, to which the means of models without variation are shrunk.
    common : LinearPredictors of one model
        What coefficients are shrunk to: those of the average model, or zero.
    """

    loss: str
    alpha: float
    prior: float
    common: LinearPredictors

    def probabilities(
        self, lines: LinearPredictors, encodings: np.ndarray
    ) -> np.ndarray:
        """Predict P(correct), (n_queries, n_models), float32."""
        values = lines.values(encodings)
        P = expit(values) if self.loss == "log_loss" else values.clip(0, 1)
        return P.astype(np.float32)

    def fit(
        self, design: Design, scores: np.ndarray, tolerance: float = TOLERANCE
    ) -> LinearPredictors:
        """Fit one line per model to scores of shape (n_queries, n_models)."""
        y, offsets = scores.astype(np.float64), design.values(self.common)
        sums = y.sum(axis=0)
        varied = (sums > 0) & (sums < len(y))
        # A model that is always right has no finite logit of its own: it takes the
        # common slopes and, at its mean encoding, its shrunk mean.
        levels = self._level(sums, len(y)) - offsets.mean(axis=0)
        slopes = np.zeros((design.n_slopes, len(sums)))
        if varied.any():
            slopes[:, varied], levels[varied] = self._solve(
                design, y[:, varied], offsets, tolerance
            )
        # What was fitted are departures from the common predictor.
        return design.lines(slopes, levels).plus(self.common)

    def _solve(
        self,
        design: Design,
        scores: np.ndarray,
        offsets: np.ndarray,
        tolerance: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.loss == "squared_error":
            assert isinstance(design, RotatedDesign)
            return fit_ridge(design, scores - offsets, self.alpha)
        if isinstance(design, GramDesign):
            return fit_logistic_few(design, scores, self.alpha, offsets, tolerance)
        return fit_logistic(design, scores, self.alpha, offsets, tolerance)

    def _level(self, sums: np.ndarray, n_evaluations: int) -> np.ndarray:
        """Turn sums of scores into shrunk means, on the scale of the lines."""
        shrunk = sums + MEAN_SHRINKAGE * self.prior
        means = shrunk / (n_evaluations + MEAN_SHRINKAGE)
        if self.loss == "squared_error":
            return means
        return logit(means.clip(PROBABILITY_CLIP_FLOAT32, 1 - PROBABILITY_CLIP_FLOAT32))


def choose_common_alpha(evaluations: EvaluationSet, loss: str, tune_for: str) -> float:
    """Choose the penalty of the average model's regression alone.

    It is learned from the scores of all models, and bears a smaller penalty than what
    single models depart from it. Parameters are those of `choose_alpha`.
    """

    def held_out(
        training: EvaluationSet, encodings: np.ndarray, alphas: Sequence[float]
    ) -> Iterator[np.ndarray]:
        shape = len(encodings), training.n_models
        for regression in _regressions(training, loss, "mean", alphas):
            P = regression.probabilities(regression.common, encodings)
            yield np.broadcast_to(P, shape)

    alphas = _scaled(COMMON_ALPHAS, evaluations)
    with shared_basis(evaluations.queries):
        return choose_setting(alphas, evaluations, held_out, tune_for)


def choose_alpha(
    evaluations: EvaluationSet,
    loss: str,
    pooling: str,
    tune_for: str,
    common_alpha: float | None = None,
) -> float:
    """Choose the penalty by query-wise cross-validation.

    Parameters
    ----------
    evaluations : EvaluationSet
        What there is to learn from.
    loss : {"log_loss", "squared_error"}
        Loss of an evaluation.
    pooling : {"mean", "none"}
        What coefficients are shrunk to: those of the average model, or zero.
    tune_for : {"log_loss", "routing_accuracy"}
        What to choose for.
    common_alpha : float or None
        Penalty of the average model's coefficients; None takes the same as for
        departures from them.

    Returns
    -------
    float
        The penalty.
    """

    def held_out(
        training: EvaluationSet, encodings: np.ndarray, alphas: Sequence[float]
    ) -> Iterator[np.ndarray]:
        # Models that were asked the same queries share the costly rotation, and all
        # candidates share it too.
        groups = group_by_queries(training.model_names, training)
        designs = [_design(group, training, loss) for group in groups]
        P = np.empty((len(encodings), training.n_models), dtype=np.float32)
        for regression in _regressions(training, loss, pooling, alphas, common_alpha):
            for group, design in zip(groups, designs, strict=True):
                lines = regression.fit(design, group.scores, CHOICE_TOLERANCE)
                P[:, group.columns] = regression.probabilities(lines, encodings)
            yield P

    alphas = _scaled(ALPHAS, evaluations)
    with shared_basis(evaluations.queries):
        return choose_setting(alphas, evaluations, held_out, tune_for)


def _scaled(alphas: Sequence[float], evaluations: EvaluationSet) -> list[float]:
    """Scale penalties: what suits encodings grows with their squared length."""
    vectors = evaluations.queries.vectors().astype(np.float64)
    spread = float(vectors.var(axis=0).sum()) or 1.0
    return [alpha * spread for alpha in alphas]


def learn_regression(
    evaluations: EvaluationSet,
    loss: str,
    pooling: str,
    alpha: float,
    common_alpha: float | None = None,
) -> PooledRegression:
    """Learn what all models' regressions have in common."""
    (regression,) = _regressions(evaluations, loss, pooling, [alpha], common_alpha)
    return regression


def _regressions(
    evaluations: EvaluationSet,
    loss: str,
    pooling: str,
    alphas: Sequence[float],
    common_alpha: float | None = None,
) -> Iterator[PooledRegression]:
    prior = float(evaluations.scores.mean(dtype=np.float64))
    nothing = LinearPredictors(
        np.zeros((1, evaluations.queries.n_features)), np.zeros(1)
    )
    if pooling == "mean":
        queries = evaluations.queries
        design = _design_of(queries, queries.rows, 1, loss)
        scores = _query_means(evaluations)[:, None]
    common = nothing
    for place, alpha in enumerate(alphas):
        if pooling == "mean" and (common_alpha is None or place == 0):
            # The average model is itself shrunk to zero.
            own = alpha if common_alpha is None else common_alpha
            common = PooledRegression(loss, own, prior, nothing).fit(design, scores)
        yield PooledRegression(loss, alpha, prior, common)


def refit_some(
    regression: PooledRegression,
    lines: LinearPredictors,
    known: np.ndarray,
    models: np.ndarray,
    evaluations: EvaluationSet,
    changed: Collection,
) -> LinearPredictors:
    """Fit the lines of models that have changed and keep all others to the bit.

    Parameters
    ----------
    regression : PooledRegression
        How to fit.
    lines : LinearPredictors
        Those of the ``known`` models, in their order.
    known, models : ndarray of labels
        Models before and after.
    evaluations : EvaluationSet
        Evaluations of all models.
    changed : collection of labels
        New models and those with other evaluations.

    Returns
    -------
    LinearPredictors
        In the order of ``models``.
    """
    coef = np.empty((len(models), lines.coef.shape[1]))
    intercept = np.empty(len(models))
    # Rows are copied in one go: a pool may have ten thousand models.
    places = positions_of(list(models), known)
    kept = np.flatnonzero(places >= 0)
    coef[kept], intercept[kept] = (
        lines.coef[places[kept]],
        lines.intercept[places[kept]],
    )
    names = list(changed)
    rows = positions_of(names, models)
    for columns, fitted in _fit_groups(regression, names, evaluations):
        coef[rows[columns]], intercept[rows[columns]] = fitted.coef, fitted.intercept
    return LinearPredictors(coef, intercept)


def fit_each(
    regression: PooledRegression, models: Iterable, evaluations: EvaluationSet
) -> dict[Any, LinearPredictors]:
    """Fit models, those of the same queries together.

    Company changes a model's coefficients by rounding alone.
    """
    names = list(models)
    return {
        names[column]: fitted.take(np.array([i]))
        for columns, fitted in _fit_groups(regression, names, evaluations)
        for i, column in enumerate(columns)
    }


def _fit_groups(
    regression: PooledRegression, names: list, evaluations: EvaluationSet
) -> Iterator[tuple[np.ndarray, LinearPredictors]]:
    """Yield the lines of models of the same queries, and where they are in ``names``.

    Designs are made as they are fitted, so that memory does not grow with their number.
    """
    groups = group_by_queries(names, evaluations)
    # Thousands of models with queries of their own share most of these, pair by pair.
    products = shared_products(
        evaluations.queries, ((group.rows, len(group.columns)) for group in groups)
    )

    def fit(group: QueryGroup) -> tuple[np.ndarray, LinearPredictors]:
        design = _design(group, evaluations, regression.loss, products)
        return group.columns, regression.fit(design, group.scores)

    def fit_some(some: Sequence[QueryGroup]) -> list:
        return [fit(group) for group in some]

    # A large design is divided by BLAS. Of small ones each thread takes some: a step of
    # one is over before the threads of BLAS have met.
    small = [group for group in groups if _is_small(group, evaluations)]
    yield from (fit(group) for group in groups if not _is_small(group, evaluations))
    starts = range(0, len(small), DESIGNS_OF_TASK)
    tasks = [small[start : start + DESIGNS_OF_TASK] for start in starts]
    for fitted in map_tasks(fit_some, tasks):
        yield from fitted


def _is_small(group: QueryGroup, evaluations: EvaluationSet) -> bool:
    return is_of_few(group.rows, len(group.columns), evaluations.queries)


def _design(
    group: QueryGroup,
    evaluations: EvaluationSet,
    loss: str,
    products: ScalarProducts | None = None,
) -> Design:
    n_models = len(group.columns)
    return _design_of(evaluations.queries, group.rows, n_models, loss, products)


def _design_of(
    queries: QuerySet,
    rows: np.ndarray,
    n_models: int,
    loss: str,
    products: ScalarProducts | None = None,
) -> Design:
    # The solution for squared errors needs axes in which the very evaluations are
    # uncorrelated; logistic regressions take those of all queries as well.
    if loss == "squared_error":
        return RotatedDesign.of(queries.encodings[rows])
    return design_of(queries, rows, n_models, products)


def stack(lines: dict[Any, LinearPredictors], models: np.ndarray) -> LinearPredictors:
    """Put the lines of models in an order."""
    return LinearPredictors(
        np.vstack([lines[name].coef for name in models]),
        np.hstack([lines[name].intercept for name in models]),
    )


def _query_means(evaluations: EvaluationSet) -> np.ndarray:
    """Average the scores of each query: (n_queries,)."""
    codes = evaluations.query_codes
    sums = np.bincount(codes, evaluations.scores.astype(np.float64))
    return sums / np.bincount(codes)
