"""The speed benchmarks compare forms that compute the same, and tell it in a table."""

import importlib
import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
# Scripts import their neighbours by name, as they do when they are run.
sys.path.append(str(FOLDER))
embed, correctness, fit = map(importlib.import_module, ("embed", "correctness", "fit"))


def run_all_module():
    # The experiments have a script of the same name.
    spec = importlib.util.spec_from_file_location(
        "benchmarks_run_all", FOLDER / "run_all.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def options(tmp_path):
    return Namespace(output=tmp_path, repeats=1, quick=False, smoke=True, data=[])


@pytest.mark.parametrize("script", [embed, correctness])
def test_the_package_computes_what_the_plain_form_computes(script, options):
    works = script.prepare(options)
    expected = np.asarray(works["plain"]())
    assert expected.std() > 0.01
    np.testing.assert_allclose(works["package"](), expected, atol=1e-5)


def test_the_public_call_is_timed_beside_the_predictor_that_it_asks(options):
    works = correctness.prepare_public(options)
    n_queries, n_models = correctness.size(options)
    logits, P = works["predictor alone"](), works["correctness_matrix"]()
    assert logits.shape == P.shape == (n_queries, n_models)
    assert ((P > 0) & (P < 1)).all()


def test_the_plain_recipe_is_judged_on_the_queries_that_the_package_holds_out(options):
    vectors, scores = fit.log_of(None, 4, 40)
    found = fit.fit_package(options, vectors, scores, vectors[:3], alone=True)
    held = fit.held_out(found["router"], vectors)
    assert held.sum() == round(0.15 * 40)
    plain = fit.fit_by_plain_recipe(options, vectors, scores, held, vectors[:3])
    assert plain["logits"].shape == found["logits"].shape == (4, 3)
    assert plain["steps"]["done"] == 2


def test_every_row_of_the_table_can_be_measured(options, capsys):
    run_all = run_all_module()
    for script in run_all.SCRIPTS:
        assert (FOLDER / f"{script}.py").exists()
    row = {
        "work": "work",
        "forms": {
            "plain": {"seconds": [2.0, 4.0], "median": 3.0, "spread": [2.0, 4.0]},
            "package": {"seconds": [1.5], "median": 1.5, "spread": [1.5, 1.5]},
        },
        "target": "twice as fast",
    }
    (options.output / "embed.json").write_text(json.dumps(row))
    text = run_all.markdown(options.output, {"cpu": "abacus"})
    assert "- cpu: abacus" in text
    assert "| work | package | 1.5 | 1.5 to 1.5 | 2 |  |  |" in text
    assert "- work, target: twice as fast" in text


def test_an_ask_is_timed_for_every_goal(options, monkeypatch):
    ask = importlib.import_module("ask")
    monkeypatch.setattr(ask, "peak_memory", lambda *_: 0.0)  # a process each
    monkeypatch.setattr(ask, "parse_options", lambda *_: options)
    ask.main()
    rows = [json.loads(path.read_text()) for path in options.output.glob("ask_*.json")]
    assert len(rows) == 2 * len(ask.GOALS)
    for row in rows:
        assert np.isfinite(row["exponent"])
        assert list(row["forms"]) == ["100 queries", "200 queries", "400 queries"]
