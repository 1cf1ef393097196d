"""Routers inside of gateways: decisions for requests, one by one.

What needs another package is in a module of its own, such as
``skl_locus.integrations.litellm``, and is imported from there.
"""

from skl_locus.integrations._decision import Decision, Observer
from skl_locus.integrations._decision_log import DecisionLog
from skl_locus.integrations._metrics import RoutingMetrics
from skl_locus.integrations._spans import RoutingSpans, decision_attributes

__all__ = [
    "Decision",
    "DecisionLog",
    "Observer",
    "RoutingMetrics",
    "RoutingSpans",
    "decision_attributes",
]
