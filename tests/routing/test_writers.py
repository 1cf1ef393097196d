"""Threads that change one router: nothing that one of them adds is lost."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from small import small_routers

from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=6, n_queries=40, random_state=0)
LOG = POOL.evaluations
OWN = LOG[LOG["model"] == "model-0"]

NAMES = sorted(LOG["model"].unique())

ROUTERS = {name: small_routers()[name] for name in ("best", "knn", "linear", "locus")}


def addition(router, name):
    table = OWN.assign(model=name)
    return lambda: router.add_models(table, table["score"])


@pytest.mark.parametrize("name", ROUTERS)
def test_no_writer_loses_the_models_of_another(name):
    router = clone(ROUTERS[name]).fit(LOG, LOG["score"])
    names = [f"new {i}" for i in range(8)]
    for _ in range(5):
        start = threading.Barrier(8)

        def add(name, start=start):
            start.wait()
            addition(router, name)()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(add, names))
        assert set(names) <= set(router.models_)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: router.remove_models([name]), names))
        assert not set(names) & set(router.models_)


def test_locks_are_no_part_of_copies_and_pickles():
    router = clone(ROUTERS["linear"]).fit(LOG, LOG["score"])
    addition(router, "new")()
    before = set(vars(router))
    for twin in (
        copy.copy(router),
        copy.deepcopy(router),
        pickle.loads(pickle.dumps(router)),
    ):
        assert set(vars(twin)) == before
        addition(twin, "another")()
        assert "another" not in router.models_
    assert np.array_equal(clone(router).fit(LOG, LOG["score"]).models_, NAMES)
