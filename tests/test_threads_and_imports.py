"""Threads see whole pools, and simple things start without torch."""

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

SCRIPT = """
import json, pickle, sys
import skl_locus
heavy = {"torch", "sentence_transformers", "transformers"}
after_import = sorted(heavy & set(sys.modules))
with open(sys.argv[1], "rb") as file:
    routers, log, asked = pickle.load(file)
for router in routers:
    router.predict_proba(log)
    router.route(asked), router.rank(asked, 2), router.correctness_matrix(asked)
    new = log.assign(model="new")
    router.add_models(new, new.score).remove_models(["new"])
    router.fit(log, log.score)
after_use = sorted(heavy & set(sys.modules))
print(json.dumps([after_import, after_use]))
"""


def test_importing_and_the_simple_routers_need_no_torch(tmp_path):
    routers = [clone(router).fit(OLD, OLD.score) for router in SIMPLE.values()]
    path = tmp_path / "routers.pkl"
    path.write_bytes(pickle.dumps((routers, OLD, QUERIES)))
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT, path], capture_output=True, check=True, text=True
    ).stdout
    assert json.loads(output) == [[], []]


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
