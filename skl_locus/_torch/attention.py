"""Attention blocks over sets: no positional encoding, padding masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


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
        attended = F.scaled_dot_product_attention(
            self._split(self.query(queries)).expand(len(tokens), -1, -1, -1),
            self._split(self.key(tokens)),
            self._split(self.value(tokens)),
            attn_mask=mask,
        )
        return self.out(attended.transpose(1, 2).flatten(2))

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
        return x * kept / (1 - self.rate)

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
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )
        self.norm_out = nn.LayerNorm(width)
        self.dropout = SeededDropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Attend, then transform each query.

        ``queries`` (B, Q, D) or (1, Q, D), ``tokens`` (B, N, D), ``mask``
        (B, 1, 1, N) or None -> (B, Q, D).
        """
        attended = self.attention(queries, tokens, mask)
        x = self.norm_attention(queries + self.dropout(attended))
        return self.norm_out(x + self.dropout(self.feed_forward(x)))


class LatentBottleneckBlock(nn.Module):
    """Learned latents compress the tokens, the tokens read them back (eq. 2)."""

    def __init__(
        self, width: int, n_heads: int, hidden: int, dropout: float, n_latents: int
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(n_latents, width))
        self.compress = TransformerBlock(width, n_heads, hidden, dropout)
        self.broadcast = TransformerBlock(width, n_heads, hidden, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None -> (B, N, D)."""
        compressed = self.compress(self.latents.unsqueeze(0), tokens, mask)
        return self.broadcast(tokens, compressed, None)


class SelfAttentionBlock(nn.Module):
    """Every token attends to every token: quadratic, for comparison."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.block = TransformerBlock(width, n_heads, hidden, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None -> (B, N, D)."""
        return self.block(tokens, tokens, mask)


class Aggregation(nn.Module):
    """One learned query attends to all tokens, then a linear map (eq. 3)."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.block = TransformerBlock(width, n_heads, hidden, dropout)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, N, D), ``mask`` (B, 1, 1, N) or None -> (B, D)."""
        return self.out(self.block(self.query.unsqueeze(0), tokens, mask).squeeze(1))
