"""The service between a gateway and a router: reasons, sessions, limits, reloads."""

import asyncio
import sys
import threading
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from chat_router import MODELS, TEXTS, chat_log, chat_router, user
from small import SMALL
from stand_in_models import StandInModel

import skl_locus
from skl_locus import KMeansRouter, LocusRouter, RouterPolicy
from skl_locus._data.queries import text_key
from skl_locus.exceptions import ServiceWarning
from skl_locus.integrations import DECLINED, Observer, RoutingService
from skl_locus.integrations._bounded_map import BoundedMap
from skl_locus.integrations._workers import Workers

FEW = ["model-0", "model-4", "model-8"]


def serve(router, **parameters):
    """Return a service that waits as long as a busy machine takes."""
    return RoutingService(router, **{"timeout": None} | parameters)


class Notes:
    """An observer that keeps everything."""

    def __init__(self):
        self.decisions, self.pools, self.failures = [], [], []

    def observe(self, decision):
        self.decisions.append(decision)

    def observe_pool(self, n_models, router_version):
        self.pools.append((n_models, router_version))

    def observe_reload_failure(self, error):
        self.failures.append(error)


class Encoder(StandInModel):
    """A text model that waits at one text and fails at another; one is far off."""

    def __init__(self):
        super().__init__(0)
        self.gate, self.reached, self.texts = threading.Event(), threading.Event(), []

    def encode(self, texts, **_):
        self.texts += texts
        if "wait" in texts:
            self.reached.set()
            assert self.gate.wait(60)
        if "fail" in texts:
            raise RuntimeError("out of memory")
        far = [[1_000.0] if text == "far" else [1.0] for text in texts]
        return super().encode(texts) * np.float32(far)


@pytest.fixture(scope="module")
def router():
    return chat_router()


@pytest.fixture
def encoder():
    return Encoder()


@pytest.fixture
def odd_router(encoder):
    """A router whose text model waits and fails."""
    log = chat_log(FEW)
    return KMeansRouter(2, encoder=encoder, random_state=0).fit(log, log["score"])


def test_a_decision_says_what_the_router_says(router):
    notes = Notes()
    service = serve(router, observers=[notes])
    before = datetime.now(UTC)
    decision = service.decide_sync(
        user(TEXTS[0]), models=FEW, session="s", request_id="r"
    )
    labels, probabilities = router.rank([TEXTS[0]], models=FEW)
    assert decision.chosen == labels[0, 0]
    assert list(decision.alternatives) == labels[0].tolist()
    np.testing.assert_array_equal(
        list(decision.alternatives.values()), probabilities[0].tolist()
    )
    assert decision.probability == probabilities[0, 0]
    assert decision.digest == text_key(TEXTS[0]).hex()
    assert (decision.session, decision.request_id) == ("s", "r")
    assert before <= decision.time <= datetime.now(UTC)
    assert decision.duration > 0
    nothing = ("declined", "trust", "cost", "reached", "router_version")
    assert [getattr(decision, name) for name in nothing] == [None] * 5
    assert notes.decisions == [decision]
    assert notes.pools == [(9, None)]
    assert isinstance(notes, Observer)
    assert service.counts == {"decided": 1}
    assert not any(TEXTS[0] in str(value) for value in vars(decision).values())


def test_both_ways_to_ask_agree(router):
    service = serve(router)
    waited = [service.decide_sync(text).chosen for text in TEXTS[:6]]
    decisions = _gathered(service, TEXTS[:6])
    assert [decision.chosen for decision in decisions] == waited
    assert waited == router.route(TEXTS[:6]).tolist()


def _gathered(service, requests, **kwargs):
    async def ask_all():
        tasks = [service.decide(request, **kwargs) for request in requests]
        return await asyncio.gather(*tasks)

    return asyncio.run(ask_all())


def test_models_that_the_router_does_not_know_are_left_out(router):
    service = serve(router)
    decision = service.decide_sync(TEXTS[0], models=["gpt", "model-3", "model-3"])
    assert list(decision.alternatives) == ["model-3"]
    unknown = service.decide_sync(TEXTS[0], models=["gpt"])
    empty = service.decide_sync(TEXTS[0], models=[])
    assert unknown.declined == empty.declined == "no_models"
    assert unknown.digest == decision.digest
    assert service.label_of("gpt") is None
    assert service.models == MODELS


def test_labels_need_not_be_texts():
    log = chat_log(FEW).replace({"model": {name: n for n, name in enumerate(FEW)}})
    log["model"] = log["model"].astype(int)
    router = KMeansRouter(2, encoder=Encoder(), random_state=0).fit(log, log["score"])
    service = serve(router)
    assert set(service.decide_sync("x", models=["2", 1]).alternatives) == {1, 2}


def test_requests_without_text_are_declined(router):
    service = serve(router)
    decision = service.decide_sync([{"role": "user", "content": None}])
    assert (decision.declined, decision.chosen, decision.digest) == (
        "no_text",
        None,
        None,
    )
    assert service.counts == {"no_text": 1}


def test_what_is_far_from_the_log_is_declined():
    log = chat_log(FEW)
    router = LocusRouter(**SMALL, encoder=Encoder()).fit(log, log["score"])
    service = serve(router, min_trust=0.99)
    known, far = service.decide_sync(TEXTS[0]), service.decide_sync("far")
    trusts = router.trust([TEXTS[0], "far"])
    assert [known.trust, far.trust] == trusts.tolist()
    assert trusts[1] < 0.99 <= trusts[0]
    assert (known.declined, far.declined) == (None, "low_trust")
    assert far.chosen is None
    assert list(far.alternatives) == router.rank(["far"]).labels[0].tolist()
    with pytest.raises(ValueError, match="min_trust needs"):
        serve(chat_router(FEW), min_trust=0.5)


def test_costs_decide_as_in_the_router(router):
    costs = {model: n / 10 for n, model in enumerate(MODELS)}
    rules = {"costs": costs, "cost_weight": 1.0}
    service = serve(router, policy=rules)
    decisions = [service.decide_sync(text) for text in TEXTS[:3]]
    wanted = router.route(TEXTS[:3], **rules).tolist()
    assert [decision.chosen for decision in decisions] == wanted
    assert [decision.cost for decision in decisions] == [costs[m] for m in wanted]
    floor = serve(router, policy={"costs": costs, "min_correctness": 0.99})
    assert floor.decide_sync(TEXTS[0]).reached is False


def test_models_without_a_cost_are_never_chosen(router):
    costs = dict.fromkeys(MODELS[1:], 1.0)
    with pytest.warns(ServiceWarning, match="no cost of 1 models"):
        service = serve(router, policy={"costs": costs, "cost_weight": 0.0})
    assert service.models == MODELS[1:]
    assert service.decide_sync(TEXTS[0], models=MODELS[:1]).declined == "no_models"


def test_a_policy_decides_in_place_of_its_router(router):
    costs = {model: n / 10 for n, model in enumerate(MODELS)}
    held_out = chat_log()
    held_out["query"] += " and more"
    policy = RouterPolicy(router, cost_model=costs, cost_weight=0.5, switch_margin=9.0)
    policy.fit(held_out, held_out["score"])
    for service in (serve(policy), serve(router, policy=policy)):
        first, second = (
            service.decide_sync(text, models=FEW, session="s") for text in TEXTS[:2]
        )
        others = [model for model in MODELS if model not in FEW]
        ranking = policy.rank([TEXTS[0]], unavailable=others)
        assert list(first.alternatives) == ranking.labels[0].tolist()
        assert first.cost == costs[first.chosen]
        # The margin of the policy keeps the model of the session.
        assert second.chosen == first.chosen


def test_a_pipeline_reads_texts_before_its_router():
    from sklearn.pipeline import make_pipeline

    log = chat_log(FEW)
    encoder = skl_locus.QueryEncoder(Encoder())
    pipeline = make_pipeline(encoder, KMeansRouter(2, random_state=0))
    pipeline.fit(log, log["score"])
    decision = serve(pipeline).decide_sync(TEXTS[0])
    wanted = pipeline[-1].route(pipeline[:-1].transform([TEXTS[0]]))[0]
    assert decision.chosen == wanted


def test_sessions_keep_their_model(router):
    service = serve(router, switch_margin=1.0)
    alone = [service.decide_sync(text).chosen for text in TEXTS[:2]]
    assert alone[0] != alone[1]

    def second(**names):
        service.decide_sync(TEXTS[0], **names)
        return service.decide_sync(TEXTS[1], **names).chosen

    assert second(session="s") == alone[0]
    assert second(session="s", scope="another") == alone[0]
    assert service.decide_sync(TEXTS[1], session="new").chosen == alone[1]
    # A model that is not at hand is no model to stay with.
    others = [model for model in MODELS if model != alone[0]]
    decision = service.decide_sync(TEXTS[0], session="s", models=others)
    assert decision.chosen == router.route([TEXTS[0]], models=others)[0]


def test_bounded_maps_forget_what_is_old_or_not_used():
    now = [0.0]
    entries = BoundedMap(2, time_to_live=10, clock=lambda: now[0])
    entries.set("a", 1)
    entries.set("b", 2)
    assert entries.get("a") == 1
    entries.set("c", 3)
    assert [entries.get(key) for key in "abc"] == [1, None, 3]
    now[0] = 8.0
    entries.set("a", 4)
    now[0] = 11.0
    assert [entries.get(key) for key in "ac"] == [4, None]
    assert len(entries) == 1
    nothing = BoundedMap(0)
    nothing.set("a", 1)
    assert nothing.get("a") is None


def test_equal_texts_are_encoded_once(odd_router, encoder):
    service = serve(odd_router, n_texts=1)
    encoder.texts.clear()
    for text in ("new", "new", "other", "other", "new"):
        service.decide_sync(text)
    assert encoder.texts.count("new") <= 2
    assert encoder.texts.count("other") == 1


def test_errors_are_declined_and_warned_of_once(odd_router):
    service = serve(odd_router)
    with pytest.warns(ServiceWarning, match="out of memory") as warned:
        decisions = [service.decide_sync("fail") for _ in range(3)]
    assert [decision.declined for decision in decisions] == ["error"] * 3
    assert len(warned) == 1
    assert service.counts == {"error": 3}


def test_what_takes_too_long_is_declined_and_forgotten(odd_router, encoder):
    notes = Notes()
    service = serve(odd_router, timeout=0.05, observers=[notes])
    assert service.decide_sync("wait", session="s").declined == "timeout"
    (waiting,) = _gathered(service, ["wait"], session="s")
    assert waiting.declined == "timeout"
    encoder.gate.set()
    service.close()
    assert [decision.declined for decision in notes.decisions] == ["timeout"] * 2
    assert len(service._sessions) == 0


def test_the_event_loop_goes_on_while_a_decision_is_computed(odd_router, encoder):
    service = serve(odd_router)

    async def count_meanwhile():
        task = asyncio.create_task(service.decide("wait"))
        beats = 0
        while not encoder.reached.is_set() or beats < 100:
            await asyncio.sleep(0.001)
            beats += 1
        assert not task.done()
        encoder.gate.set()
        return (await task).chosen

    assert asyncio.run(count_meanwhile()) in FEW


def test_too_many_requests_are_declined_at_once(odd_router, encoder):
    service = serve(odd_router, n_threads=1, max_waiting=2)

    async def flood():
        tasks = [asyncio.create_task(service.decide("wait")) for _ in range(2)]
        await asyncio.to_thread(encoder.reached.wait)
        declined = [await service.decide("x") for _ in range(3)]
        declined.append(await asyncio.to_thread(service.decide_sync, "x"))
        encoder.gate.set()
        return declined, await asyncio.gather(*tasks)

    declined, decided = asyncio.run(flood())
    assert [decision.declined for decision in declined] == ["busy"] * 4
    assert [decision.declined for decision in decided] == [None] * 2
    assert service.counts == {"busy": 4, "decided": 2}
    assert service.decide_sync("x").chosen in FEW


def test_workers_start_anew_in_a_forked_process(monkeypatch):
    workers = Workers(1, 1)
    gate = threading.Event()
    running = workers.submit(gate.wait, 60)
    assert workers.submit(int) is None
    monkeypatch.setattr("skl_locus.integrations._workers.os.getpid", lambda: -1)
    assert workers.submit(int).result(60) == 0
    gate.set()
    assert running.result(60)
    workers.close()


def test_errors_of_observers_fail_no_request(router):
    class Broken:
        def observe(self, decision):
            raise OSError("disk full")

    notes = Notes()
    service = serve(router, observers=[Broken(), notes])
    with pytest.warns(ServiceWarning, match="disk full") as warned:
        decisions = [service.decide_sync(text) for text in TEXTS[:3]]
    assert len(warned) == 1
    assert all(decision.chosen for decision in decisions)
    assert notes.decisions == decisions
    assert service.counts == {"decided": 3, "observer_errors": 3}


def test_a_new_file_is_put_in_service(router, tmp_path):
    path, notes = tmp_path / "router.locus", Notes()
    skl_locus.save(router, path)
    service = serve(path, check_every=None, observers=[notes])
    old = service.router_version
    assert service.decide_sync(TEXTS[0]).router_version == old
    assert not service.reload()
    skl_locus.save(chat_router(FEW), path)
    assert service.models == MODELS
    assert service.reload()
    assert service.models == FEW
    assert service.router_version != old
    assert notes.pools == [(9, old), (3, service.router_version)]
    assert service.counts == {"decided": 1, "reloads": 1}


def test_a_damaged_file_leaves_the_old_router(router, tmp_path):
    path, notes = tmp_path / "router.locus", Notes()
    skl_locus.save(router, path)
    service = serve(path, check_every=None, observers=[notes])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.warns(ServiceWarning, match="could not be loaded"):
        assert not service.reload()
    # The same file is not read again.
    assert not service.reload()
    assert service.counts == {"reload_failures": 1}
    assert len(notes.failures) == 1
    assert service.decide_sync(TEXTS[0]).chosen in MODELS
    path.unlink()
    with pytest.warns(ServiceWarning, match="could not be loaded"):
        assert not service.reload()
    path.write_bytes(whole)
    assert service.reload()
    skl_locus.save(KMeansRouter(2), path)
    with pytest.warns(ServiceWarning, match="could not be loaded"):
        assert not service.reload()
    assert service.decide_sync(TEXTS[0]).chosen in MODELS


def test_requests_look_at_the_file_from_time_to_time(router, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    often, seldom = (serve(path, check_every=s) for s in (0.0, 3_600.0))
    skl_locus.save(chat_router(FEW), path)
    for service in (often, seldom):
        service.decide_sync(TEXTS[0])
        for thread in threading.enumerate():
            if thread.name == "skl-locus reload":
                thread.join(60)
    assert often.models == FEW
    assert seldom.models == MODELS


def test_a_text_model_is_given_back_to_each_file(odd_router, encoder, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(odd_router, path)
    service = serve(path, encoder=encoder, check_every=None)
    skl_locus.save(odd_router, path)
    assert service.reload()
    assert service.decide_sync("new").chosen == odd_router.route(["new"])[0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"policy": {"budget": 1}}, "policy has 'budget'"),
        ({"policy": "cheap"}, "policy must be"),
        ({"policy": {"costs": {}}}, "cost"),
        ({"min_trust": 2}, "min_trust must lie"),
        ({"encoder": "all-MiniLM-L6-v2"}, "encoder= is for"),
        ({"switch_margin": -1.0}, "switch_margin"),
    ],
)
@pytest.mark.filterwarnings("ignore::skl_locus.exceptions.ServiceWarning")
def test_bad_arguments_are_refused_at_the_start(router, arguments, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        serve(router, **arguments)


def test_routers_that_cannot_serve_are_refused_at_the_start(router):
    vectors = pd.DataFrame({"model": ["a", "b"], "x": [0.5, 2.0], "score": [0, 0.5]})
    unread = KMeansRouter(1, random_state=0).fit(vectors, vectors["score"])
    with pytest.raises(ValueError, match="encoder"):
        serve(unread)
    with pytest.raises(TypeError, match="router"):
        serve(object())
    policy = RouterPolicy(chat_router(FEW))
    with pytest.raises(ValueError, match="another router"):
        serve(router, policy=policy)


def test_all_reasons_are_listed():
    reasons = {"no_text", "no_models", "low_trust", "busy", "timeout", "error"}
    assert set(DECLINED) == reasons


def test_without_litellm_the_hook_names_the_extra(monkeypatch):
    for name in ("litellm", "litellm.integrations.custom_logger"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "skl_locus.integrations.litellm", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"skl-locus\[litellm\]"):
        import skl_locus.integrations.litellm  # noqa: F401
