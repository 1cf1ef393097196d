from functools import partial

import pytest
from reader_checks import (
    NOT_UTF8,
    assert_bad,
    assert_routes,
    records,
    silently,
    write_json,
)

from skl_locus.datasets import read_helm
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

PERTURBED = {"name": "misspellings", "robustness": True}
TASK = "mmlu:subject=anatomy,method=multiple_choice_joint"


def instance(number, **more):
    text = f"Question {number}?"
    return {"id": f"id{number}", "input": {"text": text}, "split": "test", **more}


def entry(number, trial=0, perturbation=None, **stats):
    """Return the statistics of one instance and trial, as one of HELM's metrics."""
    one = {
        "instance_id": f"id{number}",
        "train_trial_index": trial,
        "stats": [
            {"name": {"name": name, "split": "test"}, "count": 1, "mean": value}
            for name, value in stats.items()
        ],
    }
    return one if perturbation is None else {**one, "perturbation": perturbation}


def write_run(folder, model, entries, instances=None, task=TASK):
    run = folder / f"{task},model={model.replace('/', '_')}"
    spec = {
        "name": run.name,
        "adapter_spec": {"model": model, "model_deployment": f"host/{model}"},
    }
    write_json(run / "run_spec.json", spec)
    write_json(run / "instances.json", instances or [instance(1), instance(2)])
    write_json(run / "per_instance_stats.json", entries)
    return run


@pytest.fixture
def folder(tmp_path):
    usage = {"num_prompt_tokens": 30, "num_output_tokens": 1, "inference_runtime": 0.5}
    entries = [
        entry(1, exact_match=1.0, quasi_exact_match=0.0),
        entry(2, exact_match=0.0, quasi_exact_match=1.0),
        entry(1, **usage),
        entry(1, perturbation=PERTURBED, exact_match=0.0),
    ]
    instances = [
        instance(1),
        instance(2),
        instance(1, input={"text": "Qeustion 1?"}, perturbation=PERTURBED),
    ]
    write_run(tmp_path / "runs" / "v1", "org/small", entries, instances)
    entries = [entry(1, exact_match=1.0), entry(2, exact_match=1.0)]
    write_run(tmp_path / "runs" / "v1", "org/large", entries)
    return tmp_path


def small(folder, name="per_instance_stats.json"):
    return folder / "runs" / "v1" / f"{TASK},model=org_small" / name


def test_folder(folder):
    table = silently(read_helm, folder=folder)
    assert list(table.columns) == [
        "model",
        "query",
        "query_id",
        "score",
        "task",
        "tokens",
        "latency",
    ]
    assert records(table, "model", "query", "query_id", "score", "task") == [
        ("org/large", "Question 1?", f"{TASK}/id1", 1.0, TASK),
        ("org/large", "Question 2?", f"{TASK}/id2", 1.0, TASK),
        ("org/small", "Question 1?", f"{TASK}/id1", 1.0, TASK),
        ("org/small", "Question 2?", f"{TASK}/id2", 0.0, TASK),
    ]
    assert table["tokens"].iloc[2] == 31
    assert table["latency"].iloc[2] == 0.5
    assert table.attrs["skipped"] == {"perturbed instance": 1}
    assert_routes(table)


def test_trials_are_averaged_and_old_versions_are_read(tmp_path):
    scores = [(0, 1.0), (1, 0.0), (2, 0.0), (3, 0.0)]
    entries = [entry(1, trial, f1_score=score) for trial, score in scores]
    entries.append(entry(1, num_prompt_tokens=3, num_completion_tokens=4))
    write_run(tmp_path, "m", entries, [{"id": "id1", "input": "Who?"}], "boolq:k=1")
    table = read_helm(tmp_path)
    assert records(table, "query", "score", "tokens", "task") == [
        ("Who?", 0.25, 7.0, "boolq:k=1")
    ]


def test_the_task_is_the_run_without_its_model(tmp_path):
    run = write_run(tmp_path, "m", [entry(1, exact_match=1)], task="gsm")
    spec = {"name": "gsm:model=m", "adapter_spec": {"model_deployment": "host/m"}}
    write_json(run / "run_spec.json", spec)
    table = read_helm(tmp_path)
    assert records(table, "model", "task") == [("host/m", "gsm")]


def test_metric_by_name(folder):
    table = read_helm(folder / "runs" / "v1" / small(folder).parent.name)
    assert table["score"].tolist() == [1.0, 0.0]
    read = partial(read_helm, small(folder).parent)
    assert read(metric="quasi_exact_match")["score"].tolist() == [0.0, 1.0]
    assert read(metric={TASK: "quasi_exact_match"})["score"].tolist() == [0.0, 1.0]
    assert read(metric={"other": "f1_score"})["score"].tolist() == [1.0, 0.0]
    with pytest.raises(
        LogFormatError, match=r"has the metrics 'exact_match', .*metric="
    ):
        read(metric="bleu")


def test_runs_that_are_scored_differently(folder):
    write_json(small(folder), [entry(1, f1_score=1.0)])
    read = partial(read_helm, folder)
    match = "by 'f1_score' here, but by 'exact_match'"
    assert len(assert_bad(read, match, small(folder))) == 2


def test_an_instance_without_the_metric_is_counted(folder):
    write_json(
        small(folder), [entry(1, exact_match=1.0), entry(2, num_output_tokens=1)]
    )
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        assert len(read_helm(folder)) == 3


def test_another_version_of_an_instance(folder):
    changed = [instance(1, input={"text": "New?"}), instance(2)]
    write_json(small(folder, "instances.json"), changed)
    match = "stands for another text"
    assert len(assert_bad(partial(read_helm, folder), match, small(folder))) == 3


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (entry(7, exact_match=1.0), "'id7' is not in instances.json"),
        (entry(2, exact_match="high"), "'exact_match' is 'high'"),
        ({"instance_id": "id2"}, "'stats' is None"),
        ({"stats": []}, "'instance_id' is None"),
        ({"instance_id": "id2", "stats": [{"name": "x"}]}, "'name' is 'x'"),
        ("text", "the entry is 'text'"),
    ],
)
def test_malformed_entry(folder, bad, match):
    write_json(small(folder), [entry(1, exact_match=1.0), bad])
    assert len(assert_bad(partial(read_helm, folder), match, small(folder))) == 3


@pytest.mark.parametrize(
    ("name", "content", "match", "line"),
    [
        ("per_instance_stats.json", b"", "per_instance_stats.json: it is empty", None),
        ("per_instance_stats.json", b"[\n{", "not a complete JSON", 2),
        ("per_instance_stats.json", b"{}", "not a list", None),
        ("per_instance_stats.json", b"[]", "has the metrics ;", None),
        ("run_spec.json", b"[1]", "run_spec.json is", None),
        ("run_spec.json", NOT_UTF8, "run_spec.json: byte 0xe9 is not UTF-8", 1),
        ("run_spec.json", b'{"adapter_spec": {}}', "'model' is None", None),
        ("run_spec.json", b'{"name": "x"}', "'adapter_spec' is None", None),
        ("instances.json", b'{"id": 1}', "instances.json is", None),
        ("instances.json", None, "there is no instances.json beside it", None),
        ("run_spec.json", None, "there is no run_spec.json beside it", None),
    ],
)
def test_malformed_run(folder, name, content, match, line):
    small(folder, name).unlink()
    if content is not None:
        small(folder, name).write_bytes(content)
    read = partial(read_helm, folder)
    assert len(assert_bad(read, match, small(folder), line)) == 2


def test_malformed_instance(folder):
    path = small(folder, "instances.json")
    write_json(path, [instance(1), {"id": "id2"}])
    with pytest.raises(LogFormatError, match="'input' is None") as caught:
        read_helm(folder)
    assert caught.value.path == str(path)
    with pytest.warns(SkippedRecordsWarning, match="'input' is None"):
        assert len(read_helm(folder, errors="skip")) == 3


def test_scale_and_no_runs(tmp_path):
    with pytest.raises(LogFormatError, match=r"no per_instance_stats\.json in it"):
        read_helm(tmp_path)
    write_run(
        tmp_path,
        "m",
        [entry(1, judge=5), entry(2, judge=1)],
    )
    with pytest.raises(LogFormatError, match="range from 1 to 5"):
        read_helm(tmp_path, metric="judge")
    table = read_helm(tmp_path, metric="judge", scale=(1, 5))
    assert table["score"].tolist() == [1, 0]
