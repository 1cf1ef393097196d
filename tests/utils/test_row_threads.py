"""Rows divided among threads: the same numbers, and every limit as it was."""

import threading
import warnings

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from skl_locus._utils import row_threads
from skl_locus._utils.row_threads import MIN_NUMBERS, map_rows

N_ROWS = 4 * MIN_NUMBERS


@pytest.fixture
def two_threads(monkeypatch):
    """Behave as with two BLAS threads on any machine."""
    monkeypatch.setattr(row_threads, "_n_threads", lambda controller: 2)


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
