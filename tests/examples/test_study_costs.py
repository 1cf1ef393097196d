"""The study of costs by query, a research tool."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_costs = importlib.import_module("study_costs")

NAMES = ["MAE", "log MAE", "RMSE"]


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "small"
    folder.mkdir()
    evaluations, queries, encodings, _ = tables()
    # Costs rise along the first feature, more so for the dearer models.
    along = pd.Series(np.exp(encodings[:, 0]), queries["query_id"])
    slopes = pd.Series(np.arange(1.0, 9.0), sorted(evaluations["model"].unique()))
    costs = evaluations["query_id"].map(along).astype(float)
    costs = costs * evaluations["model"].map(slopes).astype(float)
    evaluations.assign(cost=costs).to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    output = folder / "costs.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--sizes", "38"]
    study_costs.main([*command, "--seeds", "2", "--output", str(output)])
    return pd.read_csv(output)


def means_of(summary, part):
    own = summary[summary["part"] == part]
    return own.pivot_table(index="costs", columns="metric", values="mean")


def test_planted_costs_are_predicted_better_than_by_means(summary):
    errors = means_of(summary, "prediction")
    assert set(errors.index) == set(study_costs.REGRESSORS)
    assert (errors.loc["ridge", NAMES] < 0.8 * errors.loc["mean", NAMES]).all()


def test_curves_are_between_all_and_nothing(summary):
    curves = means_of(summary, "curve")
    assert set(curves.index) == {*study_costs.REGRESSORS, "known", "zero router"}
    assert curves["AIQ"].between(0, 1).all()
    assert curves.loc["mean", "AIQ gain"] == 0
    gains = curves["AIQ"] - curves.loc["mean", "AIQ"]
    assert gains.tolist() == pytest.approx(curves["AIQ gain"].tolist(), abs=1e-4)
