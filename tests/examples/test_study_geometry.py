"""The study of distances between embeddings, a research tool beside the experiments."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_geometry = importlib.import_module("study_geometry")

FREE = [name for name in study_geometry.METHODS if name != "network"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The study of a small log, without what has to be trained."""
    folder = tmp_path_factory.mktemp("logs") / "small"
    folder.mkdir()
    evaluations, queries, encodings, models = tables()
    evaluations.to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    models.assign(family=np.arange(len(models)) % 2).to_csv(folder / "models.csv")
    output = folder / "summary.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--n-jobs", "1"]
    command += ["--seeds", "1", "--splits", "1", "--output", str(output)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study_geometry.LOGS, "small", ("all", 60))
        patch.setattr(study_geometry, "NEW_QUERIES", 20)
        patch.setattr(study_geometry, "MIN_COMMON", 5)
        study_geometry.main([*command, "--methods", *FREE])
    table = pd.read_csv(output, dtype={"cell": str})
    return table.set_index(["cell", "metric", "method"])["mean"].sort_index()


def test_every_method_is_measured(results):
    for cell in study_geometry.CELLS:
        assert set(results[cell, "pearson"].index) == set(FREE)
    assert set(results["20", "itself"].index) >= {"mean score", "Rasch", "LOCUS"}
    assert results["20", "family"].between(0, 1).all()


def test_distances_of_complete_logs_are_those_of_hamming(results):
    for metric in ("beyond", "nearest"):
        own, hamming = (
            results["complete", metric, name] for name in ("LOCUS", "Hamming")
        )
        assert own == pytest.approx(hamming, abs=0.05)


def test_nothing_is_left_of_a_baseline_beyond_itself(results):
    assert results["complete", "beyond ability", "Rasch"] == 0


def test_partial_correlation_takes_a_quadratic_off():
    rng = np.random.default_rng(0)
    other = rng.random((12, 12))
    first, noise = 3 + other - 2 * other**2, rng.random((12, 12))
    assert study_geometry.partial_correlation(first, noise, other) == 0
    both = study_geometry.partial_correlation(first + noise, noise, other)
    assert both == pytest.approx(1)


def test_the_nearest_of_the_same_family():
    between = np.array([[0, 1, 2, 9], [1, 0, 3, 9], [2, 3, 0, 9], [9, 9, 9, 0.0]])
    families = np.array(["a", "a", "b", None], dtype=object)
    assert study_geometry.same_family(between, families)[0] == 1.0
    assert np.isnan(study_geometry.same_family(between, np.arange(4))).all()
