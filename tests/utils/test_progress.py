"""When bars of progress appear, and the closing line of a fit."""

import io
import re

import numpy as np
import pytest
import tqdm.std
from small import SMALL

from skl_locus import BestSingleRouter, IRTRouter, LocusEmbedder, LocusRouter
from skl_locus._utils import progress
from skl_locus._utils.blas_threads import map_tasks
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import (
    embedding_stability,
    embedding_uncertainty,
    find_duplicates,
    identify,
)
from skl_locus.metrics import compare
from skl_locus.model_selection import QueryShuffleSplit, query_learning_curve


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Return the clock of tqdm; nothing redraws a bar meanwhile."""
    clock = Clock()
    monkeypatch.setattr(tqdm.std, "time", clock)
    monkeypatch.setattr(progress, "Thread", NoThread)
    return clock


class NoThread:
    """Stands in for a thread that does nothing."""

    def __init__(self, **_):
        pass

    def start(self):
        """Do nothing."""

    def join(self):
        """Do nothing."""


def work(clock, seconds_each, n=10):
    with progress.progress_bar("work", n, unit="step") as bar:
        for _ in range(n):
            clock.now += seconds_each
            bar.advance()


def test_short_work_shows_nothing_however_many_units_it_has(clock, capfd):
    with progress.progress_shown(1):
        work(clock, 1e-5, n=100_000)
    assert capfd.readouterr() == ("", "")


def test_long_work_has_a_bar_from_two_seconds_on(clock, capfd):
    with progress.progress_shown(1), progress.progress_bar("w", 4, unit="u") as bar:
        for _ in range(3):
            clock.now += 0.6
            bar.advance()
        assert capfd.readouterr().err == ""
        clock.now += 0.6
        bar.advance()
        shown = capfd.readouterr()
    assert "w: 100%" in shown.err
    assert "4/4" in shown.err
    assert shown.out == ""


def test_nothing_is_shown_where_nobody_asked(clock, capfd):
    work(clock, 100)
    with progress.progress_shown(0):
        work(clock, 100)
    assert capfd.readouterr() == ("", "")


def test_a_note_does_not_show_a_bar_before_its_time(clock, capfd):
    with progress.progress_shown(1), progress.progress_bar("w", 2, unit="u") as bar:
        bar.note(loss="0.5")
        assert capfd.readouterr().err == ""
        clock.now += 3
        bar.advance()
    assert "loss=0.5" in capfd.readouterr().err


def test_steps_of_a_step_have_no_bars(clock, capfd):
    with progress.progress_shown(1), progress.progress_bar("outer", 1, unit="u"):
        work(clock, 1)
    assert "work" not in capfd.readouterr().err


def test_one_long_unit_is_seen_while_it_is_worked_on(monkeypatch, capfd):
    clock = Clock()
    monkeypatch.setattr(tqdm.std, "time", clock)
    waits = []

    class Event:
        def wait(self, seconds):
            waits.append(seconds)
            clock.now += seconds
            return len(waits) > 3

        def set(self):
            pass

    class Thread(NoThread):
        def __init__(self, *, target, daemon):
            assert daemon
            self.start = target

    monkeypatch.setattr(progress, "Event", Event)
    monkeypatch.setattr(progress, "Thread", Thread)
    with progress.progress_shown(1), progress.progress_bar("fit", 1, unit="step"):
        assert "fit:   0%" in capfd.readouterr().err
    assert waits == [progress.REDRAWN_EVERY] * 4


def test_tasks_in_threads_advance_one_bar(clock, capfd):
    def task(_):
        clock.now += 1.0

    with progress.progress_shown(1):
        map_tasks(task, range(5), name="tasks", unit="task")
    assert "5/5" in capfd.readouterr().err


def test_a_stream_of_unknown_length_has_a_bar_by_time(clock, capfd):
    advance = progress.counting_bar("rows", None, True)
    advance(10)
    assert capfd.readouterr().err == ""
    clock.now += 2.5
    advance(10)
    advance(None)
    assert "20" in capfd.readouterr().err


@pytest.fixture(scope="module")
def pool():
    return make_evaluations(n_models=6, n_queries=80, random_state=0)


def closing_line(estimator, pool, capfd):
    log = pool.evaluations
    estimator.fit(log, log["score"])
    shown = capfd.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    return line


def test_a_fit_closes_with_one_line_of_what_was_learned(pool, capfd):
    router = LocusRouter(**SMALL, verbose=1)
    line = closing_line(router, pool, capfd)
    found = re.fullmatch(
        r"LocusRouter: 6 models, 80 queries, 480 evaluations; on 12 held-out queries "
        r"log loss (\d\.\d{4}) \(models' means (\d\.\d{4})\); their routes score "
        r"(\d\.\d{4}) \(best single model 'model-(\d)' (\d\.\d{4})\); \d+\.\d s",
        line,
    )
    assert found, line
    best = pool.evaluations.groupby("model", observed=True)["score"].mean()
    assert 0 <= float(found[3]) <= 1
    assert best[f"model-{found[4]}"] > best.mean()


@pytest.mark.parametrize("kind", [LocusEmbedder, IRTRouter])
def test_other_trained_estimators_say_what_they_learned(kind, pool, capfd):
    options = {"max_iter": 5, "verbose": 1, "random_state": 0}
    fitted = kind(**options)
    line = closing_line(fitted, pool, capfd)
    loss = -max(fitted.validation_scores_)
    assert line.startswith(f"{kind.__name__}: 6 models, 80 queries, 480 evaluations; ")
    assert f"log loss {loss:.4f} (models' means " in line


def test_a_fit_that_fails_has_no_line(pool, capfd):
    router = LocusRouter(**SMALL, verbose=1)
    with pytest.raises(ValueError, match=r"length|rows"):
        router.fit(pool.evaluations, np.full(3, 0.5))
    assert capfd.readouterr().err == ""
    assert not progress.is_reported()


def test_the_line_goes_around_bars(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", file)
    progress._write_line("learned")
    assert file.getvalue() == "learned\n"


def test_facts_without_a_report_are_dropped(capfd):
    progress.learned("nothing")
    assert capfd.readouterr() == ("", "")


def test_functions_that_take_long_show_bars_where_asked(monkeypatch, capfd, pool):
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    log = pool.evaluations
    split = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
    train, test = (log.iloc[rows] for rows in next(split.split(log)))
    router = LocusRouter(**SMALL).fit(train, train["score"])
    again = train[train["model"] == "model-0"]
    curve = {"cv": QueryShuffleSplit(1, random_state=0), "train_sizes": [0.5, 1.0]}
    calls = {
        "compare": lambda **v: compare(
            {"r": router}, test, test["score"], n_resamples=5, task_col=None, **v
        ),
        "identify": lambda **v: identify(
            router, again, again["score"], n_resamples=5, **v
        ),
        "embed anew": lambda **v: embedding_stability(router, n_repeats=1, **v),
        "embed anew ": lambda **v: embedding_uncertainty(router, n_subsamples=2, **v),
        "compare models": lambda **v: find_duplicates(router, n_resamples=5, **v),
        "learning curve": lambda **v: query_learning_curve(
            BestSingleRouter(), log, log["score"], **curve, **v
        ),
    }
    for name, call in calls.items():
        call()
        assert capfd.readouterr() == ("", "")
        call(verbose=1)
        assert f"{name.strip()}: 100%" in capfd.readouterr().err
