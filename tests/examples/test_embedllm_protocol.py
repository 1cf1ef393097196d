"""The paper's own protocol on files of EmbedLLM's form."""

import importlib
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from skl_locus import QueryEncoder
from skl_locus.datasets import make_evaluations

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "experiments"
sys.path.insert(0, str(EXAMPLES))
pytest.importorskip("matplotlib")

embedllm = importlib.import_module("embedllm")
e2 = importlib.import_module("e2_onboarding")
options = importlib.import_module("options")
run_all = importlib.import_module("run_all")

SIZES = {"train": 90, "val": 30, "test": 40}
CATEGORIES = ("mmlu_law", "mmlu_physics", "gpqa_main_n_shot", "asdiv", "social_iqa")
KNOWN = embedllm.HELD_OUT[:3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write three files as EmbedLLM published them, with one text in two splits."""
    folder = tmp_path_factory.mktemp("published")
    pool = make_evaluations(n_models=9, n_queries=160, random_state=0)
    rows = pool.evaluations.copy()
    number = pd.Categorical(rows["query_id"]).codes
    names = dict(zip(sorted(rows["model"].unique()), KNOWN, strict=False))
    rows = pd.DataFrame(
        {
            "prompt_id": number,
            "model_id": pd.Categorical(rows["model"]).codes,
            "model_name": rows["model"].map(lambda name: names.get(name, name)),
            "label": (rows["score"] > 0.5).astype(int),
            "prompt": [f"what is {i} times {i % 7}?" for i in number],
            "category": [CATEGORIES[i % len(CATEGORIES)] for i in number],
        }
    )
    # The first prompt of the training split is the last one of the test split as well.
    rows.loc[rows["prompt_id"] == 0, "prompt"] = rows.loc[
        rows["prompt_id"] == 159, "prompt"
    ].iloc[0]
    first = 0
    for split, size in SIZES.items():
        own = rows[rows["prompt_id"].between(first, first + size - 1)]
        own.to_csv(folder / f"{split}.csv", index=False)
        first += size
    return folder


@pytest.fixture(autouse=True)
def _no_sentence_model(monkeypatch):
    monkeypatch.setattr(
        embedllm,
        "text_encoder",
        lambda name: QueryEncoder(HashingVectorizer(n_features=12)),
    )


def arguments(folder, tmp_path, *more):
    places = ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "results")]
    return ["--embedllm", str(folder), "--smoke", "--n-jobs", "1", *places, *more]


def parsed(folder, tmp_path, *more):
    return options.parse_options("", arguments(folder, tmp_path, *more))


def test_the_paper_holds_sixteen_models_out():
    assert len(set(embedllm.HELD_OUT)) == 16


def test_splits_are_those_of_the_files(folder, tmp_path):
    log = next(options.main_logs(parsed(folder, tmp_path, "--report")))
    assert len(log.texts) == 159  # the twin is one query, and one of the test
    assert len(log.test) == SIZES["test"]
    assert len(log.rest) == SIZES["train"] - 1
    development = next(options.main_logs(parsed(folder, tmp_path)))
    assert len(development.test) == SIZES["val"]
    assert not np.isin(development.test, log.test).any()
    np.testing.assert_array_equal(np.sort(development.rest), np.sort(log.rest))


def test_tasks_are_the_columns_of_the_papers_tables(folder, tmp_path):
    log = next(options.main_logs(parsed(folder, tmp_path)))
    assert set(log.tasks) == {"MMLU", "GPQA", "ASDiv", "SoQA"}
    assert embedllm.benchmark_of("another") == "another"


def test_new_models_are_those_of_the_paper_by_name(folder, tmp_path):
    log = next(options.main_logs(parsed(folder, tmp_path)))
    assert set(log.models[e2.new_models(log, 0)]) == set(KNOWN)
    plan = e2.PLANS["paper"]
    fits = e2.fits(plan, 1024, "LOCUS", log)
    assert {fit["train_models"] for fit in fits if fit["kind"] == e2.NEW} == {
        *plan.train_models,
        e2.OTHERS,
    }
    assert all(fit["rotations"] == [0] for fit in fits)


def test_without_quick_the_sizes_are_the_papers(folder, tmp_path):
    plain = Namespace(smoke=False, quick=False, embedllm=folder)
    assert options.speed(plain) == "paper"
    assert all("paper" in experiment.PLANS for experiment in run_all.EXPERIMENTS)
    e1 = importlib.import_module("e1_sample_efficiency")
    assert e1.PLANS["paper"].sizes == (256, 512, 1024)


def test_files_are_converted_once_and_given_vectors_are_used(
    folder, tmp_path, monkeypatch
):
    vectors = np.random.default_rng(0).normal(size=(160, 5)).astype(np.float32)
    given = folder / "encodings_other.npy"
    np.save(given, vectors)
    log = next(options.main_logs(parsed(folder, tmp_path, "--encoder", "other")))
    assert log.vectors.shape[1] == 5
    monkeypatch.setattr(embedllm, "_convert", None)
    again = next(options.main_logs(parsed(folder, tmp_path, "--encoder", "other")))
    np.testing.assert_array_equal(again.vectors, log.vectors)
    np.save(given, vectors[1:])
    with pytest.raises(ValueError, match="159 rows, but the files have 160 prompts"):
        parsed(folder, tmp_path, "--encoder", "other")


def test_a_missing_split_is_told(folder, tmp_path, capsys):
    (tmp_path / "train.csv").write_text("prompt_id\n")
    with pytest.raises(SystemExit):
        parsed(tmp_path, tmp_path)
    assert "val.csv is not there" in capsys.readouterr().err


def test_run_all_writes_the_papers_tables(folder, tmp_path):
    some = ["--methods", "LOCUS", "LOCUS (paper)", "KMeans", "EmbedLLM"]
    run_all.main(arguments(folder, tmp_path, "--report", *some))
    report = (tmp_path / "results" / "report.md").read_text()
    assert "test split of EmbedLLM, as in the paper" in report
    assert "the 3 held out in the paper; not in the files: 01-ai" not in report
    assert "the 3 held out in the paper; not in the files: AdaptLLM/" in report
    summary = pd.read_csv(
        tmp_path / "results" / "embedllm" / "e2_onboarding_summary.csv"
    )
    assert (summary.loc[summary["kind"] == e2.NEW, "n_models"] == len(KNOWN)).all()


def test_accuracies_by_task_are_beside_the_papers():
    sections = importlib.import_module("sections")
    rows = pd.DataFrame(
        {
            "pool": "all",
            "cell": "complete",
            "method": "EmbedLLM",
            "n": 256,
            "task": ["all", "ASDiv", "MMLU"],
            "routing_accuracy": [0.6, 0.2019, 0.7],
        }
    )
    title, found = sections.per_task_of_paper(rows, "routing_accuracy")
    assert title.startswith("**Ours minus the paper's**")
    assert "| EmbedLLM | 256 | 1 | -5.55 |" in found  # Table 5: 19.19 and 75.55
    own = rows.assign(task="algebra")
    assert sections.per_task_of_paper(own, "routing_accuracy") == []


def test_latents_are_varied_in_both_networks():
    e6 = importlib.import_module("e6_ablations")
    given = Namespace(methods=["LOCUS", "LOCUS (paper)"])
    found = {
        (row["method"], row["value"])
        for row in e6.configurations(e6.PLANS["full"], "minilm", given)
        if row["part"] == "n_latents"
    }
    latents = ("16", "32", "64", "128")
    assert found == {(name, r) for name in given.methods for r in latents}
