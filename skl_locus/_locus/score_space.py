"""Coordinates of models in which distances are differences between their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.factors import FactorModel, sample_of
from skl_locus._utils.progress import progress_bar

OBSERVED_POWER = 0.25
"""How far the observed part of a model's residuals stands for the rest, as a power of
the ratio of all queries to those it was evaluated on. With 0 a model with few
evaluations seems to agree with all others; with 1/2 its residuals have their full
length, and their chance with it."""

BLOCK_ELEMENTS = 500_000
"""Entries of the completed scores that are held at a time."""

VARIANCE_PRIOR = 100.0
"""Evaluations that the pool counts for in how far a model's residuals vary."""

SMALLEST_VARIANCE = 1e-6
"""Specific variances below are rounding: nothing is left out."""

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
    models than there are components. What they leave out of a model that is new, or was
    evaluated on fewer queries, is its specific variance.

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
    variance_ratio : float, default=1.0
        Mean squared residual of the pool's scores in units of the variance p (1 - p)
        that answers of 0 or 1 have; graded scores have less.
    """

    model: FactorModel
    mean: np.ndarray
    basis: np.ndarray
    n_components: int
    variance_ratio: float = 1.0

    @classmethod
    def fit(cls, evaluations: EvaluationSet, n_components: int) -> ScoreSpace:
        """Learn from the evaluations of a pool."""
        model = FactorModel.fit(evaluations)
        sample = sample_of(evaluations)
        parts = list(_completed_scores(model, sample))
        completed = np.concatenate([part.scores for part in parts])
        squares = sum(float(part.squares.sum()) for part in parts)
        variances = sum(float(part.seen_variances.sum()) for part in parts)
        mean = completed.mean(axis=0)
        completed -= mean
        _, lengths, directions = np.linalg.svd(completed, full_matrices=False)
        kept = lengths > RANK_TOLERANCE * max(lengths[0], RANK_TOLERANCE)
        directions = directions[kept][:n_components]
        # A direction and its opposite are equally good: fix the sign.
        largest = np.abs(directions).argmax(axis=1)
        directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
        return cls(
            model,
            mean,
            np.ascontiguousarray(directions.T),
            n_components,
            squares / variances if variances > 0 else 1.0,
        )

    def embed(self, evaluations: EvaluationSet) -> np.ndarray:
        """Embed every model of a set: (n_models, n_components), float32."""
        return self.embed_with_variances(evaluations)[0]

    def embed_with_variances(
        self, evaluations: EvaluationSet
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embed every model of a set, with what its coordinates leave out.

        Parameters
        ----------
        evaluations : EvaluationSet
            Evaluations of any models on any queries.

        Returns
        -------
        embeddings : ndarray of shape (n_models, n_components), float32
            Coordinates.
        specific_variances : ndarray of shape (n_models,), float32
            Mean square of what the coordinates leave out of a model's scores: the
            chance of answers that were not observed, and what lies in no direction of
            the pool. Added to the squared distances of a model, it makes up for what
            is missing in them.
        """
        embeddings = np.zeros((evaluations.n_models, self.n_components), np.float32)
        coordinates, variances = [], []
        with progress_bar("place models", evaluations.n_models, unit="model") as bar:
            for part in _completed_scores(self.model, evaluations):
                centred = part.scores - self.mean
                at = centred @ self.basis
                coordinates.append(at)
                variances.append(self._specific_variances(part, centred, at))
                bar.advance(len(at))
        embeddings[:, : self.basis.shape[1]] = np.concatenate(coordinates)
        return embeddings, np.concatenate(variances).astype(np.float32)

    def _specific_variances(
        self, part: _Completed, centred: np.ndarray, coordinates: np.ndarray
    ) -> np.ndarray:
        outside = np.square(centred).sum(axis=1) - np.square(coordinates).sum(axis=1)
        # How far a model's residuals vary, in units of p (1 - p): its own evaluations,
        # and the pool's ratio as if it were known from some more of them.
        prior = VARIANCE_PRIOR * part.variances.mean(axis=1)
        known = part.seen_variances + prior
        ratios = np.full(len(known), self.variance_ratio)
        np.divide(
            part.squares + self.variance_ratio * prior,
            known,
            out=ratios,
            where=known > 0,
        )
        hidden = ratios * (part.variances.sum(axis=1) - part.seen_variances)
        # Residuals that were stretched in the completed scores are counted there as
        # far as they are longer than observed.
        stretched = (1 - np.square(part.stretch)) * part.squares
        variances = outside + (hidden + stretched) / part.variances.shape[1]
        return np.where(variances < SMALLEST_VARIANCE, 0.0, variances)


@dataclass(frozen=True)
class _Completed:
    """Completed scores of some models, and how far their residuals vary.

    Parameters
    ----------
    scores : ndarray of shape (n_models, n_queries)
        Divided by the root of the number of queries, so that distances are root mean
        squares and do not depend on it.
    variances : ndarray of shape (n_models, n_queries)
        p (1 - p) of the expected scores.
    squares, seen_variances : ndarray of shape (n_models,)
        Sums over a model's evaluations of squared residuals and of ``variances``.
    stretch : ndarray of shape (n_models,)
        What residuals are multiplied by in ``scores``.
    """

    scores: np.ndarray
    variances: np.ndarray
    squares: np.ndarray
    seen_variances: np.ndarray
    stretch: np.ndarray


def _completed_scores(
    model: FactorModel, evaluations: EvaluationSet
) -> Iterator[_Completed]:
    """Yield completed scores of some models at a time."""
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
        variances = completed * (1 - completed)
        squares = np.bincount(models, np.square(residuals), len(completed))
        seen_variances = np.bincount(models, variances[cells], len(completed))
        completed[cells] += stretch[models] * residuals
        scores = completed / np.sqrt(n_queries)
        yield _Completed(scores, variances, squares, seen_variances, stretch)
