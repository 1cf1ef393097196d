"""A trained network as numpy arrays, and prediction with nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import eigh

RELATIVE_RANK_TOLERANCE = 1e-6
"""Components with less variance than this share of the largest are left out."""

CHUNK_ELEMENTS = 4_000_000
"""Hidden units computed at a time in prediction; 16 MB in float32."""


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
        variances, directions = eigh(X.T @ X / len(X))
        order = np.argsort(variances)[::-1][:n_inputs]
        variances, directions = variances[order], directions[:, order]
        kept = variances > RELATIVE_RANK_TOLERANCE * max(variances[0], 0)
        kept[0] = True
        variances = np.maximum(variances[kept], np.finfo(np.float32).tiny)
        # A direction and its opposite are equally good: fix the sign.
        directions = directions[:, kept]
        largest = np.abs(directions).argmax(axis=0)
        directions *= np.sign(directions[largest, np.arange(directions.shape[1])])
        halves = directions / variances**0.25
        scale = math.sqrt(np.sqrt(variances).mean())
        return cls(mean.astype(np.float32), (halves / scale).astype(np.float32))

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
        w = {
            name.removeprefix("predictor."): value
            for name, value in self.weights.items()
            if name.startswith("predictor.")
        }
        query_map = self.input_map.components @ w["query.weight"].T
        return PackedPredictor(
            query_map=query_map,
            query_offset=w["query.bias"] - self.input_map.mean @ query_map,
            embeddings=embeddings,
            hidden_query=w["hidden_query.weight"],
            hidden_product=w["hidden_product.weight"],
            hidden_offset=embeddings @ w["hidden_embedding.weight"].T
            + w["hidden_embedding.bias"],
            out=w["out.weight"][0],
            out_offset=w["out.bias"][0],
            bilinear_scale=(
                1 / math.sqrt(embeddings.shape[1]) if self.config["bilinear"] else 0.0
            ),
        )


@dataclass(frozen=True)
class PackedPredictor:
    """The correctness predictor with everything but the query worked in.

    Since W_x (z * u) = (W_x diag(z)) u, the hidden layer of all models is one
    matrix product with the models' matrices stacked.
    """

    query_map: np.ndarray
    query_offset: np.ndarray
    embeddings: np.ndarray
    hidden_query: np.ndarray
    hidden_product: np.ndarray
    hidden_offset: np.ndarray
    out: np.ndarray
    out_offset: float
    bilinear_scale: float

    def take(self, columns: np.ndarray) -> PackedPredictor:
        """Keep some models only."""
        if np.array_equal(columns, np.arange(len(self.embeddings))):
            return self
        return replace(
            self,
            embeddings=self.embeddings[columns],
            hidden_offset=self.hidden_offset[columns],
        )

    def logits(self, encodings: np.ndarray) -> np.ndarray:
        """Score encodings (n_queries, n_features) -> (n_queries, n_models)."""
        u = encodings @ self.query_map + self.query_offset
        n_models, hidden = self.hidden_offset.shape
        result = np.empty((len(u), n_models), dtype=u.dtype)
        models_per_chunk = max(1, CHUNK_ELEMENTS // (hidden * u.shape[1]))
        for start in range(0, n_models, models_per_chunk):
            models = slice(start, start + models_per_chunk)
            self._score_models(u, models, result[:, models])
        return result

    def _score_models(self, u: np.ndarray, models: slice, out: np.ndarray) -> None:
        embeddings, offsets = self.embeddings[models], self.hidden_offset[models]
        stacked = self.hidden_product * embeddings[:, None, :] + self.hidden_query
        stacked = stacked.reshape(-1, u.shape[1])
        queries_per_chunk = max(1, CHUNK_ELEMENTS // len(stacked))
        for start in range(0, len(u), queries_per_chunk):
            some = u[start : start + queries_per_chunk]
            hidden = some @ stacked.T
            hidden += offsets.ravel()
            np.maximum(hidden, 0, out=hidden)
            logits = hidden.reshape(len(some), *offsets.shape) @ self.out
            logits += self.out_offset
            logits += self.bilinear_scale * (some @ embeddings.T)
            out[start : start + queries_per_chunk] = logits
