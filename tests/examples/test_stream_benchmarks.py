"""The benchmarks of streams and of large pools measure what they say."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples" / "benchmarks"))
neighbors = importlib.import_module("neighbors")


@pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
)
def test_the_index_finds_planted_families():
    row = neighbors.main(["--models", "2000", "--sample", "100"])
    assert row["recall"] >= 0.95
    assert row["index_seconds"] >= 0


def test_exact_neighbours_are_of_one_family():
    embeddings = neighbors.families(400)
    assert embeddings.shape == (400, neighbors.WIDTH)
    found = neighbors.exact_neighbors(embeddings, neighbors.np.arange(5))
    assert found.shape == (5, neighbors.K)
