"""The LOCUS network: an encoder of evaluation sets and a correctness predictor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skl_locus._torch.attention import (
    Aggregation,
    LatentBottleneckBlock,
    SelfAttentionBlock,
    TokenBlock,
    TokenProjections,
)


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network; fields are named as the estimators' parameters."""

    n_features: int
    n_components: int = 128
    n_latents: int = 32
    n_layers: int = 1
    n_heads: int = 4
    dim_feedforward: int = 256
    attention: str = "latent"
    predictor_hidden: int = 64
    bilinear: bool = True
    dropout: float = 0.0


class EvaluationTokenizer(nn.Module):
    """Affine map of [phi, y, (2y - 1) phi] to a token.

    The projections of phi are shared by all evaluations of a query, so they are
    computed once per distinct query.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.encoding = nn.Linear(n_features, width)
        self.interaction = nn.Linear(n_features, width, bias=False)
        self.score = nn.Parameter(torch.empty(width))

    def project(self, encodings: Tensor) -> tuple[Tensor, Tensor]:
        """Project ``encodings`` (Q, F) to two times (Q, D)."""
        return self.encoding(encodings), self.interaction(encodings)

    def forward(
        self, projections: tuple[Tensor, Tensor], index: Tensor, scores: Tensor
    ) -> Tensor:
        """``projections`` 2 x (Q, D), ``index`` and ``scores`` (...) -> (..., D)."""
        plain, interaction = projections
        y = scores.unsqueeze(-1)
        gathered = F.embedding(index, plain), F.embedding(index, interaction)
        return gathered[0] + (2 * y - 1) * gathered[1] + y * self.score


class SetEncoder(nn.Module):
    """F: the set of one model's scored queries -> one embedding (paper, 2.1)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.n_components
        shape = (width, config.n_heads, config.dim_feedforward, config.dropout)
        self.tokenizer = EvaluationTokenizer(config.n_features, width)
        self.blocks = nn.ModuleList(
            LatentBottleneckBlock(*shape, n_latents=config.n_latents)
            if config.attention == "latent"
            else SelfAttentionBlock(*shape)
            for _ in range(config.n_layers)
        )
        self.aggregation = Aggregation(*shape)

    def forward(
        self, encodings: Tensor, index: Tensor, scores: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Embed a batch of models.

        ``encodings`` (Q, F) of distinct queries, ``index`` (B, N) into them,
        ``scores`` (B, N), ``mask`` (B, N), True where an evaluation counts, or
        None -> (B, D).
        """
        tokens = self.tokenizer(self.tokenizer.project(encodings), index, scores)
        return self.embed_tokens(tokens, mask)

    @property
    def first_block(self) -> TokenBlock:
        """The block that sees the tokens themselves."""
        block = self.blocks[0]
        assert isinstance(block, TokenBlock)
        return block

    def embed_tokens(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, N) or None -> (B, D)."""
        return self.embed_projected(tokens, self.first_block.project(tokens), mask)

    def embed_projected(
        self, tokens: Tensor, projected: TokenProjections, mask: Tensor | None
    ) -> Tensor:
        """Embed tokens (B, N, D) that are projected for the first block already."""
        attention_mask = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
        tokens = self.first_block.attend(tokens, projected, attention_mask)
        for block in self.blocks[1:]:
            tokens = block(tokens, attention_mask)
        return self.aggregation(tokens, attention_mask)


class CorrectnessPredictor(nn.Module):
    """G: (embedding, query) -> logit of P(correct) (paper, 2.2).

    With u = W phi, the logit is MLP([z, u, z * u]), plus z.u / sqrt(D) if
    ``bilinear``. The first layer is kept in three parts, so that the parts of z
    and of u are computed once per model and once per query.
    """

    def __init__(
        self, n_features: int, width: int, hidden: int, *, bilinear: bool
    ) -> None:
        super().__init__()
        self.bilinear = bilinear
        self.query = nn.Linear(n_features, width)
        self.hidden_embedding = nn.Linear(width, hidden)
        self.hidden_query = nn.Linear(width, hidden, bias=False)
        self.hidden_product = nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, 1)

    def forward(self, embeddings: Tensor, encodings: Tensor, index: Tensor) -> Tensor:
        """Score some queries for each model.

        ``embeddings`` (B, D), ``encodings`` (Q, F) of distinct queries, ``index``
        (B, T) into them -> logits (B, T).
        """
        u = self.query(encodings)
        product = embeddings.unsqueeze(1) * F.embedding(index, u)
        hidden = torch.relu(
            self.hidden_embedding(embeddings).unsqueeze(1)
            + F.embedding(index, self.hidden_query(u))
            + self.hidden_product(product)
        )
        logits = self.out(hidden).squeeze(-1)
        if self.bilinear:
            logits = logits + product.sum(-1) / math.sqrt(embeddings.shape[-1])
        return logits


class LocusNetwork(nn.Module):
    """Encoder and predictor, trained together.

    Parameters
    ----------
    config : NetworkConfig
        Shape of the network.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SetEncoder(config)
        self.predictor = CorrectnessPredictor(
            config.n_features,
            config.n_components,
            config.predictor_hidden,
            bilinear=config.bilinear,
        )

    def forward(
        self,
        encodings: Tensor,
        context: Tensor,
        scores: Tensor,
        mask: Tensor | None,
        targets: Tensor,
    ) -> Tensor:
        """Predict target queries of models from their context evaluations.

        ``encodings`` (Q, F), ``context`` (B, N) and ``targets`` (B, T) into them,
        ``scores`` (B, N), ``mask`` (B, N) or None -> logits (B, T).
        """
        embeddings = self.encoder(encodings, context, scores, mask)
        return self.predictor(embeddings, encodings, targets)
