"""The study of the evidence, a research tool beside the experiments."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import tables

# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
methods, options, study_evidence, variations = map(
    importlib.import_module, ("methods", "options", "study_evidence", "variations")
)


def write_log(folder):
    """Write a log as the study finds them."""
    folder.mkdir()
    evaluations, queries, encodings, models = tables()
    evaluations.to_parquet(folder / "evaluations.parquet")
    queries.to_parquet(folder / "queries.parquet")
    np.save(folder / "encodings_minilm.npy", encodings)
    return models.index.tolist()


@pytest.fixture
def one_pool(tmp_path):
    write_log(tmp_path / "small")
    return ["--data", str(tmp_path)]


def study_of(one_pool, *given, cell="complete"):
    chosen = study_evidence.parse_options([*one_pool, *given])
    return study_evidence.study(chosen, "small", "all", cell, 30, 0, False)


def test_the_study_measures_network_evidence_and_comparators(one_pool):
    tiny = [f"{name}={value}" for name, value in methods.TINY_NETWORK.items()]
    alone = study_of(one_pool)
    whole = study_of(one_pool, "--network", *tiny, "--beside", "KMeans")
    losses = {whole["log_loss"], whole["log_loss network"], whole["log_loss KMeans"]}
    assert len(losses | {alone["log_loss"]}) == 4
    assert all(0 < loss < 1 for loss in losses)


def test_the_study_is_done_by_workers(tmp_path):
    pools = {}
    for name in options.FOLDERS:
        members = write_log(tmp_path / name)
        pools[name] = dict.fromkeys(options.DEFAULT_POOLS[name], members)
    (tmp_path / "pools.json").write_text(json.dumps(pools))
    output = tmp_path / "summary.csv"
    command = [sys.executable, study_evidence.__file__, "--data", str(tmp_path)]
    command += ["--n-jobs", "2", "--seeds", "1", "--sizes", "30", "--cells", "complete"]
    command += ["--logs", *options.FOLDERS]
    subprocess.run([*command, "--output", str(output)], check=True, timeout=300)
    summary = pd.read_csv(output)
    # Two pools of two logs, their means, and the mean of those.
    assert len(summary) == 7
    assert summary["log_loss"].between(0, 1).all()


def test_the_study_changes_the_configuration(one_pool):
    before = study_of(one_pool)
    after = study_of(one_pool, "--change", "shrinkage_range=[1000, 1000]")
    assert before["log_loss"] != after["log_loss"]
    assert study_of(one_pool) == before
    assert (
        study_of(one_pool, "--change", "weights.mean=5")["log_loss"]
        > (before["log_loss"])
    )
    network = ["--network", "max_iter=2", "n_components=4"]
    changed = study_of(one_pool, *network, "--change", "network_share=1")
    assert changed["log_loss"] != study_of(one_pool, *network)["log_loss"]


@pytest.mark.parametrize(
    "name", ["shrinkage", "weights.average", "decision_weights.tiny"]
)
def test_the_study_refuses_unknown_settings(name):
    with pytest.raises(ValueError, match=f"{name} is not a setting"):
        study_evidence.changed_config([f"{name}=1"])


def test_the_study_leaves_each_task_out_once(one_pool, monkeypatch):
    monkeypatch.setattr(study_evidence, "SMALLEST_TASK", 5)
    chosen = study_evidence.parse_options([*one_pool, "--cells", "complete", "shift"])
    cells = study_evidence.cells_of(chosen, "small")
    assert cells[0] == "complete"
    assert len(set(cells[1:])) == 3
    assert np.isfinite(study_of(one_pool, cell=cells[1])["log_loss"])


def test_best_by_task_takes_the_best_mean_of_each_task():
    scores = np.array([[1, 0, np.nan], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]])
    tasks = np.array(["a", "a", "b", "b"])
    assert study_evidence.best_by_task(scores, tasks) == (1 + 1 + 0.5 + 0.5) / 4


@pytest.mark.parametrize("kind", ["graded", "judged"])
def test_scores_of_other_kinds_keep_right_above_wrong(kind):
    rng = np.random.default_rng(0)
    scores = rng.integers(2, size=(200, 3)).astype(float)
    scores[0, 0] = np.nan
    other = variations.SCORES[kind](scores, rng)
    assert np.isnan(other[0, 0])
    assert np.nanmin(other) >= 0
    assert np.nanmax(other) <= 1
    assert np.nanmean(other[scores == 1]) > np.nanmean(other[scores == 0]) + 0.2


def test_uneven_logs_have_models_with_few_and_with_all_scores():
    sizes = np.isfinite(variations.uneven(np.ones((400, 5)), 0)).sum(axis=0)
    assert sizes.max() == 400
    assert 5 < sizes.min() < 30
