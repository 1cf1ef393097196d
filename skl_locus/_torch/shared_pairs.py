"""Evaluations of many models as indices into their distinct (query, score) pairs.

A token depends on a query and a score and on nothing else, and so do the keys, values
and queries that the first block of the encoder projects it to. Models that were asked
the same queries share them: with scores of 0 or 1 there are two tokens per query,
however many models there are. Each evaluation then takes a look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from skl_locus._torch.attention import TokenProjections
from skl_locus._torch.network import SetEncoder

SCORE_BITS = 32
"""Bits of a score, which is a float32; as an integer it is not negative."""


@dataclass(frozen=True)
class DistinctPairs:
    """The distinct (query, score) pairs of some evaluations.

    Parameters
    ----------
    index : ndarray of shape (n,)
        Pair of each evaluation.
    used : ndarray of shape (n_used,)
        Distinct queries, ascending.
    queries : ndarray of shape (n_pairs,)
        Query of each pair, as a position in ``used``.
    scores : ndarray of shape (n_pairs,), float32
        Score of each pair.
    """

    index: np.ndarray
    used: np.ndarray
    queries: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, queries: np.ndarray, scores: np.ndarray) -> DistinctPairs:
        """Find the pairs of ``queries`` (n,) and ``scores`` (n,), float32."""
        # One integer holds both: the query above the bits of the score. factorize
        # hashes integers several times faster than unique sorts pairs.
        keys = queries.astype(np.int64) << SCORE_BITS | scores.view(np.int32)
        index, distinct = pd.factorize(keys)
        # Several pairs belong to one query, which is encoded and mapped once.
        used, positions = np.unique(distinct >> SCORE_BITS, return_inverse=True)
        return cls(index, used, positions, distinct.astype(np.int32).view(np.float32))


@dataclass(frozen=True)
class PairTables:
    """Tokens of distinct pairs, and their projections for the first block.

    Parameters
    ----------
    tokens : Tensor of shape (P, D)
        Tokens.
    projected : tuple of Tensor
        Keys, values and queries, (P, D) each.
    """

    tokens: Tensor
    projected: TokenProjections

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        encoder: SetEncoder,
        inputs: Iterable[Tensor],
        queries: Tensor,
        scores: Tensor,
    ) -> PairTables:
        """Make the tables of pairs.

        ``inputs`` (Q, F) of distinct queries in any number of parts, ``queries`` (P,)
        into them, ``scores`` (P,).
        """
        parts = [encoder.tokenizer.project(part) for part in inputs]
        plain, interaction = (torch.cat(part) for part in zip(*parts, strict=True))
        tokens = encoder.tokenizer((plain, interaction), queries, scores)
        return cls(tokens, encoder.first_block.project(tokens))

    @torch.no_grad()
    def embed(self, encoder: SetEncoder, index: Tensor, mask: Tensor | None) -> Tensor:
        """``index`` (B, N) of pairs, ``mask`` (B, N) or None -> (B, D)."""
        # F.embedding gathers rows much faster than indexing does.
        keys, values, queries = (F.embedding(index, table) for table in self.projected)
        tokens = F.embedding(index, self.tokens)
        return encoder.embed_projected(tokens, (keys, values, queries), mask)
