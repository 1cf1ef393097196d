"""Turns of threads: small computations one by one, large ones at the same time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from skl_locus._utils.turns import SMALL, turn_for


def most_at_a_time(n_numbers):
    """Count how many of four threads are ever inside at once."""
    inside, most, guard = [], [], threading.Lock()

    def compute(_):
        with turn_for(n_numbers):
            with guard:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.02)
            with guard:
                inside.pop()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(compute, range(8)))
    return max(most)


def test_small_computations_take_turns():
    assert most_at_a_time(SMALL) == 1


def test_large_computations_do_not_wait():
    assert most_at_a_time(SMALL + 1) > 1


def test_a_computation_within_another_does_not_wait_for_itself():
    with turn_for(1), turn_for(1):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_does_not_wait_for_a_thread_that_is_not_there():
    entered, done = threading.Event(), threading.Event()

    def hold():
        with turn_for(1):
            entered.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        acquired = turn_for(1).acquire(timeout=5)
        os._exit(0 if acquired else 1)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0
