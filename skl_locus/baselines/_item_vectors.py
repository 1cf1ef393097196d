"""The base of the routers by item response theory whose new models are convex fits."""

from __future__ import annotations

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.model_vectors import posterior_vector
from skl_locus._networks.vector_state import ItemPredictor
from skl_locus.baselines._free_vectors import FreeVectorRouter, VectorPool

MIN_VARIANCE = 0.01
"""Least variance of the prior of a new model, so that it may differ from a pool of
equals."""


class ItemVectorRouter(FreeVectorRouter):
    """A router whose logits are linear in the vectors of the models.

    With the map of the queries frozen, the vector of a new model is a logistic
    regression without intercept. Its prior is normal with the mean and the variance of
    the pool's vectors.
    """

    def _make_pool(self, evaluations: EvaluationSet) -> VectorPool:
        pool = super()._make_pool(evaluations)
        variance = float(pool.embeddings.var(axis=0, dtype=np.float64).mean())
        # Of the pool of `fit`, so that a vector does not depend on what was added.
        self._precision = 1 / max(variance, MIN_VARIANCE)
        return pool

    def _fit_one(self, evaluations: EvaluationSet) -> np.ndarray:
        predictor = self._fitted_pool().predictor
        assert isinstance(predictor, ItemPredictor)
        encodings = evaluations.queries.vectors(evaluations.query_codes)
        slopes, difficulties = predictor.items(encodings)
        vector = posterior_vector(
            slopes, -difficulties, evaluations.scores, self._start, self._precision
        )
        return vector.astype(self._start.dtype)
