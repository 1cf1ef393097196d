"""Regressions of lengths and costs on the encodings of queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from scipy.sparse import csc_array, csr_array
from sklearn.base import clone

from skl_locus._data.evaluations import positions_of
from skl_locus._data.reader import RowCodes
from skl_locus._utils.statistics import group_means

PENALTY = 3.0
"""Penalty of the ridge regression, times the mean squared distance of the encodings
from their mean: between 1 and 10 errors are nearly the same on bfcl and routerbench,
and 3 is the best for some hundred queries."""

MEAN_COUNT = 2.0
"""The mean of a model counts as that many neighbours, so that a model none of whose
queries are near is predicted by its mean."""

MIN_QUERIES = 20
"""Queries below which no regressor of the user's is fitted to a model."""

CHUNK = 2_048
"""Queries whose neighbours are searched at a time, so that memory stays flat."""


@dataclass(frozen=True)
class LoggedAmounts:
    """Lengths or costs of (model, query) pairs, sorted by model and then by query.

    Parameters
    ----------
    labels : list
        Sorted labels of the models; each has at least one pair.
    offsets : ndarray of shape (n_models + 1,)
        First pair of each model, and the number of pairs.
    queries : ndarray of shape (n_pairs,)
        Row of ``vectors`` of each pair.
    values : ndarray of shape (n_pairs,), float64
        Mean amount of the rows of each pair.
    vectors : ndarray of shape (n_queries, n_features), float32
        Encodings of all queries of the log, in the order of their keys.
    """

    labels: list
    offsets: np.ndarray
    queries: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, rows: RowCodes, values: np.ndarray) -> Self:
        """Average the values of a log, NaN where a row has none, by pair."""
        assert rows.labels is not None  # a log of calls names its models
        n_queries, known = len(rows.queries), ~np.isnan(values)
        pair_of_row = rows.model_codes * np.int64(n_queries) + rows.query_codes
        pairs, position = np.unique(pair_of_row[known], return_inverse=True)
        models, queries = np.divmod(pairs, n_queries)
        present, starts = np.unique(models, return_index=True)
        return cls(
            [rows.labels[model] for model in present],
            np.append(starts, len(pairs)),
            queries,
            group_means(values[known], position, len(pairs)),
            rows.queries.vectors(),
        )

    def by_model(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the queries and the values of each model."""
        for first, last in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.queries[first:last], self.values[first:last]

    def means(self) -> np.ndarray:
        """Return the mean of each model's pairs: (n_models,)."""
        return np.array([values.mean() for _, values in self.by_model()])


class Learner(Protocol):
    """What predicts the amounts of all models from encodings."""

    def predict(self, vectors: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Predict the amounts of some models: (n_queries, n_models)."""


@dataclass(frozen=True)
class RidgeAmounts:
    """Amounts as linear functions of the encoding, one for each model.

    Parameters
    ----------
    coef : ndarray of shape (n_models, n_features)
        Slopes.
    intercept : ndarray of shape (n_models,)
        Values at the origin.
    """

    coef: np.ndarray
    intercept: np.ndarray

    @classmethod
    def fit(cls, logged: LoggedAmounts) -> Self:
        """Fit all models, those that saw the same queries at once."""
        # Only who fits a regression waits for its import.
        from sklearn.linear_model import Ridge

        X = logged.vectors.astype(np.float64)
        spread = ((X - X.mean(axis=0)) ** 2).sum(axis=1).mean()
        # Where all encodings are equal there is no slope, whatever the penalty.
        penalty = PENALTY * spread or 1.0
        coef = np.empty((len(logged.labels), X.shape[1]))
        intercept = np.empty(len(coef))
        pairs = list(logged.by_model())
        sharing: dict[bytes, list[int]] = {}
        for model, (queries, _) in enumerate(pairs):
            sharing.setdefault(queries.tobytes(), []).append(model)
        for models in sharing.values():
            seen = X[pairs[models[0]][0]]
            targets = np.column_stack([pairs[model][1] for model in models])
            line = Ridge(penalty).fit(seen, targets)
            coef[models], intercept[models] = line.coef_, line.intercept_
        return cls(coef, intercept)

    def predict(self, vectors: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Predict the amounts of some models: (n_queries, n_models)."""
        return vectors.astype(np.float64) @ self.coef[models].T + self.intercept[models]


@dataclass(frozen=True)
class NeighborAmounts:
    """Mean amounts of the nearest queries by cosine, whatever the model saw of them.

    Parameters
    ----------
    directions : ndarray of shape (n_queries, n_features), float32
        Encodings of unit length.
    offsets, queries, values : ndarray
        As of `LoggedAmounts`: the columns of a sparse matrix.
    means : ndarray of shape (n_models,)
        Mean amount of each model.
    """

    directions: np.ndarray
    offsets: np.ndarray
    queries: np.ndarray
    values: np.ndarray
    means: np.ndarray

    @classmethod
    def fit(cls, logged: LoggedAmounts) -> Self:
        """Keep what neighbours are looked up in."""
        return cls(
            _directions(logged.vectors),
            logged.offsets,
            logged.queries,
            logged.values,
            logged.means(),
        )

    def predict(self, vectors: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Predict the amounts of some models: (n_queries, n_models)."""
        amounts, seen = self._matrix(self.values), self._matrix(self.values**0)
        blocks = [
            self._blend(near @ amounts[:, models], near @ seen[:, models], models)
            for near in self._neighbors(vectors)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(models)))

    def _matrix(self, values: np.ndarray) -> csc_array:
        shape = len(self.directions), len(self.means)
        return csc_array((values, self.queries, self.offsets), shape)

    def _neighbors(self, vectors: np.ndarray) -> Iterator[csr_array]:
        """Yield which queries are near, for blocks: (n_block, n_queries)."""
        n_known = len(self.directions)
        # Few neighbours are noisy, many are not near: the square root of the number
        # of queries grows slowly enough for both to vanish.
        k = int(np.ceil(np.sqrt(n_known)))
        for start in range(0, len(vectors), CHUNK):
            directions = _directions(vectors[start : start + CHUNK])
            similarities = directions @ self.directions.T
            nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
            n_block = len(nearest)
            yield csr_array(
                (np.ones(nearest.size), nearest.ravel(), np.arange(n_block + 1) * k),
                (n_block, n_known),
            )

    def _blend(self, sums: Any, counts: Any, models: np.ndarray) -> np.ndarray:
        totals = sums.toarray() + MEAN_COUNT * self.means[models]
        return totals / (counts.toarray() + MEAN_COUNT)


@dataclass(frozen=True)
class EachAmounts:
    """Amounts by a regressor of the user's for each model.

    Parameters
    ----------
    regressors : list of regressor or None
        Fitted, by model; None for models with too few queries.
    means : ndarray of shape (n_models,)
        Mean amount of each model.
    """

    regressors: list
    means: np.ndarray

    @classmethod
    def fit(cls, logged: LoggedAmounts, regressor: Any) -> Self:
        """Fit a clone of the regressor to each model with enough queries."""
        regressors = [
            _fitted(regressor, logged.vectors[queries], values, label)
            if len(queries) >= MIN_QUERIES
            else None
            for label, (queries, values) in zip(
                logged.labels, logged.by_model(), strict=True
            )
        ]
        return cls(regressors, logged.means())

    def predict(self, vectors: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Predict the amounts of some models: (n_queries, n_models)."""
        amounts = np.tile(self.means[models], (len(vectors), 1))
        for column, model in enumerate(models):
            regressor = self.regressors[model]
            if regressor is not None and len(vectors):
                amounts[:, column] = regressor.predict(vectors)
        return amounts


@dataclass(frozen=True)
class AmountRegression:
    """Amounts by query and model, shrunk to a prior where a model has few rows.

    Parameters
    ----------
    labels : list
        Sorted labels of the models.
    learner : RidgeAmounts, NeighborAmounts or EachAmounts
        What was fitted.
    least, most : ndarray of shape (n_models,)
        Range of each model's amounts in the log, beyond which nothing is predicted.
    weights : ndarray of shape (n_models,)
        Weights in [0, 1] of what the learner says.
    priors : ndarray of shape (n_models,)
        What the rest of the weight is for.
    """

    labels: list
    learner: Learner
    least: np.ndarray
    most: np.ndarray
    weights: np.ndarray
    priors: np.ndarray

    @classmethod
    def fit(
        cls,
        logged: LoggedAmounts,
        regressor: Any,
        weights: np.ndarray,
        priors: np.ndarray,
    ) -> Self:
        """Fit a learner by its name, or clones of a regressor."""
        learner: Learner
        if regressor == "ridge":
            learner = RidgeAmounts.fit(logged)
        elif regressor == "knn":
            learner = NeighborAmounts.fit(logged)
        else:
            learner = EachAmounts.fit(logged, regressor)
        starts = logged.offsets[:-1]
        least = np.minimum.reduceat(logged.values, starts)
        most = np.maximum.reduceat(logged.values, starts)
        return cls(logged.labels, learner, least, most, weights, priors)

    def predict(self, vectors: np.ndarray, labels: list) -> np.ndarray:
        """Predict amounts, NaN for unknown models: (n_queries, n_labels)."""
        places = positions_of(labels, self.labels)
        known = np.flatnonzero(places >= 0)
        models = places[known]
        # A line leaves the range of lengths, and may end below zero.
        amounts = self.learner.predict(vectors, models).clip(
            self.least[models], self.most[models]
        )
        weights = self.weights[models]
        result = np.full((len(vectors), len(labels)), np.nan)
        result[:, known] = weights * amounts + (1 - weights) * self.priors[models]
        return result


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to unit length; those of length zero stay."""
    from sklearn.preprocessing import normalize

    return normalize(vectors)


def _fitted(regressor: Any, X: np.ndarray, y: np.ndarray, label: Any) -> Any:
    """Fit a clone of a regressor, and see that it predicts one number per query."""
    fitted = clone(regressor).fit(X, y)
    predicted = np.asarray(fitted.predict(X[:2]))
    if predicted.shape != (2,) or not np.isfinite(predicted).all():
        raise ValueError(
            f"regressor must predict one finite number per query; for the model "
            f"{label!r} it predicted {predicted!r:.80}."
        )
    return fitted
