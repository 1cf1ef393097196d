"""The study of recognition, a research tool beside the experiments."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables
from small import SMALL

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_recognition = importlib.import_module("study_recognition")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The study of a small log."""
    folder = tmp_path_factory.mktemp("logs") / "small"
    folder.mkdir()
    evaluations, queries, encodings, models = tables()
    evaluations.to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    models.to_csv(folder / "models.csv")
    output = folder / "summary.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--splits", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study_recognition.LOGS, "small", ("all", 60))
        patch.setattr(study_recognition, "SIZES", (6,))
        patch.setattr(study_recognition, "N_NEW", (40,))
        patch.setattr(study_recognition, "NETWORK", SMALL)
        study_recognition.main([*command, "--output", str(output)])
    table = pd.read_csv(output)
    return table.set_index(["part", "cell", "method"])["mean"].sort_index()


def test_all_is_measured(results):
    identify, drift = results["identify"], results["drift"]
    assert set(identify.index.get_level_values("cell")) == {
        "other",
        "quarter",
        "shared",
        "unknown",
    }
    assert {"ability", "matched", "likelihood"} <= set(identify["other"].index)
    assert "Hamming" in identify["shared"].index
    assert "Hamming" not in identify["other"].index
    assert set(drift.index.get_level_values("cell")) == {
        "unchanged",
        "nearest",
        "as able",
    }
    assert results.between(0, 1).all()


def test_firsts_share_a_hit():
    class Known:
        class evaluations:  # noqa: N801
            @staticmethod
            def index_of(names):
                return np.arange(len(names))

    closeness = np.array([[2.0, 2.0, np.nan], [0.0, 1.0, 0.0], [3.0, 1.0, 2.0]])
    hits = study_recognition.first_is_right(closeness, list("abc"), Known)
    assert hits.tolist() == [0.5, 1.0, 0.0]
    nothing = np.full((3, 3), np.nan)
    assert study_recognition.first_is_right(nothing, list("abc"), Known) == []
