"""Vectors of texts that were encoded lately, a bounded number of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

import numpy as np

DEFAULT_SIZE = 4_096
"""Vectors that a `~skl_locus.QueryEncoder` keeps by default. With 384 numbers each they
take 7 MB, less than the text model, and finding one takes a hundredth of the time of
encoding (``examples/benchmarks/encoders.py`` measures both)."""

NAME_BYTES = 16
"""Length of the name of a set of texts; an accidental collision is unthinkable."""


class VectorCache:
    """Vectors by the sets of texts that were encoded together, least recent ones out.

    In a batch, most models give a text other last bits than alone, since products of
    matrices of other shapes are summed in another order. A vector is therefore found
    again only for the set of texts that it was encoded in, so that results have the
    same bits with a cache as without one. A service asks for one text at a time, and
    its sets are single texts.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._source: tuple[Any, int] | None = None
        self._sets: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._n_vectors = 0

    def __len__(self) -> int:
        """Return the number of vectors."""
        return self._n_vectors

    def find(self, source: tuple[Any, int], name: bytes) -> np.ndarray | None:
        """Return the vectors of a set of texts, None if they are not here.

        Parameters
        ----------
        source : tuple of object and int
            What encodes, and the size of its batches. Vectors of another one are
            forgotten.
        name : bytes
            Name of the set (`name_of`).

        Returns
        -------
        ndarray of shape (n_texts, n_features) or None
            Vectors, not to be written to.
        """
        with self._lock:
            self._forget_others(source)
            vectors = self._sets.get(name)
            if vectors is not None:
                self._sets.move_to_end(name)
            return vectors

    def keep(
        self, source: tuple[Any, int], name: bytes, vectors: np.ndarray, size: int
    ) -> None:
        """Keep the vectors of a set of texts, and forget those not used the longest.

        Parameters
        ----------
        source : tuple of object and int
            What encoded them, and the size of its batches.
        name : bytes
            Name of the set (`name_of`).
        vectors : ndarray of shape (n_texts, n_features)
            Vectors, which nobody writes to.
        size : int
            Number of vectors that may be kept in all.
        """
        with self._lock:
            self._forget_others(source)
            self._n_vectors -= len(self._sets.pop(name, ()))
            self._sets[name] = vectors
            self._n_vectors += len(vectors)
            while self._n_vectors > size:
                _, oldest = self._sets.popitem(last=False)
                self._n_vectors -= len(oldest)

    def _forget_others(self, source: tuple[Any, int]) -> None:
        encoder, batch_size = source
        if self._source is not None:
            # By identity: comparing models may be slow, or not possible.
            if self._source[0] is encoder and self._source[1] == batch_size:
                return
            self._sets.clear()
            self._n_vectors = 0
        self._source = source


def name_of(keys: np.ndarray) -> bytes:
    """Return the name of a set of texts by their digests, in ascending order."""
    return hashlib.blake2b(keys.tobytes(), digest_size=NAME_BYTES).digest()


_shared: ContextVar[dict[Hashable, np.ndarray] | None] = ContextVar(
    "skl_locus_shared_vectors", default=None
)
"""Vectors by the text model and the texts that were encoded together."""


@contextmanager
def shared_vectors() -> Iterator[None]:
    """Encode equal sets of texts once for all encoders of the same text model."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def shared_or_encoded(
    source: Hashable, texts: Sequence[str], encode: Callable[[], np.ndarray]
) -> np.ndarray:
    """Return vectors that another encoder has made in `shared_vectors`, or make them.

    Parameters
    ----------
    source : hashable
        What encodes, and how.
    texts : sequence of str
        Texts in the order in which they are encoded; only equal sets are shared, since
        the company of a text changes its last bits.
    encode : callable
        Encodes them.

    Returns
    -------
    ndarray of shape (n_texts, n_features)
        Vectors, not to be written to.
    """
    vectors = _shared.get()
    if vectors is None:
        return encode()
    key = source, tuple(texts)
    if key not in vectors:
        vectors[key] = encode()
    return vectors[key]
