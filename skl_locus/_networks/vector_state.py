"""Predictors of one free vector per model: shape, weights and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

CHUNK_ELEMENTS = 4_000_000
"""Hidden units computed at a time in prediction; 16 MB in float32."""

SMALLEST_SQUARE = 1e-6
"""Added to the squared norm of a query's vector, which divides it: the vector of a text
without any known word may be zero, and its gradient must not be infinite."""


@dataclass(frozen=True)
class ProductShape:
    """Sizes of EmbedLLM's predictor; fields named as the router's parameters."""

    n_features: int
    n_components: int
    n_hidden_layers: int
    hidden_size: int


@dataclass(frozen=True)
class ItemResponseShape:
    """Sizes of IRT-Net's predictor; fields named as the router's parameters."""

    n_features: int
    n_components: int
    n_experts: int
    hidden_size: int


@dataclass(frozen=True)
class ProjectionShape:
    """Sizes of JE-IRT's predictor; fields named as the router's parameters."""

    n_features: int
    n_components: int
    hidden_size: int
    dropout: float


@dataclass(frozen=True)
class MultidimensionalShape:
    """Sizes of MIRT's predictor, whose maps have no hidden layer."""

    n_features: int
    n_components: int
    hidden_size: int = 0


VectorShape = ProductShape | ItemResponseShape | ProjectionShape | MultidimensionalShape


def widest(shape: VectorShape) -> int:
    """Return the largest number of units of a layer, or of features of a query."""
    return max(shape.n_components, shape.hidden_size, shape.n_features)


@dataclass(frozen=True)
class VectorPredictor(ABC):
    """A trained predictor of P(correct) from a model's vector and a query.

    Parameters
    ----------
    shape : ProductShape, ItemResponseShape, ProjectionShape or MultidimensionalShape
        Sizes.
    weights : dict of str to ndarray
        Parameters by their torch names.
    """

    shape: VectorShape
    weights: dict[str, np.ndarray]

    def logits(self, encodings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Score encodings (n_queries, n_features) -> (n_queries, n_models)."""
        result = np.empty((len(encodings), len(vectors)), dtype=vectors.dtype)
        step = max(1, CHUNK_ELEMENTS // self._units_per_query(len(vectors)))
        for start in range(0, len(encodings), step):
            chunk = slice(start, start + step)
            result[chunk] = self._score(encodings[chunk], vectors)
        return result

    @abstractmethod
    def _units_per_query(self, n_models: int) -> int:
        """Return the size of the largest intermediate result per query."""

    @abstractmethod
    def _score(self, encodings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Score one chunk: (n_queries, n_models)."""

    def _affine(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


class ProductPredictor(VectorPredictor):
    """EmbedLLM: a classifier of the product of the vector and the query's map."""

    shape: ProductShape

    def _units_per_query(self, n_models: int) -> int:
        n_hidden = n_models * self.shape.hidden_size * (self.shape.n_hidden_layers > 0)
        return self.shape.n_components + n_models + n_hidden

    def _score(self, encodings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        u = self._affine("query", encodings)
        # The logit of P(correct) under a softmax of two classes is the difference of
        # their logits: one linear function.
        wrong, correct = self.weights["out.weight"]
        out = correct - wrong
        offset = np.subtract(*self.weights["out.bias"][::-1])
        if self.shape.n_hidden_layers == 0:
            return u @ (vectors * out).T + offset
        return self._hidden(u, vectors) @ out + offset

    def _hidden(self, u: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Last hidden layer: (n_queries, n_models, hidden_size).

        Since W (e * u) = (W diag(e)) u, the first layer of all models is one
        matrix product with the models' matrices stacked.
        """
        stacked = self.weights["hidden.0.weight"] * vectors[:, None, :]
        hidden = u @ stacked.reshape(-1, u.shape[1]).T
        hidden = hidden.reshape(len(u), len(vectors), -1)
        hidden += self.weights["hidden.0.bias"]
        np.maximum(hidden, 0, out=hidden)
        for layer in range(1, self.shape.n_hidden_layers):
            hidden = np.maximum(self._affine(f"hidden.{layer}", hidden), 0)
        return hidden


class ItemPredictor(VectorPredictor):
    """Discrimination of the query times the model's vector, minus difficulty."""

    def _score(self, encodings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        discrimination, difficulty = self.items(encodings)
        return discrimination @ vectors.T - difficulty[:, None]

    @abstractmethod
    def items(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return discriminations (n_queries, n_components) and difficulties."""


class ItemResponsePredictor(ItemPredictor):
    """IRT-Net: a mixture of experts finds the items."""

    shape: ItemResponseShape

    def _units_per_query(self, n_models: int) -> int:
        return n_models + self.shape.n_experts * self.shape.hidden_size

    def items(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return discriminations (n_queries, n_components) and difficulties."""
        gates = softmax(self._affine("gate", encodings), axis=1)
        hidden = np.maximum(self._affine("hidden", encodings), 0)
        # The weighted sum of linear outputs is linear in the weighted layers.
        weighted = hidden.reshape(len(encodings), gates.shape[1], -1) * gates[..., None]
        items = weighted.reshape(len(encodings), -1) @ self.weights["out.weight"].T
        items += gates @ self.weights["offset.weight"].T
        return items[:, :-1], items[:, -1]


class ProjectionPredictor(ItemPredictor):
    """JE-IRT: a query's vector has its topic as direction, its difficulty as norm."""

    shape: ProjectionShape

    def _units_per_query(self, n_models: int) -> int:
        return n_models + self.shape.hidden_size + self.shape.n_components

    def items(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors (n_queries, n_components) and norms."""
        hidden = np.maximum(self._affine("hidden", encodings), 0)
        vectors = self._affine("out", hidden)
        norms = np.sqrt((vectors**2).sum(axis=1) + SMALLEST_SQUARE)
        return vectors / norms[:, None], norms


class MultidimensionalPredictor(ItemPredictor):
    """MIRT: positive discriminations and a difficulty, each linear in the query."""

    shape: MultidimensionalShape

    def _units_per_query(self, n_models: int) -> int:
        return n_models + self.shape.n_components

    def items(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return discriminations (n_queries, n_components) and difficulties."""
        # The softplus, log(1 + exp(x)), without overflow.
        slopes = encodings @ self.weights["discrimination.weight"].T
        difficulties = encodings @ self.weights["difficulty.weight"].T
        return np.logaddexp(slopes, 0), difficulties[:, 0]
