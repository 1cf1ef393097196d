"""The router to the model with the best mean score."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import Tags

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.clusters import shrunk_model_means
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool


@dataclass(frozen=True)
class MeanPool(ModelPool):
    """Mean scores, shrunk to the mean of the pool."""

    prior: float
    means: np.ndarray

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means, the same for every query."""
        return np.tile(self.means[columns], (len(encodings), 1))


class BestSingleRouter(RouterMixin[MeanPool]):
    """Send every query to the model with the best mean score.

    P(correct) is the model's mean over its evaluations, whatever the query, shrunk to
    the mean of the pool by a weight of two evaluations. Every other router is measured
    against this one.

    Parameters
    ----------
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
    skl_locus.metrics.best_single_score : Score of the best single model.

    Examples
    --------
    >>> from skl_locus import BestSingleRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = BestSingleRouter().fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = COLUMN_CONSTRAINTS

    def __init__(
        self,
        *,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    def __sklearn_tags__(self) -> Tags:
        """Declare that scores are poor, since predictions ignore the query."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _make_pool(self, evaluations: EvaluationSet) -> MeanPool:
        prior = float(evaluations.scores.mean(dtype=np.float64))
        return _mean_pool(evaluations.model_names, evaluations, prior)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> MeanPool:
        # With the prior of `fit`, the means of other models stay exactly the same.
        return _mean_pool(models, evaluations, self._fitted_pool().prior)


def _mean_pool(
    models: np.ndarray, evaluations: EvaluationSet, prior: float
) -> MeanPool:
    order = evaluations.index_of(models)
    means = shrunk_model_means(evaluations, prior)[order]
    return MeanPool(models, evaluations, prior, means.astype(np.float32))
