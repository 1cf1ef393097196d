"""Nearest models of large pools by an approximate index."""

from __future__ import annotations

from typing import Any

import numpy as np

INDEXED_FROM = 20_000
"""Models from which on an index is used: below, exact distances take seconds."""

N_PROBED = 16
"""Cells of the index that are searched for each model. On pools of planted families,
this finds more than 95 in 100 of the 10 nearest (examples/benchmarks/neighbors.py)."""

TRAINED_PER_CELL = 40
"""Models per cell on which the cells are learned; faiss advises 39 or more."""

CELLS_PER_ROOT = 4
"""Cells, as a multiple of the root of the number of models. Searching takes most of the
time, and less the more cells there are: with 100,000 models a third of that with the
root itself, at the same recall. With twice as many, learning them takes as long."""

N_ITERATIONS = 10
"""Steps of k-means in which cells are learned; faiss has 10, too."""

SEED = 1234
"""Seed of the cells, so that two calls find the same neighbours."""


def index_library() -> Any | None:
    """Return the module faiss; None where it is not installed."""
    try:
        import faiss
    except ModuleNotFoundError:
        return None
    return faiss


def uses_index(n_models: int, metric: str, search: str) -> bool:
    """Decide whether neighbours are found by the index.

    Parameters
    ----------
    n_models : int
        Size of the pool.
    metric : str
        The index has Euclidean distances alone.
    search : {"auto", "exact", "index"}
        What was asked for.

    Raises
    ------
    ValueError
        If ``search`` is none of these, or an index of another metric is asked for.
    ModuleNotFoundError
        If the index is asked for and not installed.
    """
    if search not in ("auto", "exact", "index"):
        raise ValueError(f"search must be 'auto', 'exact' or 'index', got {search!r}.")
    if search == "exact":
        return False
    if search == "auto":
        is_large = n_models >= INDEXED_FROM and metric == "euclidean"
        return is_large and index_library() is not None
    if metric != "euclidean":
        raise ValueError(f"search='index' has no metric {metric!r}; use 'exact'.")
    if index_library() is None:
        raise ModuleNotFoundError(
            "search='index' needs faiss: pip install 'skl-locus[scale]'.", name="faiss"
        )
    return True


def nearest_by_index(rows: np.ndarray, columns: np.ndarray, k: int) -> np.ndarray:
    """Order about the k nearest other models of each one.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_models, n_columns)
        Both sides of the distances (`compared_embeddings`).
    k : int
        Number of neighbours, less than n_models.

    Returns
    -------
    ndarray of shape (n_models, k)
        Columns, nearest first.
    """
    faiss: Any = index_library()
    rows, columns = (np.ascontiguousarray(x, np.float32) for x in (rows, columns))
    n_models, width = columns.shape
    n_cells = int(CELLS_PER_ROOT * np.sqrt(n_models))
    n_cells = max(1, min(n_cells, n_models // TRAINED_PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, n_cells)
    index.cp.niter, index.cp.seed = N_ITERATIONS, SEED
    rng = np.random.default_rng(SEED)
    size = min(n_models, TRAINED_PER_CELL * n_cells)
    index.train(columns[np.sort(rng.choice(n_models, size, replace=False))])
    index.add(columns)
    index.nprobe = min(n_cells, N_PROBED)
    # A model is nearest to itself, but for what its embedding leaves out.
    found = index.search(rows, k + 1)[1]
    nearest = _without_own(found, k)
    short = np.flatnonzero((nearest < 0).any(axis=1))
    if len(short):
        # Cells that are nearly empty have fewer models than asked for.
        index.nprobe = n_cells
        again = index.search(rows[short], k + 1)[1]
        nearest[short] = _without_own(again, k, short)
    return nearest


def _without_own(
    found: np.ndarray, k: int, own: np.ndarray | None = None
) -> np.ndarray:
    """Drop each row's own model, or its last one where it was not found."""
    own = np.arange(len(found)) if own is None else own
    others = found != own[:, None]
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(found), k)
