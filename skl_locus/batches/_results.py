"""Streams of results that can be skipped without being computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

from skl_locus._utils.progress import counting_bar

Block = TypeVar("Block")


class ResultStream(Generic[Block]):
    """A generator of record batches, one for each block of the input.

    Whoever needs no result of a block, since it is on the disk already, reads over it
    by `skip`: the block is read and nothing is computed.

    Parameters
    ----------
    blocks : iterator
        Parts of the input, bounded in size.
    compute : callable
        Maps a block to a record batch.
    job : dict
        What is computed, by plain values: who continues compares it.
    name : str
        What is counted, for the progress bar.
    size : callable
        Maps a block to the number of what is counted.
    total : int or None
        Number of all of it, where it is known.
    verbose : int
        1 shows the progress bar.

    Attributes
    ----------
    n_last : int
        Size of the last block.
    """

    n_last = 0

    def __init__(
        self,
        blocks: Iterator[Block],
        compute: Callable[[Block], Any],
        job: dict[str, Any],
        *,
        name: str,
        size: Callable[[Block], int],
        total: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.job = job
        self._blocks = blocks
        self._compute = compute
        self._size = size
        self._advance = counting_bar(name, total, verbose > 0)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Return the record batch of the next block."""
        block = self._next_block()
        result = self._compute(block)
        self._advance(self.n_last)
        return result

    def skip(self) -> int:
        """Read over the next block, and return its size.

        Raises
        ------
        StopIteration
            If there is none.
        """
        self._next_block()
        self._advance(self.n_last)
        return self.n_last

    def _next_block(self) -> Block:
        try:
            block = next(self._blocks)
        except StopIteration:
            self._advance(None)
            raise
        self.n_last = self._size(block)
        return block
