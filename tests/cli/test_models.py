"""The commands that change the models of a saved router, and describe it."""

import numpy as np
import pytest
from command_line import run, run_well

import skl_locus
from skl_locus.datasets import read_log

TEXTS = ["about task-1, see query-119", "about task-2"]


@pytest.fixture
def new_model(logs, tmp_path):
    log = read_log(logs / "new.csv").astype({"model": str})
    path = tmp_path / "new_model.csv"
    log[log["model"] == "model-0"].assign(model="a new one").to_csv(path, index=False)
    return path


def test_models_are_added_as_in_python(saved, new_model):
    router = skl_locus.load(saved)
    outcome = run_well("add", saved, new_model)
    assert outcome.out == "added a new one\n"
    log = read_log(new_model)
    router.add_models(log, log["score"])
    np.testing.assert_array_equal(
        skl_locus.load(saved).correctness_matrix(TEXTS),
        router.correctness_matrix(TEXTS),
    )


@pytest.mark.parametrize("replace", [False, True])
def test_known_models_are_refined_or_replaced(saved, logs, replace):
    outcome = run_well(
        "add", saved, logs / "new.csv", "--json", *["--replace"][: int(replace)]
    )
    assert outcome.json["added"] == []
    assert outcome.json["refined"] == [f"model-{i}" for i in range(5)]
    pool = skl_locus.describe(saved)["pool"]
    assert pool["evaluations"] == (150 if replace else 600)


def test_another_file_leaves_the_first_one_alone(saved, new_model, tmp_path):
    before = saved.read_bytes()
    run_well("add", saved, new_model, "-o", tmp_path / "next.locus")
    run_well("remove", saved, "model-1", "-o", tmp_path / "fewer.locus")
    assert saved.read_bytes() == before
    assert "a new one" in skl_locus.load(tmp_path / "next.locus").models_
    assert "model-1" not in skl_locus.load(tmp_path / "fewer.locus").models_


def test_models_are_removed(saved):
    outcome = run_well("remove", saved, "model-1", "model-3")
    assert outcome.out == "removed model-1\nremoved model-3\n"
    assert skl_locus.load(saved).models_.tolist() == ["model-0", "model-2", "model-4"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["model-1", "gone"], "gone"),
        ([f"model-{i}" for i in range(5)], "keep at least one"),
    ],
)
def test_the_file_stays_where_models_cannot_be_removed(saved, models, message):
    before = saved.read_bytes()
    outcome = run("remove", saved, *models)
    assert outcome.status == 1
    assert message in outcome.err
    assert saved.read_bytes() == before


def test_the_router_in_a_policy_is_changed(logs, new_model, tmp_path):
    path = tmp_path / "policy.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--cost-weight", "0.1"]
    run_well("fit", logs / "old.csv", "-o", path, *fitting)
    run_well("add", path, new_model)
    run_well("remove", path, "model-2")
    header = run_well("describe", path, "--json").json
    assert header["estimator"] == "RouterPolicy"
    assert "a new one" in header["pool"]["models"]
    assert "model-2" not in header["pool"]["models"]


def test_a_description_is_the_header(saved):
    assert run_well("describe", saved, "--json").json == skl_locus.describe(saved)
    lines = run_well("describe", saved).out.splitlines()
    assert "estimator: KMeansRouter" in lines
    assert "  n_models: 5" in lines
    assert "  models: model-0, model-1, model-2, model-3, model-4" in lines
    assert "encoders: model=HashingVectorizer n_features=512" in lines
