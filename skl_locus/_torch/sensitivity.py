"""First-order effects of exchanged evaluations on an embedding."""

from __future__ import annotations

import numpy as np
import torch

from skl_locus._data.queries import QuerySet
from skl_locus._networks.locus_state import NetworkState
from skl_locus._torch.contexts import in_own_context
from skl_locus._torch.device import Placement
from skl_locus._torch.inference import load_network, to_tensor


@in_own_context
def exchange_effects(
    state: NetworkState,
    queries: QuerySet,
    codes: np.ndarray,
    scores: np.ndarray,
    expected: np.ndarray,
    directions: np.ndarray,
    placement: Placement,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what exchanging the two evaluations of each pair does to embeddings.

    To first order around the midpoints of the pairs' tokens, ``J_i (a_i - b_i)`` with
    J_i the derivative of the embedding by token i, and a_i and b_i what the scores of
    pair i add to the tokens of the expected scores. The midpoints, and so the
    derivatives, are the same whichever evaluation is on which side; and which queries
    were asked has no effect, only how they were answered.

    Parameters
    ----------
    state : NetworkState
        Trained network.
    queries : QuerySet
        Queries.
    codes, scores : ndarray of shape (2, n_pairs)
        Query and score of both evaluations of each pair.
    expected : ndarray of shape (2, n_pairs)
        Scores that any model might get on these queries.
    directions : ndarray of shape (n_directions, n_components)
        Directions of the embedding space that are looked at.
    placement : Placement
        Where to compute.

    Returns
    -------
    effects : ndarray of shape (n_pairs, n_directions), float64
        Exchanging the sides of a pair turns the signs of its effects.
    embeddings : ndarray of shape (2, n_components), float64
        Embeddings of both sides as they are.
    """
    encoder = load_network(state, placement).encoder
    used, index = np.unique(queries.rows[codes], return_inverse=True)
    inputs = to_tensor(state.input_map(queries.encodings[used]), placement)
    projections = encoder.tokenizer.project(inputs)
    positions = to_tensor(index.reshape(codes.shape), placement)
    sides, unscored = (
        encoder.tokenizer(projections, positions, to_tensor(values, placement))
        for values in (scores, expected)
    )
    residual_tokens = sides - unscored
    # The null hypothesis exchanges sides at random, so derivatives must not depend on
    # which side an evaluation is on.
    middle = sides.mean(dim=0, keepdim=True).requires_grad_(True)
    components = encoder.embed_tokens(middle, None)[0] @ to_tensor(
        np.ascontiguousarray(directions).T, placement
    )
    derivatives = [
        torch.autograd.grad(component, middle, retain_graph=True)[0][0]
        for component in components
    ]
    effects = (
        (torch.stack(derivatives) * (residual_tokens[0] - residual_tokens[1]))
        .sum(dim=-1)
        .T
    )
    embeddings = encoder.embed_tokens(sides, None)
    return (
        effects.cpu().numpy().astype(np.float64),
        embeddings.cpu().numpy().astype(np.float64),
    )
