"""A small web service that names the best model for a request.

It answers which model to ask, and asks none itself:

- ``POST /route`` with ``{"text": ...}`` or ``{"messages": [...]}``, and optionally the
  models at hand and the name of a session;
- ``GET /v1/models``, ``GET /health``, and ``GET /metrics`` for Prometheus.

``SKL_LOCUS_ROUTER=router.locus uvicorn --app-dir examples/serving --factory
service:make_app`` starts it (extra ``serving``). It has no authentication: bind it to
the local machine, or put it behind a gateway.
"""

import os
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, Field

from skl_locus.integrations import RoutingMetrics, RoutingService

MAX_TEXT = 200_000
"""Characters of a text, and messages and models of a request, that are accepted."""


class RouteRequest(BaseModel):
    """What is to be routed: a text, or the messages of a chat."""

    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    messages: Annotated[list[dict[str, Any]], Field(max_length=MAX_TEXT)] | None = None
    models: Annotated[list[str], Field(max_length=MAX_TEXT)] | None = None
    session: Annotated[str, Field(max_length=256)] | None = None


class RouteAnswer(BaseModel):
    """The model to ask; None with a reason where the router cannot judge."""

    model: str | None
    probability: float | None
    alternatives: dict[str, float]
    trust: float | None
    declined: str | None
    router_version: str | None


def make_app(router=None, **settings):
    """Make the application around a router's file; settings are the service's."""
    router = router or os.environ.get("SKL_LOCUS_ROUTER", "router.locus")
    registry = CollectorRegistry()
    metrics = RoutingMetrics(registry)
    service = RoutingService(router, observers=[metrics], **settings)

    @asynccontextmanager
    async def lifespan(_):
        yield
        service.close()

    app = FastAPI(title="Router", lifespan=lifespan)

    @app.post("/route")
    async def route(request: RouteRequest) -> RouteAnswer:
        if (request.text is None) == (request.messages is None):
            raise HTTPException(422, "pass either text or messages")
        decision = await service.decide(
            request.messages if request.text is None else request.text,
            models=request.models,
            session=request.session,
        )
        return RouteAnswer(
            model=None if decision.chosen is None else str(decision.chosen),
            probability=decision.probability,
            alternatives={str(k): P for k, P in decision.alternatives.items()},
            trust=decision.trust,
            declined=decision.declined,
            router_version=decision.router_version,
        )

    @app.get("/v1/models")
    async def models():
        data = [{"id": str(label), "object": "model"} for label in service.models]
        return {"object": "list", "data": data}

    @app.get("/health")
    async def health():
        return {
            "status": "ok",
            "router_version": service.router_version,
            "models": len(service.models),
            "counts": service.counts,
        }

    @app.get("/metrics")
    async def prometheus():
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
