"""AdamW as one fused operation per step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

BETAS = 0.9, 0.999
"""Decay of the averages of gradients and of their squares."""

EPSILON = 1e-8
"""Keeps divisors positive."""


class AdamW:
    """Adam with decoupled weight decay: the steps of ``torch.optim.AdamW``.

    They are the same to the bit. That class imports torch's compiler, which takes
    longer than a fit of a small pool and is not used here.

    Parameters
    ----------
    parameters : iterable of Parameter
        What is trained.
    weight_decay : float
        Share of the learning rate by which weights shrink in a step.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, weight_decay: float
    ) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self._means = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        # Counts are tensors beside the weights: a device needs no word from the host.
        self._counts = [
            torch.zeros((), dtype=torch.float32, device=p.device)
            for p in self.parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the weights against their gradients; those without stay."""
        graded = [(i, p.grad) for i, p in enumerate(self.parameters)]
        moved = [i for i, gradient in graded if gradient is not None]
        gradients = [gradient for _, gradient in graded if gradient is not None]
        parameters = [self.parameters[i].detach() for i in moved]
        counts = [self._counts[i] for i in moved]
        torch._foreach_add_(counts, 1)
        torch._fused_adamw_(
            parameters,
            gradients,
            [self._means[i] for i in moved],
            [self._squares[i] for i in moved],
            [],
            counts,
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
