"""Similarities between the models of a pool."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from threadpoolctl import ThreadpoolController

from skl_locus.portfolio._space import Rows, Space

TILE = 1024
"""Rows and columns of the blocks that similarities are computed in."""

TASKS_PER_THREAD = 8
"""Blocks that wait for a thread or to be added up, for each thread."""

MEBIBYTE = 2**20


class Kernel:
    """The similarities between the models of a pool, computed block by block.

    They are rounded to a multiple of a small power of two, for which every sum over a
    pool is exact: the order of the terms and the size of the blocks never matter, and
    equal sums are equal.

    Parameters
    ----------
    space : Space
        Distances.
    bandwidth : float
        Distance at which the similarity is 1/e.
    dtype : type, default=np.float64
        float64, or float32 for large pools.
    """

    # Sums are exact as long as they fit the 53 bits of float64: with steps of 2^-36,
    # for 2^17 = 131,072 models. Values of float32 have 24 bits, and their sums, which
    # are taken in float64, as many to spare.
    _STEPS: dict[type, float] = {np.float64: 2.0**-36, np.float32: 2.0**-23}

    def __init__(self, space: Space, bandwidth: float, dtype: type = np.float64):
        self.n_models = space.n_models
        self._models = np.arange(space.n_models)
        self.dtype = dtype
        self.step = self._STEPS[dtype]
        self._between = space.fast_between(dtype)
        self._bandwidth = bandwidth

    def block(self, rows: Rows, columns: Rows) -> np.ndarray:
        """Return similarities of shape (n_rows, n_columns); columns ascend."""
        block = similarity(self._between(rows, columns), self._bandwidth)
        # Floating numbers near the shift are multiples of the step: adding it rounds.
        shift = self.dtype(self.step / np.finfo(self.dtype).eps)
        block += shift
        block -= shift
        self._set_self_similarity(block, rows, columns)
        return block

    def sums(self) -> np.ndarray:
        """Return the sum of each model's similarities to all: (n_models,)."""
        sums = np.zeros(self.n_models)
        tiles = list(upper_tiles(self.n_models))
        parts = in_threads(lambda tile: _sums_both_ways(self.block(*tile)), tiles)
        for (rows, columns), (of_rows, of_columns) in zip(tiles, parts, strict=True):
            sums[rows] += of_rows
            if rows != columns:
                sums[columns] += of_columns
        return sums

    def sums_over(self, models: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the sum of similarities of some models to others: (n_models,)."""
        sums = np.zeros(len(models))
        tiles = [(i, j) for i in batches(len(models)) for j in batches(len(others))]
        parts = in_threads(
            lambda tile: self.block(models[tile[0]], others[tile[1]]).sum(
                axis=1, dtype=np.float64
            ),
            tiles,
        )
        for (rows, _), part in zip(tiles, parts, strict=True):
            sums[rows] += part
        return sums

    def matrix(self) -> np.ndarray:
        """Return all similarities, (n_models, n_models), float64."""
        matrix = np.empty((self.n_models, self.n_models))
        for rows, columns in upper_tiles(self.n_models):
            block = self.block(rows, columns)
            matrix[rows, columns] = block
            matrix[columns, rows] = block.T
        return matrix

    # Rounded products leave the distance of a model to itself a little above 0, and a
    # bought model a little to gain from being bought again.
    def _set_self_similarity(
        self, block: np.ndarray, rows: Rows, columns: Rows
    ) -> None:
        row_models, column_models = self._models[rows], self._models[columns]
        places = np.searchsorted(column_models, row_models)
        places[places == len(column_models)] = 0
        found = np.flatnonzero(column_models[places] == row_models)
        block[found, places[found]] = 1


def similarity(distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return K = exp(-distance^2 / bandwidth^2) (eq. 7), in place."""
    limits = np.finfo(distances.dtype)
    width = min(max(bandwidth, float(limits.tiny)), float(limits.max))
    with np.errstate(over="ignore"):  # far beyond the bandwidth: similarity 0
        np.divide(distances, width, out=distances)
        np.square(distances, out=distances)
    np.negative(distances, out=distances)
    return np.exp(distances, out=distances)


def fits_in_memory(n_models: int, memory_limit: float) -> bool:
    """Return whether a matrix of all similarities stays below a limit in MiB."""
    size = n_models**2 * np.dtype(np.float64).itemsize
    return size <= memory_limit * MEBIBYTE


def batches(n: int) -> list[slice]:
    """Cut ``n`` positions into slices of `TILE`."""
    return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def upper_tiles(n: int) -> Iterator[tuple[slice, slice]]:
    """Cut a symmetric matrix into blocks, without those below the diagonal."""
    tiles = batches(n)
    for i, rows in enumerate(tiles):
        for columns in tiles[i:]:
            yield rows, columns


def in_threads(work: Callable, tasks: Sequence) -> Iterator:
    """Yield the result of each task, computed by as many threads as OpenMP may use.

    Each thread does its own products: the limit of one BLAS thread holds for the whole
    process while it lasts. A selection is fitted and may set such a limit;
    `skl_locus._torch.threads.parallel_map` also runs while a router serves, and limits
    the OpenMP threads of its own threads alone. Hence two functions.
    """
    if len(tasks) <= 1:
        yield from map(work, tasks)
        return
    controller = _threadpool_controller()
    one_each = controller.limit(limits=1, user_api="blas")
    n_threads = _openmp_threads(controller)
    with one_each, ThreadPoolExecutor(n_threads) as threads:
        # A large pool has more tiles than models: few of them wait at a time.
        waiting: deque = deque()
        for task in tasks:
            waiting.append(threads.submit(work, task))
            if len(waiting) > TASKS_PER_THREAD * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@functools.cache
def _threadpool_controller() -> ThreadpoolController:
    """Find the libraries with threads, once: each search takes about a millisecond."""
    return ThreadpoolController()


def _openmp_threads(controller: ThreadpoolController) -> int:
    """Return how many threads OpenMP may use: as OMP_NUM_THREADS says, if it does."""
    libraries = controller.select(user_api="openmp").info()
    return min([joblib.cpu_count(), *(own["num_threads"] for own in libraries)])


def _sums_both_ways(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return block.sum(axis=1, dtype=np.float64), block.sum(axis=0, dtype=np.float64)
