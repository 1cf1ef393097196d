"""The study of prediction against fixed comparators, a research tool."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
study_prediction = importlib.import_module("study_prediction")


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "small"
    folder.mkdir()
    evaluations, queries, encodings, _ = tables()
    evaluations.to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    output = folder / "differences.csv"
    command = ["--data", str(folder.parent), "--logs", "small", "--n-jobs", "1"]
    command += ["--seeds", "2", "--smoke", "--output", str(output)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study_prediction.SIZES, "small", (20,))
        patch.setattr(study_prediction, "COMPARATORS", ("KMeans", "Best single"))
        study_prediction.main([*command, "--cache", str(folder / "cache")])
    return pd.read_csv(output)


def test_every_cell_metric_and_comparator_has_a_row(differences):
    names = ["LOCUS without network", "LOCUS network alone", "KMeans", "Best single"]
    cells = differences.groupby(["cell", "metric"])["comparator"].apply(list)
    assert set(cells.index.get_level_values("cell")) == {"complete", "sparse"}
    assert all(set(found) == set(names) for found in cells)
    assert (differences["n_draws"] == 2).all()


def test_means_have_a_row_per_cell(differences):
    means = study_prediction.means_of(differences, "log_loss")
    assert len(means) == 2
    assert means.columns[0] == "LOCUS"
    assert set(means.columns[1:]) == set(differences["comparator"])


def test_differences_are_those_of_the_means(differences):
    gaps = differences["locus"] - differences["theirs"]
    assert gaps.to_numpy() == pytest.approx(differences["difference"], abs=1e-3)
    inside = differences["difference"].between(differences["low"], differences["high"])
    assert inside.all()
    assert (differences["p_holm"] >= differences["p_value"]).all()
