"""The example that onboards a model, offline and from files."""

import importlib
import sys
from pathlib import Path

import numpy as np
from experiment_tables import tables

# The example imports its neighbour by name, as it does when it is run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
onboard_a_model = importlib.import_module("onboard_a_model")


def test_a_model_of_a_log_is_onboarded(tmp_path, capsys, monkeypatch):
    evaluations, queries, encodings, _ = tables()
    evaluations.to_csv(tmp_path / "evaluations.csv", index=False)
    queries.to_csv(tmp_path / "queries.csv", index=False)
    np.save(tmp_path / "encodings.npy", encodings)
    monkeypatch.setattr(onboard_a_model, "RANDOM_SIZES", (16, 1000))
    monkeypatch.setattr(onboard_a_model, "N_DRAWS", 2)
    onboard_a_model.main(
        [
            *("--evaluations", str(tmp_path / "evaluations.csv")),
            *("--queries", str(tmp_path / "queries.csv")),
            *("--encodings", str(tmp_path / "encodings.npy")),
            *("--n", "24", "--max-iter", "3", "--model", "model-3"),
        ]
    )
    output = capsys.readouterr().out
    assert "7 known models, and 'model-3' is new." in output
    assert "24 evaluations, mean score" in output
    assert "24 chosen" in output
    assert "16 at random" in output
    assert "1000 at random" not in output
