"""Settings of torch that hold for one thread, kept apart from the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar, cast

import torch

from skl_locus._utils.forks import survives_fork

Function = TypeVar("Function", bound=Callable[..., Any])


def in_own_context(function: Function) -> Function:
    """Make a function compute alike in whatever context of torch it is called.

    Training needs gradients, also where a service answers requests in
    ``torch.no_grad()`` or ``torch.inference_mode()``; tensors without a device belong
    on the CPU, whatever the default device; and precision is a parameter of the
    estimators, not of an autocast around them. The user's settings come back at the
    end.
    """

    @survives_fork
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as contexts:
            contexts.enter_context(torch.inference_mode(False))
            contexts.enter_context(torch.enable_grad())
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    contexts.enter_context(torch.autocast(device, enabled=False))
            # Such a context makes every operation a little slower.
            if torch.get_default_device().type != "cpu":
                contexts.enter_context(torch.device("cpu"))
            return function(*args, **kwargs)

    return cast(Function, run)
