"""Parameters and training that the two LOCUS estimators share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._data.reader import COLUMN_CONSTRAINTS, TableReaderMixin
from skl_locus._estimation.factors import FactorModel
from skl_locus._locus.known_models import KnownModels
from skl_locus._locus.score_space import ScoreSpace
from skl_locus._networks.locus_state import NetworkState
from skl_locus._networks.training_parameters import (
    CHECKS_PER_FIT,
    TRAINING_CONSTRAINTS,
    TrainingHistoryMixin,
    hold_out_queries,
    split_at,
)
from skl_locus._utils.estimators import PickleVersionMixin
from skl_locus._utils.progress import progress_bar


class LocusParameters(TrainingHistoryMixin, PickleVersionMixin, TableReaderMixin):
    """Base of LocusEmbedder and LocusRouter."""

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_latents": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "dim_feedforward": [Interval(Integral, 1, None, closed="left"), None],
        "attention": [StrOptions({"latent", "full"})],
        "predictor_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_inputs": [Interval(Integral, 1, None, closed="left"), None],
        "bilinear": ["boolean"],
        "geometry": [StrOptions({"scores", "network"})],
        "local_evidence": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "min_context": [Interval(Integral, 1, None, closed="left")],
        "max_context": [Interval(Integral, 1, None, closed="left")],
        "n_targets": [Interval(Integral, 1, None, closed="left")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "warm_start": ["boolean"],
        "score_col": [str],
        **TRAINING_CONSTRAINTS,
        "precision": [StrOptions({"auto", "float32", "float64", "mixed", "bfloat16"})],
        **COLUMN_CONSTRAINTS,
    }

    _network: NetworkState
    _space: ScoreSpace | None

    def __init__(
        self,
        *,
        n_components: int = 128,
        n_latents: int = 32,
        n_layers: int = 1,
        n_heads: int = 4,
        dim_feedforward: int | None = None,
        attention: str = "latent",
        predictor_hidden: int = 64,
        n_inputs: int | None = 64,
        bilinear: bool = True,
        geometry: str = "scores",
        local_evidence: bool = True,
        dropout: float = 0.1,
        query_noise: float = 1.0,
        max_iter: int = 250,
        batch_size: int = 8,
        min_context: int = 32,
        max_context: int = 256,
        n_targets: int = 256,
        learning_rate_init: float = 1e-3,
        alpha: float = 0.05,
        ema_decay: float = 0.98,
        early_stopping: bool = True,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 6,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 0,
        warm_start: bool = False,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        score_col: str = "score",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_components = n_components
        self.n_latents = n_latents
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.dim_feedforward = dim_feedforward
        self.attention = attention
        self.predictor_hidden = predictor_hidden
        self.n_inputs = n_inputs
        self.bilinear = bilinear
        self.geometry = geometry
        self.local_evidence = local_evidence
        self.dropout = dropout
        self.query_noise = query_noise
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.min_context = min_context
        self.max_context = max_context
        self.n_targets = n_targets
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.ema_decay = ema_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose
        self.warm_start = warm_start
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.score_col = score_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    def _train(self, evaluations: EvaluationSet, *, hold_out: bool) -> np.ndarray:
        """Train the network and return the mask of the rows held out of training.

        Sets ``_network``, ``device_`` and the history of the training.
        """
        from skl_locus._torch.device import Workload, resolve_placement
        from skl_locus._torch.fit_locus import fit_locus

        if self.min_context > self.max_context:
            raise ValueError(
                f"min_context={self.min_context} is larger than "
                f"max_context={self.max_context}."
            )
        n_tokens = self.batch_size * (self.max_context + self.n_targets)
        workload = Workload(
            n_tokens * self.n_components,
            self.max_iter,
            len(evaluations) * self.n_components,
        )
        placement = resolve_placement(self.device, self.precision, workload)
        # One draw from the given state: a RandomState moves on, so that two fits differ
        # as scikit-learn has it, and everything else follows from the seed.
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        held_out = np.zeros(len(evaluations), dtype=bool)
        if hold_out:
            held_out = hold_out_queries(evaluations, self.validation_fraction, seed)
        training, validation = split_at(evaluations, held_out)
        self._network, history = fit_locus(
            training,
            validation if self.early_stopping else None,
            self._start(evaluations.queries.n_features),
            self.n_inputs,
            self._sampling(),
            self._options(placement.amp),
            seed,
            placement,
        )
        self._record_training(placement.device, history)
        return held_out

    def _start(self, n_features: int) -> Any:
        from skl_locus._torch.network import NetworkConfig

        width = self.n_components
        config = NetworkConfig(
            n_features=n_features,
            n_components=width,
            n_latents=self.n_latents,
            n_layers=self.n_layers,
            n_heads=_largest_divisor(width, self.n_heads),
            dim_feedforward=self.dim_feedforward or 2 * width,
            attention=self.attention,
            predictor_hidden=self.predictor_hidden,
            bilinear=self.bilinear,
            dropout=self.dropout,
        )
        if not (self.warm_start and hasattr(self, "_network")):
            return config
        learned = self._network.input_map.components.shape
        expected = {**vars(config), "n_features": learned[1]}
        if self._network.config != expected or learned[0] != n_features:
            raise ValueError(
                "warm_start=True, but the shape of the network or of the encodings "
                "has changed since the last fit; set warm_start=False."
            )
        return self._network

    def _sampling(self) -> Any:
        from skl_locus._torch.fit_locus import SamplingOptions

        return SamplingOptions(
            batch_size=self.batch_size,
            min_context=self.min_context,
            max_context=self.max_context,
            n_targets=self.n_targets,
            query_noise=self.query_noise,
        )

    def _options(self, amp: bool) -> Any:
        from skl_locus._torch.training import TrainingOptions

        return TrainingOptions(
            max_iter=self.max_iter,
            learning_rate_init=self.learning_rate_init,
            alpha=self.alpha,
            ema_decay=self.ema_decay,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            validate_every=max(1, self.max_iter // CHECKS_PER_FIT),
            amp=amp,
        )

    def _fit_geometry(self, evaluations: EvaluationSet) -> None:
        """Set ``_space``, the coordinates of embeddings; None for the network's own."""
        # A single model differs from nothing: there is no space to learn.
        has_space = self.geometry == "scores" and evaluations.n_models > 1
        self._space = None
        if has_space:
            with progress_bar("score space", 1, unit="step") as bar:
                self._space = ScoreSpace.fit(evaluations, self.n_components)
                bar.advance()

    def _known_models(self, evaluations: EvaluationSet) -> KnownModels:
        """Place models by the factor model of the pool."""
        # The network's geometry has none; then their own evaluations make one.
        space = self._space
        model = FactorModel.fit(evaluations) if space is None else space.model
        return KnownModels.of(model, evaluations)

    def _embed(self, evaluations: EvaluationSet) -> np.ndarray:
        """Embed every model of a set: (n_models, n_components)."""
        return self._embed_with_variances(evaluations)[0]

    def _embed_with_variances(
        self, evaluations: EvaluationSet
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embed every model of a set; return its specific variance as well."""
        if self._space is None:
            none = np.zeros(evaluations.n_models, np.float32)
            return self._embed_by_network(evaluations), none
        return self._space.embed_with_variances(evaluations)

    def _embed_by_network(self, evaluations: EvaluationSet) -> np.ndarray:
        """Encode every model of a set by the network: (n_models, n_components)."""
        from skl_locus._torch.device import inference_placement
        from skl_locus._torch.inference import embed

        placement = inference_placement(self.device_, self.precision)
        return embed(self._network, evaluations, placement)

    def _exchange_effects(
        self,
        queries: QuerySet,
        codes: np.ndarray,
        scores: np.ndarray,
        expected: np.ndarray,
        directions: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute how exchanging pairs moves embeddings, and embed both sides."""
        from skl_locus._torch.device import inference_placement
        from skl_locus._torch.sensitivity import exchange_effects

        placement = inference_placement(self.device_, self.precision)
        return exchange_effects(
            self._network, queries, codes, scores, expected, directions, placement
        )


def _largest_divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)
