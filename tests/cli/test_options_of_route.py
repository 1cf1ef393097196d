"""Costs and sessions of the command that routes, and messages in its own words."""

import json

import pytest
from command_line import run, run_well

import skl_locus
from skl_locus._cli.commands import in_options

TEXTS = ["about task-1, see query-119", "about task-2", "about task-3, query-1"]


def lines_of(objects):
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


@pytest.fixture
def costs(saved, tmp_path):
    """Return a table of costs, in which the best model costs most."""
    models = skl_locus.load(saved).models_
    table = {label: (5 - n) / 10 for n, label in enumerate(models)}
    path = tmp_path / "costs.csv"
    rows = [f"{label},{cost}" for label, cost in table.items()]
    path.write_text("\n".join(["model,cost", *rows]))
    return path, table


@pytest.mark.parametrize("rule", [{"cost_weight": 2.0}, {"min_correctness": 0.05}])
def test_costs_decide_as_in_python(saved, costs, rule):
    path, table = costs
    options = [
        part
        for name, value in rule.items()
        for part in (f"--{name.replace('_', '-')}", value)
    ]
    stdin = "".join(f"{text}\n" for text in TEXTS).encode()
    outcome = run_well("route", saved, "--costs", path, *options, stdin=stdin)
    expected = skl_locus.load(saved).route(TEXTS, costs=table, **rule)
    assert outcome.out.split() == expected.tolist()
    assert outcome.out != run_well("route", saved, stdin=stdin).out


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_incumbents_stay_as_in_python(saved, form, tmp_path):
    router = skl_locus.load(saved)
    last = router.rank(TEXTS).labels[:, -1].tolist()
    incumbents = [last[0], None, "gone"]
    if form == "jsonl":
        rows = [
            {"query": text, "incumbent": label}
            for text, label in zip(TEXTS, incumbents, strict=True)
        ]
        path = tmp_path / "queries.jsonl"
        path.write_bytes(lines_of(rows))
    else:
        path = tmp_path / "queries.csv"
        pairs = zip(TEXTS, incumbents, strict=True)
        cells = [f'"{text}",{label or ""}' for text, label in pairs]
        path.write_text("\n".join(["query,incumbent", *cells]))
    outcome = run_well("route", saved, path, "--switch-margin", "1")
    expected = router.route(TEXTS, incumbent=incumbents, switch_margin=1.0)
    assert outcome.out.split() == expected.tolist()
    assert expected[0] == last[0] != router.route(TEXTS)[0]


def test_prices_need_a_policy(saved, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("model,price_in,price_out\nmodel-0,1,2\n")
    options = ["--costs", path, "--cost-weight", "1"]
    outcome = run("route", saved, *options, stdin=b"about task-1\n")
    assert outcome.status == 1
    assert "the columns model and cost" in outcome.err


def test_a_policy_has_costs_and_rules_of_its_own(logs, costs, tmp_path):
    policy = tmp_path / "policy.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--random-state", 0]
    goal = ["--costs", costs[0], "--cost-weight", "0.1"]
    run_well("fit", logs / "log.csv", "-o", policy, *fitting, *goal)
    outcome = run("route", policy, "--cost-weight", "1", stdin=b"about task-1\n")
    assert outcome.status == 2
    assert "policy" in outcome.err
    stdin = lines_of([{"query": TEXTS[0], "incumbent": "model-1"}])
    given = ["--input-format", "jsonl"]
    run_well("route", policy, *given, stdin=stdin)


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_texts_without_an_encoder_are_refused_before_the_work(command, logs, tmp_path):
    output = ["-o", tmp_path / "router.locus"] if command == "fit" else []
    outcome = run(command, logs / "log.csv", *output)
    assert outcome.status == 2
    assert "--encoder hashing" in outcome.err
    assert "fitting" not in outcome.err


def test_an_unknown_format_names_options(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("llm,prompt,correct\na,b,1\n")
    outcome = run("read", path)
    assert outcome.status == 1
    assert "name the format by --format (" in outcome.err
    assert "--model-col, --query-col and --score-col" in outcome.err
    assert "format=" not in outcome.err


@pytest.mark.parametrize(
    ("message", "translated"),
    [
        (
            "encoder=None; pass encoder= (a name)",
            "no --encoder; pass --encoder (a name)",
        ),
        ("offline: set_params(encoder=...).", "offline: --encoder."),
        ("pass allow_seen=True.", "pass --allow-seen."),
        ("read with errors='skip'", "read with --errors skip"),
        ("use scale=, or query_col=.", "use --scale, or --query-col."),
        (
            "unknown= stays, and a/b?format=x too",
            "unknown= stays, and a/b?format=x too",
        ),
    ],
)
def test_parameters_become_options(message, translated):
    names = ["encoder", "allow_seen", "errors", "scale", "query_col", "format"]
    options = {name: "--" + name.replace("_", "-") for name in names}
    assert in_options(message, options) == translated


@pytest.mark.parametrize("value", [None, 5, {"a": 1}, True])
def test_queries_that_are_none_are_named_with_their_line(saved, value):
    stdin = lines_of([{"query": "about task-1"}, {"query": value}])
    outcome = run("route", saved, "--input-format", "jsonl", stdin=stdin)
    assert outcome.status == 1
    assert "line 2" in outcome.err
    assert "neither a text nor" in outcome.err


@pytest.mark.parametrize(
    "option", ["--min-correctness=1.5", "--cost-weight=-1", "--confidence=2"]
)
def test_numbers_out_of_range_are_found_before_the_work(option, logs, tmp_path):
    output = ["-o", tmp_path / "policy.locus", "--encoder", "hashing"]
    outcome = run("fit", logs / "log.csv", *output, option)
    assert outcome.status == 2
    assert option.partition("=")[0] in outcome.err
    assert "read" not in outcome.err
