"""A trained network as numpy arrays, and prediction with nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import eigh

RELATIVE_RANK_TOLERANCE = 1e-6
"""Components with less variance than this share of the largest are left out."""

WHITENING = 0.5
"""How far components are whitened: 0 leaves their variances as they are, 1 makes all of
them one."""

TILE_COLUMNS = 256
"""Rows of a stacked matrix at a time, at least those of one model or query."""

TILE_ELEMENTS = 524_288
"""Hidden units computed at a time; 2 MB in float32. With less, the threads of one
product wait for each other."""

MIN_REDUCED = 256
"""Queries from which on the stacked matrices are multiplied by the map from inputs: it
costs as much as it saves for 128 queries and 64 inputs."""


@dataclass(frozen=True)
class InputMap:
    """Affine map from encodings to well-conditioned inputs of the network.

    Principal components of the training queries, half whitened: their standard
    deviations are replaced by the square roots, so that the optimiser meets no
    direction that is a hundred times longer than another; then scaled to unit
    variance on average.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        Mean encoding.
    components : ndarray of shape (n_features, n_inputs)
        Directions.
    """

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, encodings: np.ndarray, n_inputs: int | None) -> InputMap:
        """Learn the map from encodings of shape (n_queries, n_features)."""
        X = encodings.astype(np.float64)
        mean = X.mean(axis=0)
        X -= mean
        # Principal components. eigh gives variances in ascending order.
        variances, directions = eigh(X.T @ X / len(X))
        order = np.argsort(variances)[::-1][:n_inputs]
        variances, directions = variances[order], directions[:, order]
        # What lies below is rounding of the encodings; whitening would blow it up.
        kept = variances > RELATIVE_RANK_TOLERANCE * max(variances[0], 0)
        if not kept.any():
            # Equal encodings show no direction: every query has the same input.
            return cls(mean.astype(np.float32), np.zeros((len(mean), 1), np.float32))
        kept[0] = True
        variances = np.maximum(variances[kept], np.finfo(np.float32).tiny)
        # A direction and its opposite are equally good, and libraries differ in which
        # one they return: fix the sign.
        directions = directions[:, kept]
        largest = np.abs(directions).argmax(axis=0)
        directions *= np.sign(directions[largest, np.arange(directions.shape[1])])
        whitened = directions / variances ** (WHITENING / 2)
        scale = math.sqrt((variances ** (1 - WHITENING)).mean())
        return cls(mean.astype(np.float32), (whitened / scale).astype(np.float32))

    def __call__(self, encodings: np.ndarray) -> np.ndarray:
        """Map encodings (n, n_features) to inputs (n, n_inputs)."""
        return (encodings - self.mean) @ self.components


@dataclass(frozen=True)
class NetworkState:
    """A trained network: shape, weights and the map in front of it.

    Parameters
    ----------
    config : dict
        Fields of the network's configuration.
    input_map : InputMap
        From encodings to network inputs.
    weights : dict of str to ndarray
        Parameters by their torch names.
    """

    config: dict[str, Any]
    input_map: InputMap
    weights: dict[str, np.ndarray]

    def pack(self, embeddings: np.ndarray) -> PackedPredictor:
        """Prepare the predictor for embeddings of shape (n_models, n_components)."""
        # The input map and the query projection are both affine: one product does both.
        w = {
            name.removeprefix("predictor."): value
            for name, value in self.weights.items()
            if name.startswith("predictor.")
        }
        query_map = self.input_map.components @ w["query.weight"].T
        query_offset = w["query.bias"] - self.input_map.mean @ query_map
        scale = 1 / math.sqrt(embeddings.shape[1]) if self.config["bilinear"] else 0.0
        components = self.input_map.components
        narrow = components.shape[1] < query_map.shape[1]
        return PackedPredictor(
            query_map=_with_column(query_map, 0),
            query_offset=_with_column(query_offset[None], 1)[0],
            embeddings=_with_column(embeddings, 1),
            hidden_embedding=_with_column(
                w["hidden_embedding.weight"], w["hidden_embedding.bias"]
            ),
            hidden_query=_with_column(w["hidden_query.weight"], 0),
            hidden_product=_with_column(w["hidden_product.weight"], 0),
            out=w["out.weight"][0],
            # z.u is one too large by the product of the two ones.
            out_offset=w["out.bias"][0] - scale,
            bilinear_scale=scale,
            inputs=_packed_inputs(self.input_map, w) if narrow else None,
        )


def _packed_inputs(input_map: InputMap, w: dict[str, np.ndarray]) -> PackedInputs:
    """Keep the two maps from encodings to u apart, each with a column of ones."""
    offset = -(input_map.mean @ input_map.components)
    last_row = np.append(np.zeros_like(offset), offset.dtype.type(1))
    return PackedInputs(
        input_map=_with_column(input_map.components, 0),
        input_offset=np.append(offset, offset.dtype.type(1)),
        to_queries=np.vstack(
            [_with_column(w["query.weight"], w["query.bias"]), last_row]
        ),
    )


def _with_column(matrix: np.ndarray, last: np.ndarray | float) -> np.ndarray:
    column = np.broadcast_to(np.asarray(last, matrix.dtype), len(matrix))
    return np.column_stack([matrix, column])


@dataclass(frozen=True)
class PackedInputs:
    """The map from encodings to u in two steps, by way of the network's few inputs.

    Parameters
    ----------
    input_map : ndarray of shape (n_features, n_inputs + 1)
        From encodings to inputs x, with ``input_offset`` of shape (n_inputs + 1,); the
        last input is 1.
    to_queries : ndarray of shape (n_components + 1, n_inputs + 1)
        From inputs to u.
    """

    input_map: np.ndarray
    input_offset: np.ndarray
    to_queries: np.ndarray


@dataclass(frozen=True)
class PackedPredictor:
    """The correctness predictor, with the maps in front of it made one.

    The hidden layer of (z, u) is W_z z + W_u u + W_x (z * u) + b. For one model that
    is (W_x diag(z) + W_u) u plus a constant, for one query (W_x diag(u) + W_z) z plus
    another. The matrices of whichever are fewer are stacked, so that all hidden units
    of all pairs come from one matrix product and nothing is kept per model but its
    embedding: a single query costs one small matrix.

    Biases are one more column, which meets a 1 at the end of z and u. Added to the
    product afterwards they take another pass over all hidden units, which made batches
    5% to 36% slower (``examples/benchmarks/correctness.py``, 1 to 8 threads).

    u is itself a linear map of the network's inputs x, of which there are half as many
    by default. Where many queries share the stacked matrices, these are multiplied by
    that map once, and the large product is half as long.

    Parameters
    ----------
    query_map : ndarray of shape (n_features, n_components + 1)
        From encodings to u, with ``query_offset`` of shape (n_components + 1,).
    embeddings : ndarray of shape (n_models, n_components + 1)
        z of every model.
    hidden_embedding, hidden_query, hidden_product : ndarray of shape \
            (n_hidden, n_components + 1)
        W_z with b in its last column, W_u and W_x with zeros there.
    out : ndarray of shape (n_hidden,)
        From hidden units to the logit, with the number ``out_offset``, which makes up
        for the ones of z.u.
    bilinear_scale : float
        Factor of z.u in the logit.
    inputs : PackedInputs or None
        From encodings to u by way of fewer inputs; None if they are not fewer, or in
        files of earlier versions.
    """

    query_map: np.ndarray
    query_offset: np.ndarray
    embeddings: np.ndarray
    hidden_embedding: np.ndarray
    hidden_query: np.ndarray
    hidden_product: np.ndarray
    out: np.ndarray
    out_offset: float
    bilinear_scale: float
    inputs: PackedInputs | None = None

    def take(self, columns: np.ndarray) -> PackedPredictor:
        """Keep some models only."""
        return replace(self, embeddings=self.embeddings[columns])

    def logits(self, encodings: np.ndarray) -> np.ndarray:
        """Score encodings (n_queries, n_features) -> (n_queries, n_models)."""
        z = self.embeddings
        if len(encodings) < len(z):
            u = self._queries(encodings)
            logits = u @ self._scaled_embeddings().T
            self._add_hidden(logits.T, z, u, self.hidden_embedding, self.hidden_query)
        elif self.inputs is None or len(encodings) < MIN_REDUCED:
            u = self._queries(encodings)
            logits = u @ self._scaled_embeddings().T
            self._add_hidden(logits, u, z, self.hidden_query, self.hidden_embedding)
        else:
            x = encodings @ self.inputs.input_map + self.inputs.input_offset
            to_queries = self.inputs.to_queries
            logits = x @ (self._scaled_embeddings() @ to_queries).T
            self._add_hidden(
                logits, x, z, self.hidden_query, self.hidden_embedding, to_queries
            )
        logits += self.out_offset
        return logits

    def _queries(self, encodings: np.ndarray) -> np.ndarray:
        """Map encodings to u: (n_queries, n_components + 1)."""
        return encodings @ self.query_map + self.query_offset

    def _scaled_embeddings(self) -> np.ndarray:
        return self.bilinear_scale * self.embeddings

    def _add_hidden(
        self,
        logits: np.ndarray,
        many: np.ndarray,
        few: np.ndarray,
        weights_of_many: np.ndarray,
        weights_of_few: np.ndarray,
        from_many: np.ndarray | None = None,
    ) -> None:
        """Add what comes from the hidden layer to logits (n_many, n_few).

        ``from_many``, if given, maps the many to what the weights are for.
        """
        few_per_tile = max(1, TILE_COLUMNS // len(self.out))
        rows_per_tile = max(1, TILE_ELEMENTS // (few_per_tile * len(self.out)))
        # One buffer for all tiles stays in a cache; new ones would have to be mapped.
        n_units = min(few_per_tile, len(few)) * len(self.out)
        buffer = np.empty(
            min(rows_per_tile, len(many)) * n_units, np.result_type(many, few)
        )
        for start in range(0, len(few), few_per_tile):
            columns = slice(start, start + few_per_tile)
            chunk = few[columns]
            # Given one of the few, the hidden layer is linear in the many.
            stacked = self.hidden_product * chunk[:, None, :] + weights_of_many
            stacked[:, :, -1] += chunk @ weights_of_few.T
            stacked = stacked.reshape(-1, chunk.shape[1])
            if from_many is not None:
                stacked = stacked @ from_many
            # Hidden units are used once: tiles that fit a cache are never written back.
            for first in range(0, len(many), rows_per_tile):
                rows = slice(first, first + rows_per_tile)
                shape = len(many[rows]), len(stacked)
                hidden = buffer[: math.prod(shape)].reshape(shape)
                np.matmul(many[rows], stacked.T, out=hidden)
                logits[rows, columns] += self._from_hidden(hidden)

    def _from_hidden(self, hidden: np.ndarray) -> np.ndarray:
        """(n_many, n_few * n_hidden) before the ReLU -> (n_many, n_few)."""
        # Of an array with a number numpy takes the maximum four times as slowly as of
        # two arrays, for which it has vector instructions.
        zeros = np.zeros(hidden.shape[1], hidden.dtype)
        np.maximum(hidden, zeros, out=hidden)
        return (hidden.reshape(-1, len(self.out)) @ self.out).reshape(len(hidden), -1)
