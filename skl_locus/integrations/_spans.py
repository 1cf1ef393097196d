"""Decisions as spans of OpenTelemetry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from skl_locus.integrations._decision import Decision

SPAN = "skl_locus.route"
"""Name of the spans."""

PREFIX = "skl_locus.router"
"""Beginning of the names of attributes: the conventions of OpenTelemetry for generative
models have none for routing."""

NANOSECONDS = 1_000_000_000


class RoutingSpans:
    """A span of OpenTelemetry for each decision, an observer of a service.

    It needs the API of OpenTelemetry: ``pip install 'skl-locus[opentelemetry]'``. Where
    the application has set up no provider, nothing is recorded.

    Parameters
    ----------
    tracer_provider : opentelemetry.trace.TracerProvider, default=None
        Where spans go; the one of the application by default.

    Notes
    -----
    Each span is called "skl_locus.route", lasts as long as the decision took, and has
    the attributes of `decision_attributes`. Its parent is the current span of the
    thread that calls `observe`, where there is one.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from skl_locus.integrations import Decision, decision_attributes
    >>> decision = Decision(datetime.now(UTC), 0.002, chosen="small", probability=0.9)
    >>> decision_attributes(decision)
    {'skl_locus.router.model': 'small', 'skl_locus.router.probability': 0.9}
    """

    def __init__(self, tracer_provider: Any = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise ImportError(
                "RoutingSpans needs the API of OpenTelemetry, which is not installed "
                "here: pip install 'skl-locus[opentelemetry]'."
            ) from error
        self._tracer = trace.get_tracer("skl_locus", tracer_provider=tracer_provider)

    def observe(self, decision: Decision) -> None:
        """Record a decision as a span.

        Parameters
        ----------
        decision : Decision
            The decision.
        """
        started = decision.time - timedelta(seconds=decision.duration)
        span = self._tracer.start_span(
            SPAN,
            attributes=decision_attributes(decision),
            start_time=_nanoseconds(started),
        )
        span.end(end_time=_nanoseconds(decision.time))


def decision_attributes(decision: Decision) -> dict[str, Any]:
    """Return a decision as attributes of a span.

    Parameters
    ----------
    decision : Decision
        The decision.

    Returns
    -------
    dict
        "skl_locus.router.model", ".probability", ".trust", ".cost", ".reached",
        ".declined", ".version" and ".candidates" (the labels that were ranked, best
        first), and "gen_ai.conversation.id" for the session: what is known of them.
        Labels are texts.
    """
    candidates = [str(label) for label in decision.alternatives]
    attributes = {
        f"{PREFIX}.model": None if decision.chosen is None else str(decision.chosen),
        f"{PREFIX}.probability": _number(decision.probability),
        f"{PREFIX}.trust": _number(decision.trust),
        f"{PREFIX}.cost": _number(decision.cost),
        f"{PREFIX}.reached": _flag(decision.reached),
        f"{PREFIX}.declined": decision.declined,
        f"{PREFIX}.version": decision.router_version,
        f"{PREFIX}.candidates": candidates or None,
        "gen_ai.conversation.id": decision.session,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _nanoseconds(time: Any) -> int:
    return round(time.timestamp() * NANOSECONDS)
