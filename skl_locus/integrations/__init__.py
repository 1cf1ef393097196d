"""Routers inside of gateways: decisions for requests, one by one.

What needs another package is in a module of its own, such as
``skl_locus.integrations.litellm``, and is imported from there.
"""

from skl_locus.integrations._decision import Decision, Observer

__all__ = ["Decision", "Observer"]
