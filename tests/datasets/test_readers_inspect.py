import json
import zipfile
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

from skl_locus.datasets import read_inspect
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)

COLUMNS = ["model", "query", "query_id", "score", "task"]


def sample(sample_id, value, epoch=1, **more):
    return {
        "id": sample_id,
        "epoch": epoch,
        "input": f"Question {sample_id}?",
        "target": "x",
        "scores": {"match": {"value": value, "answer": "x"}},
        **more,
    }


def log_of(model, samples):
    about = {"model": model, "task": "quiz", "created": "2024-05-01"}
    return {"version": 2, "status": "success", "eval": about, "samples": samples}


def write_archive(path, model, samples, header="header.json", **more):
    """Write a log as Inspect does: a header and one member per sample and epoch."""
    log = log_of(model, None)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(header, json.dumps(log))
        archive.writestr("summaries.json", "[]")
        for one in samples:
            name = f"samples/{one['id']}_epoch_{one['epoch']}.json"
            archive.writestr(name, json.dumps(one))
        for name, content in more.items():
            archive.writestr(f"samples/{name}.json", content)
    return path


SMALL = [sample("a", "C"), sample("b", "I"), sample("c", "P"), sample("d", "N")]


@pytest.fixture
def folder(tmp_path):
    write_archive(tmp_path / "1.eval", "org/small", SMALL)
    samples = [sample("a", 0.25), sample("b", True), sample("c", "C")]
    write_json(tmp_path / "sub" / "2.json", log_of("org/large", samples))
    write_json(tmp_path / "logs.json", {})
    return tmp_path


def test_folder(folder):
    table = silently(read_inspect, path=folder)
    assert list(table.columns) == COLUMNS
    assert records(table, *COLUMNS)[:2] == [
        ("org/small", "Question a?", "quiz/a", 1.0, "quiz"),
        ("org/small", "Question b?", "quiz/b", 0.0, "quiz"),
    ]
    assert table["score"].tolist() == [1, 0, 0.5, 0, 0.25, 1, 1]
    assert_routes(table)


def test_both_forms_of_a_log_say_the_same(tmp_path):
    archive = write_archive(tmp_path / "1.eval", "m", SMALL)
    document = write_json(tmp_path / "1.json", log_of("m", SMALL))
    running = write_archive(tmp_path / "2.eval", "m", SMALL, "_journal/start.json")
    expected = read_inspect(archive)
    for path in (document, running):
        assert read_inspect(path).equals(expected)


def test_epochs_are_averaged(tmp_path):
    samples = [sample("a", value, epoch) for epoch, value in enumerate("CCI", 1)]
    for one, cost in zip(samples, (1.0, 2.0, 6.0), strict=True):
        one["model_usage"] = {
            "m": {"total_tokens": 10 * cost, "total_cost": cost},
            "judge": {"total_tokens": 1000},
        }
        one["total_time"] = cost
        one["output"] = {"completion": f"answer {one['epoch']}", "choices": []}
    table = read_inspect(write_archive(tmp_path / "1.eval", "m", samples))
    assert records(table, "score", "cost", "tokens", "latency", "response") == [
        (pytest.approx(2 / 3), 3.0, 30.0, 3.0, "answer 1")
    ]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_last_member_of_a_name_counts(tmp_path):
    path = write_archive(tmp_path / "1.eval", "m", [sample("a", "I"), sample("a", "C")])
    assert read_inspect(path)["score"].tolist() == [1.0]


def test_chats_and_attachments(tmp_path):
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "attachment://1f"}]},
    ]
    answer = {"choices": [{"message": {"role": "assistant", "content": "56"}}]}
    one = sample(7, "C", input=chat, output=answer, attachments={"1f": "7 * 8?"})
    table = read_inspect(write_archive(tmp_path / "1.eval", "m", [one]))
    assert table["query"].tolist() == ["Be brief.\n7 * 8?"]
    assert table["response"].tolist() == ["56"]
    assert table["query_id"].tolist() == ["quiz/7"]


def test_a_sample_without_a_score_is_counted(tmp_path):
    samples = [sample("a", "C"), sample("b", "C", scores=None, error={"message": "x"})]
    path = write_archive(tmp_path / "1.eval", "m", samples)
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        table = read_inspect(path)
    assert table.attrs["skipped"] == {"missing score": 1}


def test_several_scorers(tmp_path):
    scores = {"match": {"value": "C"}, "judge": {"value": 7}}
    path = write_archive(tmp_path / "1.eval", "m", [sample("a", "C", scores=scores)])
    with pytest.raises(LogFormatError, match="'match', 'judge'; name one by scorer="):
        read_inspect(path)
    with pytest.raises(LogFormatError, match="no scorer 'f1', only 'match', 'judge'"):
        read_inspect(path, scorer="f1")
    with pytest.raises(LogFormatError, match="range from 7 to 7"):
        read_inspect(path, scorer="judge")
    table = read_inspect(path, scorer="judge", scale=10)
    assert table["score"].tolist() == [0.7]
    assert read_inspect(path, scorer="match")["score"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (sample("x", {"speed": 1}), "by 'match/speed' here, but by 'match' before"),
        (sample("x", "good"), "'match' is 'good'"),
        (sample(None, "C"), "'id' is None"),
        (sample("x", "C", input=[]), "'input' is ''"),
        (sample("x", "C", total_time="long"), "'total_time' is 'long'"),
        (sample("a", "C", input="changed"), "two versions of the task"),
        ([1], "the sample is"),
    ],
)
def test_malformed_sample(tmp_path, bad, match):
    document = log_of("m", [sample("a", "C"), bad, sample("b", "C")])
    path = write_json(tmp_path / "1.json", document)
    assert len(assert_bad(partial(read_inspect, path), match, path)) == 2


@pytest.mark.parametrize(
    ("content", "match", "line"),
    [
        (b"", "'samples/z.json': it is empty", None),
        (b'{"id": 1,\n"epoch"', "'samples/z.json': not a complete JSON", 2),
        (b'{"id": "' + NOT_UTF8, "'samples/z.json': byte 0xe9 is not UTF-8", 1),
    ],
)
def test_malformed_member(tmp_path, content, match, line):
    path = write_archive(tmp_path / "1.eval", "m", SMALL, z=content)
    assert len(assert_bad(partial(read_inspect, path), match, path, line)) == 4


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("3.eval", b"PK\x03\x04 and no more", "not a zip archive, or is truncated"),
        ("3.eval", b"", "not a zip archive"),
        ("3.json", b'{"eval": {', "not a complete JSON"),
        ("3.json", b'{"results": 1}', "'eval' is None"),
        ("3.json", b'{"eval": {"model": "m"}}', "'task' is None"),
        (
            "3.json",
            b'{"eval": {"model": "m", "task": "t"}, "samples": 1}',
            "not a list",
        ),
    ],
)
def test_malformed_log(folder, name, content, match):
    path = folder / name
    path.write_bytes(content)
    line = 1 if "complete" in match else None
    assert len(assert_bad(partial(read_inspect, folder), match, path, line)) == 7


def test_truncated_and_damaged_archives(folder):
    path = folder / "1.eval"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    read = partial(read_inspect, folder)
    assert len(assert_bad(read, "truncated", path)) == 3
    with zipfile.ZipFile(folder / "3.eval", "w") as archive:
        archive.writestr("samples/a.json", "{}")
    path.write_bytes(whole)
    assert len(assert_bad(read, "neither header.json nor", folder / "3.eval")) == 7


def test_a_damaged_member(tmp_path):
    path = tmp_path / "1.eval"
    write_archive(path, "m", SMALL, z=json.dumps(sample("e", "C")))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("samples/z.json").header_offset + 50
    content = bytearray(path.read_bytes())
    content[start : start + 20] = bytes(20)
    path.write_bytes(content)
    match = "'samples/z.json' is damaged"
    assert len(assert_bad(partial(read_inspect, path), match, path)) == 4


def test_a_zip_bomb_is_refused_before_it_is_decompressed(tmp_path, monkeypatch):
    blank = b" " * 100_000
    large = write_archive(tmp_path / "1.eval", "m", SMALL, z=20 * blank)
    parts = dict.fromkeys("abcdefghijklmnopqrstuvwxyz", blank)
    many = write_archive(tmp_path / "2.eval", "m", [], **parts)

    def fail(*args, **kwargs):
        raise AssertionError("decompressed")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(LogFormatError, match=r"'samples/z.json' has 2000000 bytes"):
        read_inspect(large, max_bytes=16_000_000)
    with pytest.raises(LogFormatError, match="more than max_bytes=2000000"):
        read_inspect(many, max_bytes=2_000_000)


def test_a_member_that_is_larger_than_listed(tmp_path):
    path = write_archive(tmp_path / "1.eval", "m", SMALL, z=b" " * 2_000_000)
    listed = (2_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(listed, (9).to_bytes(4, "little")))
    match = "'samples/z.json' is damaged"
    assert len(assert_bad(partial(read_inspect, path), match, path)) == 4


def test_a_compression_without_a_limit_is_refused(tmp_path):
    path = write_archive(tmp_path / "1.eval", "m", SMALL)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("samples/z.json", b" " * 2_000_000)
    with pytest.raises(LogFormatError, match="a way that cannot be limited"):
        read_inspect(path)


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil", "a/../../b", "..\\evil"])
def test_members_outside_of_the_archive(tmp_path, name):
    path = write_archive(tmp_path / "1.eval", "m", SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "{}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LogFormatError, match="a member outside of it"):
        read_inspect(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_no_logs(tmp_path):
    with pytest.raises(LogFormatError, match=r"there is no \*.eval or \*.json in it"):
        read_inspect(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_inspect(tmp_path / "1.json")


def about(log, config=None, task_args=None, **more):
    """Return a log with the settings of its run."""
    log["eval"] |= {"model_generate_config": config or {}, **more}
    log["eval"] |= {"task_args": task_args or {}}
    return log


def test_an_unscored_sample_is_counted_whatever_it_is_written_as(tmp_path):
    samples = [sample("a", "C"), sample("b", float("nan")), sample("c", None)]
    path = write_json(tmp_path / "1.json", log_of("m", samples))
    with pytest.warns(SkippedRecordsWarning, match="2 missing score"):
        table = read_inspect(path)
    assert table["score"].tolist() == [1.0]
    assert table.attrs["skipped"] == {"missing score": 2}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (
            [{"reasoning_effort": "low"}, {"reasoning_effort": "high"}],
            ["m (reasoning_effort=low)", "m (reasoning_effort=high)"],
        ),
        (
            [{"temperature": 0.0, "top_p": 1}, {"temperature": 0.7, "top_p": 1}],
            ["m (temperature=0.0)", "m (temperature=0.7)"],
        ),
        ([{}, {"max_tokens": 10}], ["m", "m (max_tokens=10)"]),
        ([{"max_retries": 1}, {"max_retries": 2, "seed": 7}], ["m"]),
    ],
)
@pytest.mark.parametrize("place", ["model", "plan"])
def test_settings_make_models_of_their_own(tmp_path, settings, names, place):
    for number, config in enumerate(settings):
        log = log_of("m", [sample("a", "CI"[number])])
        if place == "model":
            about(log, config)
        else:
            log["plan"] = {"config": config}
        write_json(tmp_path / f"{number}.json", log)
    if len(names) == 1:
        assert records(silently(read_inspect, path=tmp_path), "model", "score") == [
            ("m", 0.5)
        ]
        return
    with pytest.warns(AmbiguousLogWarning, match="'m' ran with different"):
        table = read_inspect(tmp_path)
    assert records(table, "model", "score") == [(names[0], 1.0), (names[1], 0.0)]
    assert_routes(table)


def test_a_model_has_one_name_for_all_tasks(tmp_path):
    for number, (task, effort) in enumerate(
        [("quiz", "low"), ("quiz", "high"), ("exam", "high")]
    ):
        log = about(log_of("m", [sample("a", "C")]), {"effort": effort}, task=task)
        write_json(tmp_path / f"{number}.json", log)
    with pytest.warns(AmbiguousLogWarning):
        table = read_inspect(tmp_path)
    assert records(table, "model", "task") == [
        ("m (effort=low)", "quiz"),
        ("m (effort=high)", "quiz"),
        ("m (effort=high)", "exam"),
    ]


def test_settings_that_go_with_the_task_make_no_other_model(tmp_path):
    for task, tokens in (("quiz", 10), ("exam", 100)):
        log = about(log_of("m", [sample("a", "C")]), {"max_tokens": tokens}, task=task)
        write_json(tmp_path / f"{task}.json", log)
    table = silently(read_inspect, path=tmp_path)
    assert table["model"].unique().tolist() == ["m"]


def test_arguments_of_a_task_name_the_model_or_the_task(tmp_path):
    same, other = tmp_path / "same", tmp_path / "other"
    for folder, text in ((same, "Question a?"), (other, "Another?")):
        for cot in (False, True):
            one = sample("a", "C", input=text if cot else "Question a?")
            log = about(log_of("m", [one]), task_args={"cot": cot, "limit": 5})
            write_json(folder / f"{cot}.json", log)
    with pytest.warns(AmbiguousLogWarning, match="model 'm' ran with different cot"):
        assert read_inspect(same)["model"].tolist() == ["m (cot=false)", "m (cot=true)"]
    with pytest.warns(AmbiguousLogWarning, match="task 'quiz' ran with different cot"):
        table = read_inspect(other)
    assert records(table, "model", "task", "query_id") == [
        ("m", "quiz (cot=false)", "quiz (cot=false)/a"),
        ("m", "quiz (cot=true)", "quiz (cot=true)/a"),
    ]


def test_a_long_setting_is_named_by_its_digest(tmp_path):
    for number, letter in enumerate("ab"):
        message = {"system_message": letter * 100}
        log = about(log_of("m", [sample("a", "C")]), message)
        write_json(tmp_path / f"{number}.json", log)
    with pytest.warns(AmbiguousLogWarning):
        models = read_inspect(tmp_path)["model"].tolist()
    assert len(set(models)) == 2
    assert all(len(model) < 40 for model in models)


def test_choices_are_part_of_the_question(tmp_path):
    first = {"input": "Which is true?", "choices": ["1 = 2", "2 = 2"]}
    second = {"input": "Which is true?", "choices": ["Rome is in Peru", "In Italy"]}
    samples = [sample("a", "C", **first), sample("b", "I", **second)]
    table = read_inspect(write_json(tmp_path / "1.json", log_of("m", samples)))
    assert table["query"].tolist() == [
        "Which is true?\nA) 1 = 2\nB) 2 = 2",
        "Which is true?\nA) Rome is in Peru\nB) In Italy",
    ]


def test_the_order_of_choices_may_be_drawn_anew(tmp_path):
    for model, choices in (("a", ["1", "2"]), ("b", ["2", "1"])):
        one = sample(1, "C", choices=choices)
        write_json(tmp_path / f"{model}.json", log_of(model, [one]))
    table = read_inspect(tmp_path)
    assert table["query"].nunique() == 1
    write_json(tmp_path / "c.json", log_of("c", [sample(1, "C", choices=["1", "3"])]))
    with pytest.raises(LogFormatError, match="stands for another text"):
        read_inspect(tmp_path)


@pytest.mark.parametrize(
    ("value", "score"),
    [("yes", 1), ("No", 0), ("true", 1), ("False", 0), (True, 1), ("0.25", 0.25)],
)
def test_words_and_texts_of_numbers(tmp_path, value, score):
    path = write_json(tmp_path / "1.json", log_of("m", [sample("a", value)]))
    assert read_inspect(path)["score"].tolist() == [score]


def test_parts_of_a_score_are_named(tmp_path):
    scores = {"judge": {"value": {"strict": "I", "kind": "C"}}}
    path = write_json(tmp_path / "1.json", log_of("m", [sample("a", 0, scores=scores)]))
    with pytest.raises(LogFormatError, match="'judge/strict', 'judge/kind'; name one"):
        read_inspect(path)
    assert read_inspect(path, scorer="judge/strict")["score"].tolist() == [0.0]
    assert read_inspect(path, scorer="judge/kind")["score"].tolist() == [1.0]


def test_a_scorer_for_each_task(tmp_path):
    both = {"match": {"value": "C"}, "judge": {"value": "I"}}
    for task in ("quiz", "exam"):
        log = log_of("m", [sample("a", 0, scores=both)])
        log["eval"]["task"] = task
        write_json(tmp_path / f"{task}.json", log)
    table = read_inspect(tmp_path, scorer={"quiz": "match", "exam": "judge"})
    assert sorted(records(table, "task", "score")) == [("exam", 0), ("quiz", 1)]
    with pytest.raises(LogFormatError, match="name one by scorer="):
        read_inspect(tmp_path, scorer={"quiz": "match"})


def test_logs_of_a_task_with_different_scorers_are_not_mixed(tmp_path):
    judged = sample("b", 0, scores={"judge": {"value": "I"}})
    write_json(tmp_path / "1.json", log_of("m", [sample("a", "C")]))
    path = write_json(tmp_path / "2.json", log_of("m", [judged]))
    match = "by 'judge' here, but by 'match' before"
    assert len(assert_bad(partial(read_inspect, tmp_path), match, path)) == 1


def test_logs_of_2024_have_one_score_without_a_name(tmp_path):
    one = {**sample("a", "C"), "score": {"value": "I"}}
    del one["scores"]
    log = log_of("m", [one])
    log["results"] = {"scorer": {"name": "includes"}}
    path = write_json(tmp_path / "1.json", log)
    assert read_inspect(path)["score"].tolist() == [0.0]
    assert read_inspect(path, scorer="includes")["score"].tolist() == [0.0]


def test_the_listing_of_a_bundle_is_no_log(folder):
    write_json(folder / "listing.json", {"1.eval": {"status": "success"}})
    assert len(silently(read_inspect, path=folder)) == 7


def test_attachments_are_put_back_once_and_by_their_whole_names(tmp_path):
    texts = {"1f": "short", "1f2": "attachment://1f attachment://1f2"}
    one = sample(7, "C", input="attachment://1f2 attachment://gone", attachments=texts)
    table = read_inspect(write_json(tmp_path / "1.json", log_of("m", [one])))
    assert table["query"].tolist() == [
        "attachment://1f attachment://1f2 attachment://gone"
    ]


def test_a_text_does_not_explode_by_its_attachments(tmp_path):
    bomb = sample(
        7, "C", input="attachment://a " * 2000, attachments={"a": "x" * 10**5}
    )
    path = write_json(tmp_path / "1.json", log_of("m", [sample(1, "C"), bomb]))
    match = "with its attachments has more than"
    assert len(assert_bad(partial(read_inspect, path), match, path)) == 1
