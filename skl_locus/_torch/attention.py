"""Attention blocks over sets: no positional encoding, padding masked."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel

TokenProjections = tuple[Tensor, Tensor, Tensor]
"""Keys, values and queries of tokens."""


def weighted_mean(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
) -> Tensor:
    """Scaled dot-product attention by kernels that take any shape as it comes.

    ``queries`` (B, H, Q, E), ``keys`` and ``values`` (B, H, N, E), ``mask``
    (B, 1, 1, N), True where a key counts, or None -> (B, H, Q, E).
    """
    with _without_plans(queries):
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=scale
        )


def _without_plans(queries: Tensor) -> AbstractContextManager:
    """Leave out cuDNN, which plans anew for every shape: contexts are drawn each step.

    A plan takes 13 ms forward and 91 ms backward (H200), where a step's arithmetic
    takes 2 ms. The choice holds for the one call that it is made for.
    """
    if queries.device.type != "cuda":
        return nullcontext()
    return sdpa_kernel(
        [
            SDPBackend.FLASH_ATTENTION,
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.MATH,
        ]
    )


class MultiHeadAttention(nn.Module):
    """Multi-head attention whose queries, keys and values have one width.

    Parameters
    ----------
    width : int
        Size of a token.
    n_heads : int
        Number of heads; divides ``width``.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        # A constant added to every key shifts all logits of a query alike.
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from queries to tokens.

        ``queries`` (B, Q, D), or (1, Q, D) for the same ones in every set, ``tokens``
        (B, N, D), ``mask`` (B, 1, 1, N), True where a token counts, -> (B, Q, D).
        """
        return self.attend(
            self.query(queries), self.key(tokens), self.value(tokens), mask
        )

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Attend with queries, keys and values that are projected already.

        ``queries`` (B, Q, D) or (1, Q, D), ``keys`` and ``values`` (B, N, D),
        ``mask`` (B, 1, 1, N) or None -> (B, Q, D).
        """
        attended = weighted_mean(
            self._split(queries).expand(len(keys), -1, -1, -1),
            self._split(keys),
            self._split(values),
            mask,
        )
        return self.out(attended.transpose(1, 2).flatten(2))

    def pool(self, query: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from one query that all sets share, without projecting the tokens.

        The query meets the key weights once, and the value weights meet the average
        of the tokens: a product with each token is left, for each head.

        ``query`` (1, D), ``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None
        -> (B, 1, D).
        """
        # (W_q s) . (W_k t) = (W_k^T W_q s) . t, and a weighted mean of W_v t is W_v
        # times the weighted mean of t: both projections move from N tokens to one.
        heads = self.query(query).view(self.n_heads, 1, -1)
        directions = heads @ self.key.weight.unflatten(0, (self.n_heads, -1))
        averages = weighted_mean(
            directions.view(1, 1, self.n_heads, -1).expand(len(tokens), -1, -1, -1),
            tokens.unsqueeze(1),
            tokens.unsqueeze(1),
            mask,
            scale=heads.shape[-1] ** -0.5,
        )
        weights = self.value.weight.unflatten(0, (self.n_heads, -1))
        values = averages.view(len(tokens), self.n_heads, 1, -1) @ weights.mT
        return self.out(values.view(len(tokens), 1, -1) + self.value.bias)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, H, N, D / H)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class SeededDropout(nn.Module):
    """Dropout that draws from a generator of its own, not from torch's global one.

    Parameters
    ----------
    rate : float
        Share of the entries set to zero in training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * kept.div_(1 - self.rate)

    def __deepcopy__(self, memo: dict) -> SeededDropout:
        """Copy without the generator, which belongs to one training run."""
        return SeededDropout(self.rate)


class TransformerBlock(nn.Module):
    """TBlock of the paper: attention, then feed-forward, normalised after each.

    Parameters
    ----------
    width : int
        Size of a token.
    n_heads : int
        Number of attention heads.
    hidden : int
        Width of the feed-forward layer.
    dropout : float
        Share of the residual branches' outputs dropped in training.
    """

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, n_heads)
        self.norm_attention = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, width),
        )
        self.norm_out = nn.LayerNorm(width)
        self.dropout = SeededDropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Attend, then transform each query.

        ``queries`` (B, Q, D) or (1, Q, D), ``tokens`` (B, N, D), ``mask``
        (B, 1, 1, N) or None -> (B, Q, D).
        """
        return self.add_and_feed_forward(queries, self.attention(queries, tokens, mask))

    def add_and_feed_forward(self, queries: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to, normalise and transform.

        ``queries`` (B, Q, D) or (1, Q, D), ``attended`` (B, Q, D) -> (B, Q, D).
        """
        x = self.norm_attention(queries + self.dropout(attended))
        return self.norm_out(x + self.dropout(self.feed_forward(x)))


class TokenBlock(nn.Module):
    """A layer from tokens to tokens, in a part for each token and one for the set."""

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None -> (B, N, D)."""
        return self.attend(tokens, self.project(tokens), mask)

    def project(self, tokens: Tensor) -> TokenProjections:
        """Compute what depends on each token alone: (..., D) -> three (..., D)."""
        raise NotImplementedError

    def attend(
        self, tokens: Tensor, projected: TokenProjections, mask: Tensor | None
    ) -> Tensor:
        """Exchange what the tokens of a set hold: (B, N, D) -> (B, N, D)."""
        raise NotImplementedError


class LatentBottleneckBlock(TokenBlock):
    """Learned latents compress the tokens, the tokens read them back (eq. 2)."""

    def __init__(
        self, width: int, n_heads: int, hidden: int, dropout: float, n_latents: int
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(n_latents, width))
        self.compress = TransformerBlock(width, n_heads, hidden, dropout)
        self.broadcast = TransformerBlock(width, n_heads, hidden, dropout)

    def project(self, tokens: Tensor) -> TokenProjections:
        """Project for compressing, and for reading back."""
        reading = self.compress.attention
        return (
            reading.key(tokens),
            reading.value(tokens),
            self.broadcast.attention.query(tokens),
        )

    def attend(
        self, tokens: Tensor, projected: TokenProjections, mask: Tensor | None
    ) -> Tensor:
        """Attend from latents to tokens, then from tokens to latents."""
        # N tokens and r latents cost 2 N r products instead of N^2. Latents are real
        # in every set: only the first attention has padding to mask.
        keys, values, queries = projected
        latents = self.latents.unsqueeze(0)
        reading, answering = self.compress.attention, self.broadcast.attention
        compressed = self.compress.add_and_feed_forward(
            latents, reading.attend(reading.query(latents), keys, values, mask)
        )
        answers = answering.attend(
            queries, answering.key(compressed), answering.value(compressed), None
        )
        return self.broadcast.add_and_feed_forward(tokens, answers)


class SelfAttentionBlock(TokenBlock):
    """Every token attends to every token: quadratic, for comparison."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.block = TransformerBlock(width, n_heads, hidden, dropout)

    def project(self, tokens: Tensor) -> TokenProjections:
        """Project for the one attention."""
        attention = self.block.attention
        return attention.key(tokens), attention.value(tokens), attention.query(tokens)

    def attend(
        self, tokens: Tensor, projected: TokenProjections, mask: Tensor | None
    ) -> Tensor:
        """Attend from every token to every token."""
        keys, values, queries = projected
        attended = self.block.attention.attend(queries, keys, values, mask)
        return self.block.add_and_feed_forward(tokens, attended)


class Aggregation(nn.Module):
    """One learned query attends to all tokens, then a linear map (eq. 3)."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, width))
        self.block = TransformerBlock(width, n_heads, hidden, dropout)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None -> (B, D)."""
        attended = self.block.attention.pool(self.query, tokens, mask)
        return self.out(
            self.block.add_and_feed_forward(self.query.unsqueeze(0), attended).squeeze(
                1
            )
        )
