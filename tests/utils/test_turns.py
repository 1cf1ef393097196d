"""Turns of threads: small requests one by one, others at the same time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skl_locus import KNNRouter
from skl_locus._utils.turns import SMALL, turn_of
from skl_locus.datasets import make_evaluations


def most_at_a_time(queries, n_columns=1):
    """Count how many of four threads are ever inside at once."""
    inside, most, guard = [], [], threading.Lock()

    def compute(_):
        with turn_of(queries, n_columns):
            with guard:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.02)
            with guard:
                inside.pop()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(compute, range(8)))
    return max(most)


def test_small_requests_take_turns():
    assert most_at_a_time(np.ones((SMALL, 3))) == 1


def test_large_requests_and_texts_do_not_wait():
    assert most_at_a_time(np.ones((SMALL + 1, 3))) > 1
    assert most_at_a_time(np.ones((1, 3)), SMALL + 1) > 1
    assert most_at_a_time(["a text"]) > 1


def test_a_request_within_another_does_not_wait_for_itself():
    one = np.ones((1, 3))
    with turn_of(one, 1), turn_of(one, 1):
        pass


def test_a_router_takes_turns_of_whole_requests(monkeypatch):
    pool = make_evaluations(n_models=4, n_queries=40, n_features=5, random_state=0)
    log = pool.evaluations
    router, inside = KNNRouter().fit(log, log["score"]), []
    read = router._read_queries

    def slow(queries):
        inside.append(threading.get_ident())
        threading.Event().wait(0.02)
        batch = read(queries)
        assert set(inside) == {threading.get_ident()}
        inside.clear()
        return batch

    monkeypatch.setattr(router, "_read_queries", slow)
    requests = [router.route, router.rank, router.correctness_matrix] * 3
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda request: request(pool.encodings[:1]), requests))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_does_not_wait_for_a_thread_that_is_not_there():
    entered, done = threading.Event(), threading.Event()
    one = np.ones((1, 3))

    def hold():
        with turn_of(one, 1):
            entered.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        acquired = turn_of(one, 1).acquire(timeout=5)
        os._exit(0 if acquired else 1)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0
