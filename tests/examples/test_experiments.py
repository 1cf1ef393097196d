"""The experiments that redo the paper's tables: protocol, cache and report."""

import importlib
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment_tables import N_TWINS, tables

import skl_locus
from skl_locus import KMeansRouter, LocusRouter
from skl_locus._routing.base import RouterMixin
from skl_locus.metrics import (
    correctness_accuracy_score,
    routing_accuracy_score,
    soft_brier_score,
    soft_log_loss,
)

Figure = pytest.importorskip("matplotlib.figure").Figure
# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "experiments"))
comparison, evaluate, methods, protocol, run_all = map(
    importlib.import_module,
    ("comparison", "evaluate", "methods", "protocol", "run_all"),
)
e1 = importlib.import_module("e1_sample_efficiency")
check_cells = importlib.import_module("check_cells")
options = importlib.import_module("options")
results_versions = importlib.import_module("results_versions")


def log_of(*, report=False, **parameters):
    return protocol.make_log("log", *tables(**parameters), report=report)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write a log as CSV files; return the options that name them."""
    folder = tmp_path_factory.mktemp("small")
    evaluations, queries, encodings, models = tables(observed=0.9)
    evaluations.to_csv(folder / "evaluations.csv", index=False)
    queries.to_csv(folder / "queries.csv", index=False)
    models.reset_index().to_csv(folder / "models.csv", index=False)
    np.save(folder / "encodings.npy", encodings)
    names = ("evaluations.csv", "queries.csv", "encodings.npy", "models.csv")
    return [
        part
        for name in names
        for part in (f"--{name.split('.')[0]}", str(folder / name))
    ]


def arguments(files, folder):
    places = ["--cache", str(folder / "cache"), "--output", str(folder / "results")]
    return [*files, "--smoke", "--n-jobs", "1", *places]


@pytest.fixture
def count_fits(monkeypatch):
    """Count the fits of routers; raise at the one that ``stop_at`` says."""
    counter = Namespace(fits=0, stop_at=None)
    fit = RouterMixin.fit

    def counting_fit(self, X, y):
        if counter.fits == counter.stop_at:
            raise KeyboardInterrupt
        counter.fits += 1
        return fit(self, X, y)

    monkeypatch.setattr(RouterMixin, "fit", counting_fit)
    return counter


def test_run_all_leaves_a_report_and_fits_nothing_twice(
    files, tmp_path, count_fits, monkeypatch
):
    run_all.main(arguments(files, tmp_path))
    assert count_fits.fits > 0
    first = (tmp_path / "results" / "report.md").read_text()
    for section in range(1, 8):
        assert f"\n### {section}. " in first
    for name in methods.METHODS:
        assert f"| {name} |" in first
    assert "0.887" in first  # Table 3 of the paper
    for picture in (tmp_path / "results").rglob("*.png"):
        assert picture.name in first
    assert "the test half was not read" in first

    count_fits.fits = 0
    monkeypatch.setattr(Figure, "savefig", lambda *args, **kwargs: None)
    run_all.main(arguments(files, tmp_path))
    assert count_fits.fits == 0


def test_an_interrupted_run_goes_on_where_it_stopped(files, tmp_path, count_fits):
    parsed = options.parse_options("", arguments(files, tmp_path))
    count_fits.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        e1.run(parsed)
    count_fits.stop_at = None
    count_fits.fits = 0
    e1.run(parsed)
    cells = e1.cells(next(options.main_logs(parsed)), e1.PLANS["smoke"], parsed)
    wanted = [
        (cell, name)
        for cell, *_ in cells
        for name in methods.METHODS
        if cell == protocol.COMPLETE or name not in methods.VARIANTS
    ]
    assert count_fits.fits == len(wanted) - 3


def test_results_depend_on_parameters_and_log(files, tmp_path, count_fits):
    parsed = options.parse_options("", arguments(files, tmp_path))
    log = next(options.main_logs(parsed))
    job = options.job(parsed, "kNN", 0, cell=protocol.COMPLETE, n=32)
    other = job | {"parameters": job["parameters"] | {"n_neighbors": "3"}}
    for jobs in ([job], [other], [job, other]):
        e1.run_jobs(evaluate.evaluate_job, log, jobs, parsed, "")
    assert count_fits.fits == 2
    fewer = protocol.keep_models(log, np.arange(len(log.models)) < 5)
    e1.run_jobs(evaluate.evaluate_job, fewer, [job], parsed, "")
    assert count_fits.fits == 3


def test_results_depend_on_the_versions_of_method_and_protocol(
    files, tmp_path, count_fits, monkeypatch
):
    parsed = options.parse_options("", arguments(files, tmp_path))
    log = next(options.main_logs(parsed))
    both = [
        options.job(parsed, name, 0, cell=protocol.COMPLETE, n=32)
        for name in ("kNN", "KMeans")
    ]

    def fits_of_a_run():
        before = count_fits.fits
        e1.run_jobs(evaluate.evaluate_job, log, both, parsed, "")
        return count_fits.fits - before

    assert [fits_of_a_run(), fits_of_a_run()] == [2, 0]
    monkeypatch.setitem(results_versions.METHOD_VERSIONS, "kNN", 99)
    assert [fits_of_a_run(), fits_of_a_run()] == [1, 0]
    monkeypatch.setattr(results_versions, "PROTOCOL_VERSION", 99)
    assert [fits_of_a_run(), fits_of_a_run()] == [2, 0]


def test_every_method_has_a_version_of_its_results():
    known = methods.METHODS | methods.REGENERATED
    assert results_versions.METHOD_VERSIONS.keys() == known.keys()


def test_cells_are_computed_as_they_are_pinned(capsys):
    assert check_cells.main([]) == 0
    assert "21 cells" in capsys.readouterr().out


@pytest.fixture
def three_cells(tmp_path, monkeypatch):
    """Check the methods that take no time, against a copy of their pinned cells."""
    names = ["kNN", "KMeans", "Best single"]
    monkeypatch.setattr(check_cells, "METHODS", names)
    pinned = tmp_path / "pinned.csv"
    check_cells.read_cells(check_cells.PINNED).loc[names].to_csv(pinned)
    return pinned, ["--pinned", str(pinned)]


def test_a_changed_number_fails_until_its_version_is_raised(
    three_cells, capsys, monkeypatch
):
    pinned, arguments = three_cells
    assert check_cells.main(arguments) == 0
    cells = check_cells.read_cells(pinned)
    right = cells.loc["KMeans", "log_loss"]
    cells.loc["KMeans", "log_loss"] = right + 3e-5
    cells.to_csv(pinned)
    capsys.readouterr()

    for given in (arguments, [*arguments, "--write"]):
        assert check_cells.main(given) == 1
        said = capsys.readouterr().err
        assert f"KMeans: log_loss is {right:.6f}, expected {right + 3e-5:.6f}" in said
        assert "raise the version of 'KMeans' in results_versions.py" in said
        assert "kNN" not in said

    monkeypatch.setitem(results_versions.METHOD_VERSIONS, "KMeans", 2)
    assert check_cells.main(arguments) == 1
    said = capsys.readouterr().err
    assert "no numbers are pinned for the results version 1.2" in said
    assert check_cells.main([*arguments, "--write"]) == 0
    assert check_cells.main(arguments) == 0
    assert check_cells.read_cells(pinned).loc["KMeans", "log_loss"] == right


def test_a_change_of_a_router_is_noticed(three_cells, monkeypatch):
    _, arguments = three_cells
    predict_proba = KMeansRouter.predict_proba

    def slightly_less_sure(self, X):
        return 0.5 + (predict_proba(self, X) - 0.5) * 0.999

    monkeypatch.setattr(KMeansRouter, "predict_proba", slightly_less_sure)
    assert check_cells.main(arguments) == 1


def test_a_report_names_version_commit_and_results(files, tmp_path, monkeypatch):
    report = importlib.import_module("report")
    parsed = options.parse_options("", arguments(files, tmp_path))
    first, second, *_ = report.about(parsed)
    assert f"skl_locus {skl_locus.__version__} (commit " in first
    versions = importlib.import_module("results_versions")
    assert f"LOCUS {versions.results_version('LOCUS')}, LOCUS (paper)" in second
    monkeypatch.setenv("PATH", "")  # as on a machine without git
    assert "(commit unknown)" in report.about(parsed)[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--data", "nowhere"], "nowhere/evaluations.parquet is not there"),
        (["--evaluations", "log.csv"], "go together"),
        (["--methods", "Oracle"], "unknown method 'Oracle'; known: LOCUS"),
    ],
)
def test_wrong_options_are_told(wrong, message, capsys):
    with pytest.raises(SystemExit):
        options.parse_options("", wrong)
    assert message in capsys.readouterr().err


def test_equal_texts_are_one_query_with_the_mean_score():
    evaluations, queries, *_ = tables()
    log = log_of()
    assert len(log.texts) == len(queries) - N_TWINS
    assert list(log.texts) == sorted(set(queries["query"]))
    text = queries["query"][0]
    twins = queries.loc[queries["query"] == text, "query_id"]
    assert len(twins) == 2
    own = evaluations[evaluations["query_id"].isin(twins)]
    expected = own.groupby("model")["score"].mean()
    row = log.scores[list(log.texts).index(text)]
    np.testing.assert_array_equal(row, expected[log.models])


def test_halves_follow_the_protocol():
    order = np.random.default_rng(100).permutation(11)
    test, rest = protocol.halves(11, report=True)
    np.testing.assert_array_equal(test, order[:5])
    np.testing.assert_array_equal(rest, order[5:])


def test_development_never_reads_the_test_half():
    test, rest = protocol.halves(101, report=True)
    some, others = protocol.halves(101, report=False)
    assert sorted([*test, *rest]) == list(range(101))
    assert sorted([*some, *others]) == sorted(rest)


def test_draws_are_reproducible_and_nested():
    log = log_of()
    few = protocol.draw(log, protocol.COMPLETE, 16, 3)
    many = protocol.draw(log, protocol.COMPLETE, 32, 3)
    expected = np.random.default_rng(3).permutation(log.rest)
    np.testing.assert_array_equal(few.train, expected[:16])
    np.testing.assert_array_equal(many.train, expected[:32])
    np.testing.assert_array_equal(many.seen, log.scores[many.train])
    assert not np.isin(many.train, many.test).any()
    other = protocol.draw(log, protocol.COMPLETE, 16, 4)
    assert set(other.train) != set(few.train)


def test_sparse_gives_each_model_its_own_quarter():
    log = log_of()
    drawn = protocol.draw(log, protocol.SPARSE, 32, 0)
    again = protocol.draw(log, protocol.SPARSE, 32, 0)
    np.testing.assert_array_equal(drawn.seen, again.seen)
    seen = np.isfinite(drawn.seen)
    np.testing.assert_array_equal(seen.sum(axis=0), 8)
    assert len({column.tobytes() for column in seen.T}) > 1
    np.testing.assert_array_equal(drawn.seen[seen], log.scores[drawn.train][seen])


def test_shift_tests_on_a_task_that_training_has_not_seen():
    log = log_of()
    drawn = protocol.draw(log, protocol.SHIFT + "task-1", 24, 0)
    assert "task-1" not in log.tasks[drawn.train]
    assert set(drawn.test) == {i for i in log.test if log.tasks[i] == "task-1"}


def test_metrics_are_those_of_the_package_on_a_partial_log():
    log = log_of(observed=0.6, graded=True)
    drawn = protocol.draw(log, protocol.COMPLETE, 32, 0)
    router = methods.make("KMeans", 0)
    evaluate.fit_on_draw(router, log, drawn)
    scores = log.scores[drawn.test]
    P, decisions = evaluate.predict(router, log, drawn.test, scores)
    found = evaluate.summarise(P, decisions, scores, drawn.seen)

    table = protocol.frame(log, drawn.test, scores)
    p = router.predict_proba(table)[:, 1]
    routed = routing_accuracy_score(
        table["score"],
        router.routing_scores(table),
        queries=table["query_id"],
        models=table["model"],
    )
    assert found["routing_accuracy"] == pytest.approx(routed)
    assert found["coverage"] == pytest.approx(len(table) / scores.size)
    for name, metric in {
        "correctness_accuracy": correctness_accuracy_score,
        "log_loss": soft_log_loss,
        "brier": soft_brier_score,
    }.items():
        assert found[name] == pytest.approx(metric(table["score"], p), rel=1e-5)

    totals = evaluate.query_totals(P, decisions, scores)
    assert np.nanmean(totals["chosen"]) == pytest.approx(found["routing_accuracy"])
    for name, loss in comparison.LOSSES.items():
        if loss != "chosen":
            mean = totals[loss].sum() / totals["count"].sum()
            assert mean == pytest.approx(found[name])


def test_best_single_is_chosen_on_training_queries_and_needs_coverage():
    seen = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    scores = np.array([[1.0, 0.0, 1.0], [np.nan, 1.0, 1.0], [np.nan, 1.0, 1.0]])
    assert evaluate.best_single_score(seen, scores) == pytest.approx(2 / 3)


def test_luck_alone_has_a_calibration_error_that_falls_with_the_queries():
    p = np.random.default_rng(0).uniform(0.2, 0.8, size=60_000)
    few, many = evaluate.error_by_chance(p[:600]), evaluate.error_by_chance(p)
    # A bin of 40 answers is off by about 0.8 * 0.46 / sqrt(40).
    assert few == pytest.approx(0.058, abs=0.01)
    assert many == pytest.approx(few / 10, rel=0.2)


@pytest.mark.parametrize("noise", ["flip", "grade"])
def test_noise_changes_its_share_of_the_scores(noise):
    seen = np.tile([0.0, 1.0], (500, 1))
    drawn = protocol.Draw(np.arange(500), seen, np.arange(0))
    job = {"seed": 0, "noise": noise, "noise_share": 0.3}
    noisy = evaluate.noisy(drawn, job).seen
    assert (noisy != seen).mean() == pytest.approx(0.3, abs=0.05)
    kept_side = (noisy >= 0.5) == (seen >= 0.5)
    assert kept_side.all() == (noise == "grade")


def test_differences_are_paired_by_query_and_draw():
    rng = np.random.default_rng(0)
    ours = [{"chosen": rng.uniform(size=40)} for _ in range(3)]
    worse = [{"chosen": totals["chosen"] - 0.1} for totals in ours]
    theirs = {"same": ours, "worse": worse}
    same, other = comparison.paired_differences(ours, theirs, "routing_accuracy")
    assert same["difference"] == same["low"] == same["high"] == 0
    assert same["p_value"] == 1
    limits = [other["difference"], other["low"], other["high"]]
    assert limits == pytest.approx([0.1] * 3)


def test_sizes_of_a_cell_are_compared_together():
    results = []
    for n, lead in ((8, 0.0), (16, 0.3)):
        for name, added in ((methods.LOCUS, lead), ("other", 0.0)):
            about = {"pool": "all", "cell": "complete", "n": n, "method": name}
            chosen = np.linspace(0, 0.5, 30) + added
            totals = dict.fromkeys(comparison.LOSSES.values(), chosen)
            totals["count"] = np.ones(30)
            results += [{"about": about, "totals": totals}] * 2
    apart = e1.differences(results).query("metric == 'routing_accuracy'")
    assert apart["difference"].tolist() == pytest.approx([0.0, 0.3])
    together = e1.differences(results, pooled=True)
    (row,) = together.query("metric == 'routing_accuracy'").to_dict("records")
    assert row["difference"] == pytest.approx(0.15)
    assert row["n_draws"] == 4
    assert 0 <= row["low"] < row["difference"] < row["high"] <= 0.3


def test_queries_without_a_choice_have_no_part():
    ours = [{"chosen": np.array([1.0, np.nan, 0.0])}]
    theirs = {"other": [{"chosen": np.array([0.0, np.nan, 0.0])}]}
    (found,) = comparison.paired_differences(ours, theirs, "routing_accuracy")
    assert found["difference"] == pytest.approx(0.5)


def test_evaluations_needed_by_hand():
    curve = {16: 0.5, 64: 0.7, 256: 0.7}
    assert comparison.evaluations_needed(curve, 0.4) == 16
    assert comparison.evaluations_needed(curve, 0.6) == pytest.approx(32)
    assert comparison.evaluations_needed(curve, 0.8) == np.inf


def test_the_row_of_the_paper_has_no_local_evidence():
    router = methods.make(methods.LOCUS_PAPER, 0)
    assert isinstance(router, LocusRouter)
    assert not router.local_evidence
    assert not router.bilinear


def test_held_out_models_have_one_rotation_each():
    e2 = importlib.import_module("e2_onboarding")
    held = np.stack([e2.held_out(11, r) for r in range(e2.N_ROTATIONS)])
    np.testing.assert_array_equal(held.sum(axis=0), 1)


def test_tables_of_the_report_are_markdown():
    markdown = importlib.import_module("markdown")
    table = pd.DataFrame({"a|b": ["x", "y"], "c": [0.123456, np.nan]})
    assert markdown.table(table).splitlines() == [
        r"| a\|b | c |",
        "| --- | --- |",
        "| x | 0.1235 |",
        "| y |  |",
    ]
