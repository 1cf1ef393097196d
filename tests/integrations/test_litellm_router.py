"""The hook in a real LiteLLM Router, in front of servers on this machine."""

import asyncio
from collections import Counter

import litellm
import pytest
from chat_router import MODELS, TEXTS, chat_router, user
from chat_servers import chat_servers

import skl_locus
from skl_locus.exceptions import ServiceWarning
from skl_locus.integrations.litellm import RouterHook

# What LiteLLM and its clients warn of is no fault of this package.
pytestmark = pytest.mark.filterwarnings("default", "ignore:.*ReadOnly:UserWarning")

FEW = ["model-0", "model-4", "model-8"]


@pytest.fixture(scope="module")
def router():
    return chat_router()


@pytest.fixture(autouse=True)
def _forget_callbacks():
    yield
    litellm.logging_callback_manager._reset_all_callbacks()


def hook_of(router, **parameters):
    """Return a hook that waits as long as a busy machine takes."""
    return RouterHook(router, timeout=None, **parameters)


def deployments(servers, group="auto", **info):
    return [
        {
            "model_name": group,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": server.url,
                "api_key": "none",
            },
            **info,
        }
        for name, server in servers.items()
    ]


def gateway(servers, hook, **settings):
    """Return a LiteLLM Router with the hook, whose retries do not wait."""
    litellm.callbacks = [hook]
    settings = {"num_retries": 9, "timeout": 20, "retry_after": 0} | settings
    return litellm.Router(model_list=deployments(servers), **settings)


def best(router, text, models):
    return router.rank([text], models=sorted(models)).labels[0].tolist()


async def ask(gateway, text, **kwargs):
    answer = await gateway.acompletion(model="auto", messages=user(text), **kwargs)
    return answer.choices[0].message.content


def test_the_best_model_of_each_text_answers(router):
    with chat_servers(FEW) as servers:
        hook = hook_of(router)
        auto = gateway(servers, hook)
        answers = asyncio.run(_in_turn(auto, TEXTS[:6]))
    assert answers == [best(router, text, FEW)[0] for text in TEXTS[:6]]
    assert len(set(answers)) > 1
    assert hook.service.counts == {"decided": 6}


async def _in_turn(auto, texts):
    return [await ask(auto, text) for text in texts]


def test_every_form_of_request_is_routed(router):
    text = TEXTS[1]

    async def in_all_forms(auto):
        stream = await auto.acompletion(model="auto", messages=user(text), stream=True)
        pieces = [chunk.choices[0].delta.content async for chunk in stream]
        blocks = user([{"type": "text", "text": text}])
        message = await auto.aanthropic_messages(
            model="auto", messages=blocks, max_tokens=9
        )
        response = await auto.aresponses(model="auto", input=text)
        items = [{"role": "user", "content": [{"type": "input_text", "text": text}]}]
        listed = await auto.aresponses(model="auto", input=items)
        return [
            "".join(filter(None, pieces)),
            message["content"][0]["text"],
            response.output[0].content[0].text,
            listed.output[0].content[0].text,
        ]

    with chat_servers(FEW) as servers:
        answers = asyncio.run(in_all_forms(gateway(servers, hook_of(router))))
    assert answers == [best(router, text, FEW)[0]] * 4


@pytest.mark.parametrize("n_down", [1, 2, 6])
def test_retries_go_down_the_ranking(router, n_down):
    text = TEXTS[0]
    order = best(router, text, MODELS)
    with chat_servers(MODELS) as servers:
        for name in order[:n_down]:
            servers[name].behaviour = "fail"
        # Without cooldowns, every server is offered for every retry.
        auto = gateway(servers, hook_of(router), disable_cooldowns=True)
        metadata = {"user": "somebody"}
        answers = [
            asyncio.run(ask(auto, text, metadata=metadata, max_retries=0))
            for _ in range(2)
        ]
        asked = {name: len(server.requests) for name, server in servers.items()}
    assert answers == [order[n_down]] * 2
    # LiteLLM remembers four failures only; none may be asked twice for one request.
    assert asked == dict.fromkeys(order[: n_down + 1], 2) | dict.fromkeys(
        order[n_down + 1 :], 0
    )


def test_a_server_that_hangs_is_left_and_one_that_recovers_is_used(router):
    text = TEXTS[2]
    order = best(router, text, FEW)

    async def hang_and_recover(auto, servers):
        servers[order[0]].behaviour = "hang"
        first = await ask(auto, text, timeout=0.5, max_retries=0)
        servers[order[0]].behaviour = "answer"
        return first, await ask(auto, text, timeout=20)

    with chat_servers(FEW) as servers:
        auto = gateway(servers, hook_of(router), disable_cooldowns=True)
        assert asyncio.run(hang_and_recover(auto, servers)) == (order[1], order[0])


def test_models_in_cooldown_are_not_asked(router):
    text = TEXTS[0]
    order = best(router, text, FEW)
    with chat_servers(FEW) as servers:
        servers[order[0]].behaviour = "fail"
        auto = gateway(servers, hook_of(router), cooldown_time=600, allowed_fails=0)
        answers = [asyncio.run(ask(auto, text, max_retries=0)) for _ in range(3)]
        asked = len(servers[order[0]].requests)
    assert answers == [order[1]] * 3
    assert asked == 1


def test_without_text_litellm_chooses(router):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with chat_servers(FEW) as servers:
        hook = hook_of(router)
        auto = gateway(servers, hook)
        answer = asyncio.run(ask(auto, [image]))
    assert answer in FEW
    assert hook.service.counts == {"no_text": 1}


def test_groups_that_the_router_does_not_know_are_left_alone(router):
    with chat_servers(["a", "b", FEW[0]]) as servers:
        hook = hook_of(router)
        auto = gateway(servers, hook)
        answers = asyncio.run(_in_turn(auto, TEXTS[:20]))
    # One known model beside others is no choice that the router can make.
    assert set(answers) == {"a", "b", FEW[0]}
    assert hook.service.counts == {}


def test_groups_that_are_named_are_always_judged(router):
    with chat_servers(["a", FEW[0]]) as servers:
        hook = hook_of(router, groups=["auto"])
        assert asyncio.run(ask(gateway(servers, hook), TEXTS[0])) == FEW[0]
        other = hook_of(router, groups=["something else"])
        asyncio.run(ask(gateway(servers, other), TEXTS[0]))
    assert hook.service.counts == {"decided": 1}
    assert other.service.counts == {}


def test_deployments_are_named_by_id_model_group_or_a_given_mapping(router):
    hook = hook_of(router, labels={"openai/gpt": "model-1", "eu": "model-2"})

    def label(model, group="auto", **info):
        params = {"model": model}
        return hook._label_of(
            {"model_name": group, "litellm_params": params, "model_info": info}
        )

    assert label("openai/model-3") == "model-3"
    assert label("model-3") == "model-3"
    assert label("openai/else", id="model-4") == "model-4"
    assert label("openai/else", group="model-5") == "model-5"
    assert label("openai/gpt", id="model-4") == "model-1"
    assert label("openai/gpt", id="eu") == "model-2"
    assert label("openai/else", id="other") is None
    with pytest.raises(ValueError, match="which the router does not have"):
        hook_of(router, labels={"x": "gone"})
    with pytest.raises(ValueError, match="collection"):
        hook_of(router, groups="auto")


def test_a_routed_group_stays_one_while_models_are_down(router):
    hook = hook_of(router)
    order = best(router, TEXTS[0], FEW)

    def kept(*names):
        offered = [{"litellm_params": {"model": name}} for name in names]
        filtered = hook.async_filter_deployments("auto", offered, user(TEXTS[0]))
        return [d["litellm_params"]["model"] for d in asyncio.run(filtered)]

    assert kept(order[2], "else") == [order[2], "else"]
    assert kept(*FEW, "else") == [order[0]]
    assert kept(order[2], "else") == [order[2]]
    assert kept("else") == ["else"]
    assert hook.service.counts == {"decided": 2, "no_models": 1}


def test_an_error_of_the_hook_loses_no_request(router):
    hook = hook_of(router)
    offered = [{"litellm_params": {"model": name}} for name in FEW]
    request = {"metadata": {"previous_models": ["not", "attempts"]}}
    filtered = hook.async_filter_deployments("auto", offered, user("x"), request)
    with pytest.warns(ServiceWarning, match="could not be judged"):
        assert asyncio.run(filtered) == offered
    assert hook.service.counts == {"error": 1}


def test_equal_models_share_the_load(router):
    text = TEXTS[0]
    winner = best(router, text, FEW)[0]
    labels = {"east": winner, "west": winner}
    labels |= {name: name for name in FEW if name != winner}
    with chat_servers(labels) as servers:
        auto = gateway(servers, hook_of(router, labels=labels))
        answers = asyncio.run(_in_turn(auto, [text] * 20))
    assert set(answers) == {"east", "west"}


def test_sessions_stay_with_their_model(router):
    first, second = (best(router, text, FEW)[0] for text in TEXTS[:2])
    assert first != second

    async def two_turns(auto, **metadata):
        texts = TEXTS[:2]
        return [await ask(auto, text, metadata=dict(metadata)) for text in texts]

    async def conversations(auto):
        session = {"session_id": "s"}
        return [
            await two_turns(auto, **session),
            await two_turns(auto, **session, user_api_key_hash="of another"),
            await two_turns(auto),
            await two_turns(auto, **session, litellm_session_id_generated=True),
        ]

    with chat_servers(FEW) as servers:
        auto = gateway(servers, hook_of(router, switch_margin=1.0))
        answers = asyncio.run(conversations(auto))
    assert answers == [[first] * 2] * 2 + [[first, second]] * 2


def test_no_request_is_lost_while_routers_are_exchanged(router, tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    other = chat_router(MODELS[1:])

    async def ask_while_saving(auto, hook):
        asked = [asyncio.create_task(ask(auto, text)) for text in TEXTS[:12]]
        for saved in (other, router, other):
            skl_locus.save(saved, path)
            asked += [asyncio.create_task(ask(auto, text)) for text in TEXTS[:6]]
            assert await asyncio.to_thread(hook.service.reload)
        return await asyncio.gather(*asked)

    with chat_servers(FEW) as servers:
        hook = hook_of(path, check_every=None)
        auto = gateway(servers, hook)
        answers = asyncio.run(ask_while_saving(auto, hook))
        after = asyncio.run(_in_turn(auto, TEXTS[:3]))
    allowed = [
        {best(r, text, set(FEW) & set(r.models_))[0] for r in (router, other)}
        for text in TEXTS
    ]
    texts = [*range(12), *range(6), *range(6), *range(6)]
    assert all(a in allowed[t] for a, t in zip(answers, texts, strict=True))
    assert after == [best(other, text, FEW[1:])[0] for text in TEXTS[:3]]
    assert hook.service.counts == {"decided": 33, "reloads": 3}


@pytest.mark.parametrize(
    "n_requests", [60, pytest.param(1_000, marks=pytest.mark.integration)]
)
def test_a_third_of_the_servers_down(router, n_requests):
    down = ["model-2", "model-5", "model-8"]
    up = sorted(set(MODELS) - set(down))
    texts = [TEXTS[n % len(TEXTS)] for n in range(n_requests)]

    async def ask_all(auto):
        turns = asyncio.Semaphore(16)

        async def ask_in_turn(text):
            async with turns:
                return await ask(auto, text, max_retries=0)

        return await asyncio.gather(*map(ask_in_turn, texts))

    with chat_servers(MODELS) as servers:
        for name in down:
            servers[name].behaviour = "fail"
        hook = hook_of(router, max_waiting=n_requests)
        answers = asyncio.run(ask_all(gateway(servers, hook)))
        asked = {name: len(server.requests) for name, server in servers.items()}
    assert answers == [best(router, text, up)[0] for text in texts]
    assert sum(asked[name] for name in up) == n_requests
    print("answered:", Counter(answers))  # noqa: T201
    print("asked:", asked, "counts:", hook.service.counts)  # noqa: T201
