"""Embedding models with a trained network, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from skl_locus._evaluations import EvaluationSet
from skl_locus._network_state import NetworkState
from skl_locus._torch.batches import RaggedRows, pad_rows
from skl_locus._torch.device import Placement
from skl_locus._torch.network import LocusNetwork, NetworkConfig, SetEncoder
from skl_locus._torch.weights import load_module, to_tensor

CHUNK_TOKENS = 16_384
"""Padded evaluations embedded at a time; bounds memory at about 100 MB."""


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
    network = load_network(state, placement)
    inputs = state.input_map(evaluations.queries.encodings)
    embeddings = np.empty(
        (evaluations.n_models, state.config["n_components"]),
        dtype=np.float64 if placement.dtype == torch.float64 else np.float32,
    )
    for models in _chunks(evaluations.sizes):
        rows = [np.arange(*evaluations.offsets[m : m + 2]) for m in models]
        chunk = pad_rows(evaluations, rows)
        embeddings[models] = embed_rows(
            network.encoder, inputs, evaluations.queries.rows, chunk, placement
        )
    return embeddings


@torch.no_grad()
def embed_rows(
    encoder: SetEncoder,
    inputs: np.ndarray,
    query_rows: np.ndarray,
    chunk: RaggedRows,
    placement: Placement,
) -> np.ndarray:
    """Embed padded evaluations of some models: (n_models, n_components)."""
    used, index = np.unique(query_rows[chunk.queries], return_inverse=True)
    mask = None if chunk.mask.all() else to_tensor(chunk.mask, placement)
    embedded = encoder(
        to_tensor(inputs[used], placement),
        to_tensor(index.reshape(chunk.queries.shape), placement),
        to_tensor(chunk.scores, placement),
        mask,
    )
    return embedded.cpu().numpy()


def load_network(state: NetworkState, placement: Placement) -> LocusNetwork:
    """Rebuild the torch network of a state, ready for inference."""
    config = NetworkConfig(**state.config)
    return load_module(lambda: LocusNetwork(config), state.weights, placement)


def _chunks(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Group models of similar size, so that a chunk has little padding."""
    order = np.argsort(sizes, kind="stable")[::-1]
    start = 0
    while start < len(order):
        fitting = max(1, CHUNK_TOKENS // max(1, int(sizes[order[start]])))
        yield order[start : start + fitting]
        start += fitting
