"""Weights of networks: drawn from a generator, and to and from arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from skl_locus._torch.device import Placement

PINNED_BYTES = 2**20
"""Bytes up to which an array is copied by way of pinned memory, which torch keeps for
the next copy: those of a training step."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def new_module(
    make: Callable[[], ModuleT],
    initialize: Callable[[nn.Module, torch.Generator], None],
    generator: torch.Generator,
    placement: Placement,
) -> ModuleT:
    """Make a module with weights drawn from a generator, touching no global state.

    Parameters
    ----------
    make : callable
        Makes the module; what it draws is thrown away.
    initialize : callable
        Draws the own parameters of one submodule from the generator.
    generator : torch.Generator
        Source of randomness.
    placement : Placement
        Where the module lives.

    Returns
    -------
    Module
        The module, ready for training.
    """
    # Constructors of torch draw from its global generator; on the meta device there is
    # nothing to draw.
    with torch.device("meta"):
        module = make()
    # As `Module.to_empty`, which imports a system for computer algebra: 0.8 s.
    empty = {
        name: torch.empty(weight.shape, dtype=placement.dtype, device=placement.device)
        for name, weight in module.state_dict().items()
    }
    module.load_state_dict(empty, assign=True)
    module.requires_grad_(True)
    for part in module.modules():
        initialize(part, generator)
    return module


@torch.no_grad()
def initialize_linear(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw weights evenly within 1 / sqrt(n_inputs); biases are zero."""
    bound = layer.in_features**-0.5
    layer.weight.uniform_(-bound, bound, generator=generator)
    if layer.bias is not None:
        layer.bias.zero_()


def load_module(
    make: Callable[[], ModuleT], weights: dict[str, np.ndarray], placement: Placement
) -> ModuleT:
    """Rebuild a module from its weights, ready for inference."""
    with torch.device("meta"):
        module = make()
    module.load_state_dict(
        {name: to_tensor(value, placement) for name, value in weights.items()},
        assign=True,
    )
    return module.eval().requires_grad_(False)


def network_weights(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights of a network as arrays on the CPU."""
    return {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}


def to_tensor(array: np.ndarray, placement: Placement) -> Tensor:
    """Copy an array to the device; floats take the placement's type."""
    dtype = placement.dtype if array.dtype.kind == "f" else None
    if placement.device.type == "cuda" and array.nbytes <= PINNED_BYTES:
        # From pinned memory the copy waits for its turn while the host goes on; from
        # other memory the host waits for all that the device has still to do.
        pinned = torch.tensor(array, dtype=dtype).pin_memory()
        return pinned.to(placement.device, non_blocking=True)
    return torch.tensor(array, dtype=dtype, device=placement.device)
