"""Devices and precisions of networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skl_locus._utils.forks import is_forked

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


def resolve_placement(device: str, precision: str) -> Placement:
    """Turn the parameters ``device`` and ``precision`` into a placement.

    Parameters
    ----------
    device : str
        "auto" (CUDA, else MPS, else CPU) or a name that torch knows.
    precision : {"auto", "float32", "float64", "mixed", "bfloat16"}
        "auto" is mixed on CUDA and float32 elsewhere; "bfloat16" trains as "auto".

    Returns
    -------
    Placement
        The resolved choice.
    """
    where = _resolve_device(device)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}.")
    if precision == "mixed" and where.type != "cuda":
        raise ValueError(
            f"precision='mixed' needs a CUDA device, got device={str(where)!r}; use "
            "precision='auto'."
        )
    # bfloat16 has the range of float32: unlike float16 it needs no scaling of the loss.
    amp = where.type == "cuda" and precision in ("auto", "mixed", "bfloat16")
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
