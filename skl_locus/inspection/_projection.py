"""Projections of embeddings on two dimensions."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

NAMES = {"mds": "MDS", "tsne": "t-SNE", "umap": "UMAP"}
"""Methods besides "pca", as axes are called after them."""

PERPLEXITY = 30.0
"""Perplexity of t-SNE, scikit-learn's default, where there are models enough."""

MODELS_PER_PERPLEXITY = 3.0
"""Least number of models per unit of perplexity, as t-SNE's authors advise."""

N_NEIGHBORS = 15
"""Neighbours of UMAP, its own default, where there are models enough."""


def project(
    embeddings: pd.DataFrame,
    method: str | None,
    random_state: int | np.random.RandomState | None,
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Project embeddings on two dimensions, see `EmbeddingMapDisplay.project`."""
    values = embeddings.to_numpy(np.float64)
    if method is None and values.shape[1] == 2:
        # Numbers name no axes.
        names = [
            name if isinstance(name, str) else f"coordinate {i}"
            for i, name in enumerate(embeddings.columns, start=1)
        ]
        return pd.DataFrame(values, embeddings.index, names), None
    if method in (None, "pca"):
        pca = PCA(2, svd_solver="full")
        names = ["component 1", "component 2"]
        # Models that are all equal have no variance that could be shared.
        with np.errstate(invalid="ignore"):
            places = pca.fit_transform(values)
        coordinates = pd.DataFrame(places, embeddings.index, names)
        return coordinates, pca.explained_variance_ratio_
    if method not in NAMES:
        raise ValueError(
            f"method must be 'pca', 'mds', 'tsne' or 'umap', got {method!r}."
        )
    by_method = {"mds": _by_mds, "tsne": _by_tsne, "umap": _by_umap}[method]
    names = [f"{NAMES[method]} {i}" for i in (1, 2)]
    return pd.DataFrame(by_method(values, random_state), embeddings.index, names), None


def _by_mds(values: np.ndarray, random_state: object) -> np.ndarray:
    from sklearn.manifold import MDS

    # From the principal components: one start near the best is better than several at
    # random, and the result does not turn with the seed.
    start = PCA(2, svd_solver="full").fit_transform(values)
    mds = MDS(2, n_init=1, random_state=random_state)
    with warnings.catch_warnings():
        # Defaults of later versions are announced; the start is given here.
        warnings.simplefilter("ignore", FutureWarning)
        return mds.fit_transform(values, init=start)


def _by_tsne(values: np.ndarray, random_state: object) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, max(1.0, (len(values) - 1) / MODELS_PER_PERPLEXITY))
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=random_state)
    return tsne.fit_transform(values)


def _by_umap(values: np.ndarray, random_state: object) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "method='umap' needs umap-learn; install it with pip install umap-learn, "
            "or use method='tsne'."
        ) from error
    n_neighbors = min(N_NEIGHBORS, len(values) - 1)
    return UMAP(n_neighbors=n_neighbors, random_state=random_state).fit_transform(
        values
    )
