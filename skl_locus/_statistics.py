"""Statistics that several rooms need and no library of ours has."""

from __future__ import annotations

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down rule: (n_tests,)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * factors)
    return adjusted.clip(max=1.0)
