"""Work in forked processes: results, errors, and fresh locks."""

import os
import threading

import pytest

from skl_locus import BestSingleRouter
from skl_locus._utils import forks
from skl_locus._utils.runtime import lock_of

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes cannot be forked here"
)


def in_child(work):
    """Return the exit status of a forked process, 0 where the work returns True."""
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@forks.survives_fork
def thread_of(result):
    if isinstance(result, Exception):
        raise result
    return threading.get_ident(), result


def test_where_nothing_was_forked_the_caller_works_itself():
    assert thread_of("result") == (threading.get_ident(), "result")


@needs_fork
def test_a_forked_process_works_in_a_new_thread():
    def work():
        thread, result = thread_of("result")
        return thread != threading.get_ident() and result == "result"

    assert in_child(work) == 0


@needs_fork
def test_errors_come_out_of_the_new_thread():
    def work():
        with pytest.raises(KeyError, match="lost"):
            thread_of(KeyError("lost"))
        return True

    assert in_child(work) == 0


@needs_fork
def test_a_lock_held_at_the_fork_is_free_in_the_child():
    router = BestSingleRouter()
    held, done = threading.Event(), threading.Event()

    def hold():
        with lock_of(router):
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    try:
        assert in_child(lambda: lock_of(router).acquire(timeout=20)) == 0
    finally:
        done.set()
        holder.join()
