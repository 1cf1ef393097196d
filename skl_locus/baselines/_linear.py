"""The router by one penalised regression for each model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.cross_validation import TUNE_FOR
from skl_locus._estimation.linear_models import (
    PooledRegression,
    choose_alpha,
    fit_each,
    learn_regression,
    refit_some,
    stack,
)
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._estimation.shared_basis import shared_basis
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool


@dataclass(frozen=True)
class RegressionPool(ModelPool):
    """Linear predictors of the models and the regression that fitted them."""

    regression: PooledRegression
    predictors: LinearPredictors

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct) of the models' linear predictors."""
        return self.regression.probabilities(self.predictors.take(columns), encodings)


class LinearRouter(RouterMixin[RegressionPool]):
    """Predict each model by a penalised regression on the query encoding.

    Each model has its own logistic (or ridge) regression of its scores on the encodings
    of the queries on which it was evaluated.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        L2 penalty, the same for all models. "auto" chooses it by cross-validation.
    loss : {"log_loss", "squared_error"}, default="log_loss"
        "log_loss" is logistic regression; "squared_error" is ridge regression with
        P(correct) clipped to [0, 1].
    pooling : {"mean", "none"}, default="mean"
        Target to which the coefficients are shrunk. "mean": the coefficients of the
        pool's average model, which has on each query the mean score of the models
        evaluated on it. "none": zero.
    tune_for : {"log_loss", "routing_accuracy"}, default="log_loss"
        Criterion by which "auto" chooses.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.

    Attributes
    ----------
    alpha_ : float
        Penalty used.
    coef_ : ndarray of shape (n_models, n_features)
        Coefficients, in the order of ``models_``.
    intercept_ : ndarray of shape (n_models,)
        Intercepts, in the order of ``models_``.
    models_ : ndarray of shape (n_models,), object
        Labels of the models: sorted at `fit`, additions appended.
    classes_ : ndarray of shape (2,)
        [0, 1] for wrong and correct; the labels in ``y`` if ``X`` is an array.
    n_features_in_ : int
        Length of a query encoding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns. Defined only if the queries are given as
        columns.
    query_encoder_ : QueryEncoder or None
        Fitted encoder of text queries.

    See Also
    --------
    KMeansRouter : Means within clusters of queries.
    KNNRouter : Means over the nearest queries.

    Notes
    -----
    With l(x) = w.x + b and p = 1 / (1 + exp(-l)), a model's w and b minimise
    ``sum(-y log p - (1 - y) log(1 - p)) + alpha / 2 |w - c|^2``, or
    ``sum((y - l)^2) + alpha |w - c|^2``, over its evaluations. Here c is the w of the
    average model, fitted with the same alpha, or zero with ``pooling="none"``. Scores y
    between 0 and 1 are soft targets, and b is not penalised. The loss is a sum: the
    fewer the evaluations, the closer w is to c. If all scores of a model are 0, or all
    are 1, then w = c, and P at the model's mean encoding is its mean score, shrunk to
    that of `fit` by a weight of two evaluations.

    `add_models` fits a model's own w and b, with the alpha and c of `fit`. They do not
    depend on the models that are added together with it.

    With ``loss="squared_error"`` and ``pooling="none"`` this is the space of prompts of
    Kashani, Mendelson and Nemcovsky (arXiv 2509.22506): with A the encodings of the
    training queries and s the scores of a model, both less their means, the vector of
    the model is w = A^+ s, by one regularised pseudoinverse ``A^+ = (A'A + alpha I)^-1
    A'`` for all models that saw the same queries, and its score on a query is predicted
    by the product of w and the encoding. A new model takes one product of a matrix and
    a vector. The paper leaves the regulariser and the coding of s open; other codings
    by two numbers give the same predictions.

    "auto" cross-validates within `fit` over five folds of the queries. It tries 300,
    100, 30, 10, 3, 1 and 0.3 times the mean squared distance of the encodings from
    their mean, so the scale of the encodings has no influence. Of equally good values,
    the largest is chosen.

    Examples
    --------
    >>> from skl_locus import LinearRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = LinearRouter().fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "loss": [StrOptions({"log_loss", "squared_error"})],
        "pooling": [StrOptions({"none", "mean"})],
        "tune_for": TUNE_FOR,
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        *,
        alpha: float | str = "auto",
        loss: str = "log_loss",
        pooling: str = "mean",
        tune_for: str = "log_loss",
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.alpha = alpha
        self.loss = loss
        self.pooling = pooling
        self.tune_for = tune_for
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    @property
    def alpha_(self) -> float:
        """Penalty used."""
        return self._fitted_pool().regression.alpha

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients, in the order of ``models_``."""
        return self._fitted_pool().predictors.coef

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts, in the order of ``models_``."""
        return self._fitted_pool().predictors.intercept

    def _make_pool(self, evaluations: EvaluationSet) -> RegressionPool:
        alpha, models = self.alpha, evaluations.model_names
        with shared_basis(evaluations.queries):
            if alpha == "auto":
                alpha = choose_alpha(
                    evaluations, self.loss, self.pooling, self.tune_for
                )
            regression = learn_regression(
                evaluations, self.loss, self.pooling, float(alpha)
            )
            predictors = fit_each(regression, models, evaluations)
        return RegressionPool(
            models, evaluations, regression, stack(predictors, models)
        )

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> RegressionPool:
        old = self._fitted_pool()
        # All other models keep their coefficients exactly.
        predictors = refit_some(
            old.regression, old.predictors, old.models, models, evaluations, changed
        )
        return RegressionPool(models, evaluations, old.regression, predictors)
