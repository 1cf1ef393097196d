"""Decisions as metrics of Prometheus."""

from __future__ import annotations

from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from skl_locus.integrations._decision import Decision

MILLISECONDS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000)
"""Limits of the buckets of durations: a cached vector takes one, a text model ten."""

TENTHS = tuple(i / 10 for i in range(1, 11))
"""Limits of the buckets of P and of trust."""


class RoutingMetrics:
    """Counters and histograms of decisions for Prometheus, an observer of a service.

    It needs prometheus-client: ``pip install 'skl-locus[metrics]'``.

    Parameters
    ----------
    registry : prometheus_client.CollectorRegistry, default=None
        Where the metrics are registered; the default registry of prometheus-client by
        default, which its own servers and those of gateways show. Services that share
        a registry share the metrics.

    Notes
    -----
    ``skl_locus_route_requests_total{model}``
        requests that were routed, by the chosen model;
    ``skl_locus_route_declined_total{reason}``
        requests that were not, by the reason (`Decision.declined`);
    ``skl_locus_route_duration_seconds``
        histogram of the time that decisions took, declined ones included;
    ``skl_locus_route_probability``
        histogram of P(correct) of the chosen models;
    ``skl_locus_route_trust``
        histogram of the trust in queries: the lowest buckets hold queries far from all
        of the log;
    ``skl_locus_route_cost_total{model}``
        expected cost of the chosen models, in the unit of the costs;
    ``skl_locus_route_floor_missed_total{model}``
        requests for which the chosen model does not reach the floor;
    ``skl_locus_pool_models``
        models of the router in service;
    ``skl_locus_router_loads_total{result}``
        routers put in service ("ok") and files that could not be loaded ("failed").

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from prometheus_client import CollectorRegistry
    >>> from skl_locus.integrations import Decision, RoutingMetrics
    >>> registry = CollectorRegistry()
    >>> metrics = RoutingMetrics(registry)
    >>> metrics.observe(Decision(datetime.now(UTC), 0.002, chosen="small"))
    >>> registry.get_sample_value(
    ...     "skl_locus_route_requests_total", {"model": "small"}
    ... )
    1.0
    """

    def __init__(self, registry: Any = None) -> None:
        client = _client()
        self.registry = client.REGISTRY if registry is None else registry
        self._collectors = _collectors_of(self.registry, client)

    def observe(self, decision: Decision) -> None:
        """Count a decision.

        Parameters
        ----------
        decision : Decision
            The decision.
        """
        collectors = self._collectors
        collectors["duration"].observe(decision.duration)
        if decision.declined is not None:
            collectors["declined"].labels(decision.declined).inc()
            return
        model = str(decision.chosen)
        collectors["requests"].labels(model).inc()
        if decision.probability is not None:
            collectors["probability"].observe(decision.probability)
        if decision.trust is not None:
            collectors["trust"].observe(decision.trust)
        if decision.cost is not None:
            collectors["cost"].labels(model).inc(decision.cost)
        if decision.reached is False:
            collectors["floor"].labels(model).inc()

    def observe_pool(self, n_models: int, router_version: str | None = None) -> None:
        """Take note of a router that has been put in service.

        Parameters
        ----------
        n_models : int
            Number of its models.
        router_version : str, default=None
            Not shown: as a label it would make a new series for each router.
        """
        self._collectors["models"].set(n_models)
        self._collectors["loads"].labels("ok").inc()

    def observe_reload_failure(self, error: BaseException) -> None:
        """Count a file that could not be loaded.

        Parameters
        ----------
        error : Exception
            What was raised.
        """
        self._collectors["loads"].labels("failed").inc()


_known: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""Metrics by registry, since a registry takes each name once."""

_guard = Lock()


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError(
            "RoutingMetrics needs prometheus-client, which is not installed here: "
            "pip install 'skl-locus[metrics]'."
        ) from error
    return prometheus_client


def _collectors_of(registry: Any, client: Any) -> dict[str, Any]:
    with _guard:
        if registry not in _known:
            _known[registry] = _make_collectors(registry, client)
        return _known[registry]


def _make_collectors(registry: Any, client: Any) -> dict[str, Any]:
    def counter(name: str, text: str, *labels: str) -> Any:
        return client.Counter(f"skl_locus_{name}", text, labels, registry=registry)

    def histogram(name: str, text: str, limits: tuple[float, ...]) -> Any:
        name = f"skl_locus_{name}"
        return client.Histogram(name, text, buckets=limits, registry=registry)

    return {
        "requests": counter("route_requests", "Requests that were routed.", "model"),
        "declined": counter("route_declined", "Requests without a choice.", "reason"),
        "duration": histogram(
            "route_duration_seconds",
            "Time that a decision took.",
            tuple(limit / 1000 for limit in MILLISECONDS),
        ),
        "probability": histogram(
            "route_probability", "P(correct) of the chosen model.", TENTHS
        ),
        "trust": histogram("route_trust", "Trust in the query.", TENTHS),
        "cost": counter("route_cost", "Expected cost of the chosen models.", "model"),
        "floor": counter(
            "route_floor_missed", "Choices that do not reach the floor.", "model"
        ),
        "models": client.Gauge(
            "skl_locus_pool_models", "Models of the router.", registry=registry
        ),
        "loads": counter("router_loads", "Routers put in service or not.", "result"),
    }
