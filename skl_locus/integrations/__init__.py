"""Routers inside of gateways: decisions for requests, one by one.

What needs another package is in a module of its own, such as
``skl_locus.integrations.litellm``, and is imported from there, or says which package it
needs when it is used.
"""

from skl_locus._data.messages import Turns, text_of_request
from skl_locus.integrations._decision import DECLINED, Decision, Observer
from skl_locus.integrations._decision_log import DecisionLog
from skl_locus.integrations._metrics import RoutingMetrics
from skl_locus.integrations._service import RoutingService
from skl_locus.integrations._spans import RoutingSpans, decision_attributes

__all__ = [
    "DECLINED",
    "Decision",
    "DecisionLog",
    "Observer",
    "RoutingMetrics",
    "RoutingService",
    "RoutingSpans",
    "Turns",
    "decision_attributes",
    "text_of_request",
]
