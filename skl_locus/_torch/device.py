"""Devices and precisions of networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skl_locus._utils.forks import is_forked

LEAST_STEP = 2**18
"""Numbers in the largest tensor of a training step from which a GPU may be faster. An
H200 spent 10 to 20 ms on launching the operations of a step, whatever its size; in that
time a processor core computes half a step of LOCUS with its default parameters."""

LEAST_WORK = 2**28
"""Numbers in all steps, and in the models embedded afterwards, from which a GPU is used
by ``device="auto"``: 10 s of one processor core. Starting CUDA takes 2 to 4 s."""

LEAST_MIXED_STEP = 2**22
"""Numbers in the largest tensor of a training step from which "auto" multiplies in
bfloat16 on CUDA. Its conversions are 132 of the 397 operations of a step of LOCUS
(counted). Launching them takes about a millisecond, and so do the products of so large
a step in float32 (estimated)."""

PRECISIONS = ("auto", "float32", "float64", "mixed", "bfloat16")


@dataclass(frozen=True)
class Placement:
    """Device and arithmetic, resolved once.

    Parameters
    ----------
    device : torch.device
        Where tensors live.
    dtype : torch.dtype
        Type of weights and results.
    amp : bool
        Whether training multiplies in bfloat16 (CUDA only): torch's automatic mixed
        precision.
    bfloat16_inference : bool, default=False
        Whether embedding models multiplies in bfloat16.
    """

    device: torch.device
    dtype: torch.dtype
    amp: bool
    bfloat16_inference: bool = False


@dataclass(frozen=True)
class Workload:
    """How much a fit computes.

    Parameters
    ----------
    step : int
        Numbers in the largest tensor of a training step.
    n_steps : int
        Steps at most.
    embedded : int, default=0
        Numbers in the tokens of all models, which are embedded afterwards.
    """

    step: int
    n_steps: int
    embedded: int = 0

    @property
    def suits_accelerator(self) -> bool:
        """Whether a GPU is expected to be faster than a processor."""
        total = self.step * self.n_steps + self.embedded
        return self.step >= LEAST_STEP and total >= LEAST_WORK


def resolve_placement(
    device: str, precision: str, workload: Workload | None = None
) -> Placement:
    """Turn the parameters ``device`` and ``precision`` into a placement.

    Parameters
    ----------
    device : str
        "auto" (CUDA, else MPS, where the work suits it, else CPU) or a name that torch
        knows.
    precision : {"auto", "float32", "float64", "mixed", "bfloat16"}
        "auto" is mixed for large steps on CUDA and float32 otherwise; "bfloat16" trains
        as "auto".
    workload : Workload or None
        What there is to compute; None is more than any threshold.

    Returns
    -------
    Placement
        The resolved choice.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}.")
    # Mixed precision exists on CUDA alone: whoever asks for it has chosen the device.
    small = workload is not None and not workload.suits_accelerator
    on_cpu = device == "auto" and small and precision != "mixed"
    where = _resolve_device("cpu" if on_cpu else device)
    if precision == "mixed" and where.type != "cuda":
        raise ValueError(
            f"precision='mixed' needs a CUDA device, got device={str(where)!r}; use "
            "precision='auto'."
        )
    # bfloat16 has the range of float32: unlike float16 it needs no scaling of the loss.
    large = workload is None or workload.step >= LEAST_MIXED_STEP
    by_size = large and precision in ("auto", "bfloat16")
    amp = where.type == "cuda" and (by_size or precision == "mixed")
    dtype = torch.float64 if precision == "float64" else torch.float32
    if dtype == torch.float64 and where.type == "mps":
        raise ValueError("precision='float64' does not exist on device 'mps'.")
    return Placement(where, dtype, amp)


def inference_placement(device: str, precision: str) -> Placement:
    """Place inference where the fit ran, or on the CPU where that cannot be used.

    Parameters
    ----------
    device : str
        Device of the fit.
    precision : {"auto", "float32", "float64", "mixed", "bfloat16"}
        Parameter of the estimator; mixed precision is for training only.

    Returns
    -------
    Placement
        The resolved choice.
    """
    dtype = torch.float64 if precision == "float64" else torch.float32
    try:
        where = _resolve_device(device)
    except ValueError:
        where = torch.device("cpu")
    if is_forked():
        # A process cannot use a device that its parent has used before the fork.
        where = torch.device("cpu")
    return Placement(
        where, dtype, amp=False, bfloat16_inference=precision == "bfloat16"
    )


def _resolve_device(device: str) -> torch.device:
    if device != "auto":
        try:
            where = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"device must be 'auto' or a torch device, got {device!r}."
            ) from error
        if where.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device={device!r}, but no CUDA device is available.")
        if where.type == "mps" and not torch.backends.mps.is_available():
            raise ValueError(f"device={device!r}, but no MPS device is available.")
        return where
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
