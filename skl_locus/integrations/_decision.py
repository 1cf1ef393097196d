"""The decision on one request, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Decision:
    """What a routing service decided for one request.

    It holds no text of the query, only its digest. All labels are those of the router.

    Parameters
    ----------
    time : datetime
        When the decision was made, in UTC and aware of it.
    duration : float
        Seconds that it took, from the messages to the decision.
    request_id : str, default=None
        Name of the request, as the caller gave it.
    session : str, default=None
        Name of the session that the request belongs to.
    digest : str, default=None
        Digest of the text that was routed by, in hexadecimal digits: the same that the
        router has for a query with this text. None if there was no text.
    chosen : label, default=None
        The model; None if the service declined.
    probability : float, default=None
        P(correct) of the chosen model.
    alternatives : mapping of label to float, default={}
        P(correct) of the models that were ranked, best first; the chosen model is the
        first.
    trust : float, default=None
        Trust in the query, in [0, 1]; None where the router has none.
    cost : float, default=None
        Expected cost of the chosen model; None without costs.
    reached : bool, default=None
        Whether the chosen model reaches the floor of the policy; None without one.
    declined : str, default=None
        Why the service declined, one of `DECLINED`; None where a model was chosen.
    router_version : str, default=None
        Version of the router that decided: the first digits of the checksum of its
        file, which changes with every save; None for a router without a file.
    """

    time: datetime
    duration: float
    request_id: str | None = None
    session: str | None = None
    digest: str | None = None
    chosen: Any = None
    probability: float | None = None
    alternatives: Mapping[Any, float] = field(default_factory=dict)
    trust: float | None = None
    cost: float | None = None
    reached: bool | None = None
    declined: str | None = None
    router_version: str | None = None


NO_TEXT = "no_text"
NO_MODELS = "no_models"
LOW_TRUST = "low_trust"
BUSY = "busy"
TIMEOUT = "timeout"
ERROR = "error"

DECLINED = (NO_TEXT, NO_MODELS, LOW_TRUST, BUSY, TIMEOUT, ERROR)
"""Reasons to decline: the request has no text; the router knows none of the models at
hand; its trust in the query is below the minimum; too many requests wait; the time
allowed for a decision is over; the router raised an error."""


@runtime_checkable
class Observer(Protocol):
    """What a service tells its decisions to: a log, or metrics.

    The method may be called from several threads, must not block, and is called once
    for each decision, declined ones included. If it raises an error, the request goes
    on, and one warning is given.

    It may also have two methods that are called where they exist:
    ``observe_pool(n_models, router_version)``, when a router has been put in service,
    and ``observe_reload_failure(error)``, when a new file could not be loaded.
    """

    def observe(self, decision: Decision) -> None:
        """Take note of a decision.

        Parameters
        ----------
        decision : Decision
            The decision.
        """
        ...
