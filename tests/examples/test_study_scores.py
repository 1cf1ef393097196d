"""The study of the whole router under other kinds of scores, a research tool."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_scores = importlib.import_module("study_scores")
study_geometry = importlib.import_module("study_geometry")
variations = importlib.import_module("variations")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "small"
    folder.mkdir()
    evaluations, queries, encodings, _ = tables()
    evaluations.to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    output = folder / "scores.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--n-jobs", "1"]
    command += ["--scores", "given", "flipped", "--smoke", "--output", str(output)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study_scores.LOGS, "small", ("all", 20))
        patch.setattr(study_scores, "SPLITS", 1)
        patch.setattr(study_geometry, "NEW_QUERIES", 8)
        patch.setattr(study_geometry, "MIN_COMMON", 5)
        patch.setattr(study_scores, "ROUTERS", ("LOCUS", "Best single"))
        study_scores.main([*command, "--cache", str(folder / "cache")])
    return pd.read_csv(output)


def test_every_kind_of_scores_has_all_numbers(measured):
    metrics = measured.groupby(["scores", "part"])["metric"].apply(set)
    prediction = {"log loss", "routing", "log loss, new models"}
    assert metrics["given", "prediction"] == metrics["flipped", "prediction"]
    assert metrics["given", "prediction"] == prediction
    assert metrics["flipped", "geometry"] <= set(study_scores.GEOMETRY_METRICS)
    assert set(measured["scores"]) == {"given", "flipped"}


def test_flipped_scores_are_harder_to_predict(measured):
    own = measured.query("method == 'Best single' and metric == 'log loss'")
    means = own.set_index("scores")["mean"]
    assert means["flipped"] > means["given"]


def test_kinds_of_scores_keep_gaps_and_stay_in_range():
    scores = np.array([[0.0, 1.0, np.nan], [0.25, 1.0, 0.0]] * 50)
    for kind, change in variations.SCORES.items():
        changed = change(scores, np.random.default_rng(0))
        assert (np.isnan(changed) == np.isnan(scores)).all(), kind
        assert np.nanmin(changed) >= 0, kind
        assert np.nanmax(changed) <= 1, kind


def test_flipping_turns_around_a_tenth_of_the_scores():
    scores = np.ones((1000, 10))
    flipped = variations.flipped(scores, np.random.default_rng(0))
    assert set(np.unique(flipped)) == {0.0, 1.0}
    assert np.mean(flipped == 0) == pytest.approx(0.1, abs=0.01)
