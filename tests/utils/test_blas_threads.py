"""Rows divided among threads: the same numbers, and every limit as it was."""

import threading
import warnings

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from skl_locus._utils import blas_threads
from skl_locus._utils.blas_threads import (
    MIN_NUMBERS,
    SMALL,
    map_rows,
    map_tasks,
    undivided_if_small,
)

N_ROWS = 4 * MIN_NUMBERS


@pytest.fixture
def two_threads(monkeypatch):
    """Behave as with two BLAS threads on any machine."""
    monkeypatch.setattr(blas_threads, "_n_threads", lambda controller: 2)


def test_parts_cover_all_rows_in_order(two_threads):
    parts = map_rows(lambda rows: np.arange(N_ROWS)[rows], N_ROWS, 1)
    assert len(parts) == 2
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(N_ROWS))


def test_parts_are_computed_at_the_same_time(two_threads):
    both = threading.Barrier(2, timeout=10)
    map_rows(lambda rows: both.wait(), N_ROWS, 1)


def test_little_work_stays_in_the_calling_thread(two_threads):
    found = map_rows(lambda rows: threading.get_ident(), 2, MIN_NUMBERS - 1)
    assert found == [threading.get_ident()]


def test_blas_threads_are_one_each_and_come_back(two_threads):
    blas = ThreadpoolController().select(user_api="blas")
    with threadpool_limits(2):
        before = [library.num_threads for library in blas.lib_controllers]
        during = map_rows(
            lambda rows: [library.num_threads for library in blas.lib_controllers],
            N_ROWS,
            1,
        )
        after = [library.num_threads for library in blas.lib_controllers]
    assert during == [[1] * len(before)] * 2
    assert after == before


def test_a_request_within_another_is_not_divided(two_threads):
    inner = map_rows(lambda rows: len(map_rows(lambda r: r, N_ROWS, 1)), N_ROWS, 1)
    assert inner == [1, 1]


def test_an_error_leaves_the_next_request_as_fast(two_threads):
    def fail(rows):
        raise RuntimeError("part")

    with pytest.raises(RuntimeError, match="part"):
        map_rows(fail, N_ROWS, 1)
    assert len(map_rows(lambda rows: rows, N_ROWS, 1)) == 2


def test_error_state_of_the_caller_holds_in_all_threads(two_threads):
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error")
        states = map_rows(lambda rows: np.geterr()["over"], N_ROWS, 1)
    assert states == ["ignore", "ignore"]


def test_one_thread_of_blas_is_never_divided():
    with threadpool_limits(1):
        assert len(map_rows(lambda rows: rows, N_ROWS, 1)) == 1


def test_tasks_are_done_at_the_same_time_and_returned_in_order(two_threads):
    both = threading.Barrier(2, timeout=10)

    def work(task):
        both.wait()
        return task

    assert map_tasks(work, range(4)) == [0, 1, 2, 3]


def test_tasks_within_a_limited_block_have_its_threads(two_threads):
    both = threading.Barrier(2, timeout=10)
    with undivided_if_small(SMALL):
        map_tasks(lambda task: both.wait(), range(2))


def test_small_work_is_undivided_and_large_work_is_as_it_was():
    def n_threads():
        blas = ThreadpoolController().select(user_api="blas")
        return {library.num_threads for library in blas.lib_controllers}

    with threadpool_limits(2, user_api="blas"):
        before = n_threads()
        with undivided_if_small(SMALL):
            assert n_threads() == {1}
        with undivided_if_small(SMALL + 1):
            assert n_threads() == before
        assert n_threads() == before


def test_a_task_that_fails_leaves_the_limit_as_it_was(two_threads):
    def fail(task):
        raise RuntimeError("task")

    with pytest.raises(RuntimeError, match="task"):
        map_tasks(fail, range(2))
    assert len(map_rows(lambda rows: rows, N_ROWS, 1)) == 2
