import gzip
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
    write_lines,
)

from skl_locus.datasets import read_lm_eval
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

OLD, NEW = "2024-05-01T10-00-00.000001", "2024-05-02T09-00-00.000001"


def choice(doc_id, acc, **more):
    """Return a sample of a multiple choice task as older versions write it."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"Question {doc_id}?"},
        "arguments": [[f"Question {doc_id}? Answer:", " A"], ["other", " B"]],
        "resps": [[[-1.5, False]], [[-2.5, False]]],
        "filtered_resps": [[-1.5, False], [-2.5, False]],
        "doc_hash": f"hash-{doc_id}",
        "acc": acc,
        "acc_norm": float(acc != 1),
        **more,
    }


def answer(doc_id, score, filter="strict-match", **more):
    """Return a sample of a generation task as newer versions write it."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"Sum {doc_id}?"},
        "arguments": {"gen_args_0": {"arg_0": f"Sum {doc_id}?", "arg_1": {}}},
        "resps": [["It is 5."]],
        "filtered_resps": ["5"],
        "filter": filter,
        "metrics": ["exact_match"],
        "doc_hash": f"sum-{doc_id}",
        "exact_match": score,
        **more,
    }


@pytest.fixture
def folder(tmp_path):
    for model, right in (("org__small", 0), ("org__large", 1)):
        write_lines(
            tmp_path / model / f"samples_quiz_{NEW}.jsonl",
            [choice(0, 1.0), choice(1, float(right))],
        )
        write_lines(
            tmp_path / model / f"samples_gsm8k_cot_{NEW}.jsonl",
            [answer(0, right), answer(0, 1, "flexible-extract")],
        )
    (tmp_path / "org__small" / f"results_{NEW}.json").write_text("{}")
    return tmp_path


def quiz_of(folder, model="org__small"):
    return folder / model / f"samples_quiz_{NEW}.jsonl"


def test_folder(folder):
    table = silently(read_lm_eval, folder=folder)
    columns = ("model", "query", "query_id", "score", "task", "response")
    assert list(table.columns) == list(columns)
    assert records(table, *columns)[:3] == [
        ("org__large", "Sum 0?", "gsm8k_cot/0", 1.0, "gsm8k_cot", "5"),
        ("org__large", "Question 0? Answer:", "quiz/0", 1.0, "quiz", None),
        ("org__large", "Question 1? Answer:", "quiz/1", 1.0, "quiz", None),
    ]
    assert table["score"].tolist() == [1, 1, 1, 0, 1, 0]
    assert table.attrs["skipped"] == {"other filter": 2}
    assert_routes(table)


def test_metric_and_filter_by_name(folder):
    metric = {"quiz": "acc_norm"}
    table = read_lm_eval(
        folder, metric=metric, filter={"gsm8k_cot": "flexible-extract"}
    )
    assert table["score"].tolist() == [1, 0, 0, 1, 0, 1]
    with pytest.raises(
        LogFormatError, match=r"has the filters .*; name one by filter="
    ):
        read_lm_eval(folder, filter="loose")
    with pytest.raises(LogFormatError, match=r"has the metrics 'exact_match'; name"):
        read_lm_eval(folder, metric="bleu")


def test_an_unknown_metric_is_taken_only_if_it_is_alone(tmp_path):
    path = tmp_path / "m" / "samples_t.jsonl"
    write_lines(path, [answer(0, 0, metrics=["bleu"], bleu=0.5)])
    assert read_lm_eval(tmp_path)["score"].tolist() == [0.5]
    write_lines(path, [answer(0, 0, metrics=["bleu", "ter"], bleu=0.5, ter=0.1)])
    with pytest.raises(LogFormatError, match="'bleu', 'ter'; name one by metric="):
        read_lm_eval(tmp_path)


def test_the_newest_run_is_read(folder):
    older = folder / "org__small" / f"samples_quiz_{OLD}.jsonl"
    write_lines(older, [choice(0, 0.5)])
    table = read_lm_eval(folder)
    assert 0.5 not in table["score"].tolist()
    assert table.attrs["skipped"]["older run"] == 1


def test_one_text_for_all_chat_templates(folder):
    chat = [{"role": "user", "content": "Question 0? Answer:"}]
    rows = [choice(0, 1.0, arguments=[[chat, " A"]]), choice(1, 0.0)]
    write_lines(quiz_of(folder, "a_model"), rows)
    table = read_lm_eval(folder)
    assert table.groupby("query_id")["query"].nunique().eq(1).all()
    rows[0]["arguments"] = {"gen_args_0": {"arg_0": ["<s>Question 0?"], "arg_1": ""}}
    write_lines(quiz_of(folder, "a_model"), rows)
    table = read_lm_eval(folder)
    assert table.loc[table["query_id"] == "quiz/0", "query"].unique().tolist() == [
        "<s>Question 0?"
    ]
    assert_routes(table)


def test_without_a_hash_the_documents_are_compared(tmp_path):
    for model in ("a", "b"):
        row = choice(0, 1.0, doc={"question": model})
        del row["doc_hash"]
        write_lines(tmp_path / model / "samples_t.jsonl", [row, choice(1, 1.0)])
    path = tmp_path / "b" / "samples_t.jsonl"
    read = partial(read_lm_eval, tmp_path)
    assert len(assert_bad(read, "two versions of the task", path, line=1)) == 3


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (choice(2, "good"), "'acc' is 'good', not a finite number"),
        (choice(2, None), "'acc' has no value"),
        (choice(2, [0.1, 3]), "'acc' is"),
        (choice(2, 1, arguments=[]), "without a request"),
        (choice(2, 1, arguments={"gen_args_0": 7}), "not an object"),
        (choice(2, 1, arguments=[[None, ""]]), "'arguments' is None, not a text"),
        (choice(None, 1), "'doc_id' is None"),
        (choice(2, 1, metrics=[]), "names no metrics"),
        (choice(0, 1, doc_hash="changed", filter="none"), "two versions of the task"),
        (["a", "list"], "not a JSON object"),
    ],
)
def test_malformed_line(folder, row, match):
    path = quiz_of(folder)
    write_lines(path, [choice(0, 1.0), row, choice(1, 1.0)])
    table = assert_bad(partial(read_lm_eval, folder), match, path, line=2)
    assert len(table) == 6


def test_truncated_and_not_utf8(folder):
    path = quiz_of(folder)
    whole = path.read_bytes()
    read = partial(read_lm_eval, folder)
    path.write_bytes(whole[:-20])
    assert len(assert_bad(read, "not a complete JSON", path, line=2)) == 5
    path.write_bytes(whole.replace(b"Question 0", NOT_UTF8, 1))
    assert len(assert_bad(read, "is not UTF-8", path, line=1)) == 5
    path.write_bytes(b"")
    assert len(assert_bad(read, "no samples", path)) == 4


def test_files_that_are_scored_differently(folder):
    path = quiz_of(folder)
    rows = [choice(0, 1.0, metrics=["f1"], f1=1), choice(1, 1.0, metrics=["f1"], f1=1)]
    write_lines(path, rows)
    read = partial(read_lm_eval, folder)
    assert len(assert_bad(read, r"'f1'.* but by 'acc'", path)) == 4


def test_what_is_no_output_folder(tmp_path):
    with pytest.raises(LogFormatError, match=r"there is no samples_\*.jsonl in it"):
        read_lm_eval(tmp_path)
    with pytest.raises(NotADirectoryError):
        read_lm_eval(tmp_path / "nowhere")


def test_scale(tmp_path):
    rows = [answer(0, 50, filter="none"), answer(1, 100, filter="none")]
    write_lines(tmp_path / "m" / "samples_t.jsonl", rows)
    with pytest.raises(LogFormatError, match="range from 50 to 100"):
        read_lm_eval(tmp_path)
    assert read_lm_eval(tmp_path, scale={"t": 100})["score"].tolist() == [0.5, 1]


def flat_run(folder, stem, model, score, time=NEW, **results):
    """Write a run as with ``--output_path stem.json``: without a folder per model."""
    row = answer(0, score, "none")
    write_lines(folder / f"samples_quiz_{time}.jsonl", [row])
    about = {"model_name": model, "results": {"quiz": {"exact_match,none": score}}}
    return write_json(folder / f"{stem}_{time}.json", {**about, **results})


def test_models_without_folders_are_named_by_their_results(tmp_path):
    flat_run(tmp_path, "a", "org/a", 1.0, OLD)
    flat_run(tmp_path, "b", "org/b", 0.0, NEW)
    table = silently(read_lm_eval, folder=tmp_path)
    assert records(table, "model", "score") == [("org__a", 1.0), ("org__b", 0.0)]
    assert table.attrs["skipped"] == {}


def test_one_model_without_a_folder_is_named_by_its_results(tmp_path):
    flat_run(tmp_path, "a", "org/a", 1.0)
    assert read_lm_eval(tmp_path)["model"].tolist() == ["org__a"]


@pytest.mark.parametrize("damage", ["delete", "truncate"])
def test_samples_that_are_of_nobody_are_refused(tmp_path, damage):
    flat_run(tmp_path, "a", "org/a", 1.0, OLD)
    path = flat_run(tmp_path, "b", "org/b", 0.0, NEW)
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])
    bad = tmp_path / f"samples_quiz_{NEW}.jsonl"
    match = "no readable file of results"
    table = assert_bad(partial(read_lm_eval, tmp_path), match, bad)
    assert table["model"].tolist() == ["org__a"]


def test_a_folder_of_one_model_keeps_the_name_that_the_user_gave_it(tmp_path):
    folder = tmp_path / "my name"
    flat_run(folder, "results", "org/a", 1.0)
    assert read_lm_eval(tmp_path)["model"].tolist() == ["my name"]


def test_results_that_nobody_needs_may_be_damaged(folder):
    (folder / "org__small" / f"results_{NEW}.json").write_text('{"results": ')
    assert len(silently(read_lm_eval, folder=folder)) == 6


def test_a_later_run_with_a_limit_does_not_replace_the_whole_run(folder):
    newer = "2024-05-03T09-00-00.000001"
    path = folder / "org__small" / f"samples_quiz_{newer}.jsonl"
    write_lines(path, [choice(0, 0.0)])
    match = "'org__small' on 'quiz' has 1 documents and one before has 2, which is read"
    with pytest.warns(AmbiguousLogWarning, match=match):
        table = read_lm_eval(folder)
    assert records(table, "model", "query_id", "score")[-2:] == [
        ("org__small", "quiz/0", 1.0),
        ("org__small", "quiz/1", 0.0),
    ]
    assert table.attrs["skipped"]["older run"] == 1
    assert match in table.attrs["notes"][0]


def test_of_runs_of_one_size_the_newest_is_read(tmp_path):
    for time, score in ((NEW, 1.0), (OLD, 0.0)):
        write_lines(tmp_path / "m" / f"samples_t_{time}.jsonl", [choice(0, score)])
    assert silently(read_lm_eval, folder=tmp_path)["score"].tolist() == [1.0]


def test_a_model_with_two_folders_is_not_averaged(tmp_path):
    for place, score in (("cold", 0.0), ("hot", 1.0)):
        path = tmp_path / place / "m" / f"samples_t_{NEW}.jsonl"
        write_lines(path, [choice(0, score)])
    with pytest.warns(AmbiguousLogWarning, match="in several folders, of which one"):
        assert len(read_lm_eval(tmp_path)) == 1


@pytest.mark.parametrize("filtered", [[["-10.5", "False"]], [[-10.5, False]], -10.5])
def test_a_log_likelihood_is_no_response(tmp_path, filtered):
    row = choice(0, 1.0, filtered_resps=filtered)
    rolling = choice(1, 1.0, arguments=[["Text"]], filtered_resps=["-99.5"])
    new = {"gen_args_0": {"arg_0": "Who?", "arg_1": " A"}}
    rated = choice(2, 1.0, arguments=new, filtered_resps=filtered)
    write_lines(tmp_path / "m" / "samples_t.jsonl", [row, rolling, rated])
    assert "response" not in read_lm_eval(tmp_path)


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "7 * 8?"},
]


@pytest.mark.parametrize("prefill", [[], [{"role": "assistant", "content": "It is"}]])
@pytest.mark.parametrize("form", ["json", "list"])
def test_a_chat_is_the_text_of_its_turns(tmp_path, prefill, form):
    turns = [*CHAT, *prefill]
    first = [json.dumps(turns)] if form == "json" else turns
    arguments = {"gen_args_0": {"arg_0": first, "arg_1": {"until": []}}}
    rows = [answer(0, 1.0, "none", arguments=arguments)]
    write_lines(tmp_path / "m" / "samples_t.jsonl", rows)
    table = read_lm_eval(tmp_path)
    assert records(table, "query", "response") == [
        ("Be brief.\n2 + 2?\n4\n7 * 8?", "5")
    ]


def test_a_text_that_only_looks_like_a_chat_stays(tmp_path):
    texts = ["[1, 2] is what?", '[{"a": 1}]', "[[", '["x"]']
    rows = [
        answer(i, 1.0, "none", arguments=[[text, {}]]) for i, text in enumerate(texts)
    ]
    write_lines(tmp_path / "m" / "samples_t.jsonl", rows)
    assert read_lm_eval(tmp_path)["query"].tolist() == texts


def without(row, *names):
    return {key: value for key, value in row.items() if key not in names}


def test_filters_that_old_versions_do_not_name(tmp_path):
    rows = [
        without(answer(i, score), "filter", "metrics")
        for score in (0.0, 1.0)
        for i in range(2)
    ]
    path = write_lines(tmp_path / "m" / f"samples_t_{NEW}.jsonl", rows)
    match = "it has documents 2 times, as for so many filters, but no filter is named"
    with pytest.raises(LogFormatError, match=match) as caught:
        read_lm_eval(tmp_path)
    assert caught.value.path == str(path)
    scores = {"exact_match,strict-match": 0, "exact_match_stderr,strict-match": 0}
    scores |= {"alias": "t", "exact_match,flexible-extract": 1}
    results = {"model_name": "m", "results": {"t": scores}}
    write_json(tmp_path / "m" / f"results_{NEW}.json", results)
    assert read_lm_eval(tmp_path)["score"].tolist() == [0.0, 0.0]
    table = read_lm_eval(tmp_path, filter="flexible-extract")
    assert table["score"].tolist() == [1.0, 1.0]


def test_files_of_2023(tmp_path):
    for model, score in (("a", 1.0), ("b", 0.0)):
        folder = tmp_path / model
        rows = [without(choice(i, score), "doc_hash") for i in range(2)]
        results = {
            "results": {"quiz": {"acc,none": score}},
            "config": {"model_args": f"pretrained=org/{model},dtype=float"},
        }
        write_json(folder / "results.json", results)
        name = f"pretrained__org__{model},dtype__float_quiz.jsonl"
        (folder / name).write_text(json.dumps(rows, indent=2))
    table = silently(read_lm_eval, folder=tmp_path)
    assert records(table, "model", "query_id", "score") == [
        ("org__a", "quiz/0", 1.0),
        ("org__a", "quiz/1", 1.0),
        ("org__b", "quiz/0", 0.0),
        ("org__b", "quiz/1", 0.0),
    ]
    assert_routes(table)
    path = folder / name
    path.write_text(path.read_text()[:-30])
    with pytest.raises(LogFormatError, match="not a complete JSON document") as caught:
        read_lm_eval(tmp_path)
    assert caught.value.path == str(path)
    with pytest.warns(SkippedRecordsWarning):
        assert len(read_lm_eval(tmp_path, errors="skip")) == 2


def test_compressed_files(folder):
    expected = read_lm_eval(folder)
    for path in folder.rglob("samples_*.jsonl"):
        path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read_lm_eval(folder).equals(expected)
    path = next(folder.rglob("samples_quiz*.gz"))
    path.write_bytes(path.read_bytes()[:-12])
    assert_bad(partial(read_lm_eval, folder), "not a readable gzip file", path)


def test_folders_that_are_called_like_files(tmp_path):
    time = "2024-01-01T00-00-00.000001"
    for model in ("a", "b"):
        place = tmp_path / f"{model}_{time}.json" / f"org__{model}"
        write_lines(place / f"samples_t_{time}.jsonl", [choice(0, 1.0)])
        (place / f"x_{time}.json").mkdir()
    assert read_lm_eval(tmp_path)["model"].tolist() == ["org__a", "org__b"]
