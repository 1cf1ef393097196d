"""The command that evaluates routers."""

import pandas as pd
import pytest
from command_line import run, run_well

import skl_locus
from skl_locus.datasets import read_log
from skl_locus.metrics import compare


def estimates(result, metric):
    rows = [row for row in result["results"] if row["metric"] == metric]
    return {row["router"]: row["estimate"] for row in rows if row["task"] == "all"}


@pytest.mark.parametrize("encoded", [True, False])
def test_routers_are_fitted_on_a_part_and_judged_on_the_rest(logs, encoded):
    # Without an encoder the log has no vectors, and no router can be fitted.
    options = ["--encoder", "hashing"] if encoded else []
    outcome = run(
        "evaluate",
        logs / "log.csv",
        "--router",
        "kmeans",
        "--compare",
        "best-single",
        "--compare",
        "knn",
        "--random-state",
        "0",
        "--json",
        *options,
    )
    if not encoded:
        assert outcome.status == 2
        assert "--encoder" in outcome.err
        return
    assert outcome.status == 0, outcome.err
    scores = estimates(outcome.json, "routing_accuracy")
    assert list(scores) == ["kmeans", "best-single", "knn", "best single", "oracle"]
    assert scores["oracle"] >= max(scores.values())
    assert outcome.json["n_evaluations"] == 30 * 5
    assert set(outcome.json["headroom"]["table"]) >= {"best single", "oracle"}


def test_saved_routers_are_compared_as_in_python(logs, saved):
    result = run_well(
        "evaluate", logs / "new.csv", "--saved", saved, "--random-state", "3", "--json"
    ).json
    log = read_log(logs / "new.csv")
    table = compare(
        {"router.locus": skl_locus.load(saved)}, log, log["score"], random_state=3
    )
    expected = table.query("metric == 'soft_log_loss' and task == 'all'")
    assert estimates(result, "soft_log_loss") == {
        "router.locus": expected["estimate"].item()
    }


def test_files_of_one_name_are_told_apart_by_their_folders(logs, saved, saved_once):
    result = run_well(
        "evaluate", logs / "new.csv", "--saved", saved, "--saved", saved_once, "--json"
    ).json
    assert list(estimates(result, "soft_brier")) == [str(saved), str(saved_once)]


def test_queries_that_the_router_knows_are_refused(logs, saved):
    refused = run("evaluate", logs / "old.csv", "--saved", saved)
    assert refused.status == 1
    assert "its results are optimistic" in refused.err
    run_well("evaluate", logs / "old.csv", "--saved", saved, "--allow-seen")


def test_people_get_a_table_and_a_sentence(logs, saved):
    lines = run_well("evaluate", logs / "new.csv", "--saved", saved).out.splitlines()
    assert lines[0].split()[:2] == ["routing", "score"]
    assert [line.split()[0] for line in lines[1:4]] == [
        "router.locus",
        "best",
        "oracle",
    ]
    assert lines[-1].startswith("Always ")


def test_policies_are_judged_by_their_costs_too(logs, tmp_path):
    path = tmp_path / "policy.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--cost-weight", "0.1"]
    run_well("fit", logs / "old.csv", "-o", path, *fitting)
    result = run_well("evaluate", logs / "new.csv", "--saved", path, "--json").json
    log = read_log(logs / "new.csv")
    outcome = skl_locus.load(path).evaluate(log, log["score"])
    assert result["policies"]["policy.locus"]["cost"] == outcome["cost"]


def test_models_that_the_router_lacks_are_left_out_and_noted(logs, saved, tmp_path):
    log = read_log(logs / "new.csv")
    model = log["model"].astype(str)
    other = log[model == "model-0"].assign(model="new one")
    path = tmp_path / "more.csv"
    pd.concat([log.astype({"model": str}), other]).to_csv(path, index=False)
    outcome = run_well("evaluate", path, "--saved", saved, "--json")
    assert outcome.json["n_evaluations"] == len(log)
    assert "left out 30 evaluations of 1 models" in outcome.err
    other.to_csv(path, index=False)
    refused = run("evaluate", path, "--saved", saved)
    assert refused.status == 1
    assert "The router has none of the models of the log." in refused.err
