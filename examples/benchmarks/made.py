"""Made-up networks and logs: the time does not depend on what they say."""

import numpy as np
import torch
from gpu import untrained
from plain import plain_twin

from skl_locus._data.evaluations import combine_rows
from skl_locus._data.queries import QuerySet
from skl_locus._torch.device import resolve_placement
from skl_locus._torch.inference import load_network

N_MODELS = 112
N_FEATURES = 768


def networks(n_features):
    """Return the state of an untrained network, its plain twin and the placement."""
    placement = resolve_placement("cpu", "float32")
    state = untrained(n_features, placement, bilinear=False)
    twin = plain_twin(load_network(state, placement)).requires_grad_(False)
    return state, twin, placement


def encodings(n_queries, n_features, seed=0):
    """Draw encodings (n_queries, n_features), float32."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_queries, n_features)).astype(np.float32)


def scores(n_models, n_queries, seed=1):
    """Draw scores 0 or 1, (n_models, n_queries)."""
    rng = np.random.default_rng(seed)
    return rng.integers(2, size=(n_models, n_queries)).astype(np.float32)


def evaluation_set(vectors, matrix):
    """Make the package's form of a log in which every model saw every query."""
    n_models, n_queries = matrix.shape
    keys = np.array([f"{i:08d}" for i in range(n_queries)], dtype="S16")
    return combine_rows(
        [f"model-{i:04d}" for i in range(n_models)],
        QuerySet(keys, np.arange(n_queries, dtype=np.int32), vectors),
        np.repeat(np.arange(n_models), n_queries),
        np.tile(np.arange(n_queries), n_models),
        matrix.ravel(),
        np.ones(matrix.size, dtype=np.int32),
        "raise",
    )


def largest_difference(first, second):
    """Return the largest absolute difference of two arrays or tensors."""
    return float(np.abs(np.asarray(first) - np.asarray(second)).max())


def no_grad(function):
    """Let a work of torch keep no graph."""
    return torch.no_grad()(function)
