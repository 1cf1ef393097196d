"""Training the LOCUS network on a set of evaluations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

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
from skl_locus._torch.batches import (
    Batch,
    draw_batches,
    largest_contexts,
    pad_rows,
)
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import Placement
from skl_locus._torch.inference import chunk_tokens, load_network
from skl_locus._torch.network import EvaluationTokenizer, LocusNetwork, NetworkConfig
from skl_locus._torch.shared_pairs import DistinctPairs, PairTables
from skl_locus._torch.threads import Compute, threads_for_step
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

CHECKED_MODELS = 32
"""Models at most whose held-out evaluations tell when to stop: of all of a large pool,
a check would take longer than the steps between two of them."""

PARTS_OF_STEP = 2
"""Parts of a training step on a CPU, each in its thread if there are so many. The same
on every machine, so that a fit gives the same bits on all."""


@dataclass(frozen=True)
class SamplingOptions:
    """Sizes of a training batch; fields are named as the estimators' parameters."""

    batch_size: int
    min_context: int
    max_context: int
    n_targets: int
    query_noise: float


@dataclass(frozen=True)
class _Learner:
    """The network as one thread sees it: shared weights, own noise and dropout.

    Parameters
    ----------
    network : LocusNetwork
        Its parameters are those of the network in training.
    inputs : Tensor of shape (n_queries, n_inputs)
        Inputs of the training queries.
    query_noise : float
        Standard deviation of the noise.
    generator : torch.Generator
        Source of noise and dropout.
    placement : Placement
        Where to train.
    """

    network: LocusNetwork
    inputs: Tensor
    query_noise: float
    generator: torch.Generator
    placement: Placement

    @classmethod
    def of(
        cls,
        network: LocusNetwork,
        inputs: Tensor,
        query_noise: float,
        seed: int,
        placement: Placement,
    ) -> _Learner:
        """Make a learner of a network; learners share nothing but its weights."""
        # A generator belongs to one thread, and dropout layers hold theirs.
        own = copy.deepcopy(network, {id(p): p for p in network.parameters()})
        generator = torch.Generator(placement.device).manual_seed(int(seed))
        _seed_dropout(own.train(), generator)
        return cls(own, inputs, query_noise, generator, placement)

    def loss(self, batch: Batch, share: float) -> Tensor:
        """Return a part's share of the log loss of a step."""
        context, targets = batch.context, batch.targets
        logits = self.network(
            self._noisy(self.inputs[to_tensor(batch.used, self.placement)]),
            to_tensor(context.queries, self.placement),
            to_tensor(context.scores, self.placement),
            # Without a mask torch may take its fastest attention.
            None if context.mask.all() else to_tensor(context.mask, self.placement),
            to_tensor(targets.queries, self.placement),
        )
        scores = to_tensor(targets.scores, self.placement)
        mask = to_tensor(targets.mask, self.placement)
        return share * soft_cross_entropy(logits, scores, mask)

    def _noisy(self, inputs: Tensor) -> Tensor:
        """Add noise to ``inputs`` (n_used, n_inputs).

        Contexts and targets get the same where they share a query: the network sees
        other queries than the training ones, not wrong answers to them.
        """
        if not self.query_noise:
            return inputs
        noise = torch.empty_like(inputs).normal_(generator=self.generator)
        return inputs + self.query_noise * noise


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
    # Generators on the device for weights, noise and dropout, and one of numpy for
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
    inputs = to_tensor(input_map(training.queries.vectors()), placement)
    n_parts = PARTS_OF_STEP if placement.device.type == "cpu" else 1
    learners = [
        _Learner.of(network, inputs, sampling.query_noise, part_seed, placement)
        for part_seed in np.random.SeedSequence(seed).generate_state(n_parts)
    ]
    batches = draw_batches(
        training,
        rng,
        n_models=sampling.batch_size,
        min_context=sampling.min_context,
        max_context=sampling.max_context,
        n_targets=sampling.n_targets,
        n_parts=n_parts,
    )

    def draw_parts() -> list[Callable[[], Tensor]]:
        parts = next(batches)
        n_targets = sum(part.targets.mask.sum() for part in parts)
        # There are fewer parts than learners where there are fewer models.
        return [
            partial(learner.loss, part, part.targets.mask.sum() / n_targets)
            for learner, part in zip(learners, parts, strict=False)
        ]

    n_tokens = sampling.batch_size * (sampling.max_context + sampling.n_targets)
    width = network.config.n_components
    step = n_tokens * width, placement.device, n_parts
    with threads_for_step(*step) as compute:
        validate = None
        if held_out is not None:
            validate = _validation(
                *_checked(training, held_out, rng),
                input_map,
                sampling.max_context,
                rng,
                placement,
                compute,
            )
        history = train(network, draw_parts, validate, options, compute)
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


def _checked(
    training: EvaluationSet, held_out: EvaluationSet, rng: np.random.Generator
) -> tuple[EvaluationSet, EvaluationSet]:
    """Keep the models whose held-out evaluations tell when to stop."""
    names = held_out.model_names
    if len(names) > CHECKED_MODELS:
        names = names[np.sort(rng.choice(len(names), CHECKED_MODELS, replace=False))]
        held_out = held_out.only_models(names)
    return training.only_models(names), held_out


def _validation(
    training: EvaluationSet,
    held_out: EvaluationSet,
    input_map: InputMap,
    max_context: int,
    rng: np.random.Generator,
    placement: Placement,
    compute: Compute,
) -> Callable[[nn.Module], float]:
    """Return a function: network -> log loss on the held-out evaluations."""
    held_inputs = to_tensor(input_map(held_out.queries.vectors()), placement)
    # Drawn once: checks differ by the weights alone and can be compared.
    contexts = largest_contexts(training, max_context, rng)
    pairs = DistinctPairs.of(contexts.queries.ravel(), contexts.scores.ravel())
    used = to_tensor(input_map(training.queries.vectors(pairs.used)), placement)
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

        @torch.no_grad()  # holds for one thread
        def loss_of(chunk: tuple[Tensor, ...]) -> Tensor:
            context, context_mask, queries, scores, counted = chunk
            embeddings = tables.embed(network.encoder, context, context_mask)
            logits = network.predictor(embeddings, held_inputs, queries)
            return nn.functional.binary_cross_entropy_with_logits(
                logits, scores, weight=counted, reduction="sum"
            )

        losses = torch.stack(compute(loss_of, chunks))
        return float(losses.double().sum()) / len(held_out)

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
