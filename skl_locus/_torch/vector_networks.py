"""Predictors of one free vector per model: EmbedLLM and item response theory."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skl_locus._networks.vector_state import (
    SMALLEST_SQUARE,
    ItemResponseShape,
    MultidimensionalShape,
    ProductShape,
    ProjectionShape,
    VectorShape,
)
from skl_locus._torch.attention import SeededDropout


class ProductNetwork(nn.Module):
    """EmbedLLM's predictor: classes of e * (W phi) (LOCUS paper, eq. 17).

    Parameters
    ----------
    shape : ProductShape
        Sizes.
    """

    start_scale = 1.0
    """Standard deviation of the entries of models' vectors before training."""

    def __init__(self, shape: ProductShape) -> None:
        super().__init__()
        self.query = nn.Linear(shape.n_features, shape.n_components)
        widths = [shape.n_components, *[shape.hidden_size] * shape.n_hidden_layers]
        self.hidden = nn.ModuleList(
            nn.Linear(before, after) for before, after in pairwise(widths)
        )
        self.out = nn.Linear(widths[-1], 2)

    def features(self, encodings: Tensor) -> Tensor:
        """Map ``encodings`` (Q, F) of queries to (Q, D)."""
        return self.query(encodings)

    def forward(self, vectors: Tensor, features: Tensor) -> Tensor:
        """Score (model, query) pairs.

        ``vectors`` and ``features`` (B, D) -> logits (B,), the difference between
        the classes correct and wrong, whose binary cross-entropy is the
        cross-entropy of the two classes.
        """
        x = vectors * features
        for layer in self.hidden:
            x = torch.relu(layer(x))
        wrong, correct = self.out(x).unbind(-1)
        return correct - wrong


class ItemNetwork(nn.Module):
    """A predictor whose features of a query are discriminations and a difficulty."""

    start_scale = 1.0
    """Standard deviation of the entries of models' vectors before training."""

    @abstractmethod
    def features(self, encodings: Tensor) -> Tensor:
        """Map ``encodings`` (Q, F) to (Q, D + 1): discrimination, difficulty."""

    def forward(self, vectors: Tensor, features: Tensor) -> Tensor:
        """Score (model, query) pairs.

        ``vectors`` (B, D), ``features`` (B, D + 1) -> logits (B,), discrimination .
        vector - difficulty.
        """
        return (features[:, :-1] * vectors).sum(-1) - features[:, -1]


class ItemResponseNetwork(ItemNetwork):
    """IRT-Net's predictor: a mixture of experts finds the parameters of a query.

    Each expert has one hidden layer and gives a discrimination and a difficulty; a
    softmax of the query weighs the experts. The output layers of all experts are
    one matrix, since a weighted sum of linear maps is linear in the weighted inputs.

    Parameters
    ----------
    shape : ItemResponseShape
        Sizes.
    """

    def __init__(self, shape: ItemResponseShape) -> None:
        super().__init__()
        n_hidden, n_items = shape.n_experts * shape.hidden_size, shape.n_components + 1
        self.gate = nn.Linear(shape.n_features, shape.n_experts)
        self.hidden = nn.Linear(shape.n_features, n_hidden)
        self.out = nn.Linear(n_hidden, n_items, bias=False)
        self.offset = nn.Linear(shape.n_experts, n_items, bias=False)

    def features(self, encodings: Tensor) -> Tensor:
        """Map ``encodings`` (Q, F) to (Q, D + 1): discrimination, difficulty."""
        gates = torch.softmax(self.gate(encodings), dim=-1)
        hidden = torch.relu(self.hidden(encodings)).unflatten(-1, (gates.shape[1], -1))
        weighted = (hidden * gates.unsqueeze(-1)).flatten(1)
        return self.out(weighted) + self.offset(gates)


class ProjectionNetwork(ItemNetwork):
    """JE-IRT's predictor: a network with one hidden layer embeds the query.

    Parameters
    ----------
    shape : ProjectionShape
        Sizes.
    """

    def __init__(self, shape: ProjectionShape) -> None:
        super().__init__()
        self.hidden = nn.Linear(shape.n_features, shape.hidden_size)
        self.dropout = SeededDropout(shape.dropout)
        self.out = nn.Linear(shape.hidden_size, shape.n_components)

    def features(self, encodings: Tensor) -> Tensor:
        """Map ``encodings`` (Q, F) to (Q, D + 1): unit vector, norm."""
        vectors = self.out(self.dropout(torch.relu(self.hidden(encodings))))
        norms = (vectors.square().sum(-1, keepdim=True) + SMALLEST_SQUARE).sqrt()
        return torch.cat([vectors / norms, norms], dim=-1)


class MultidimensionalNetwork(ItemNetwork):
    """MIRT's predictor: linear maps of the query, without intercepts.

    Parameters
    ----------
    shape : MultidimensionalShape
        Sizes.
    """

    def __init__(self, shape: MultidimensionalShape) -> None:
        super().__init__()
        self.discrimination = nn.Linear(
            shape.n_features, shape.n_components, bias=False
        )
        self.difficulty = nn.Linear(shape.n_features, 1, bias=False)
        # All discriminations start near log 2: with entries of variance 1 the logits
        # of the start would be large, and different by chance alone.
        self.start_scale = shape.n_components**-0.5

    def features(self, encodings: Tensor) -> Tensor:
        """Map ``encodings`` (Q, F) to (Q, D + 1): discrimination, difficulty."""
        slopes = F.softplus(self.discrimination(encodings))
        return torch.cat([slopes, self.difficulty(encodings)], dim=-1)


Predictor = ProductNetwork | ItemNetwork


class VectorNetwork(nn.Module):
    """One free vector per model and a predictor that all models share.

    Parameters
    ----------
    n_models, n_components : int
        Number and length of the vectors.
    predictor : ProductNetwork or ItemNetwork
        Scores pairs of a vector and the features of a query.
    """

    def __init__(self, n_models: int, n_components: int, predictor: Predictor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(n_models, n_components))
        self.predictor = predictor

    def forward(self, models: Tensor, features: Tensor, index: Tensor) -> Tensor:
        """``models`` (B,), ``features`` (Q, K), ``index`` (B,) -> logits (B,)."""
        return self.predictor(
            F.embedding(models, self.vectors), F.embedding(index, features)
        )


class NewVector(nn.Module):
    """The vector of one model that is trained for a frozen predictor.

    Parameters
    ----------
    start : Tensor of shape (D,)
        Vector to start from.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vector = nn.Parameter(start)

    def forward(self, predictor: Predictor, features: Tensor) -> Tensor:
        """``features`` (B, K) -> logits (B,)."""
        return predictor(self.vector.expand(len(features), -1), features)


def make_predictor(shape: VectorShape) -> Predictor:
    """Make the predictor that a shape describes."""
    if isinstance(shape, ProductShape):
        return ProductNetwork(shape)
    if isinstance(shape, ItemResponseShape):
        return ItemResponseNetwork(shape)
    if isinstance(shape, ProjectionShape):
        return ProjectionNetwork(shape)
    return MultidimensionalNetwork(shape)
