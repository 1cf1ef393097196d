"""Threads see whole pools, and what is not used is not loaded."""

import copy
import importlib
import itertools
import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from small import SMALL, SMALL_VECTORS
from threadpoolctl import threadpool_limits

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
    assert "skl_locus._locus.router" in loaded
    assert not HEAVY.intersection(loaded)
    # What scikit-learn's base has not loaded by itself can wait until it is used.
    assert not {"sklearn.metrics", "sklearn.cluster"}.intersection(loaded)
    assert not {"sklearn.linear_model", "sklearn.preprocessing"}.intersection(loaded)
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


ASKED = {
    "correctness_matrix": lambda router: router.correctness_matrix(QUERIES),
    "route": lambda router: router.route(QUERIES),
    "rank, labels": lambda router: router.rank(QUERIES, 5).labels,
    "rank, probabilities": lambda router: router.rank(QUERIES, 5).probabilities,
    "predict_proba": lambda router: router.predict_proba(OLD),
}


def same(answer, expected):
    if answer.shape != expected.shape or answer.dtype != expected.dtype:
        return False
    if answer.dtype == object:
        return (answer == expected).all()
    return np.allclose(answer, expected, atol=1e-5)


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(router).fit(OLD, OLD.score) for name, router in ROUTERS.items()}


@pytest.mark.parametrize("name", ROUTERS)
def test_eight_threads_get_the_answers_of_one(fitted, name):
    router = fitted[name]
    expected = {question: ask(router) for question, ask in ASKED.items()}
    questions = [*ASKED] * 16
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda q: ASKED[q](router), questions))
    wrong = {
        q for q, a in zip(questions, answers, strict=True) if not same(a, expected[q])
    }
    assert not wrong


@pytest.mark.parametrize("name", ROUTERS)
def test_threads_that_ask_see_the_old_pool_or_the_new(fitted, name):
    router = copy.deepcopy(fitted[name])
    grown = copy.deepcopy(router).add_models(NEW, NEW.score)
    expected = {question: [ask(router), ask(grown)] for question, ask in ASKED.items()}
    done = threading.Event()
    halves, seen = set(), set()

    def ask_on():
        for question, ask in itertools.cycle(ASKED.items()):
            if done.is_set():
                return
            answer = ask(router)
            if question == "correctness_matrix":
                seen.add(answer.shape[1])
            if not any(same(answer, whole) for whole in expected[question]):
                halves.add(question)

    with ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(ask_on) for _ in range(3)]
        try:
            for i in range(2000):
                router.add_models(NEW, NEW.score)
                router.remove_models(["model-5"])
                if i >= 40 and len(seen) == 2:
                    break
        finally:
            done.set()
        for one in asking:
            one.result(timeout=60)
    assert not halves
    assert seen == {5, 6}


def test_limits_on_threads_are_kept(monkeypatch, set_threads):
    torch = pytest.importorskip("torch")
    attention = importlib.import_module("skl_locus._torch.attention")
    used = []
    set_threads(2)

    def watched(network, *arguments):
        used.append(torch.get_num_threads())
        return forward(network, *arguments)

    # Training and inference both end in it.
    aggregation = attention.Aggregation
    forward = aggregation.forward
    monkeypatch.setattr(aggregation, "forward", watched)
    with threadpool_limits(1):
        router = LocusRouter(**SMALL, geometry="network").fit(OLD, OLD.score)
        router.add_models(NEW, NEW.score)
    router.embedder_.transform(OLD)
    assert set(used[:-1]) == {1}
    assert used[-1] == 2
