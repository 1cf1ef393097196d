"""Training free vectors of models together with a predictor, or alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as _cross_entropy

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._networks.vector_state import VectorPredictor, VectorShape, widest
from skl_locus._torch.attention import SeededDropout
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import Placement
from skl_locus._torch.threads import threads_for_step
from skl_locus._torch.training import TrainingHistory, TrainingOptions, train
from skl_locus._torch.vector_networks import (
    NewVector,
    Predictor,
    VectorNetwork,
    make_predictor,
)
from skl_locus._torch.weights import (
    initialize_linear,
    load_module,
    network_weights,
    new_module,
    to_tensor,
)

CHUNK_PAIRS = 32_768
"""Held-out evaluations scored at a time."""


@dataclass(frozen=True)
class VectorSampling:
    """Evaluations of a step; fields are named as the estimators' parameters."""

    batch_size: int
    query_noise: float


@in_own_context
def fit_vectors(
    training: EvaluationSet,
    held_out: EvaluationSet | None,
    shape: VectorShape,
    sampling: VectorSampling,
    options: TrainingOptions,
    seed: int,
    placement: Placement,
) -> tuple[np.ndarray, dict[str, np.ndarray], TrainingHistory]:
    """Train a vector per model and the predictor (LOCUS paper, eq. 17).

    Parameters
    ----------
    training : EvaluationSet
        Evaluations to learn from.
    held_out : EvaluationSet or None
        Evaluations of the same models on other queries, for early stopping.
    shape : shape of a predictor
        Which predictor, and its sizes.
    sampling : VectorSampling
        Evaluations of a step.
    options : TrainingOptions
        Optimisation.
    seed : int
        Seed of all randomness.
    placement : Placement
        Where to train.

    Returns
    -------
    vectors : ndarray of shape (n_models, n_components)
        In the order of ``training.model_names``.
    weights : dict of str to ndarray
        Of the predictor.
    history : TrainingHistory
        Losses and the number of steps.
    """
    generator = torch.Generator(placement.device).manual_seed(seed)
    network = new_module(
        lambda: VectorNetwork(
            training.n_models, shape.n_components, make_predictor(shape)
        ),
        _initialize,
        generator,
        placement,
    )
    for part in network.modules():
        if isinstance(part, SeededDropout):
            part.generator = generator
    pairs = _Pairs.of(training, np.arange(training.n_models), placement)
    rows = _batches(len(training), sampling.batch_size, np.random.default_rng(seed))

    def batch_loss() -> Tensor:
        batch = pairs.take(next(rows))
        queries = batch.encodings
        # Noise per distinct query: models that share one see the same.
        if sampling.query_noise:
            noise = torch.empty_like(queries).normal_(generator=generator)
            queries = queries + sampling.query_noise * noise
        return batch.loss(network, network.predictor.features(queries))

    validate = None
    if held_out is not None:
        own = training.index_of(held_out.model_names)
        validate = _validation(_Pairs.of(held_out, own, placement))
    with threads_for_step(sampling.batch_size * widest(shape), placement.device):
        history = train(network, lambda: [batch_loss], validate, options)
    vectors = network.vectors.detach().cpu().numpy()
    return vectors, network_weights(network.predictor), history


@in_own_context
def fit_new_vector(
    predictor: VectorPredictor,
    start: np.ndarray,
    training: EvaluationSet,
    held_out: EvaluationSet | None,
    batch_size: int,
    options: TrainingOptions,
    seed: int,
    placement: Placement,
) -> np.ndarray:
    """Train one model's vector with the predictor frozen (LOCUS paper, eq. 18).

    Parameters
    ----------
    predictor : VectorPredictor
        The trained predictor, which stays as it is.
    start : ndarray of shape (n_components,)
        Vector to start from.
    training : EvaluationSet
        Evaluations of the model.
    held_out : EvaluationSet or None
        Evaluations of the model on other queries, for early stopping.
    batch_size : int
        Evaluations of a step.
    options : TrainingOptions
        Optimisation.
    seed : int
        Seed of the batches.
    placement : Placement
        Where to train.

    Returns
    -------
    ndarray of shape (n_components,)
        The vector.
    """
    frozen = load_module(
        lambda: make_predictor(predictor.shape), predictor.weights, placement
    ).requires_grad_(False)
    network = NewVector(to_tensor(start, placement))
    features, scores = _features_and_scores(frozen, training, placement)
    rows = _batches(len(training), batch_size, np.random.default_rng(seed))

    def batch_loss() -> Tensor:
        batch = next(rows)
        return _cross_entropy(network(frozen, features[batch]), scores[batch])

    validate = None
    if held_out is not None:
        held_features, held_scores = _features_and_scores(frozen, held_out, placement)

        @torch.no_grad()
        def validate(network: nn.Module) -> float:
            return float(_cross_entropy(network(frozen, held_features), held_scores))

    width = max(predictor.shape.n_components, predictor.shape.hidden_size)
    with threads_for_step(batch_size * width, placement.device):
        train(network, lambda: [batch_loss], validate, options)
    return network.vector.detach().cpu().numpy()


def _features_and_scores(
    predictor: Predictor, evaluations: EvaluationSet, placement: Placement
) -> tuple[Tensor, Tensor]:
    """Return features (n, K) and scores (n,) of one model's evaluations."""
    encodings = evaluations.queries.vectors(evaluations.query_codes)
    with torch.no_grad():
        features = predictor.features(to_tensor(encodings, placement))
    return features, to_tensor(evaluations.scores, placement)


def _initialize(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Linear):
        initialize_linear(module, generator)
    elif isinstance(module, VectorNetwork):
        with torch.no_grad():
            scale = module.predictor.start_scale
            module.vectors.normal_(std=scale, generator=generator)


@dataclass(frozen=True)
class _Pairs:
    """Scored pairs: models and scores (B,), index (B,) into encodings (Q, F)."""

    models: Tensor
    index: Tensor
    scores: Tensor
    encodings: Tensor

    @classmethod
    def of(
        cls, evaluations: EvaluationSet, vectors: np.ndarray, placement: Placement
    ) -> _Pairs:
        """Place evaluations; ``vectors`` says which vector each model has."""
        return cls(
            to_tensor(vectors[evaluations.model_codes].astype(np.int64), placement),
            to_tensor(evaluations.query_codes.astype(np.int64), placement),
            to_tensor(evaluations.scores, placement),
            to_tensor(evaluations.queries.vectors(), placement),
        )

    def rows(self, rows: Tensor) -> _Pairs:
        """Keep some pairs and all encodings."""
        return _Pairs(
            self.models[rows], self.index[rows], self.scores[rows], self.encodings
        )

    def take(self, rows: Tensor) -> _Pairs:
        """Keep some pairs and the encodings that they use."""
        used, index = torch.unique(self.index[rows], return_inverse=True)
        return _Pairs(self.models[rows], index, self.scores[rows], self.encodings[used])

    def loss(
        self, network: VectorNetwork, features: Tensor, reduction: str = "mean"
    ) -> Tensor:
        """Binary cross-entropy with soft targets, from features of the encodings."""
        logits = network(self.models, features, self.index)
        return _cross_entropy(logits, self.scores, reduction=reduction)


def _batches(
    n_rows: int, batch_size: int, rng: np.random.Generator
) -> Iterator[Tensor]:
    """Yield row numbers for ever, each row once per epoch."""
    while True:
        order = np.arange(n_rows)
        if n_rows > batch_size:
            order = rng.permutation(n_rows)
        yield from torch.from_numpy(order).split(batch_size)


def _validation(held_out: _Pairs) -> Callable[[nn.Module], float]:
    """Return a function: network -> log loss on the held-out evaluations."""
    n_pairs = len(held_out.scores)

    @torch.no_grad()
    def validate(network: nn.Module) -> float:
        assert isinstance(network, VectorNetwork)
        features = network.predictor.features(held_out.encodings)
        chunks = torch.arange(n_pairs).split(CHUNK_PAIRS)
        losses = [
            held_out.rows(rows).loss(network, features, reduction="sum")
            for rows in chunks
        ]
        return float(sum(losses)) / n_pairs

    return validate
