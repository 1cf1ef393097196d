"""The command that fits a router."""

import numpy as np
import pandas as pd
import pytest
from command_line import run, run_well

import skl_locus
from skl_locus.datasets import read_log

FAST = {
    "locus": ["-p", "n_components=8", "-p", "max_iter=4"],
    "embedllm": ["-p", "max_iter=4"],
    "irt": ["-p", "max_iter=4"],
}


@pytest.mark.parametrize(
    "name", ["locus", "kmeans", "knn", "linear", "embedllm", "irt", "best-single"]
)
def test_each_router_is_fitted_as_in_python(logs, tmp_path, name):
    path = tmp_path / "router.locus"
    options = [*FAST.get(name, []), "--encoder", "hashing", "--random-state", 0]
    run_well("fit", logs / "old.csv", "-o", path, "--router", name, *options)
    loaded = skl_locus.load(path)
    log = read_log(logs / "old.csv")
    again = loaded.__sklearn_clone__().fit(log, log["score"])
    texts = ["about task-1, see query-119", "about task-3"]
    np.testing.assert_array_equal(
        loaded.correctness_matrix(texts), again.correctness_matrix(texts)
    )


def test_parameters_are_numbers_names_and_texts(logs, tmp_path):
    options = [
        "-p",
        "n_neighbors=7",
        "-p",
        "weights=distance",
        "-p",
        "duplicates='max'",
    ]
    run_well(
        "fit",
        logs / "old.csv",
        "-o",
        tmp_path / "r",
        "--router",
        "knn",
        "--encoder",
        "hashing",
        *options,
    )
    router = skl_locus.load(tmp_path / "r")
    assert (router.n_neighbors, router.weights) == (7, "distance")
    assert router.duplicates == "max"


def test_the_result_is_the_header_of_the_file(logs, tmp_path):
    path = tmp_path / "router.locus"
    fitting = ["--router", "best-single", "--encoder", "hashing", "--json"]
    result = run_well("fit", logs / "old.csv", "-o", path, *fitting).json
    assert result.pop("output") == str(path)
    assert result == skl_locus.describe(path)


def test_a_policy_is_fitted_on_queries_held_out_from_the_router(logs, tmp_path):
    costs = pd.DataFrame(
        {"model": [f"model-{i}" for i in range(5)], "cost": range(1, 6)}
    )
    costs.to_csv(tmp_path / "costs.csv", index=False)
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--random-state", 0]
    policies = {}
    for name, options in {
        "given": ["--costs", tmp_path / "costs.csv"],
        "logged": [],
    }.items():
        path = tmp_path / f"{name}.locus"
        run_well(
            "fit",
            logs / "log.csv",
            "-o",
            path,
            "--cost-weight",
            "0.1",
            "--held-out",
            "0.5",
            *fitting,
            *options,
        )
        policies[name] = skl_locus.load(path)
        assert skl_locus.describe(path)["pool"]["queries"] == 60
    assert policies["given"].cost_model_["model-2"] == 3
    assert set(policies["logged"].cost_model_.mean_costs_.index) == set(costs["model"])
    assert policies["given"].cost_weight_ == 0.1


def test_prices_are_a_model_of_costs(logs, tmp_path):
    log = read_log(logs / "log.csv")
    prices = pd.DataFrame({"model": log["model"].unique()})
    prices = prices.assign(price_in=1.0, price_out=[5.0, 4.0, 3.0, 2.0, 1.0])
    prices.to_csv(tmp_path / "prices.csv", index=False)
    outcome = run(
        "fit",
        logs / "log.csv",
        "-o",
        tmp_path / "p",
        "--costs",
        tmp_path / "prices.csv",
        "--cost-weight",
        "0.1",
        "--router",
        "kmeans",
        "--encoder",
        "hashing",
    )
    # The log has no lengths of answers, which prices are multiplied by.
    assert outcome.status == 1
    assert "default_output_tokens" in outcome.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model,price\na,1\n", "it needs the columns model and cost"),
        ("model,cost\na,1\na,2\n", "the model 'a' has two rows"),
        ("", "not a readable csv file"),
        ("model,cost\nmodel-0,much\n", "much"),
        ("model,cost\nmodel-0,1\n", "model-1"),
    ],
)
def test_costs_that_cannot_be_used_are_refused(logs, tmp_path, content, message):
    (tmp_path / "costs.csv").write_text(content)
    outcome = run(
        "fit",
        logs / "log.csv",
        "-o",
        tmp_path / "p",
        "--cost-weight",
        "1",
        "--costs",
        tmp_path / "costs.csv",
        "--router",
        "kmeans",
        "--encoder",
        "hashing",
    )
    assert outcome.status == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "p").exists()


def test_texts_without_an_encoder_are_refused_with_what_to_do(logs, tmp_path):
    outcome = run("fit", logs / "log.csv", "-o", tmp_path / "r", "--router", "kmeans")
    assert outcome.status == 2
    assert "--encoder" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_evaluations_can_be_left_out(logs, tmp_path):
    path = tmp_path / "router.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--no-evaluations"]
    run_well("fit", logs / "old.csv", "-o", path, *fitting)
    assert skl_locus.describe(path)["pool"]["evaluations"] == 0
    outcome = run("add", path, logs / "new.csv")
    assert outcome.status == 1
    assert "evaluations=False" in outcome.err


def test_a_router_of_vectors_is_fitted_from_a_file_of_vectors(logs, tmp_path):
    log = read_log(logs / "old.csv")
    queries = log[["query_id"]].drop_duplicates()
    queries.to_csv(tmp_path / "queries.csv", index=False)
    vectors = np.random.default_rng(0).standard_normal((len(queries), 4))
    np.save(tmp_path / "vectors.npy", vectors)
    run_well(
        "fit",
        logs / "old.csv",
        "-o",
        tmp_path / "r",
        "--router",
        "kmeans",
        "--encodings",
        tmp_path / "vectors.npy",
        "--queries",
        tmp_path / "queries.csv",
    )
    router = skl_locus.load(tmp_path / "r")
    assert router.n_features_in_ == 4
    routed = run_well("route", tmp_path / "r", tmp_path / "vectors.npy").out
    assert routed.split() == router.route(vectors).tolist()
