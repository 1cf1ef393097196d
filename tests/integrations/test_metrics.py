"""Decisions as metrics of Prometheus and as spans of OpenTelemetry."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from skl_locus.integrations import (
    Decision,
    Observer,
    RoutingMetrics,
    RoutingSpans,
    decision_attributes,
)

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CHOSEN = Decision(
    NOW,
    0.004,
    session="s",
    chosen="small",
    probability=0.75,
    alternatives={"small": 0.75, 7: 0.5},
    trust=0.05,
    cost=0.5,
    reached=False,
    router_version="abc",
)
DECLINED = Decision(NOW, 0.5, declined="low_trust", trust=0.01)


@pytest.fixture
def registry():
    client = pytest.importorskip("prometheus_client", reason="of the extra 'metrics'")
    return client.CollectorRegistry()


def test_decisions_are_counted_under_the_names_of_the_page(registry):
    metrics = RoutingMetrics(registry)
    assert isinstance(metrics, Observer)
    for decision in (CHOSEN, CHOSEN, DECLINED):
        metrics.observe(decision)
    metrics.observe_pool(12, "abc")
    metrics.observe_reload_failure(OSError("no file"))

    def value(name, **labels):
        return registry.get_sample_value(f"skl_locus_{name}", labels)

    assert value("route_requests_total", model="small") == 2
    assert value("route_declined_total", reason="low_trust") == 1
    assert value("route_duration_seconds_count") == 3
    assert value("route_duration_seconds_sum") == pytest.approx(0.508)
    assert value("route_duration_seconds_bucket", le="0.005") == 2
    assert value("route_probability_bucket", le="0.7") == 0
    assert value("route_probability_bucket", le="0.8") == 2
    assert value("route_trust_bucket", le="0.1") == 2
    assert value("route_cost_total", model="small") == 1.0
    assert value("route_floor_missed_total", model="small") == 2
    assert value("pool_models") == 12
    assert value("router_loads_total", result="ok") == 1
    assert value("router_loads_total", result="failed") == 1


def test_what_a_page_of_prometheus_shows_has_the_documented_names(registry):
    client = pytest.importorskip("prometheus_client")
    RoutingMetrics(registry).observe(CHOSEN)
    page = client.generate_latest(registry).decode()
    documented = [
        line.split("``")[1].partition("{")[0]
        for line in RoutingMetrics.__doc__.splitlines()
        if line.strip().startswith("``skl_locus")
    ]
    assert len(documented) == 9
    for name in documented:
        assert f"# TYPE {name} " in page


def test_services_of_one_registry_share_its_metrics(registry):
    for metrics in (RoutingMetrics(registry), RoutingMetrics(registry)):
        metrics.observe(CHOSEN)
    labels = {"model": "small"}
    assert registry.get_sample_value("skl_locus_route_requests_total", labels) == 2


def test_threads_lose_no_decision(registry):
    metrics = RoutingMetrics(registry)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(metrics.observe, [CHOSEN] * 800))
    labels = {"model": "small"}
    assert registry.get_sample_value("skl_locus_route_requests_total", labels) == 800


@pytest.mark.parametrize(
    ("observer", "package", "extra"),
    [
        (RoutingMetrics, "prometheus_client", "metrics"),
        (RoutingSpans, "opentelemetry", "opentelemetry"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    observer, package, extra, monkeypatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"skl-locus\[{extra}\]"):
        observer()


def test_attributes_hold_what_is_known():
    assert decision_attributes(CHOSEN) == {
        "skl_locus.router.model": "small",
        "skl_locus.router.probability": 0.75,
        "skl_locus.router.trust": 0.05,
        "skl_locus.router.cost": 0.5,
        "skl_locus.router.reached": False,
        "skl_locus.router.version": "abc",
        "skl_locus.router.candidates": ["small", "7"],
        "gen_ai.conversation.id": "s",
    }
    assert decision_attributes(DECLINED) == {
        "skl_locus.router.trust": 0.01,
        "skl_locus.router.declined": "low_trust",
    }


def test_decisions_are_spans_below_the_span_of_the_request():
    reason = "opentelemetry-sdk"
    export = pytest.importorskip("opentelemetry.sdk.trace.export", reason=reason)
    memory = pytest.importorskip(
        "opentelemetry.sdk.trace.export.in_memory_span_exporter", reason=reason
    )
    from opentelemetry.sdk.trace import TracerProvider

    provider, exporter = TracerProvider(), memory.InMemorySpanExporter()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    spans = RoutingSpans(provider)
    assert isinstance(spans, Observer)
    with provider.get_tracer("gateway").start_as_current_span("request") as request:
        spans.observe(CHOSEN)
    spans.observe(DECLINED)
    routed, _, declined = exporter.get_finished_spans()
    assert routed.name == declined.name == "skl_locus.route"
    assert routed.parent.span_id == request.get_span_context().span_id
    assert declined.parent is None
    found = {**routed.attributes}
    found["skl_locus.router.candidates"] = [*found["skl_locus.router.candidates"]]
    assert found == decision_attributes(CHOSEN)
    assert routed.end_time - routed.start_time == 4_000_000
    assert routed.end_time == NOW.timestamp() * 1e9
