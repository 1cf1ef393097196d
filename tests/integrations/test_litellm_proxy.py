"""The hook in the proxy process of LiteLLM, in front of servers on this machine."""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from chat_router import MODELS, TEXTS, chat_router, user
from chat_servers import chat_servers

import skl_locus

# What the proxy needs besides LiteLLM; see .ci/run for all of it.
PROXY_NEEDS = ("litellm", "fastapi", "uvicorn", "uvloop", "fastapi_sso", "mcp")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not all(map(find_spec, PROXY_NEEDS)),
        reason="the proxy of LiteLLM is not installed",
    ),
]

DOWN = ["model-2", "model-5", "model-8"]
UP = sorted(set(MODELS) - set(DOWN))

# The proxy starts with a key only, which all requests must bring.
KEY = f"sk-{secrets.token_hex(32)}"

START = "from litellm_cli.main import proxy_server; proxy_server()"

HOOK = """
from skl_locus.integrations.litellm import RouterHook

hook = RouterHook(
    {path!r}, switch_margin=1.0, check_every=0.1, timeout=None, max_waiting=10_000
)
"""


@pytest.fixture(scope="module")
def router():
    return chat_router()


@contextmanager
def proxy(folder, servers):
    """Run the proxy with the hook; yield its port."""
    settings = {
        "model_list": [
            {
                "model_name": "auto",
                "litellm_params": {
                    "model": f"openai/{name}",
                    "api_base": server.url,
                    "api_key": "none",
                    "max_retries": 0,
                },
            }
            for name, server in servers.items()
        ],
        "litellm_settings": {"callbacks": "routing.hook"},
        "router_settings": {"num_retries": 9, "timeout": 60},
    }
    # JSON is YAML as well.
    (folder / "config.yaml").write_text(json.dumps(settings))
    path = str(folder / "router.locus")
    (folder / "routing.py").write_text(HOOK.format(path=path))
    port = free_port()
    package = str(Path(skl_locus.__file__).parents[1])
    arguments = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": package, "LITELLM_MASTER_KEY": KEY}
    with open(folder / "proxy.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            wait_until_alive(process, port, folder / "proxy.log")
            yield port
        finally:
            process.terminate()
            process.wait(60)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until_alive(process, port, log):
    for _ in range(3_000):
        if process.poll() is not None:
            raise RuntimeError(log.read_text()[-3_000:])
        try:
            if request(port, "GET", "/health/liveliness")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(log.read_text()[-3_000:])


def request(port, method, path, body=None, **headers):
    """Return the status and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        headers = {"Authorization": f"Bearer {KEY}", **headers}
        headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def ask(port, text, path="/v1/chat/completions", **headers):
    """Return who answers a text, through one of the endpoints."""
    chat = {"model": "auto", "messages": user(text), "max_tokens": 9}
    body = {"model": "auto", "input": text} if path == "/v1/responses" else chat
    status, content = request(port, "POST", path, body, **headers)
    assert status == 200, content
    answer = json.loads(content)
    if path == "/v1/responses":
        return answer["output"][0]["content"][0]["text"]
    if path == "/v1/messages":
        return answer["content"][0]["text"]
    return answer["choices"][0]["message"]["content"]


def best(router, text, models):
    return router.rank([text], models=sorted(models)).labels[0, 0]


def test_the_proxy_sends_each_request_to_the_best_healthy_model(router, tmp_path):
    skl_locus.save(router, tmp_path / "router.locus")
    texts = [TEXTS[n % len(TEXTS)] for n in range(1_000)]
    with chat_servers(MODELS) as servers, proxy(tmp_path, servers) as port:
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
            answers = [ask(port, text, path) for text in TEXTS[:3]]
            assert answers == [best(router, text, MODELS) for text in TEXTS[:3]], path
        stream = {"model": "auto", "messages": user(TEXTS[0]), "stream": True}
        status, content = request(port, "POST", "/v1/chat/completions", stream)
        assert status == 200
        assert best(router, TEXTS[0], MODELS) in content
        for name in DOWN:
            servers[name].behaviour = "fail"
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(ask, port, text) for text in texts]
            # Routers are exchanged meanwhile, by others that route alike.
            for _ in range(5):
                skl_locus.save(router, tmp_path / "router.locus")
                time.sleep(0.2)
            answers = [future.result() for future in asked]
        requests = {name: len(server.requests) for name, server in servers.items()}
    wanted = {text: best(router, text, UP) for text in TEXTS}
    print("answered:", Counter(answers))  # noqa: T201
    print("requests:", requests)  # noqa: T201
    assert answers == [wanted[text] for text in texts]


def test_sessions_of_headers_and_a_reload(router, tmp_path):
    skl_locus.save(router, tmp_path / "router.locus")
    other = chat_router(MODELS[:8])
    with chat_servers(MODELS) as servers, proxy(tmp_path, servers) as port:
        session = {"x-litellm-session-id": "conversation-1"}
        within = [ask(port, text, **session) for text in TEXTS[:2]]
        alone = [ask(port, text) for text in TEXTS[:2]]
        before = ask(port, TEXTS[0])
        skl_locus.save(other, tmp_path / "router.locus")
        wanted = best(other, TEXTS[0], MODELS[:8])
        answers = [before]
        # The file is looked at every 0.1 seconds; each answer comes from either router.
        while answers[-1] != wanted and len(answers) < 1_000:
            answers.append(ask(port, TEXTS[0]))
    assert alone == [best(router, text, MODELS) for text in TEXTS[:2]]
    assert within == [alone[0]] * 2
    assert alone[0] != alone[1]
    assert set(answers) == {best(router, TEXTS[0], MODELS), wanted}
