"""The command that routes queries."""

import json

import numpy as np
import pytest
from command_line import run, run_well
from sklearn.pipeline import make_pipeline

import skl_locus
from skl_locus.datasets import make_evaluations, read_log

TEXTS = ["about task-1, see query-119", "about task-2", "Grüße, wie geht es?"]
LINES = "".join(f"{text}\n" for text in TEXTS).encode()


@pytest.fixture(scope="module")
def vector_router(tmp_path_factory):
    pool = make_evaluations(n_models=4, n_queries=60, random_state=0)
    router = skl_locus.KMeansRouter(random_state=0)
    router.fit(pool.evaluations, pool.evaluations["score"])
    path = tmp_path_factory.mktemp("vectors") / "router.locus"
    skl_locus.save(router, path)
    return path, router, pool.encodings


def test_texts_are_routed_as_in_python(saved):
    outcome = run_well("route", saved, "-k", "3", stdin=LINES)
    labels = skl_locus.load(saved).rank(TEXTS, k=3).labels
    assert outcome.out == "".join("\t".join(row) + "\n" for row in labels)


def test_json_has_probabilities_and_ids(saved):
    records = [{"id": 7, "query": TEXTS[0]}, {"query": TEXTS[1]}]
    stdin = "\n".join(map(json.dumps, records)).encode()
    outcome = run_well("route", saved, "--input-format", "jsonl", "--json", stdin=stdin)
    first, second = map(json.loads, outcome.out.splitlines())
    ranking = skl_locus.load(saved).rank(TEXTS[:2], k=1)
    assert first == {
        "line": 1,
        "id": 7,
        "models": ranking.labels[0].tolist(),
        "probabilities": [round(float(ranking.probabilities[0, 0]), 6)],
    }
    assert list(second) == ["line", "models", "probabilities"]


def test_messages_of_a_chat_are_texts(saved, tmp_path):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": TEXTS[0]}]},
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": messages}))
    assert (
        run_well("route", saved, path).out
        == run_well("route", saved, stdin=TEXTS[0].encode()).out
    )
    path.write_text(json.dumps({"messages": [{"role": "user", "content": []}]}))
    refused = run("route", saved, path)
    assert refused.status == 1
    assert refused.err.endswith("line 1: the messages have no text\n")


def test_windows_line_ends_and_marks_are_no_part_of_the_text(saved):
    usual = run_well("route", saved, "--json", stdin=LINES).out
    windows = b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n")
    assert run_well("route", saved, "--json", stdin=windows).out == usual


def test_batches_give_what_all_queries_together_give(saved):
    together = run_well("route", saved, "--json", stdin=LINES).out
    assert run_well("route", saved, "--json", "--batch-size=1", stdin=LINES).out == (
        together
    )


def test_only_allowed_and_available_models_are_chosen(saved):
    chosen = run_well(
        "route",
        saved,
        "--models",
        "model-1",
        "--models",
        "model-3",
        "--unavailable",
        "model-1",
        "--unavailable",
        "gone",
        stdin=LINES,
    )
    assert chosen.out.split() == ["model-3"] * 3
    assert "ignored --unavailable gone" in chosen.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "gone"], "The router has no model 'gone'."),
        (["--models", "model-1", "--unavailable", "model-1"], "All models are unavail"),
        (["-k", "6"], "k must be an integer between 1 and 5"),
    ],
)
def test_models_that_cannot_be_chosen_are_refused(saved, options, message):
    refused = run("route", saved, *options, stdin=LINES)
    assert refused.status == 1
    assert message in refused.err
    assert refused.out == ""


def test_a_table_is_routed_row_by_row(saved, logs):
    outcome = run_well("route", saved, logs / "new.csv", "--json")
    first = json.loads(outcome.out.splitlines()[0])
    assert len(outcome.out.splitlines()) == 150
    assert first["id"] == "query-090"


def test_vectors_come_from_lines_objects_and_arrays(vector_router, tmp_path):
    path, router, encodings = vector_router
    expected = router.route(encodings[:5]).tolist()
    lists = encodings[:5].tolist()
    sources = {
        "json.txt": "\n".join(map(json.dumps, lists)),
        "spaces.txt": "\n".join(" ".join(map(repr, row)) for row in lists),
        "objects.jsonl": "\n".join(json.dumps({"query": row}) for row in lists),
    }
    np.save(tmp_path / "array.npy", encodings[:5])
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    for name in (*sources, "array.npy"):
        assert run_well("route", path, tmp_path / name).out.split() == expected, name


def test_texts_for_a_router_of_vectors_are_refused(vector_router):
    refused = run("route", vector_router[0], stdin=b"What is 7 * 8?\n")
    assert refused.status == 1
    assert "line 1: the line is not a vector of numbers" in refused.err
    refused = run("route", vector_router[0], stdin=b"1 2 3\n")
    assert refused.status == 1
    assert "encodings of length 3" in refused.err


def test_policies_and_pipelines_route_too(logs, saved, tmp_path):
    router = skl_locus.load(saved)
    policy_path, pipe_path = tmp_path / "policy.locus", tmp_path / "pipe.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--random-state", "0"]
    run_well(
        "fit", logs / "old.csv", "-o", policy_path, "--min-correctness", "0.5", *fitting
    )
    outcome = run_well(
        "route",
        policy_path,
        "--json",
        "--models",
        "model-1",
        "--models",
        "model-2",
        stdin=LINES,
    )
    for line in map(json.loads, outcome.out.splitlines()):
        assert line["models"][0] in ("model-1", "model-2")
        assert line["reached"][0] in (True, False)
    log = read_log(logs / "old.csv")
    pipe = make_pipeline(
        skl_locus.QueryEncoder(router.encoder),
        skl_locus.KMeansRouter(random_state=0),
    )
    skl_locus.save(pipe.fit(log, log["score"]), pipe_path)
    assert run_well("route", pipe_path, stdin=LINES).out == (
        run_well("route", saved, stdin=LINES).out
    )


@pytest.mark.parametrize(
    ("stdin", "options", "message"),
    [
        (b"", [], "standard input: there are no queries in it"),
        (b"\n\n", [], "standard input: there are no queries in it"),
        (b"one\n\nthree\n", [], "standard input, line 2: the line is empty"),
        (b"one\n\xff\xfe\n", [], "standard input, line 2: the line is not UTF-8"),
        (b"one\n", ["--input-format", "jsonl"], "line 1: the line is not JSON"),
        (
            b'{"text": "a"}',
            ["--input-format", "jsonl"],
            'the key "query" or "messages"',
        ),
        (b"[1, 2]", ["--input-format", "jsonl"], 'the key "query" or "messages"'),
    ],
)
def test_lines_that_cannot_be_used_are_named(saved, stdin, options, message):
    refused = run("route", saved, *options, stdin=stdin)
    assert refused.status == 1
    assert message in refused.err
    assert "Traceback" not in refused.err


def test_empty_lines_at_the_end_are_no_queries(saved):
    assert run_well("route", saved, stdin=LINES + b"\n \n").out.count("\n") == 3


def test_the_output_file_is_whole_or_not_there(saved, tmp_path):
    output = tmp_path / "routes.txt"
    refused = run("route", saved, "-o", output, "--batch-size=1", stdin=b"one\n\xff\n")
    assert refused.status == 1
    assert not output.exists()
    run_well("route", saved, "-o", output, stdin=LINES)
    assert output.read_text() == run_well("route", saved, stdin=LINES).out
    assert {path.name for path in tmp_path.iterdir()} == {"router.locus", "routes.txt"}


def test_labels_stay_on_their_line(tmp_path):
    pool = make_evaluations(2, 60, n_families=2, random_state=0)
    log = pool.evaluations.astype({"model": str})
    log["model"] = log["model"].replace({"model-0": "a\tb\nc", "model-1": "d"})
    router = skl_locus.BestSingleRouter().fit(log, log["score"])
    skl_locus.save(router, tmp_path / "r")
    stdin = (" ".join(map(str, pool.encodings[0])) + "\n").encode()
    outcome = run_well("route", tmp_path / "r", "-k", "2", stdin=stdin)
    assert sorted(outcome.out.rstrip("\n").split("\t")) == ['"a\\tb\\nc"', "d"]


def test_labels_that_are_numbers_are_named_by_their_digits(tmp_path):
    pool = make_evaluations(3, 60, n_families=3, random_state=0)
    log = pool.evaluations.astype({"model": str})
    log["model"] = log["model"].str[-1].astype(int)
    router = skl_locus.BestSingleRouter().fit(log, log["score"])
    skl_locus.save(router, tmp_path / "r")
    np.save(tmp_path / "q.npy", pool.encodings[:2])
    outcome = run_well(
        "route", tmp_path / "r", tmp_path / "q.npy", "--models", "2", "--json"
    )
    assert json.loads(outcome.out.splitlines()[0])["models"] == [2]
    run_well("remove", tmp_path / "r", "2")
    assert skl_locus.load(tmp_path / "r").models_.tolist() == [0, 1]
