"""Coordinates of models in which distances are differences between their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.factors import FactorModel, sample_of

OBSERVED_POWER = 0.25
"""How far the observed part of a model's residuals stands for the rest, as a power of
the ratio of all queries to those it was evaluated on. With 0 a model with few
evaluations seems to agree with all others; with 1/2 its residuals have their full
length, and their chance with it."""

BLOCK_ELEMENTS = 4_000_000
"""Entries of the completed scores that are held at a time."""

RANK_TOLERANCE = 1e-6
"""Directions in which the pool varies less than this share of the largest are rounding:
n models span n - 1 directions."""


@dataclass(frozen=True)
class ScoreSpace:
    """Completed score vectors of models, rotated into a few coordinates.

    On every known query a model has a completed score: what the factor model expects
    of it, and, where it was evaluated, the rest of what it scored. The Euclidean
    distance between two models with the same evaluations is then the root mean square
    difference of their scores; with scores of 0 and 1 its square is the share of
    queries on which they differ. Coordinates are principal components of the pool's
    completed scores, which keep these distances exactly while the pool has no more
    models than there are components.

    Parameters
    ----------
    model : FactorModel
        Learned from the pool.
    mean : ndarray of shape (n_queries,)
        Mean completed score of the pool on each of the factor model's queries.
    basis : ndarray of shape (n_queries, n_directions)
        Orthonormal directions, at most as many as components.
    n_components : int
        Length of embeddings; coordinates beyond the directions are zero.
    """

    model: FactorModel
    mean: np.ndarray
    basis: np.ndarray
    n_components: int

    @classmethod
    def fit(cls, evaluations: EvaluationSet, n_components: int) -> ScoreSpace:
        """Learn from the evaluations of a pool."""
        model = FactorModel.fit(evaluations)
        sample = sample_of(evaluations)
        completed = np.concatenate(list(_completed_scores(model, sample)))
        mean = completed.mean(axis=0)
        completed -= mean
        _, lengths, directions = np.linalg.svd(completed, full_matrices=False)
        kept = lengths > RANK_TOLERANCE * max(lengths[0], RANK_TOLERANCE)
        directions = directions[kept][:n_components]
        # A direction and its opposite are equally good: fix the sign.
        largest = np.abs(directions).argmax(axis=1)
        directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
        return cls(model, mean, np.ascontiguousarray(directions.T), n_components)

    def embed(self, evaluations: EvaluationSet) -> np.ndarray:
        """Embed every model of a set: (n_models, n_components), float32."""
        embeddings = np.zeros((evaluations.n_models, self.n_components), np.float32)
        coordinates = [
            (completed - self.mean) @ self.basis
            for completed in _completed_scores(self.model, evaluations)
        ]
        embeddings[:, : self.basis.shape[1]] = np.concatenate(coordinates)
        return embeddings


def _completed_scores(
    model: FactorModel, evaluations: EvaluationSet
) -> Iterator[np.ndarray]:
    """Yield completed scores of some models at a time: (n_models, n_queries).

    They are divided by the root of the number of queries, so that distances are root
    mean squares and do not depend on it.
    """
    abilities, factor_scores, _ = model.scores(evaluations)
    places = model.places_of(evaluations.queries)[evaluations.query_codes]
    n_queries = len(model.keys)
    step = max(1, BLOCK_ELEMENTS // n_queries)
    for start in range(0, evaluations.n_models, step):
        chunk = slice(start, min(start + step, evaluations.n_models))
        completed = model.expected_scores(abilities[chunk], factor_scores[chunk])
        rows = np.arange(*evaluations.offsets[[chunk.start, chunk.stop]])
        rows = rows[places[rows] >= 0]
        models = evaluations.model_codes[rows] - start
        cells = models, places[rows]
        counts = np.bincount(models, minlength=len(completed))
        stretch = (n_queries / np.maximum(counts, 1)) ** OBSERVED_POWER
        residuals = evaluations.scores[rows] - completed[cells]
        completed[cells] += stretch[models] * residuals
        yield completed / np.sqrt(n_queries)
