"""The base of the routers with one trained vector per model."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._networks.held_out_report import report_held_out
from skl_locus._networks.training_parameters import (
    TrainingHistoryMixin,
    hold_out_queries,
    split_at,
)
from skl_locus._networks.vector_state import VectorPredictor, VectorShape, widest
from skl_locus._routing.embedding_base import EmbeddingRouterMixin
from skl_locus._routing.pool import EmbeddingPool
from skl_locus._utils.progress import progress_bar

VECTOR_CHECKS = 100
"""Number of checks on held-out queries in ``max_iter`` steps.

Checks are denser than those of LOCUS: with a constant learning rate, the best weights
may be those of any step.
"""


@dataclass(frozen=True)
class VectorPool(EmbeddingPool):
    """Vectors of the models and their common predictor."""

    predictor: VectorPredictor

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct) of the predictor: (n_queries, n_columns)."""
        return expit(self.predictor.logits(encodings, self.embeddings[columns]))


class FreeVectorRouter(TrainingHistoryMixin, EmbeddingRouterMixin[VectorPool]):
    """A router with one trained vector per model and a common predictor.

    Subclasses define the predictor by `_predictor_type` and `_shape`.
    """

    def __init__(
        self,
        *,
        n_components: int,
        query_noise: float,
        max_iter: int,
        batch_size: int,
        learning_rate_init: float,
        alpha: float,
        early_stopping: bool,
        validation_fraction: float,
        n_iter_no_change: int,
        tol: float,
        random_state: int | np.random.RandomState | None,
        device: str,
        precision: str,
        verbose: int,
        encoder: Any,
        model_col: str,
        query_col: str,
        query_id_col: str,
        encoding_cols: Any,
        duplicates: str,
    ) -> None:
        self.n_components = n_components
        self.query_noise = query_noise
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    @abstractmethod
    def _predictor_type(self) -> type[VectorPredictor]:
        """Return the class of the predictor."""

    @abstractmethod
    def _shape(self, n_features: int) -> VectorShape:
        """Return the sizes of the predictor."""

    def _make_pool(self, evaluations: EvaluationSet) -> VectorPool:
        from skl_locus._torch.device import Workload, resolve_placement
        from skl_locus._torch.fit_vectors import fit_vectors

        shape = self._shape(evaluations.queries.n_features)
        workload = Workload(self.batch_size * widest(shape), self.max_iter)
        placement = resolve_placement(self.device, self.precision, workload)
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        training, validation = self._split(evaluations)
        vectors, weights, history = fit_vectors(
            training,
            validation,
            shape,
            self._sampling(),
            self._options(placement.amp),
            self._seed,
            placement,
        )
        self._record_training(placement.device, history)
        report_held_out(training, validation, self.validation_scores_)
        # Vectors of later models are trained from the average model of this pool.
        self._start = vectors.mean(axis=0)
        predictor = self._predictor_type()(shape, weights)
        return VectorPool(evaluations.model_names, evaluations, vectors, predictor)

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> VectorPool:
        pool = self._fitted_pool()
        embeddings = self._updated(
            pool.embeddings, models, evaluations, changed, self._fit_new
        )
        return VectorPool(models, evaluations, embeddings, pool.predictor)

    def _fit_new(self, evaluations: EvaluationSet) -> np.ndarray:
        """Train vectors with the predictor frozen: (n_models, n_components)."""
        # One model at a time: a vector must not depend on the other models in a call.
        vectors = []
        with progress_bar("train vectors", evaluations.n_models, unit="model") as bar:
            for code in range(evaluations.n_models):
                vectors.append(self._fit_one(evaluations.of_models([code])))
                bar.advance()
        return np.stack(vectors)

    def _fit_one(self, evaluations: EvaluationSet) -> np.ndarray:
        from skl_locus._torch.device import inference_placement
        from skl_locus._torch.fit_vectors import fit_new_vector

        training, validation = self._split(evaluations)
        return fit_new_vector(
            self._fitted_pool().predictor,
            self._start,
            training,
            validation,
            self.batch_size,
            self._options(),
            self._seed,
            inference_placement(self.device_, self.precision),
        )

    def _split(
        self, evaluations: EvaluationSet
    ) -> tuple[EvaluationSet, EvaluationSet | None]:
        if not self.early_stopping:
            return evaluations, None
        # The seed of `fit`, so that adding a model twice gives the same vector.
        held_out = hold_out_queries(evaluations, self.validation_fraction, self._seed)
        return split_at(evaluations, held_out)

    def _sampling(self) -> Any:
        from skl_locus._torch.fit_vectors import VectorSampling

        return VectorSampling(self.batch_size, self.query_noise)

    def _options(self, amp: bool = False) -> Any:
        from skl_locus._torch.training import TrainingOptions

        return TrainingOptions(
            max_iter=self.max_iter,
            learning_rate_init=self.learning_rate_init,
            alpha=self.alpha,
            # Neither an average of weights nor a schedule: the methods have none.
            ema_decay=0.0,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            validate_every=max(1, self.max_iter // VECTOR_CHECKS),
            schedule="constant",
            max_gradient_norm=math.inf,
            amp=amp,
        )
