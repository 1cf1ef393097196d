"""Tensors as the arrays of regressions, on the device where a router is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skl_locus._torch.device_pool import chosen_device
from skl_locus._torch.kept_copies import KeptCopies


@dataclass(frozen=True)
class TorchArrays:
    """Tensors of float64 on a device, as ``_estimation.arrays`` asks for.

    Parameters
    ----------
    device : torch.device
        Where they are.
    """

    device: torch.device

    expit: ClassVar[Any] = staticmethod(torch.special.expit)
    where: ClassVar[Any] = staticmethod(torch.where)
    vstack: ClassVar[Any] = staticmethod(torch.vstack)
    sqrt: ClassVar[Any] = staticmethod(torch.sqrt)
    einsum: ClassVar[Any] = staticmethod(torch.einsum)
    zeros_like: ClassVar[Any] = staticmethod(torch.zeros_like)
    ones_like: ClassVar[Any] = staticmethod(torch.ones_like)

    def array(self, values: np.ndarray) -> Tensor:
        """Copy an array of numpy to the device."""
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def kept(self, owner: Any, values: np.ndarray) -> Tensor:
        """Copy an array to the device once in the life of its owner."""
        return _kept.of(owner, self.device, lambda: self.array(values))

    def positions(self, n: int) -> Tensor:
        """Return the integers from 0 to ``n - 1``."""
        return torch.arange(n, device=self.device)

    def numpy(self, array: Tensor) -> np.ndarray:
        """Copy an array back."""
        return array.cpu().numpy()


_kept = KeptCopies[Tensor]()


def arrays_on(device: str) -> TorchArrays | None:
    """Return the arrays that regressions are solved with where a router was fitted.

    Devices other than CUDA's have no float64, which Newton's steps need to end: they
    leave the regressions to the processor.

    Parameters
    ----------
    device : str
        Device of the fit.

    Returns
    -------
    TorchArrays or None
        None where the processor must do.
    """
    where = chosen_device(device)
    return None if where is None or where.type != "cuda" else TorchArrays(where)
