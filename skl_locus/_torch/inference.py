"""Embedding models with a trained network, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from skl_locus._evaluations import EvaluationSet
from skl_locus._network_state import InputMap, NetworkState
from skl_locus._torch.batches import pad
from skl_locus._torch.device import Placement
from skl_locus._torch.network import LocusNetwork, NetworkConfig, SetEncoder
from skl_locus._torch.shared_pairs import DistinctPairs, PairTables
from skl_locus._torch.weights import load_module, to_tensor

CHUNK_TOKENS = 4_096
"""Padded evaluations embedded at a time on a CPU: what its caches can hold."""

ACCELERATOR_CHUNK_TOKENS = 65_536
"""Padded evaluations embedded at a time on other devices; about 500 MB."""

MAX_PAIRS = 65_536
"""Distinct (query, score) pairs prepared at a time; about 130 MB."""

CHUNK_ENCODINGS = 8_192
"""Encodings mapped and projected at a time."""


def embed(
    state: NetworkState, evaluations: EvaluationSet, placement: Placement
) -> np.ndarray:
    """Embed every model of a set of evaluations.

    Parameters
    ----------
    state : NetworkState
        Trained network.
    evaluations : EvaluationSet
        Evaluations; encodings as the user gave them.
    placement : Placement
        Where to compute.

    Returns
    -------
    ndarray of shape (n_models, n_components)
        Embeddings, in the order of ``evaluations.model_names``.
    """
    encoder = load_network(state, placement).encoder
    embeddings = np.empty(
        (evaluations.n_models, state.config["n_components"]),
        dtype=np.float64 if placement.dtype == torch.float64 else np.float32,
    )
    by_size = np.argsort(-evaluations.sizes, kind="stable")
    device = placement.device.type
    # Products alone are rounded: tokens are summed and normalised in float32.
    with torch.autocast(device, torch.bfloat16, enabled=placement.reduced):
        for group in _groups(evaluations, by_size):
            encodings = evaluations.queries.encodings
            tables = _tables(
                encoder, state.input_map, encodings, group.pairs, placement
            )
            for models, index, mask in group.chunks(chunk_tokens(placement)):
                some = _embed_chunk(encoder, tables, index, mask, placement)
                embeddings[models] = some
    return embeddings


def load_network(state: NetworkState, placement: Placement) -> LocusNetwork:
    """Rebuild the torch network of a state, ready for inference."""
    config = NetworkConfig(**state.config)
    return load_module(lambda: LocusNetwork(config), state.weights, placement)


def chunk_tokens(placement: Placement) -> int:
    """Return how many padded evaluations to embed at a time."""
    on_cpu = placement.device.type == "cpu"
    return CHUNK_TOKENS if on_cpu else ACCELERATOR_CHUNK_TOKENS


def _embed_chunk(
    encoder: SetEncoder,
    tables: PairTables,
    index: np.ndarray,
    mask: np.ndarray,
    placement: Placement,
) -> np.ndarray:
    embedded = tables.embed(
        encoder,
        to_tensor(index, placement),
        None if mask.all() else to_tensor(mask, placement),
    )
    return embedded.to(placement.dtype).cpu().numpy()


@dataclass(frozen=True)
class _Group:
    """Models that are embedded from one table of (query, score) pairs.

    Parameters
    ----------
    models : ndarray of shape (n_models,)
        Numbers of the models, those with most evaluations first.
    lengths : ndarray of shape (n_models,)
        Number of evaluations of each.
    pairs : DistinctPairs
        Pairs of the evaluations, model by model; queries are rows of the encodings.
    """

    models: np.ndarray
    lengths: np.ndarray
    pairs: DistinctPairs

    @classmethod
    def of(cls, evaluations: EvaluationSet, models: np.ndarray) -> _Group:
        """Find the pairs of some models."""
        rows = np.concatenate(
            [np.arange(*evaluations.offsets[m : m + 2]) for m in models]
        )
        vectors = evaluations.queries.rows[evaluations.query_codes[rows]]
        pairs = DistinctPairs.of(vectors, evaluations.scores[rows])
        return cls(models, evaluations.sizes[models], pairs)

    def chunks(self, n_tokens: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield models of similar size with their pairs, padded, and the mask."""
        own_pairs = np.split(self.pairs.index, np.cumsum(self.lengths)[:-1])
        start = 0
        while start < len(self.models):
            fitting = max(1, n_tokens // self.lengths[start])
            some = slice(start, start + fitting)
            yield self.models[some], *pad(own_pairs[some])
            start += fitting


def _groups(evaluations: EvaluationSet, models: np.ndarray) -> Iterator[_Group]:
    """Divide models until the pairs of each part are few, or it is one model."""
    group = _Group.of(evaluations, models)
    if len(models) == 1 or len(group.pairs.scores) <= MAX_PAIRS:
        yield group
        return
    for half in np.array_split(models, 2):
        yield from _groups(evaluations, half)


def _tables(
    encoder: SetEncoder,
    input_map: InputMap,
    encodings: np.ndarray,
    pairs: DistinctPairs,
    placement: Placement,
) -> PairTables:
    starts = range(0, len(pairs.used), CHUNK_ENCODINGS)
    parts = (pairs.used[start : start + CHUNK_ENCODINGS] for start in starts)
    return PairTables.of(
        encoder,
        (to_tensor(input_map(encodings[part]), placement) for part in parts),
        to_tensor(pairs.queries, placement),
        to_tensor(pairs.scores, placement),
    )
