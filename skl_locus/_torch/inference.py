"""Embedding models with a trained network, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._networks.locus_state import InputMap, NetworkState
from skl_locus._torch.batches import pad
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import Placement
from skl_locus._torch.kept_copies import KeptCopies
from skl_locus._torch.network import LocusNetwork, NetworkConfig, SetEncoder
from skl_locus._torch.shared_pairs import DistinctPairs, PairTables
from skl_locus._torch.threads import parallel_map
from skl_locus._torch.weights import load_module, to_tensor
from skl_locus._utils.progress import progress_bar

CHUNK_TOKENS = 4_096
"""Padded evaluations embedded at a time on a CPU: what its caches can hold."""

ACCELERATOR_CHUNK_TOKENS = 65_536
"""Padded evaluations embedded at a time on other devices; about 500 MB."""

MAX_PAIRS = 65_536
"""Distinct (query, score) pairs prepared at a time; about 130 MB."""

CHUNK_ENCODINGS = 8_192
"""Encodings mapped and projected at a time."""


@in_own_context
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
    encoder = _kept_network(state, placement).encoder
    embeddings = np.empty(
        (evaluations.n_models, state.config["n_components"]),
        dtype=np.float64 if placement.dtype == torch.float64 else np.float32,
    )
    # Models of similar size are padded together, so that little work is padding.
    by_size = np.argsort(-evaluations.sizes, kind="stable")
    inputs = evaluations.queries.encodings
    with progress_bar("embed models", evaluations.n_models, unit="model") as bar:
        for group in _groups(evaluations, by_size):
            embeddings[group.models] = _embed_group(
                encoder, state.input_map, inputs, group, placement
            )
            bar.advance(len(group.models))
    return embeddings


def load_network(state: NetworkState, placement: Placement) -> LocusNetwork:
    """Rebuild the torch network of a state, ready for inference."""
    config = NetworkConfig(**state.config)
    return load_module(lambda: LocusNetwork(config), state.weights, placement)


def _kept_network(state: NetworkState, placement: Placement) -> LocusNetwork:
    """Return the network of a state for inference alone, which changes nothing in it.

    Rebuilding it takes as long as embedding a model.
    """
    place = placement.device, placement.dtype
    return _networks.of(state, place, lambda: load_network(state, placement))


_networks = KeptCopies[LocusNetwork]()


def chunk_tokens(placement: Placement) -> int:
    """Return how many padded evaluations to embed at a time."""
    on_cpu = placement.device.type == "cpu"
    return CHUNK_TOKENS if on_cpu else ACCELERATOR_CHUNK_TOKENS


def _embed_group(
    encoder: SetEncoder,
    input_map: InputMap,
    encodings: np.ndarray,
    group: _Group,
    placement: Placement,
) -> np.ndarray:
    """Embed the models of a group, in the group's order."""
    with _products_of(placement):
        tables = _tables(encoder, input_map, encodings, group.pairs, placement)

    # Indices are on the device before the first of them is used: a copy waits for all
    # that was started before it.
    copies = [
        _on_device(*group.padded(chunk), placement)
        for chunk in group.chunks(chunk_tokens(placement))
    ]

    def embed_chunk(index_and_mask: tuple[Tensor, Tensor | None]) -> Tensor:
        # Autocast holds for one thread, and this runs in several.
        with _products_of(placement):
            return tables.embed(encoder, *index_and_mask).to(placement.dtype)

    return torch.cat(parallel_map(embed_chunk, copies, placement.device)).cpu().numpy()


def _on_device(
    index: np.ndarray, mask: np.ndarray, placement: Placement
) -> tuple[Tensor, Tensor | None]:
    """Copy a padded index and its mask, which is left out where nothing is padded."""
    return (
        to_tensor(index, placement),
        None if mask.all() else to_tensor(mask, placement),
    )


def _products_of(placement: Placement) -> torch.autocast:
    """Return the context in which the calling thread multiplies as asked for.

    Products alone are rounded: tokens are summed and normalised in float32.
    """
    device = placement.device.type
    return torch.autocast(device, torch.bfloat16, enabled=placement.bfloat16_inference)


@dataclass(frozen=True)
class _Group:
    """Models that are embedded from one table of (query, score) pairs.

    Parameters
    ----------
    models : ndarray of shape (n_models,)
        Numbers of the models, those with most evaluations first.
    offsets : ndarray of shape (n_models + 1,)
        Where each model's evaluations begin in the index of the pairs; their end.
    pairs : DistinctPairs
        Pairs of the evaluations, model by model; queries are rows of the encodings.
    """

    models: np.ndarray
    offsets: np.ndarray
    pairs: DistinctPairs

    @classmethod
    def of(cls, evaluations: EvaluationSet, models: np.ndarray) -> _Group:
        """Find the pairs of some models."""
        rows = evaluations.rows_of(models)
        vectors = evaluations.queries.rows[evaluations.query_codes[rows]]
        pairs = DistinctPairs.of(vectors, evaluations.scores[rows])
        offsets = np.append(0, np.cumsum(evaluations.sizes[models]))
        return cls(models, offsets, pairs)

    def chunks(self, n_tokens: int) -> list[slice]:
        """Divide the models into parts of similar size and about ``n_tokens``."""
        parts, start = [], 0
        lengths = np.diff(self.offsets)
        while start < len(self.models):
            # The first model of a chunk is its largest: the others are padded to it.
            end = min(start + max(1, n_tokens // lengths[start]), len(self.models))
            parts.append(slice(start, end))
            start = end
        return parts

    def padded(self, chunk: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of some models, padded, and the mask."""
        offsets = self.offsets[chunk.start : chunk.stop + 1]
        own = self.pairs.index[offsets[0] : offsets[-1]]
        return pad(np.split(own, offsets[1:-1] - offsets[0]))


def _groups(evaluations: EvaluationSet, models: np.ndarray) -> Iterator[_Group]:
    """Divide models until the pairs of each part are few, or it is one model."""
    group = _Group.of(evaluations, models)
    # The more models share a table, the less is computed twice: halve no further than
    # memory asks for.
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
