"""The examples of serving: the nightly job, the hook of LiteLLM and the web service."""

import asyncio
import importlib.util
import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

import skl_locus

EXAMPLES = Path(__file__).parents[2] / "examples" / "serving"


def example(name):
    """Import an example by its file."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a folder with logs and with a router fitted on the first of them."""
    folder = tmp_path_factory.mktemp("serving")
    example("example_logs").main(folder)
    example("nightly").main([str(folder / "router.locus"), str(folder / "log.csv")])
    return folder


@pytest.fixture
def router(made, tmp_path):
    path = tmp_path / "router.locus"
    path.write_bytes((made / "router.locus").read_bytes())
    return path


def run_nightly(capsys, router, log, *options):
    example("nightly").main([str(router), str(log), *options])
    return json.loads(capsys.readouterr().out)


def test_a_night_with_a_better_model_puts_it_in_service(made, router, capsys):
    path = router.with_name("yesterday.csv")
    log = pd.read_csv(made / "week.csv")
    perfect = log[log["model"] == "model-0"].assign(model="perfect", score=1)
    pd.concat([log, perfect]).to_csv(path, index=False)
    outcome = run_nightly(capsys, router, path)
    assert outcome["saved"]
    assert outcome["candidate"] > outcome["current"]
    assert "perfect" in skl_locus.load(router).models_


def test_a_night_that_makes_routes_worse_leaves_the_file(made, router, capsys):
    before = router.read_bytes()
    path = router.with_name("yesterday.csv")
    log = pd.read_csv(made / "week.csv")
    held_out = log["query"].map(example("nightly").is_held_out)
    # By what is learned it is the best of all, and it is always wrong else.
    bad = log[log["model"] == "model-0"].assign(model="bad", score=1 - held_out)
    pd.concat([log, bad]).to_csv(path, index=False)
    outcome = run_nightly(capsys, router, path)
    assert not outcome["saved"]
    assert outcome["candidate"] < outcome["current"]
    assert router.read_bytes() == before


def test_held_out_queries_are_never_learned(made, router, capsys):
    held_out = example("nightly").is_held_out
    log = pd.read_csv(made / "week.csv")
    run_nightly(capsys, router, made / "week.csv", "--tolerance=1")
    known = skl_locus.load(router)._pool.evaluations.queries.keys
    both = pd.concat([pd.read_csv(made / "log.csv"), log])
    texts = both.drop_duplicates("query_id")["query"]
    assert len(known) == (~texts.map(held_out)).sum()
    assert texts.map(held_out).any()


def test_a_policy_is_brought_up_to_date_too(made, router, capsys):
    nightly = example("nightly")
    costs = pd.read_csv(made / "costs.csv").set_index("model")["cost"].to_dict()
    log = pd.read_csv(made / "week.csv")
    held_out = log[log["query"].map(nightly.is_held_out)]
    policy = skl_locus.RouterPolicy(
        skl_locus.load(router), cost_model=costs, cost_weight=0.01
    )
    skl_locus.save(policy.fit(held_out, held_out["score"]), router)
    path = router.with_name("yesterday.csv")
    # A log of a new model alone says nothing about the routes of today.
    pd.concat([log, pd.read_csv(made / "new_model.csv")]).to_csv(path, index=False)
    result = run_nightly(capsys, router, path, "--tolerance=1")
    assert result["saved"]
    assert {"current_cost", "candidate_cost"} < result.keys()
    saved = skl_locus.load(router)
    assert isinstance(saved, skl_locus.RouterPolicy)
    assert "model-5" in saved.router.models_


def test_a_night_without_held_out_queries_changes_nothing(made, router):
    nightly, before = example("nightly"), router.read_bytes()
    log = pd.read_csv(made / "week.csv")
    path = router.with_name("yesterday.csv")
    log[~log["query"].map(nightly.is_held_out)].to_csv(path, index=False)
    with pytest.raises(SystemExit, match="held-out"):
        nightly.main([str(router), str(path)])
    assert router.read_bytes() == before


def stub_of_litellm(monkeypatch):
    """Put a module in the place of LiteLLM that has what the hook derives from."""
    logger = types.ModuleType("litellm.integrations.custom_logger")
    logger.CustomLogger = type("CustomLogger", (), {})
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, logger.__name__, logger)
    monkeypatch.delitem(sys.modules, "skl_locus.integrations.litellm", raising=False)


def test_the_configuration_of_litellm_names_a_hook_that_routes(router, monkeypatch):
    yaml = pytest.importorskip("yaml")
    if find_spec("litellm") is None:
        stub_of_litellm(monkeypatch)
    config = yaml.safe_load((EXAMPLES / "litellm_config.yaml").read_text())
    module, _, name = config["litellm_settings"]["callbacks"].partition(".")
    monkeypatch.setenv("SKL_LOCUS_ROUTER", str(router))
    hook = getattr(example(module), name)
    deployments = [
        {**entry, "model_info": {"id": str(number)}}
        for number, entry in enumerate(config["model_list"])
    ]
    assert {entry["model_name"] for entry in deployments} == {"auto"}
    text = "about task-1, see query-299"
    messages = [{"role": "user", "content": text}]
    (kept,) = asyncio.run(hook.async_filter_deployments("auto", deployments, messages))
    expected = skl_locus.load(router).route([text], ["model-0", "model-1", "model-2"])
    assert kept["litellm_params"]["model"] == f"openai/{expected[0]}"
    hook.service.close()


@pytest.fixture
def client(router):
    pytest.importorskip("prometheus_client")
    testing = pytest.importorskip("fastapi.testclient")
    app = example("service").make_app(router, timeout=None)
    with testing.TestClient(app) as client:
        yield client


def test_the_service_names_the_best_model(client, router):
    text = "about task-1, see query-299"
    answer = client.post("/route", json={"text": text}).json()
    assert answer["model"] == skl_locus.load(router).route([text])[0]
    assert answer["declined"] is None
    messages = [{"role": "user", "content": text}]
    by_messages = client.post("/route", json={"messages": messages}).json()
    assert by_messages["model"] == answer["model"]
    some = client.post("/route", json={"text": text, "models": ["model-3"]}).json()
    assert some["model"] == "model-3"
    none = client.post("/route", json={"text": text, "models": ["gone"]}).json()
    assert (none["model"], none["declined"]) == (None, "no_models")


@pytest.mark.parametrize(
    "body",
    [{}, {"text": "a", "messages": []}, {"text": 7}, [], {"text": "a" * 200_001}],
)
def test_requests_that_cannot_be_used_are_refused(client, body):
    assert client.post("/route", json=body).status_code == 422


def test_the_service_says_how_it_is(client, router):
    client.post("/route", json={"text": "about task-1"})
    client.post("/route", json={"messages": []})
    models = client.get("/v1/models").json()["data"]
    assert [model["id"] for model in models] == skl_locus.load(router).models_.tolist()
    health = client.get("/health").json()
    assert (health["status"], health["models"]) == ("ok", 5)
    assert health["counts"] == {"decided": 1, "no_text": 1}
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'skl_locus_route_declined_total{reason="no_text"} 1.0' in metrics.text
    assert "skl_locus_pool_models 5.0" in metrics.text
