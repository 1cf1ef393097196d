"""What clients, disks and slow parts do to a service that they should not hurt."""

import asyncio
import os
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from chat_router import TEXTS, chat_log, chat_router
from stand_in_models import StandInModel

import skl_locus
from skl_locus import KMeansRouter
from skl_locus.exceptions import ServiceWarning
from skl_locus.integrations import RoutingService


@pytest.fixture(scope="module")
def router():
    return chat_router()


class Waiting:
    """An observer that waits until it is released."""

    def __init__(self):
        self.gate, self.reached = threading.Event(), threading.Event()

    def observe(self, _):
        self.reached.set()
        self.gate.wait(60)


def test_an_observer_that_hangs_holds_up_no_request(router):
    observer = Waiting()
    service = RoutingService(
        router, observers=[observer], timeout=0.2, n_threads=1, max_waiting=1
    )
    try:
        start = time.perf_counter()
        decided = service.decide_sync(TEXTS[0])
        declined = [service.decide_sync(TEXTS[0]) for _ in range(3)]
        declined += [asyncio.run(service.decide(TEXTS[0])) for _ in range(3)]
        assert time.perf_counter() - start < 20
        assert decided.chosen is not None
        assert {decision.declined for decision in declined} == {"busy"}
        assert service.counts == {"decided": 1, "busy": 6}
    finally:
        observer.gate.set()
        service.close()


class Hanging(StandInModel):
    """A text model that waits at every text of a request until it is released."""

    def __init__(self):
        super().__init__(0)
        self.gate = threading.Event()

    def encode(self, texts, **options):
        if any("hang" in text for text in texts):
            self.gate.wait(60)
        return super().encode(texts, **options)


def hanging_router(encoder):
    log = chat_log(["model-0", "model-4"])
    return KMeansRouter(2, encoder=encoder, random_state=0).fit(log, log["score"])


def test_while_all_threads_hang_requests_are_declined_at_once():
    encoder = Hanging()
    service = RoutingService(hanging_router(encoder), n_threads=2, timeout=0.3)
    try:
        for number in range(2):
            assert service.decide_sync(f"hang {number}").declined == "timeout"
        start = time.perf_counter()
        declined = [service.decide_sync(f"text {n}").declined for n in range(20)]
        assert declined == ["busy"] * 20
        assert time.perf_counter() - start < 20 * 0.3 / 2
        encoder.gate.set()
        until = time.monotonic() + 60
        while service.decide_sync("text").declined is not None:
            assert time.monotonic() < until
    finally:
        encoder.gate.set()
        service.close()


def test_a_text_model_that_hangs_does_not_keep_a_process_from_ending(tmp_path):
    program = tmp_path / "program.py"
    # The package need not be installed where this runs.
    folder = os.path.dirname(os.path.dirname(skl_locus.__file__))
    program.write_text(
        f"import sys; sys.path.insert(0, {folder!r})\n"
        "import time\n"
        "from skl_locus.integrations._workers import Workers\n"
        "workers = Workers(1, 5)\n"
        "future = workers.submit(time.sleep, 600)\n"
        "print('hangs')\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, timeout=120, check=True
    )
    assert done.stdout.strip() == b"hangs"


def test_a_closed_service_declines(router):
    service = RoutingService(router)
    service.close()
    assert service.decide_sync(TEXTS[0]).declined == "busy"
    assert asyncio.run(service.decide(TEXTS[0])).declined == "busy"


def test_long_texts_and_names_take_a_bounded_memory(router, monkeypatch):
    monkeypatch.setattr("skl_locus.integrations._judge.MAX_CHARACTERS", 500_000)
    service = RoutingService(router, timeout=None)
    service.decide_sync(TEXTS[0], session="s", request_id="r")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(300):
        text = f"{n} {TEXTS[0]} " + "é字" * 15_000
        decision = service.decide_sync(text, session=f"{n}" + "s" * 50_000)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    service.close()
    # Without bounds, 300 texts and names take more than 30 MB.
    assert used < 10e6
    assert len(decision.session) < 200


def test_long_names_of_sessions_are_told_apart(router):
    service = RoutingService(router, switch_margin=1.0, timeout=None)
    same = "s" * 5_000
    algebra, poetry = TEXTS[0], TEXTS[1]
    first = service.decide_sync(algebra, session=same + "1").chosen
    assert service.decide_sync(poetry, session=same + "1").chosen == first
    other = service.decide_sync(poetry, session=same + "2").chosen
    assert other == service.decide_sync(poetry).chosen != first
    service.close()


@pytest.mark.parametrize("session", [{"a": 1}, ["x"], 5])
def test_names_of_sessions_may_be_anything(router, session):
    service = RoutingService(router, timeout=None)
    decision = service.decide_sync(TEXTS[0], session=session)
    assert decision.chosen is not None
    assert decision.session == str(session)
    service.close()


def test_a_single_model_at_hand_may_be_a_text(router):
    service = RoutingService(router, timeout=None)
    assert service.decide_sync(TEXTS[0], models="model-1").chosen == "model-1"
    service.close()


def test_a_file_of_the_same_size_and_time_is_loaded(router, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    service = RoutingService(path, check_every=None)
    status = os.stat(path)
    content = bytearray(path.read_bytes())
    content[-2000:] = bytes(2000)
    # In place, as `cp` writes, and with the time of the file before, as `cp -p` sets.
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.warns(ServiceWarning, match="damaged"):
        assert not service.reload()
    assert service.counts == {"reload_failures": 1}
    service.close()


def test_a_service_of_a_file_keeps_vectors_once(tmp_path):
    encoder = Hanging()
    path = tmp_path / "router.locus"
    skl_locus.save(hanging_router(encoder), path)
    service = RoutingService(path, encoder=encoder, timeout=None)
    own = service._judge._router.query_encoder_
    for text in ("one", "two", "one"):
        service.decide_sync(text)
    assert own.cache_size == 0
    assert len(service._judge._batches) == 3  # with the first text, for warming up
    service.close()


def test_cancelled_requests_give_their_places_back():
    encoder = Hanging()
    router = hanging_router(encoder)
    service = RoutingService(router, n_threads=2, max_waiting=10, timeout=None)

    async def disconnect():
        tasks = [asyncio.create_task(service.decide(f"hang {n}")) for n in range(30)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        left = asyncio.run(disconnect())
        # Ten have waited, and the others were declined before.
        cancelled = [one for one in left if isinstance(one, asyncio.CancelledError)]
        assert len(cancelled) == 10
        encoder.gate.set()
        until = time.monotonic() + 60
        while service.decide_sync("text").declined is not None:
            assert time.monotonic() < until
        places = service._workers._places
        until = time.monotonic() + 60
        while places._value < 10:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        encoder.gate.set()
        service.close()


def test_a_file_may_vanish_and_return_with_other_models(router, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    service = RoutingService(path, check_every=None, timeout=None)
    path.unlink()
    with pytest.warns(ServiceWarning, match="old router stays"):
        assert not service.reload()
    assert service.decide_sync(TEXTS[0], session="s").chosen is not None
    skl_locus.save(chat_router(["model-7", "model-8"]), path)
    assert service.reload()
    # The model of the session is no longer there.
    assert service.decide_sync(TEXTS[0], session="s").chosen in ("model-7", "model-8")
    assert service.counts == {"reload_failures": 1, "reloads": 1, "decided": 2}
    service.close()
