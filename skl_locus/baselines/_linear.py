"""One penalised regression on the query encoding for each model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._clusters import PRIOR_EVALUATIONS
from skl_locus._evaluations import EvaluationSet
from skl_locus._pool import Pool
from skl_locus._reading import COLUMN_CONSTRAINTS
from skl_locus._routing import RouterMixin
from skl_locus.baselines._regression import Design, Lines, fit_logistic, fit_ridge
from skl_locus.baselines._shared_queries import Evaluated, group_by_queries
from skl_locus.baselines._tuning import TUNE_FOR, choose_setting

ALPHAS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""What ``alpha="auto"`` chooses from, the smoothest first, times the mean squared
distance of the encodings from their mean."""

CERTAIN = float(np.finfo(np.float32).eps)
"""Means of models without variation are kept this far from 0 and 1."""


@dataclass(frozen=True)
class Regression:
    """How scores are regressed on encodings.

    Parameters
    ----------
    loss : {"log_loss", "squared_error"}
        Loss of an evaluation.
    alpha : float
        Penalty.
    prior : float
        Mean score, to which the means of models without variation are shrunk.
    common : Lines of one model
        What departures from are penalised.
    """

    loss: str
    alpha: float
    prior: float
    common: Lines

    def probabilities(self, lines: Lines, encodings: np.ndarray) -> np.ndarray:
        """Predict P(correct), (n_queries, n_models), float32."""
        values = lines.values(encodings)
        P = expit(values) if self.loss == "log_loss" else values.clip(0, 1)
        return P.astype(np.float32)

    def fit(self, design: Design, scores: np.ndarray) -> Lines:
        """Fit one line per model to scores of shape (n_queries, n_models)."""
        y, offsets = scores.astype(np.float64), design.values(self.common)
        sums = y.sum(axis=0)
        varied = (sums > 0) & (sums < len(y))
        # A model that is always right has no finite logit of its own.
        levels = self._level(sums, len(y)) - offsets.mean(axis=0)
        slopes = np.zeros((len(design.widths), len(sums)))
        if varied.any():
            slopes[:, varied], levels[varied] = self._solve(
                design, y[:, varied], offsets
            )
        lines = design.lines(slopes, levels)
        return lines.plus(self.common)

    def _solve(
        self, design: Design, scores: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.loss == "squared_error":
            return fit_ridge(design, scores - offsets, self.alpha)
        return fit_logistic(design, scores, self.alpha, offsets)

    def _level(self, sums: np.ndarray, n_evaluations: int) -> np.ndarray:
        """Turn sums of scores into shrunk means, on the scale of the lines."""
        shrunk = sums + PRIOR_EVALUATIONS * self.prior
        means = shrunk / (n_evaluations + PRIOR_EVALUATIONS)
        if self.loss == "squared_error":
            return means
        return logit(means.clip(CERTAIN, 1 - CERTAIN))


@dataclass(frozen=True)
class LinePool(Pool):
    """Models' lines and how they were fitted."""

    regression: Regression
    lines: Lines

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the probabilities on the models' lines."""
        some = Lines(self.lines.coef[columns], self.lines.intercept[columns])
        return self.regression.probabilities(some, encodings)


class LinearRouter(RouterMixin):
    """Predict each model by a penalised regression on the query encoding.

    One logistic regression (or ridge regression) per model, of its scores on the
    encodings of the queries that it was evaluated on.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        L2 penalty, the same for all models. "auto" chooses one by cross-validation.
    loss : {"log_loss", "squared_error"}, default="log_loss"
        Logistic regression, or ridge regression with P(correct) clipped to [0, 1].
    pooling : {"mean", "none"}, default="mean"
        What coefficients are pulled to: those of the pool's average model, whose
        score on a query is the mean over the models evaluated on it, or zero.
    tune_for : {"log_loss", "routing_accuracy"}, default="log_loss"
        What "auto" chooses for.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        How text becomes vectors; None takes queries that are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Columns of the model, the query and (optional) its identity.
    encoding_cols : list of str, default=None
        Columns of the query encoding where there is no query column.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        How repeated rows of a (model, query) pair are combined.

    Attributes
    ----------
    alpha_ : float
        Penalty used.
    coef_ : ndarray of shape (n_models, n_features)
        Coefficients, in the order of ``models_``.
    intercept_ : ndarray of shape (n_models,)
        Intercepts.
    models_ : ndarray of shape (n_models,), object
        Labels: sorted at fit, additions appended.
    classes_ : ndarray of shape (2,)
        [0, 1]: wrong, correct.
    n_features_in_ : int
        Length of a query encoding.
    query_encoder_ : QueryEncoder or None
        The fitted encoder of texts.

    Notes
    -----
    With l(x) = w.x + b and p = 1 / (1 + exp(-l)), a model's w and b minimise over its
    evaluations ``sum(-y log p - (1 - y) log(1 - p)) + alpha / 2 |w - c|^2``, or
    ``sum((y - l)^2) + alpha |w - c|^2``. Here c is the w of the average model, fitted
    with the same alpha, or zero with ``pooling="none"``. Scores y between 0 and 1
    count as they are, and b is not penalised. The loss is a sum: the fewer the
    evaluations, the closer w is to c. A model with scores all 0 or all 1 gets w = c
    and, at its mean encoding, its mean shrunk to that of `fit` as if by two
    evaluations.

    `add_models` fits a model's own w and b, with the alpha and c of `fit`: they are
    the same whichever models are added with it.

    "auto" cross-validates within `fit` over five folds of its queries. It takes
    300, 100, 30, 10, 3, 1 and 0.3 times the mean squared distance of the encodings
    from their mean, so that their scale does not matter. Of equally good values the
    largest is chosen.

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
        return self._line_pool().regression.alpha

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients, in the order of ``models_``."""
        return self._line_pool().lines.coef

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts, in the order of ``models_``."""
        return self._line_pool().lines.intercept

    def _make_pool(self, evaluations: EvaluationSet) -> LinePool:
        alpha = choose_setting(
            self._alphas(evaluations), evaluations, self._held_out, self.tune_for
        )
        (regression,) = self._regressions(evaluations, [alpha])
        models = evaluations.model_names
        lines = _fit_each(regression, models, evaluations)
        return LinePool(models, evaluations, regression, _stack(lines, models))

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> LinePool:
        old = self._line_pool()
        kept = zip(old.models, old.lines.coef, old.lines.intercept, strict=True)
        lines = {name: Lines(coef, intercept) for name, coef, intercept in kept}
        lines |= _fit_each(old.regression, changed, evaluations)
        return LinePool(models, evaluations, old.regression, _stack(lines, models))

    def _alphas(self, evaluations: EvaluationSet) -> list[float]:
        if self.alpha != "auto":
            return [float(self.alpha)]
        vectors = evaluations.queries.vectors().astype(np.float64)
        spread = float(vectors.var(axis=0).sum())
        return [alpha * (spread or 1.0) for alpha in ALPHAS]

    def _held_out(
        self, training: EvaluationSet, encodings: np.ndarray, alphas: Sequence[float]
    ) -> Iterator[np.ndarray]:
        groups = group_by_queries(training.model_names, training)
        designs = [_design(group, training) for group in groups]
        P = np.empty((len(encodings), training.n_models), dtype=np.float32)
        for regression in self._regressions(training, alphas):
            for group, design in zip(groups, designs, strict=True):
                lines = regression.fit(design, group.scores)
                P[:, group.columns] = regression.probabilities(lines, encodings)
            yield P

    def _regressions(
        self, evaluations: EvaluationSet, alphas: Sequence[float]
    ) -> Iterator[Regression]:
        prior = float(evaluations.scores.mean(dtype=np.float64))
        nothing = Lines(np.zeros((1, evaluations.queries.n_features)), np.zeros(1))
        if self.pooling == "mean":
            design = Design.of(evaluations.queries.vectors())
            scores = _query_means(evaluations)[:, None]
        for alpha in alphas:
            regression = Regression(self.loss, alpha, prior, nothing)
            if self.pooling == "mean":
                common = regression.fit(design, scores)
                regression = Regression(self.loss, alpha, prior, common)
            yield regression

    def _line_pool(self) -> LinePool:
        pool = self._fitted_pool()
        assert isinstance(pool, LinePool)
        return pool


def _fit_each(
    regression: Regression, models: Iterable, evaluations: EvaluationSet
) -> dict[Any, Lines]:
    """Fit models one by one, so that no bit depends on their company."""
    names = list(models)
    lines = {}
    for group in group_by_queries(names, evaluations):
        design = _design(group, evaluations)
        for i, column in enumerate(group.columns):
            lines[names[column]] = regression.fit(design, group.scores[:, [i]])
    return lines


def _design(group: Evaluated, evaluations: EvaluationSet) -> Design:
    return Design.of(evaluations.queries.encodings[group.rows])


def _stack(lines: dict[Any, Lines], models: np.ndarray) -> Lines:
    return Lines(
        np.vstack([lines[name].coef for name in models]),
        np.hstack([lines[name].intercept for name in models]),
    )


def _query_means(evaluations: EvaluationSet) -> np.ndarray:
    """Average the scores of each query: (n_queries,)."""
    codes = evaluations.query_codes
    sums = np.bincount(codes, evaluations.scores.astype(np.float64))
    return sums / np.bincount(codes)
