"""The benchmarks of streams and of large pools measure what they say."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples" / "benchmarks"))
hub, neighbors, nights = map(importlib.import_module, ("hub", "neighbors", "nights"))


@pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
)
def test_the_index_finds_planted_families():
    row = neighbors.main(["--models", "2000", "--sample", "100"])[0]
    assert row["index"] == "faiss"
    assert row["recall"] >= 0.95
    assert row["index_seconds"] >= 0


def test_exact_neighbours_are_of_one_family():
    embeddings = neighbors.families(400)
    assert embeddings.shape == (400, neighbors.WIDTH)
    found = neighbors.exact_neighbors(embeddings, neighbors.np.arange(5))
    assert found.shape == (5, neighbors.K)


def test_nights_are_bounded_and_models_come_and_go():
    arguments = ["--nights", "15", "--models", "4", "--max-evaluations", "320"]
    rows = nights.main(arguments)
    assert rows[0]["night"] == 1
    assert rows[-1]["night"] == 15
    assert {row["models"] for row in rows} == {4}
    assert rows[-1]["evaluations"] <= 4 * 320
    more = nights.main([*arguments, "--unbounded"])
    assert more[-1]["evaluations"] > rows[-1]["evaluations"]


def test_a_hub_is_ranked_in_blocks():
    (row,) = hub.main(["--models", "500", "--queries", "4"])
    assert row["models"] == 500
    assert row["rank"]["seconds"] > 0


def test_streams_are_measured(monkeypatch):
    pytest.importorskip("pyarrow")
    batches = importlib.import_module("batches")
    # Processes of their own take seconds to start, and the router a minute to fit.
    monkeypatch.setattr(batches, "in_new_process", batches.measured)
    for name, value in {"N_FITTED": 6, "N_KNOWN": 80, "EVALUATIONS": 20}.items():
        monkeypatch.setattr(batches, name, value)
    sizes = ["--queries", "200", "400", "--models", "10", "20", "--added", "10", "20"]
    rows = batches.main(sizes)
    assert {"growth of route", "growth of embed", "growth of add"} <= {
        row["work"] for row in rows
    }
    assert rows[-1]["share_by_processor"] > 0
