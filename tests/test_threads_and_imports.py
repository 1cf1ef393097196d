"""Threads see whole pools, and what is not used is not loaded."""

import copy
import itertools
import json
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.base import clone
from small import SMALL, SMALL_VECTORS

import skl_locus
from skl_locus import (
    BestSingleRouter,
    EmbedLLMRouter,
    IRTRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusRouter,
)
from skl_locus.datasets import make_evaluations

SIMPLE = {
    "best": BestSingleRouter(),
    "knn": KNNRouter(3),
    "kmeans": KMeansRouter(4, random_state=0),
    "linear": LinearRouter(alpha=1.0),
}
ROUTERS = {
    **SIMPLE,
    "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
    "irt": IRTRouter(**SMALL_VECTORS),
    "locus": LocusRouter(**SMALL),
}

POOL = make_evaluations(n_models=6, n_queries=50, observed=0.7, random_state=0)
OLD = POOL.evaluations[POOL.evaluations.model != "model-5"]
NEW = POOL.evaluations[POOL.evaluations.model == "model-5"]
QUERIES = POOL.encodings

IMPORTED = """
import sys
import sklearn.base, pandas, narwhals
before = set(sys.modules)
from skl_locus import LocusRouter
print(*(set(sys.modules) - before))
"""

HEAVY = {"torch", "sentence_transformers", "transformers", "matplotlib"}

SCRIPT = """
import json, pickle, sys
heavy = set(json.loads(sys.argv[2]))
with open(sys.argv[1], "rb") as file:
    routers, log, asked = pickle.load(file)
for router in routers:
    router.predict_proba(log)
    router.route(asked), router.rank(asked, 2), router.correctness_matrix(asked)
    new = log.assign(model="new")
    router.add_models(new, new.score).remove_models(["new"])
    router.fit(log, log.score)
print(*(heavy & set(sys.modules)))
"""


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()


def test_importing_a_router_loads_nothing_heavy():
    loaded = run(IMPORTED)
    assert "skl_locus._router" in loaded
    assert not HEAVY.intersection(loaded)
    # What scikit-learn's base has not loaded by itself can wait until it is used.
    assert not {"sklearn.metrics", "sklearn.cluster"}.intersection(loaded)
    assert not {"skl_locus.baselines", "skl_locus.metrics"}.intersection(loaded)


def test_every_public_name_is_found_when_asked_for():
    assert set(skl_locus.__all__) <= set(dir(skl_locus))
    for name in skl_locus.__all__:
        assert getattr(skl_locus, name).__name__ == name
    with pytest.raises(AttributeError, match="'skl_locus' has no attribute 'Router'"):
        skl_locus.Router  # noqa: B018


@pytest.mark.parametrize(
    "name", ["baselines", "datasets", "inspection", "metrics", "portfolio"]
)
def test_subpackages_are_found_without_an_import_of_their_own(name):
    loaded = run(f"import skl_locus; print(skl_locus.{name}.__name__)")
    assert loaded == [f"skl_locus.{name}"]


def test_the_simple_routers_need_no_torch(tmp_path):
    routers = [clone(router).fit(OLD, OLD.score) for router in SIMPLE.values()]
    path = tmp_path / "routers.pkl"
    path.write_bytes(pickle.dumps((routers, OLD, QUERIES)))
    assert run(SCRIPT, path, json.dumps(sorted(HEAVY))) == []


@pytest.mark.parametrize("name", ROUTERS)
def test_a_thread_that_routes_sees_the_old_pool_or_the_new(name):
    router = clone(ROUTERS[name]).fit(OLD, OLD.score)
    grown = copy.deepcopy(router).add_models(NEW, NEW.score)
    answers = {}
    for known in (copy.deepcopy(router), grown):
        matrix = known.correctness_matrix(QUERIES)
        answers[len(known.models_)] = known.route(QUERIES), matrix
    done = threading.Event()
    failures, seen = [], set()

    def ask():
        while not done.is_set():
            matrix = router.correctness_matrix(QUERIES)
            routes = router.route(QUERIES)
            labels, _ = router.rank(QUERIES, 5)
            seen.add(matrix.shape[1])
            if not np.allclose(matrix, answers[matrix.shape[1]][1], atol=1e-5):
                failures.append("half a pool in correctness_matrix")
            if not any((routes == known).all() for known, _ in answers.values()):
                failures.append("half a pool in route")
            if len(set(labels[0])) != 5:
                failures.append("half a pool in rank")

    def run():
        try:
            ask()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in itertools.takewhile(lambda i: i < 40 or len(seen) < 2, range(2000)):
        router.add_models(NEW, NEW.score)
        router.remove_models(["model-5"])
    done.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert not failures
    assert seen == set(answers)
