"""The study of adaptive evaluation, a research tool beside the experiments."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables
from small import SMALL

pytest.importorskip("matplotlib").use("Agg")
# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_adaptive = importlib.import_module("study_adaptive")

COMPARISONS = [
    ("log loss", ("routing", "completed", 8), ("random", "observed", 16)),
    ("mean error", ("anchors", "completed", 8), ("random", "completed", 8)),
]


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
    output = folder / "adaptive.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--rotations", "1"]
    command += ["--cache", str(folder / "cache"), "--output", str(output)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study_adaptive.LOGS, "small", ("all", 60))
        patch.setattr(study_adaptive, "SIZES", (8, 16))
        patch.setattr(study_adaptive, "COMPARISONS", COMPARISONS)
        patch.setattr(study_adaptive, "IDENTITY_SIZES", (8, 16))
        patch.setattr(study_adaptive, "OTHER_SIZE", 8)
        patch.setattr(study_adaptive, "ROUTER", SMALL)
        patch.setattr(study_adaptive, "time_ask", lambda: 0.0)
        study_adaptive.main([*command, "--picture", str(folder / "curves.png")])
        assert (folder / "curves.png").stat().st_size > 1000
        kept = pd.read_csv(output)
        study_adaptive.main(command)  # from the cache
    pd.testing.assert_frame_equal(pd.read_csv(output), kept)
    return kept


def test_every_choice_is_measured(results):
    means = results[results["part"] == "means"]
    errors = means[means["metric"] == "mean error"]
    assert set(errors["choice"]) == {*study_adaptive.ADAPTIVE, *study_adaptive.FIXED}
    assert set(errors["size"]) == {8, 16}
    shares = means[means["metric"].isin(["covered", "first", "routing"])]
    assert shares["value"].between(0, 1).all()
    losses = means[means["metric"] == "log loss"]
    assert {"plain", "observed", "completed"} == set(losses["table"])
    assert (losses["value"] > 0).all()


def test_differences_have_intervals(results):
    own = results[results["part"] == "differences"]
    assert (own["low"] <= own["value"]).all()
    assert (own["value"] <= own["high"]).all()
    assert set(own["other"]) == {"random observed 16", "random completed 8"}


def test_the_time_of_an_ask_is_taken():
    assert study_adaptive.time_ask(n_queries=1100, n_models=4) > 0
