"""The router by each model's mean score on the most similar queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._estimation.cross_validation import TUNE_FOR, choose_setting
from skl_locus._routing.base import RouterMixin
from skl_locus._routing.pool import ModelPool
from skl_locus.baselines._knn_averages import Neighborhood, StoredScores

N_NEIGHBORS = (200, 140, 100, 70, 50, 35, 25, 18, 12, 8, 5, 3)
"""Candidates of ``n_neighbors="auto"``, the smoothest first."""

TEMPERATURES = (0.4, 0.2, 0.1, 0.05)
"""Candidates of ``temperature="auto"``, the smoothest first."""

SHRINKAGES = (30.0, 10.0, 3.0, 0.0)
"""Candidates of ``shrinkage="auto"``, the smoothest first."""


@dataclass(frozen=True)
class NeighborPool(ModelPool):
    """Stored evaluations and the weights of their averages."""

    prior: float
    neighborhood: Neighborhood
    stored: StoredScores

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the models' means on each query's neighbours."""
        return self.stored.averages(encodings, [self.neighborhood], columns)[0]


class KNNRouter(RouterMixin[NeighborPool]):
    """Predict each model by its mean score on the most similar queries.

    Similarity is the cosine of the encodings. The neighbours of a query are found for
    each model among the queries on which that model was evaluated.

    Parameters
    ----------
    n_neighbors : int or "auto", default=25
        Number of neighbours; a model with fewer queries uses all of them. "auto"
        chooses it by cross-validation.
    weights : {"uniform", "distance", "softmax"}, default="uniform"
        Weight w of a neighbour with cosine c. "uniform": w = 1. "distance":
        w = 1 / (1 - c), and if some neighbours have exactly the direction of the
        query, only these count. "softmax": w = exp(c / temperature).
    temperature : float or "auto", default=0.2
        Width of the softmax; not used with other weights. "auto" chooses it by
        cross-validation.
    shrinkage : float or "auto", default=0.0
        Weight of the model's mean, as a number of evaluations. "auto" chooses it by
        cross-validation.
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
    n_neighbors_ : int
        Number of neighbours used.
    temperature_ : float
        Width of the softmax used.
    shrinkage_ : float
        Shrinkage used.
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
    LinearRouter : A regression for each model.

    Notes
    -----
    Let w_i and y_i be the weights and scores of the neighbours, n = (sum w)^2 / sum w^2
    their effective number (Kish), mu the model's mean (shrunk to the mean of all
    evaluations of `fit` by a weight of two evaluations), and s the shrinkage. Then::

        P = (n * sum(w_i y_i) / sum(w_i) + s * mu) / (n + s)

    "auto" cross-validates within `fit` over five folds of the queries; it uses no
    scores but those given to `fit`. It tries every combination of the open values: for
    ``n_neighbors`` 3 to 200 in 12 steps, for ``temperature`` 0.4, 0.2, 0.1 and 0.05,
    for ``shrinkage`` 30, 10, 3 and 0. Of equally good values, the smoothest is chosen;
    `add_models` keeps it.

    Examples
    --------
    >>> from skl_locus import KNNRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = KNNRouter(n_neighbors=10).fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "n_neighbors": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "weights": [StrOptions({"uniform", "distance", "softmax"})],
        "temperature": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
        ],
        "shrinkage": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "tune_for": TUNE_FOR,
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        n_neighbors: int | str = 25,
        *,
        weights: str = "uniform",
        temperature: float | str = 0.2,
        shrinkage: float | str = 0.0,
        tune_for: str = "log_loss",
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.temperature = temperature
        self.shrinkage = shrinkage
        self.tune_for = tune_for
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    @property
    def n_neighbors_(self) -> int:
        """Number of neighbours used."""
        return self._fitted_pool().neighborhood.n_neighbors

    @property
    def temperature_(self) -> float:
        """Width of the softmax used."""
        return self._fitted_pool().neighborhood.temperature

    @property
    def shrinkage_(self) -> float:
        """Shrinkage used."""
        return self._fitted_pool().neighborhood.shrinkage

    def _make_pool(self, evaluations: EvaluationSet) -> NeighborPool:
        prior = float(evaluations.scores.mean(dtype=np.float64))
        neighborhood = choose_setting(
            self._neighborhoods(), evaluations, _held_out_averages, self.tune_for
        )
        models = evaluations.model_names
        stored = StoredScores.from_evaluations(models, evaluations, prior)
        return NeighborPool(models, evaluations, prior, neighborhood, stored)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> NeighborPool:
        old = self._fitted_pool()
        stored = StoredScores.from_evaluations(models, evaluations, old.prior)
        return NeighborPool(models, evaluations, old.prior, old.neighborhood, stored)

    def _neighborhoods(self) -> list[Neighborhood]:
        """List the candidate settings, the smoothest first."""
        # Other weights ignore the temperature: candidates of it would be equal.
        softmax = self.weights == "softmax"
        temperatures = _choices(self.temperature, TEMPERATURES)
        return [
            Neighborhood(k, self.weights, temperature, shrinkage)
            for shrinkage, temperature, k in product(
                _choices(self.shrinkage, SHRINKAGES),
                temperatures if softmax else temperatures[:1],
                _choices(self.n_neighbors, N_NEIGHBORS),
            )
        ]


def _choices(value: Any, grid: Sequence) -> Sequence:
    return grid if value == "auto" else (value,)


def _held_out_averages(
    training: EvaluationSet, encodings: np.ndarray, settings: Sequence[Neighborhood]
) -> list[np.ndarray]:
    prior = float(training.scores.mean(dtype=np.float64))
    stored = StoredScores.from_evaluations(training.model_names, training, prior)
    return stored.averages(encodings, settings)
