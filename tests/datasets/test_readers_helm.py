import json
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
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

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
    separator = "," if ":" in task else ":"
    run = folder / f"{task}{separator}model={model.replace('/', '_')}"
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
    write_run(tmp_path, "m", entries, [{"id": "id1", "input": "Who?"}], "quac:k=1")
    table = read_helm(tmp_path)
    assert records(table, "query", "score", "tokens", "task") == [
        ("Who?", 0.25, 7.0, "quac:k=1")
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
    for path in folder.rglob("run_spec.json"):
        path.write_text(path.read_text().replace("mmlu:", "mine:"))
    for path in folder.rglob("per_instance_stats.json"):
        path.write_text(path.read_text().replace("quasi_exact_match", "num_tries"))
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
        (entry(7, exact_match=1.0), "there is no text of instance 'id7'"),
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
        ("instances.json", None, "neither instances.json nor scenario_state", None),
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


def write_summarized(tmp_path, mains, **metrics):
    """Write the schema of ``helm-summarize`` beside the runs."""
    groups = [
        {"name": name, "environment": {"main_name": main}}
        for name, main in mains.items()
    ]
    described = [
        {"name": name, "lower_is_better": less} for name, less in metrics.items()
    ]
    schema = {"run_groups": [{"name": "all"}, *groups], "metrics": described}
    return write_json(tmp_path / "schema.json", schema)


@pytest.mark.parametrize(
    ("task", "scores", "expected"),
    [
        ("narrative_qa", {"exact_match": 0.0, "f1_score": 0.7}, 0.7),
        ("legalbench:subset=x", {"exact_match": 0, "quasi_exact_match": 1}, 1.0),
        (
            "mmlu_pro:subset=all",
            {"exact_match": 0, "chain_of_thought_correctness": 1},
            1,
        ),
        ("mine", {"judge": 0.25, "num_output_tokens": 7, "logprob": -3}, 0.25),
    ],
)
def test_the_main_metric_of_the_scenario_is_the_score(tmp_path, task, scores, expected):
    write_run(tmp_path, "m", [entry(1, **scores)], task=task)
    assert read_helm(tmp_path)["score"].tolist() == [expected]


def test_the_groups_of_a_run_say_which_scenario_it_is(tmp_path):
    scores = {"exact_match": 0.0, "f1_score": 0.7}
    task = "natural_qa:mode=closedbook"
    run = write_run(tmp_path, "m", [entry(1, **scores)], task=task)
    with pytest.raises(LogFormatError, match="'exact_match', 'f1_score'; name one"):
        read_helm(tmp_path)
    spec = {"name": task, "adapter_spec": {"model": "m"}}
    groups = {"groups": ["natural_qa_closedbook"]}
    write_json(run / "run_spec.json", {**spec, **groups})
    assert read_helm(tmp_path)["score"].tolist() == [0.7]


def test_a_main_metric_that_no_instance_has_is_refused(tmp_path):
    write_run(tmp_path, "m", [entry(1, exact_match=0.0)], task="narrative_qa")
    with pytest.raises(LogFormatError, match="'f1_score'; it has the metrics 'exact_m"):
        read_helm(tmp_path)


def test_a_scenario_with_two_qualities_is_refused(tmp_path):
    scores = {"exact_match": 0.0, "judge": 0.9, "num_output_tokens": 3}
    write_run(tmp_path, "m", [entry(1, **scores)], task="mine")
    with pytest.raises(LogFormatError, match="has the metrics 'exact_match', 'judge'"):
        read_helm(tmp_path)


def test_the_schema_beside_the_runs_names_the_main_metric(tmp_path):
    scores = {"exact_match": 0.0, "f1_score": 0.5, "judge": 0.9, "wer": 0.1}
    write_run(tmp_path, "m", [entry(1, **scores)], task="narrative_qa")
    write_summarized(tmp_path, {"narrative_qa": "judge", "other": "f1_score"})
    assert read_helm(tmp_path)["score"].tolist() == [0.9]
    write_summarized(tmp_path, {"narrative_qa": "wer"}, wer=True)
    with pytest.raises(LogFormatError, match="less is better in the main metric"):
        read_helm(tmp_path)
    table = read_helm(tmp_path, metric="wer", scale=(1, 0))
    assert table["score"].tolist() == [0.9]


def state_of(*instances):
    return {"request_states": [{"instance": one, "request": {}} for one in instances]}


def test_a_run_that_is_not_summarized(tmp_path):
    run = write_run(tmp_path, "m", [entry(1, exact_match=1.0)])
    (run / "instances.json").unlink()
    perturbed = instance(1, input={"text": "Qeustion?"}, perturbation=PERTURBED)
    state = state_of(instance(1), perturbed, instance(1), instance(2))
    path = write_json(run / "scenario_state.json", state)
    table = read_helm(tmp_path)
    assert records(table, "query", "score") == [("Question 1?", 1.0)]
    write_json(path, {"request_states": [7]})
    with pytest.raises(LogFormatError, match="the request is 7, not an object"):
        read_helm(tmp_path)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("multiple_choice_joint", "Question 1?\nA) yes\nB) no"),
        ("generation", "Question 1?"),
    ],
)
def test_choices_are_part_of_the_question(tmp_path, method, expected):
    texts = [{"output": {"text": "yes"}, "tags": ["correct"]}, {"output": "no"}]
    one = instance(1, references=texts)
    run = write_run(tmp_path, "m", [entry(1, exact_match=1.0)], [one])
    spec = json.loads((run / "run_spec.json").read_text())
    spec["adapter_spec"]["method"] = method
    write_json(run / "run_spec.json", spec)
    assert read_helm(tmp_path)["query"].tolist() == [expected]


def test_the_messages_of_a_chat(tmp_path):
    turns = [{"role": "user", "content": "7 * 8?"}]
    one = instance(1, input={"text": "", "messages": turns})
    write_run(tmp_path, "m", [entry(1, exact_match=1.0)], [one])
    assert read_helm(tmp_path)["query"].tolist() == ["7 * 8?"]


def test_two_suites_with_one_run_are_not_averaged(tmp_path):
    for suite, scores in (("v1", [1.0, 1.0]), ("v2", [0.0])):
        entries = [entry(i, exact_match=s) for i, s in enumerate(scores, 1)]
        write_run(tmp_path / suite, "m", entries)
    with pytest.warns(AmbiguousLogWarning, match=r"2 runs of 'm'.*v1.* is read"):
        table = read_helm(tmp_path)
    assert table["score"].tolist() == [1.0, 1.0]
    assert table.attrs["skipped"] == {"other run": 1}
    write_run(tmp_path / "v2", "m", [entry(1, exact_match=0), entry(2, exact_match=0)])
    with pytest.warns(AmbiguousLogWarning, match="v2"):
        assert read_helm(tmp_path)["score"].tolist() == [0.0, 0.0]
