"""Readers against the tools that write the logs, where these are installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from skl_locus.datasets import (
    read_evalscope,
    read_inspect,
    read_lighteval,
    read_lm_eval,
    read_log,
    read_mlflow,
)

SCRIPTS = Path(__file__).parents[1] / "helpers"


def write(package, script, folder, extra="writers"):
    """Let a package write logs in a process of its own; return what it says."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (skl-locus[{extra}])")
    offline = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "cache"),
        "HOME": str(folder),
        "MLFLOW_ALLOW_FILE_STORE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "1",
    }
    subprocess.run(
        [sys.executable, str(SCRIPTS / script), str(folder)],
        check=True,
        cwd=folder,
        env=offline,
        capture_output=True,
    )
    return json.loads((folder / "said.json").read_text())


@pytest.fixture(scope="module")
def inspect_logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    return folder, write("inspect_ai", "write_inspect_logs.py", folder)


@pytest.fixture(scope="module")
def lm_eval_logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm_eval")
    return folder / "out", write("lm_eval", "write_lm_eval_logs.py", folder)


@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_logs_of_inspect_say_what_inspect_says(inspect_logs, log_format):
    folder, said = inspect_logs
    if log_format == "eval" and sys.version_info < (3, 14):
        pytest.importorskip("backports.zstd")
    table = read_inspect(folder / log_format)
    assert table["model"].unique().tolist() == ["mockllm/model"]
    assert table["task"].unique().tolist() == ["quiz"]
    assert dict(zip(table["query"], table["score"], strict=True)) == {
        "7 * 8?": 0.5,
        "2 + 2?": 1.0,
        "Be brief.\nFaust?": 0.5,
    }
    assert table["score"].mean() == pytest.approx(said[log_format])
    assert table["tokens"].tolist() == [6.0] * 3


@pytest.mark.parametrize(
    ("metric", "task", "key"),
    [
        ("acc", "choose", "acc,none"),
        ("acc_norm", "choose", "acc_norm,none"),
        ("exact_match", "write", "exact_match,number"),
        ("exact_match", "write", "exact_match,strict"),
    ],
)
def test_samples_of_lm_eval_say_what_it_says(lm_eval_logs, tmp_path, metric, task, key):
    folder, said = lm_eval_logs
    (file,) = folder.rglob(f"samples_{task}_*.jsonl")
    alone = tmp_path / file.parent.name / file.name
    alone.parent.mkdir()
    alone.write_bytes(file.read_bytes())
    table = read_lm_eval(tmp_path, metric=metric, filter=key.split(",")[1])
    assert len(table) == 3
    assert table["query"].tolist() == ["7 * 8 =", "2 + 2 =", "3 + 3 ="]
    assert table["score"].mean() == pytest.approx(said[task][key])


@pytest.fixture(scope="module")
def evalscope_reviews(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evalscope")
    said = write(
        "evalscope", "write_evalscope_logs.py", folder, extra="writers-evalscope"
    )
    return folder / "out", said


def test_reviews_of_evalscope_say_what_its_reports_say(evalscope_reviews):
    folder, said = evalscope_reviews
    table = read_evalscope(folder)
    means = table.groupby("model", observed=True)["score"].mean()
    assert means.round(4).to_dict() == pytest.approx(said)
    assert table["task"].unique().tolist() == ["general_mcq_sums"]
    assert table["query"].nunique() == 3
    assert all("7 * 8 =" in query for query in table["query"].iloc[::3])
    assert set(zip(table["tokens"], table["latency"], strict=True)) == {(6.0, 0.5)}


@pytest.fixture(scope="module")
def mlflow_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    said = write("mlflow", "write_mlflow_logs.py", folder, extra="writers-mlflow")
    return folder, said


def test_tables_of_mlflow_say_what_it_says(mlflow_runs):
    folder, said = mlflow_runs
    table = read_log(folder / "store")
    means = table.groupby("model", observed=True)["score"].mean()
    assert means.to_dict() == pytest.approx(
        {name: metrics["overlap"] for name, metrics in said.items()}
    )
    assert table["query"].nunique() == 3


@pytest.mark.parametrize("metric", ["right", "verdict"])
def test_traces_of_mlflow_say_what_it_says(mlflow_runs, metric):
    folder, said = mlflow_runs
    for name, metrics in said.items():
        if metric not in metrics:
            pytest.skip("this MLflow has no mlflow.genai")
        traces = pd.read_pickle(folder / f"{name}.pkl")
        table = read_mlflow(traces, metric=metric, model=name)
        assert set(table["query"]) == {
            "7 * 8?",
            "2 + 2?",
            "Name the author of Faust.",
        }
        assert table["score"].mean() == pytest.approx(metrics[metric])


@pytest.fixture(scope="module")
def lighteval_details(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lighteval")
    said = write(
        "lighteval", "write_lighteval_logs.py", folder, extra="writers-lighteval"
    )
    return folder / "out", said


@pytest.mark.parametrize("metric", ["em", "f1"])
def test_details_of_lighteval_say_what_its_results_say(lighteval_details, metric):
    folder, said = lighteval_details
    table = read_lighteval(folder, metric={"sums:write|0": metric})
    assert set(table["model"]) == {"org/small", "large"}
    means = table.groupby(["model", "task"], observed=True)["score"].mean()
    for (model, task), mean in means.items():
        name = "acc" if task == "choose|0" else metric
        assert mean == pytest.approx(said[model][task.replace("|", ":")][name])
    assert len(means) == 4
