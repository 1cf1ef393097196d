from functools import partial

import pytest
from reader_checks import (
    assert_bad,
    assert_routes,
    records,
    silently,
    write_json,
    write_lines,
)

from skl_locus.datasets import read_promptfoo
from skl_locus.exceptions import (
    AmbiguousLogWarning,
    LogFormatError,
    SkippedRecordsWarning,
)


def result(question="7 * 8?", score=1, provider="small", **more):
    """A result as promptfoo 0.123.1 writes it, without details."""
    return {
        "cost": 0.002,
        "gradingResult": {
            "pass": score == 1,
            "score": score,
            "reason": "All assertions passed",
            "componentResults": [{"pass": score == 1, "score": score}],
        },
        "id": f"{question} {provider} {more}",
        "latencyMs": 250,
        "namedScores": {"short": 0.5},
        "prompt": {"raw": question, "label": "{{question}}"},
        "promptId": "c0335c",
        "promptIdx": 0,
        "provider": {"id": "file://toy.js", "label": provider},
        "response": {"output": "56", "tokenUsage": {"total": 12}, "cost": 0.002},
        "score": score,
        "success": score == 1,
        "testCase": {"vars": {"question": question}, "assert": [{"type": "equals"}]},
        "testIdx": 0,
        "vars": {"question": question},
        "failureReason": 0 if score == 1 else 1,
        **more,
    }


def failed(question):
    """The provider raised an error."""
    return result(
        question,
        0,
        error="gone",
        gradingResult=None,
        failureReason=2,
        response={"error": "gone"},
    )


def unchecked(question):
    """A test without assertions, which counts as passed."""
    grading = {"pass": True, "score": 1, "reason": "No assertions"}
    return result(question, gradingResult=grading, testCase={"assert": []})


def document(results, **config):
    return {"results": {"version": 3, "results": results}, "config": config}


def write(folder, results, **config):
    return write_json(folder / "output.json", document(results, **config))


def test_all_columns(tmp_path):
    path = write(tmp_path, [result(), result("2 + 2?", 0, "large")], description="sums")
    table = silently(read_promptfoo, path=path)
    columns = ["model", "query", "score", "task", "cost", "tokens", "latency"]
    assert list(table.columns) == [*columns, "response"]
    assert records(table, *columns) == [
        ("small", "7 * 8?", 1.0, "sums", 0.002, 12.0, 0.25),
        ("large", "2 + 2?", 0.0, "sums", 0.002, 12.0, 0.25),
    ]
    assert_routes(table)


def test_what_has_no_score_is_counted(tmp_path):
    path = write(tmp_path, [result(), failed("crash?"), unchecked("free?")])
    with pytest.warns(SkippedRecordsWarning, match="2 missing score"):
        table = read_promptfoo(path)
    assert records(table, "query", "score") == [("7 * 8?", 1.0)]
    assert table.attrs["skipped"] == {"missing score": 2}


def test_a_graded_score_is_not_taken_silently(tmp_path):
    path = write(tmp_path, [result(), result("2 + 2?", 0.25)])
    match = r"1 tests have a graded score.*metric='pass' reads"
    with pytest.warns(AmbiguousLogWarning, match=match):
        table = read_promptfoo(path)
    assert table["score"].tolist() == [1.0, 0.25]
    graded = silently(read_promptfoo, path=path, metric="score")
    assert graded["score"].tolist() == [1.0, 0.25]
    passed = silently(read_promptfoo, path=path, metric="pass")
    assert passed["score"].tolist() == [1.0, 0.0]


def test_a_named_score(tmp_path):
    path = write(tmp_path, [result(), result("2 + 2?", namedScores={})])
    with pytest.warns(SkippedRecordsWarning, match="1 missing score"):
        table = read_promptfoo(path, metric="short")
    assert records(table, "query", "score") == [("7 * 8?", 0.5)]
    with pytest.raises(LogFormatError, match=r"no test has the metric 'long'.*'short'"):
        read_promptfoo(path, metric="long")


def test_a_chat_is_read_up_to_the_last_question(tmp_path):
    chat = (
        '[{"role": "system", "content": "Be brief."},'
        ' {"role": "user", "content": "7 * 8?"}, {"role": "assistant"}]'
    )
    path = write(tmp_path, [result(chat)])
    table = silently(read_promptfoo, path=path)
    assert table["query"].tolist() == ["Be brief.\n7 * 8?"]


def test_a_provider_without_a_label_and_an_answer_from_the_cache(tmp_path):
    path = write(
        tmp_path,
        [
            result(provider=""),
            result("2 + 2?", provider={}, response={"cached": True}),
        ],
    )
    rows = [
        result() | {"provider": {"id": "openai:x", "label": ""}},
        result("2 + 2?")
        | {"provider": "openai:x", "response": {"cached": True}, "cost": 0},
    ]
    table = silently(read_promptfoo, path=write(tmp_path, rows))
    assert table["model"].tolist() == ["openai:x"] * 2
    assert table["latency"].isna().tolist() == [False, True]
    assert table["cost"].isna().tolist() == [False, True]
    assert path.exists()


def twice():
    """One provider in two columns, and a repetition."""
    return [
        result(),
        result(score=0, promptIdx=2),
        result(testIdx=1, repeat=1),
        result(score=0, provider="large", promptIdx=1),
    ]


def test_providers_of_one_name_are_told_apart_by_their_settings(tmp_path):
    providers = [
        {"id": "small", "config": {"temperature": 0, "apiKey": "a"}},
        "large",
        {"id": "small", "config": {"temperature": 1, "apiKey": "b"}},
    ]
    path = write(tmp_path, twice(), providers=providers)
    match = "model 'small' ran with different temperature: each is one of its own"
    with pytest.warns(AmbiguousLogWarning, match=match):
        table = read_promptfoo(path)
    assert records(table, "model", "score") == [
        ("small (temperature=0)", 1.0),
        ("small (temperature=1)", 0.0),
        ("small (temperature=0)", 1.0),
        ("large", 0.0),
    ]


def test_providers_of_one_name_are_numbered_where_settings_are_unknown(tmp_path):
    path = write_lines(tmp_path / "output.jsonl", twice())
    with pytest.warns(AmbiguousLogWarning, match="different number"):
        table = read_promptfoo(path)
    assert table["model"].tolist() == ["small", "small (number=2)", "small", "large"]


def test_runs_with_different_settings_in_two_files(tmp_path):
    for name, heat in (("a", 0), ("b", 1)):
        providers = [{"id": "small", "config": {"temperature": heat}}]
        rows = [result(id=name, score=heat)]
        write_json(tmp_path / f"{name}.json", document(rows, providers=providers))
    with pytest.warns(AmbiguousLogWarning, match="different temperature"):
        table = read_promptfoo(tmp_path)
    assert records(table, "model", "score") == [
        ("small (temperature=0)", 0.0),
        ("small (temperature=1)", 1.0),
    ]


def test_one_evaluation_in_two_files_is_read_once(tmp_path):
    rows = [result(), result("2 + 2?")]
    write(tmp_path, rows)
    write_lines(tmp_path / "output.jsonl", rows)
    table = silently(read_promptfoo, path=tmp_path)
    assert len(table) == 2
    assert table.attrs["skipped"] == {"same result again": 2}


def test_variables_that_the_prompt_does_not_show(tmp_path):
    rows = [result(), result(score=0, vars={"question": "other"}, testIdx=1)]
    with pytest.warns(AmbiguousLogWarning, match="different variables"):
        table = read_promptfoo(write(tmp_path, rows))
    assert table["query"].nunique() == 1


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (7, "record 2: the result is 7, not an object"),
        (result(score="high"), "record 2: 'score' is 'high', not a finite"),
        (result(score=None), "'score' has no value"),
        (result(success=None), "'success' is None, neither true nor false"),
        (result(prompt={}), "'prompt' is None, not a text"),
        (result(prompt="p"), "'prompt' is 'p', not an object"),
        (result(provider=""), None),
        (result() | {"provider": {}}, "'provider' is None, not a text"),
        (result() | {"provider": 7}, "'provider' is 7, not an object"),
        (result(latencyMs="x"), "'latencyMs' is 'x', not a finite"),
        (result(response=[]), "'response' is \\[\\], not an object"),
    ],
)
def test_malformed_result(tmp_path, bad, match):
    path = write(tmp_path, [result("a"), bad, result("b")])
    read = partial(read_promptfoo, path)
    if match is None:
        assert len(silently(read)) == 3
        return
    assert len(assert_bad(read, match, path)) == 2


def test_malformed_line(tmp_path):
    path = write_lines(tmp_path / "output.jsonl", [result("a"), result("b")])
    path.write_bytes(path.read_bytes() + b'{"cost": \n')
    read = partial(read_promptfoo, path)
    assert len(assert_bad(read, "not a complete JSON", path, line=3)) == 2


def test_a_file_of_something_else_beside_the_results(tmp_path):
    write(tmp_path, [result()])
    other = write_json(tmp_path / "package.json", {"name": "evaluation"})
    read = partial(read_promptfoo, tmp_path)
    assert len(assert_bad(read, "'results' is None, not an object", other)) == 1
