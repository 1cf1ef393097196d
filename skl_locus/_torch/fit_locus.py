"""Training the LOCUS network on a set of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._networks.locus_state import InputMap, NetworkState
from skl_locus._torch.attention import (
    Aggregation,
    LatentBottleneckBlock,
    SeededDropout,
)
from skl_locus._torch.batches import draw_batches, largest_contexts, pad_rows
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import Placement
from skl_locus._torch.inference import chunk_tokens, load_network
from skl_locus._torch.network import EvaluationTokenizer, LocusNetwork, NetworkConfig
from skl_locus._torch.shared_pairs import DistinctPairs, PairTables
from skl_locus._torch.threads import threads_for_step
from skl_locus._torch.training import (
    TrainingHistory,
    TrainingOptions,
    soft_cross_entropy,
    train,
)
from skl_locus._torch.weights import (
    initialize_linear,
    network_weights,
    new_module,
    to_tensor,
)


@dataclass(frozen=True)
class SamplingOptions:
    """Sizes of a training batch; fields are named as the estimators' parameters."""

    batch_size: int
    min_context: int
    max_context: int
    n_targets: int
    query_noise: float


@in_own_context
def fit_locus(
    training: EvaluationSet,
    held_out: EvaluationSet | None,
    start: NetworkState | NetworkConfig,
    n_inputs: int | None,
    sampling: SamplingOptions,
    options: TrainingOptions,
    seed: int,
    placement: Placement,
) -> tuple[NetworkState, TrainingHistory]:
    """Train encoder and predictor (paper, section 2.3).

    Parameters
    ----------
    training : EvaluationSet
        Evaluations for contexts and targets.
    held_out : EvaluationSet or None
        Evaluations of the same models on other queries, for early stopping.
    start : NetworkState or NetworkConfig
        Network to go on with, or the shape of a new one; the number of features
        of a new one is set here.
    n_inputs : int or None
        Principal components of the encodings that a new network sees at most.
    sampling : SamplingOptions
        Contexts and targets of a step.
    options : TrainingOptions
        Optimisation.
    seed : int
        Seed of all randomness.
    placement : Placement
        Where to train.

    Returns
    -------
    NetworkState
        The best network.
    TrainingHistory
        Losses and the number of steps.
    """
    # One generator on the device for weights, noise and dropout, and one of numpy for
    # batches: neither torch's nor numpy's global state is read or moved.
    generator = torch.Generator(placement.device).manual_seed(seed)
    rng = np.random.default_rng(seed)
    if isinstance(start, NetworkState):
        # A network goes on with the inputs that it was trained on.
        input_map, network = start.input_map, load_network(start, placement)
        network.requires_grad_(True)
    else:
        input_map = InputMap.fit(training.queries.vectors(), n_inputs)
        n_features = input_map.components.shape[1]
        config = NetworkConfig(**{**asdict(start), "n_features": n_features})
        network = new_network(config, generator, placement)
    _seed_dropout(network, generator)
    inputs = to_tensor(input_map(training.queries.vectors()), placement)
    batches = draw_batches(
        training,
        rng,
        n_models=sampling.batch_size,
        min_context=sampling.min_context,
        max_context=sampling.max_context,
        n_targets=sampling.n_targets,
    )

    def batch_loss() -> Tensor:
        batch = next(batches)
        encodings = inputs[to_tensor(batch.used, placement)]
        # Contexts and targets get the same noise where they share a query: the network
        # sees other queries than the training ones, not wrong answers to them.
        if sampling.query_noise:
            noise = torch.empty_like(encodings).normal_(generator=generator)
            encodings = encodings + sampling.query_noise * noise
        context, targets = batch.context, batch.targets
        logits = network(
            encodings,
            to_tensor(context.queries, placement),
            to_tensor(context.scores, placement),
            # Without a mask torch may take its fastest attention.
            None if context.mask.all() else to_tensor(context.mask, placement),
            to_tensor(targets.queries, placement),
        )
        return soft_cross_entropy(
            logits,
            to_tensor(targets.scores, placement),
            to_tensor(targets.mask, placement),
        )

    validate = None
    if held_out is not None:
        held_inputs = to_tensor(input_map(held_out.queries.vectors()), placement)
        validate = _validation(
            training,
            inputs,
            held_out,
            held_inputs,
            sampling.max_context,
            rng,
            placement,
        )
    n_tokens = sampling.batch_size * (sampling.max_context + sampling.n_targets)
    width = network.config.n_components
    with threads_for_step(n_tokens * width, placement.device):
        history = train(network, batch_loss, validate, options)
    state = NetworkState(asdict(network.config), input_map, network_weights(network))
    return state, history


def new_network(
    config: NetworkConfig, generator: torch.Generator, placement: Placement
) -> LocusNetwork:
    """Make a network with weights drawn from a generator, touching no global state."""
    return new_module(lambda: LocusNetwork(config), _initialize, generator, placement)


@torch.no_grad()
def _initialize(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Linear):
        initialize_linear(module, generator)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()  # ones and zeros: draws nothing
    elif isinstance(module, LatentBottleneckBlock):
        module.latents.normal_(generator=generator)
    elif isinstance(module, Aggregation):
        module.query.normal_(generator=generator)
    elif isinstance(module, EvaluationTokenizer):
        module.score.normal_(std=module.encoding.in_features**-0.5, generator=generator)


def _seed_dropout(network: nn.Module, generator: torch.Generator) -> None:
    for module in network.modules():
        if isinstance(module, SeededDropout):
            module.generator = generator


def _validation(
    training: EvaluationSet,
    inputs: Tensor,
    held_out: EvaluationSet,
    held_inputs: Tensor,
    max_context: int,
    rng: np.random.Generator,
    placement: Placement,
) -> Callable[[nn.Module], float]:
    """Return a function: network -> log loss on the held-out evaluations."""
    # Drawn once: checks differ by the weights alone and can be compared.
    contexts = largest_contexts(training, max_context, rng)
    pairs = DistinctPairs.of(contexts.queries.ravel(), contexts.scores.ravel())
    used = inputs[to_tensor(pairs.used, placement)]
    pair_queries = to_tensor(pairs.queries, placement)
    pair_scores = to_tensor(pairs.scores, placement)
    own = training.index_of(held_out.model_names)
    index = pairs.index.reshape(contexts.mask.shape)[own]
    mask = contexts.mask[own]
    chunks = list(_validation_chunks(held_out, index, mask, placement))

    @torch.no_grad()
    def validate(network: nn.Module) -> float:
        assert isinstance(network, LocusNetwork)
        tables = PairTables.of(network.encoder, [used], pair_queries, pair_scores)
        total = 0.0
        for context, context_mask, queries, scores, counted in chunks:
            embeddings = tables.embed(network.encoder, context, context_mask)
            logits = network.predictor(embeddings, held_inputs, queries)
            total += float(
                nn.functional.binary_cross_entropy_with_logits(
                    logits, scores, weight=counted, reduction="sum"
                )
            )
        return total / len(held_out)

    return validate


def _validation_chunks(
    held_out: EvaluationSet, index: np.ndarray, mask: np.ndarray, placement: Placement
) -> Iterator[tuple[Tensor, ...]]:
    """Yield, for some models at a time, contexts with masks and targets with scores.

    The contexts ``index`` and ``mask`` (n_models, length) are pairs; the targets are
    all held-out evaluations of a model, with a weight of 0 for padding.
    """
    length = mask.shape[1] + int(held_out.sizes.max())
    step = max(1, chunk_tokens(placement) // length)
    for start in range(0, held_out.n_models, step):
        chunk = slice(start, start + step)
        models = range(held_out.n_models)[chunk]
        rows = [np.arange(*held_out.offsets[m : m + 2]) for m in models]
        targets = pad_rows(held_out, rows)
        arrays = (
            index[chunk],
            mask[chunk],
            targets.queries,
            targets.scores,
            targets.mask.astype(np.float32),
        )
        yield tuple(to_tensor(array, placement) for array in arrays)
