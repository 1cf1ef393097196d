"""The summary of every method: steps, tables, page and times."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skl_locus._routing.base import RouterMixin
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import (
    aiq_score,
    cost_quality_curve,
    soft_log_loss,
    zero_router_hull,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "experiments"
sys.path.insert(0, str(EXAMPLES))
pytest.importorskip("matplotlib")

evaluate, methods, options, protocol, run_all, summary = (
    importlib.import_module(name)
    for name in ("evaluate", "methods", "options", "protocol", "run_all", "summary")
)
summary_jobs = importlib.import_module("summary_jobs")
summary_page = importlib.import_module("summary_page")
tables = importlib.import_module("summary_tables")

SOME = ("KMeans", "kNN", "Avengers-Pro", "Best single")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write a log with costs as CSV files; return the options that name them."""
    folder = tmp_path_factory.mktemp("priced")
    pool = make_evaluations(
        n_models=6, n_queries=240, n_tasks=3, observed=0.9, random_state=0
    )
    columns = ["model", "query_id", "score", "cost"]
    pool.evaluations[columns].to_csv(folder / "evaluations.csv", index=False)
    pool.queries.to_csv(folder / "queries.csv", index=False)
    np.save(folder / "encodings.npy", pool.encodings)
    return [
        part
        for name in ("evaluations.csv", "queries.csv", "encodings.npy")
        for part in (f"--{name.split('.')[0]}", str(folder / name))
    ]


def arguments(files, folder, *more):
    places = ["--cache", str(folder / "cache"), "--output", str(folder / "results")]
    some = ["--smoke", "--n-jobs", "1", "--methods", *SOME]
    return [*files, *places, *some, "--summary", *more]


@pytest.fixture(scope="module")
def computed(files, tmp_path_factory):
    """Return the log, and the results of its steps."""
    folder = tmp_path_factory.mktemp("computed")
    parsed = options.parse_options("", arguments(files, folder, "--seeds", "2"))
    log = next(options.main_logs(parsed))
    steps = summary.all_steps({log.name: log}, summary.PLANS["smoke"], parsed)
    return log, {step: summary.results_of(step, log, parsed) for step in steps}


def test_a_draw_of_each_log_comes_first_and_other_draws_last(computed):
    _, results = computed
    cells = [(step.cell.split(":")[0], step.seed) for step in results]
    assert cells == [("complete", 0), ("shift", 0), ("complete", 1)]


def test_costs_are_read_into_the_matrix(computed, files):
    log, _ = computed
    given = pd.read_csv(files[1])
    assert np.isfinite(log.costs).sum() == len(given)
    assert np.nansum(log.costs) == pytest.approx(given["cost"].sum())
    kept = protocol.keep_models(log, np.arange(6) < 2)
    np.testing.assert_array_equal(kept.costs, log.costs[:, :2])


def test_log_loss_is_compared_with_the_means(computed):
    log, results = computed
    step = next(iter(results))
    found = tables.table_of_cell([(step, results[step])]).set_index("method")
    drawn = protocol.draw(log, step.cell, step.n, step.seed)
    scores = log.scores[drawn.test]
    losses = {}
    for name in ("KMeans", "Best single"):
        router = methods.make(name, step.seed, True)
        evaluate.fit_on_draw(router, log, drawn)
        P, _ = evaluate.predict(router, log, drawn.test, scores)
        known = np.isfinite(P)
        losses[name] = soft_log_loss(scores[known], evaluate.clipped(P[known]))
    row = found.loc["KMeans"]
    assert row["log_loss"] == pytest.approx(losses["KMeans"])
    gap = losses["KMeans"] - losses["Best single"]
    assert row["log_loss_difference"] == pytest.approx(gap)
    assert row["log_loss_low"] < gap < row["log_loss_high"]
    assert found.loc["Best single", "log_loss_difference"] == 0


def test_means_over_logs_need_every_log():
    rows = [
        {"log": log, "method": method, "n_draws": 1, **values}
        for log, method, shift in (("a", "x", 1.0), ("b", "x", 2.0), ("a", "y", 1.0))
        for values in [
            {
                f"{metric}_{part}": value
                for metric in tables.METRICS
                for part, value in (("difference", shift), ("error", 0.3))
            }
        ]
    ]
    found = tables.over_logs(pd.DataFrame(rows), ["a", "b"]).set_index("method")
    assert found.loc["x", "log_loss_difference"] == 1.5
    width = found.loc["x", "log_loss_high"] - found.loc["x", "log_loss_low"]
    assert width == pytest.approx(2 * 1.96 * 0.3 / np.sqrt(2))
    assert np.isnan(found.loc["y", "log_loss_difference"])


def test_choices_under_prices_are_those_of_the_curve(computed):
    log, results = computed
    step = next(iter(results))
    drawn = protocol.draw(log, step.cell, step.n, step.seed)
    router = methods.make("KMeans", step.seed, True)
    evaluate.fit_on_draw(router, log, drawn)
    scores = log.scores[drawn.test]
    P, _ = evaluate.predict(router, log, drawn.test, scores)
    seen = np.where(np.isfinite(drawn.seen), log.costs[drawn.train], np.nan)
    prices = np.nanmean(seen, axis=0)
    queries, models = np.nonzero(np.isfinite(P))
    curve = cost_quality_curve(
        scores[queries, models],
        P[queries, models],
        dict(enumerate(prices / prices.max())),
        queries=queries,
        models=models,
        weights=summary_jobs.PRICE_WEIGHTS,
    )
    chosen = results[step]["KMeans"]["choices"]
    rows = np.arange(len(scores))
    np.testing.assert_allclose(
        scores[rows, chosen].mean(axis=1), curve["quality"], rtol=1e-6
    )


def test_random_mixtures_are_the_zero_router(computed):
    log, results = computed
    whole = {s: found for s, found in results.items() if s.cell == "complete"}
    curves = tables.CostCurves(log, list(whole.items()), list(SOME))
    found = curves.table().set_index("method")
    scores, costs = log.scores[log.test], log.costs[log.test]
    queries, models = np.nonzero(np.isfinite(scores))
    hull = zero_router_hull(
        scores[queries, models], costs[queries, models], queries=queries, models=models
    )
    expected = aiq_score(hull["cost"], hull["quality"], cost_range=curves.cost_range)
    assert found.loc["Random mixtures", "aiq"] == pytest.approx(expected)
    assert found.loc["Best single", "qnc"] <= 1
    assert (found["aiq_low"] <= found["aiq"]).all()
    assert (found["aiq"] <= found["aiq_high"]).all()


def test_an_unreached_quality_has_no_upper_limit(computed):
    log, results = computed
    whole = {s: found for s, found in results.items() if s.cell == "complete"}
    curves = tables.CostCurves(log, list(whole.items()), ["KMeans"])
    worst = np.nanmean(curves.scores, axis=0).argmin()
    none = np.full((2, len(log.test)), worst)
    curves.points = dict.fromkeys(curves.points, curves._points(none))
    row = curves.table().set_index("method").loc["KMeans"]
    assert row["qnc_high"] == np.inf
    assert row["qnc_reached"] < 0.5
    assert summary_page.quality_neutral(row).startswith("reached in")


def test_an_estimator_says_what_it_can_do():
    can = summary_page.capabilities
    assert can("LOCUS")["A new model"] == "forward pass"
    assert can("EmbedLLM")["A new model"] == "vector trained"
    assert can("EmbedLLM")["Torch"] == "to fit"
    assert can("KMeans") == {
        "A new model": "in closed form",
        "Embeddings": "no",
        "Torch": "no",
    }


def test_methods_with_a_better_mean_are_named_best_first():
    logs = pd.DataFrame(
        {
            "log": "a",
            "method": ["LOCUS", "x", "y", "z"],
            "log_loss_difference": [-0.02, -0.01, -0.03, -0.04],
            "routing_accuracy_difference": [0.01, 0.0, 0.01, -0.01],
        }
    )
    none = pd.DataFrame(columns=["log", "method"])
    found = summary_page.where_others_lead({"logs": logs, "shift": none, "costs": none})
    assert found == [
        "- log loss, a: z -0.0400, y -0.0300 (LOCUS -0.0200)",
        "- routing, points, a: none (LOCUS +1.0)",
    ]


def test_the_page_is_written_from_what_is_there(files, tmp_path, monkeypatch):
    given = arguments(files, tmp_path)
    run_all.main([*given, "--timings"])
    page = (tmp_path / "results" / "summary" / "summary.md").read_text()
    for name in SOME:
        assert f"\n| {name} |" in page
    assert "Not complete" not in page
    assert " ? " not in page
    times = pd.read_csv(tmp_path / "results" / "summary" / "summary_timings.csv")
    assert (times[["fit_seconds", "route_microseconds"]] > 0).all(axis=None)

    monkeypatch.setattr(RouterMixin, "fit", None)
    more = [*given, "MIRT", "--cached"]
    more.remove("--summary")
    run_all.main([*more, "--summary"])
    page = (tmp_path / "results" / "summary" / "summary.md").read_text()
    assert "**Not complete:** 2 results are missing" in page
    missing = pd.read_csv(tmp_path / "results" / "summary" / "summary_missing.csv")
    assert set(missing["method"]) == {"MIRT"}
    report = importlib.import_module("report")
    blocks = report.in_two_minutes(options.parse_options("", given))
    assert "(summary/summary.md)" in blocks[0]
