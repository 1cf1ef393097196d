"""One training loop for every network of the package."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from skl_locus._torch.optimizer import AdamW
from skl_locus._torch.threads import Compute, one_after_another
from skl_locus._utils.progress import progress_bar

Part = Callable[[], Tensor]
"""Computes one part of the loss of a step, attached to the graph."""

WARM_UP_SHARE = 0.05
"""Share of the steps over which the learning rate rises."""

FINAL_RATE = 0.02
"""Learning rate at the end, as a share of the highest."""

MAX_GRADIENT_NORM = 1.0
"""Norm to which larger gradients are scaled down."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; most fields are named as the estimators' parameters.

    The defaults of ``schedule``, "cosine" with a warm-up, and of
    ``max_gradient_norm`` are those of LOCUS. ``schedule="constant"``,
    ``max_gradient_norm=inf`` and ``ema_decay=0`` leave plain Adam.
    """

    max_iter: int
    learning_rate_init: float
    alpha: float
    ema_decay: float
    n_iter_no_change: int
    tol: float
    validate_every: int
    schedule: str = "cosine"
    max_gradient_norm: float = MAX_GRADIENT_NORM
    amp: bool = False


@dataclass
class TrainingHistory:
    """What happened in training.

    Parameters
    ----------
    loss_curve : list of float
        Training loss of each step.
    validation_scores : list of float
        Negative validation loss at each check; empty without validation.
    n_iter : int
        Steps done.
    best_iter : int
        Step whose weights were kept.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    n_iter: int = 0
    best_iter: int = 0


def train(
    network: nn.Module,
    draw_parts: Callable[[], Sequence[Part]],
    validate: Callable[[nn.Module], float] | None,
    options: TrainingOptions,
    compute: Compute = one_after_another,
) -> TrainingHistory:
    """Train a network in place and leave it with the best averaged weights.

    AdamW with a rate that warms up and then falls along a cosine or is constant,
    gradients clipped, weights averaged exponentially. With ``validate``, training
    stops when the averaged weights have not improved for ``n_iter_no_change``
    checks, and the best of them are kept.

    Parameters
    ----------
    network : Module
        The network whose parameters the parts use.
    draw_parts : callable
        Draws a batch and returns the parts of its loss, which is their sum.
    validate : callable or None
        Maps a network to its validation loss.
    options : TrainingOptions
        How to train.
    compute : callable, default=one_after_another
        Applies a function to the parts of a step, such as each in a thread of its own.

    Returns
    -------
    TrainingHistory
        Losses and the number of steps.
    """
    optimizer = AdamW(network.parameters(), weight_decay=options.alpha)
    average, averaged = None, network
    if options.ema_decay:
        average = _MovingAverage(network, options.ema_decay)
        averaged = average.network
    best = _EarlyStopping(options)
    history = TrainingHistory()
    losses: list[Tensor] = []
    network.train()
    with progress_bar("train", options.max_iter, unit="step") as bar:
        for step in range(1, options.max_iter + 1):
            rate = options.learning_rate_init * _rate(step - 1, options)
            losses.append(_step(draw_parts(), optimizer, rate, options, compute))
            if average is not None:
                average.update()
            bar.advance()
            if validate is not None and _check_due(step, options):
                # The average is what is kept, so it is what is checked.
                loss = validate(averaged.eval())
                network.train()
                history.validation_scores.append(-loss)
                bar.note(validation_log_loss=f"{loss:.4f}")
                if best.update(loss, step, averaged):
                    break
    # A device is asked for its losses once: it would have to finish each step first.
    history.loss_curve = torch.stack(losses).tolist()
    history.n_iter = step
    # Without validation the last weights are the best that is known.
    history.best_iter = best.step if validate is not None else step
    network.load_state_dict(best.state or averaged.state_dict())
    network.eval()
    return history


def soft_cross_entropy(logits: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy with soft targets, averaged over unmasked entries.

    ``logits``, ``scores`` and ``mask`` (B, T) -> scalar.
    """
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, scores, reduction="none"
    )
    return (losses * mask).sum() / mask.sum()


class _EarlyStopping:
    """Keeps the best weights seen and counts checks without improvement."""

    def __init__(self, options: TrainingOptions) -> None:
        self.options = options
        self.loss = math.inf
        self.reference = math.inf
        self.step = 0
        self.state: dict[str, Tensor] | None = None
        self.stale_checks = 0

    def update(self, loss: float, step: int, network: nn.Module) -> bool:
        """Compare the loss of a check with the best; return True to stop training."""
        # The best weights are kept however small the gain, but only a gain of ``tol``
        # starts the count again, or noise would keep the training going. The first
        # check is kept whatever its loss, so that there are weights to return.
        if loss < self.loss or self.state is None:
            self.loss, self.step = loss, step
            self.state = {k: v.clone() for k, v in network.state_dict().items()}
        if loss < self.reference - self.options.tol:
            self.reference, self.stale_checks = loss, 0
        else:
            self.stale_checks += 1
        return self.stale_checks >= self.options.n_iter_no_change


class _MovingAverage:
    """Averages the weights of a network in training exponentially.

    The parameters are listed once: finding them anew takes longer than a step's
    averaging.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.n_averaged = 0
        self.averaged = [p.detach() for p in self.network.parameters()]
        self.current = [p.detach() for p in network.parameters()]

    def update(self) -> None:
        """Add the current weights of the network to the average."""
        # Early on the average follows closely, so that it forgets the random start; the
        # first update copies. One fused call for all parameters: as many small kernels
        # would take longer than the step.
        n = self.n_averaged
        weight = 1 - min(self.decay, (1 + n) / (10 + n)) if n else 1.0
        torch._foreach_lerp_(self.averaged, self.current, weight)
        self.n_averaged += 1


def _step(
    parts: Sequence[Part],
    optimizer: AdamW,
    rate: float,
    options: TrainingOptions,
    compute: Compute,
) -> Tensor:
    """Move the weights against the gradient of a batch; return its loss."""
    work = partial(
        _loss_and_gradients, parameters=optimizer.parameters, amp=options.amp
    )
    losses, gradients = zip(*compute(work, parts), strict=True)
    optimizer.zero_grad()
    # Added up in the order of the parts, whichever was finished first.
    total = gradients[0]
    for others in gradients[1:]:
        total = [_sum(one, other) for one, other in zip(total, others, strict=True)]
    for parameter, gradient in zip(optimizer.parameters, total, strict=True):
        parameter.grad = gradient
    if math.isfinite(options.max_gradient_norm):
        nn.utils.clip_grad_norm_(optimizer.parameters, options.max_gradient_norm)
    optimizer.step(rate)
    return sum(losses[1:], start=losses[0])


def _loss_and_gradients(
    part: Part, *, parameters: list[nn.Parameter], amp: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Return a part's loss and its gradients, None where it has no use of a weight.

    Gradients are returned instead of added to the parameters, which parts in several
    threads share.
    """
    # Autocast holds for one thread, and this may run in several.
    with torch.autocast("cuda", torch.bfloat16, enabled=amp):
        loss = part()
    return loss.detach(), list(torch.autograd.grad(loss, parameters, allow_unused=True))


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else other
    return one.add_(other)


def _check_due(step: int, options: TrainingOptions) -> bool:
    return step % options.validate_every == 0 or step == options.max_iter


def _rate(step: int, options: TrainingOptions) -> float:
    """Return the learning rate after some steps, as a share of the highest."""
    if options.schedule == "constant":
        return 1.0
    max_iter = options.max_iter
    warm_up = max(1.0, WARM_UP_SHARE * max_iter)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    # From 1 at the end of the warm-up along half a cosine to FINAL_RATE.
    done = (step - warm_up) / max(1.0, max_iter - warm_up)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
