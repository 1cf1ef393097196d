"""The benchmarks of scale measure what they say, at sizes of seconds."""

import importlib
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

# Scripts import their neighbours by name, as they do when they are run.
sys.path.append(str(Path(__file__).parents[2] / "examples" / "benchmarks"))
door, imports, onboarding, rank, route, threads = map(
    importlib.import_module,
    ("door", "imports", "onboarding", "rank", "route", "threads"),
)


@pytest.fixture
def options(tmp_path):
    return Namespace(output=tmp_path, repeats=1, quick=False, smoke=True, data=None)


def test_every_form_of_the_table_is_the_same_log(options):
    found = {}
    for form in door.FORMS:
        case = door.Cases(options)[form]
        case()
        found[form] = case.router._pool.evaluations
    plain = found["pandas categorical"]
    for form, evaluations in found.items():
        assert len(evaluations) == len(plain) == 4 * 50
        assert_array_equal(evaluations.model_means(), plain.model_means())
        vectors = {row.tobytes() for row in evaluations.queries.encodings}
        assert vectors == {row.tobytes() for row in plain.queries.encodings}
        if "query_id" not in form and "vector" not in form:
            assert_array_equal(evaluations.scores, plain.scores)
    assert door.normalised_size(case.router) > 0.14  # MiB, of 50 x 768 numbers


def test_an_enlarged_pool_is_ranked(options):
    router, queries = rank.fitted_router(options)
    large = rank.enlarged(router, 160)
    labels, P = large.rank(queries[:5], 10)
    everything = large.correctness_matrix(queries[:5])
    assert everything.shape == (5, 160)
    columns = np.searchsorted(large.models_.tolist(), labels.ravel()).reshape(5, 10)
    assert_array_equal(P, np.take_along_axis(everything, columns, axis=1))
    assert len(router.models_) == rank.N_FITTED


def test_onboarding_leaves_the_router_as_it_was(options):
    router = onboarding.fitted_router(options)
    for row, work in onboarding.WORKS.items():
        result = work(router, onboarding.log_of(row, 6, options))()
        size = len(result) if row == "transform" else len(result.models_)
        assert size == 6 + (0 if row == "transform" else len(router.models_))
    assert len(router.models_) == 4


def test_imports_are_measured_in_processes_of_their_own():
    assert "threading" in imports.loaded("import threading")
    assert "skl_locus" not in imports.loaded("")
    assert 0 < imports.cpu_seconds("sum(range(10**6))") < 60


def test_threads_are_compared_on_the_same_requests(options, monkeypatch):
    monkeypatch.setattr(threads, "ROUTERS", {"kmeans": threads.ROUTERS["kmeans"]})
    monkeypatch.setattr(threads, "parse_options", lambda *_: options)
    threads.main()
    for batch in threads.BATCHES:
        row = json.loads((options.output / f"threads_kmeans_{batch}.json").read_text())
        assert list(row["forms"]) == list(threads.FORMS)


def test_single_queries_are_routed_one_by_one(options, monkeypatch):
    monkeypatch.setattr(route, "parse_options", lambda *_: options)
    route.main()
    for name in ("route", "route_many"):
        row = json.loads((options.output / f"{name}.json").read_text())
        assert 0 < row["forms"]["one thread"]["median"] < 1
