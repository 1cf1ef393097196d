"""Lengths of queries in characters and tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QueryLengths:
    """Lengths of queries as far as they are known.

    Parameters
    ----------
    characters : ndarray of shape (n_queries,), float64
        Lengths of texts, NaN where a query is no text.
    given_tokens : ndarray of shape (n_queries,), float64
        Lengths in tokens, NaN where they are not given.
    """

    characters: np.ndarray
    given_tokens: np.ndarray

    def tokens(self, chars_per_token: float, otherwise: float) -> np.ndarray:
        """Return lengths in tokens: as given, by characters, else by default."""
        by_text = self.characters / chars_per_token
        lengths = np.where(np.isnan(self.given_tokens), by_text, self.given_tokens)
        return np.where(np.isnan(lengths), otherwise, lengths)

    def mean_tokens(self, chars_per_token: float) -> float:
        """Return the mean length where one is known, NaN where none is."""
        lengths = self.tokens(chars_per_token, np.nan)
        known = np.sort(lengths[~np.isnan(lengths)])
        return float(known.mean()) if len(known) else np.nan

    def chars_per_token(self, otherwise: float) -> float:
        """Return the ratio of characters to tokens where both are known."""
        both = ~np.isnan(self.characters) & ~np.isnan(self.given_tokens)
        characters = np.sort(self.characters[both]).sum()
        tokens = np.sort(self.given_tokens[both]).sum()
        return float(characters / tokens) if characters and tokens else otherwise
