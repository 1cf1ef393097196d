"""Routers inside of gateways: decisions for requests, one by one.

What needs another package is in a module of its own, such as
``skl_locus.integrations.litellm``, and is imported from there.
"""

from skl_locus._data.messages import Turns, text_of_request
from skl_locus.integrations._decision import DECLINED, Decision, Observer
from skl_locus.integrations._service import RoutingService

__all__ = [
    "DECLINED",
    "Decision",
    "Observer",
    "RoutingService",
    "Turns",
    "text_of_request",
]
