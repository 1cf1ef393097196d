"""Neighbours by an approximate index, where faiss is installed."""

import importlib.util

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skl_locus._routing import neighbor_index
from skl_locus._routing.embedding_base import nearest_models
from skl_locus._routing.neighbor_index import nearest_by_index, uses_index
from skl_locus._routing.pool import compared_embeddings

has_faiss = importlib.util.find_spec("faiss") is not None
needs_faiss = pytest.mark.skipif(not has_faiss, reason="faiss is not installed")
N_MODELS, N_FAMILIES, WIDTH, K = 4_000, 200, 32, 10


@pytest.fixture(scope="module")
def families():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(N_FAMILIES, WIDTH))
    own = rng.integers(N_FAMILIES, size=N_MODELS)
    return (centres[own] + 0.3 * rng.normal(size=(N_MODELS, WIDTH))).astype(np.float32)


def recall(found, exact):
    pairs = zip(found, exact, strict=True)
    return np.mean([np.isin(some, every).mean() for some, every in pairs])


@needs_faiss
def test_nearly_all_neighbours_are_found(families):
    exact = nearest_models(families, families, K, "euclidean", "exact")
    found = nearest_models(families, families, K, "euclidean", "index")
    assert found.shape == (N_MODELS, K)
    assert recall(found, exact) >= 0.95
    assert not (found == np.arange(N_MODELS)[:, None]).any()
    assert_array_equal(found, nearest_by_index(families, families, K))


@needs_faiss
def test_what_embeddings_leave_out_counts(families):
    left_out = np.random.default_rng(1).random(N_MODELS).astype(np.float32)
    sides = compared_embeddings(families, left_out, "euclidean")
    exact = nearest_models(*sides, K, "euclidean", "exact")
    assert recall(nearest_by_index(*sides, K), exact) >= 0.95


@needs_faiss
def test_small_pools_and_cells_with_too_few_models():
    points = np.array([[0.0], [0.1], [0.2], [50.0], [51.0], [99.0]], np.float32)
    exact = nearest_models(points, points, 5, "euclidean", "exact")
    assert_array_equal(nearest_models(points, points, 9, "euclidean", "index"), exact)


def test_small_pools_are_exact_unless_asked_for(monkeypatch):
    monkeypatch.setattr(neighbor_index, "index_library", object)
    assert not uses_index(neighbor_index.INDEXED_FROM - 1, "euclidean", "auto")
    assert uses_index(neighbor_index.INDEXED_FROM, "euclidean", "auto")
    assert not uses_index(neighbor_index.INDEXED_FROM, "cosine", "auto")
    assert not uses_index(10**6, "euclidean", "exact")
    assert uses_index(10, "euclidean", "index")
    with pytest.raises(ValueError, match="no metric 'cosine'"):
        uses_index(10, "cosine", "index")
    with pytest.raises(ValueError, match="search must be"):
        uses_index(10, "euclidean", "fast")


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(neighbor_index, "index_library", lambda: None)
    assert not uses_index(10**6, "euclidean", "auto")
    with pytest.raises(ModuleNotFoundError, match="scale"):
        uses_index(10, "euclidean", "index")
