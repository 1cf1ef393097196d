"""Deep equality of estimators and of all that they are made of."""

from functools import cached_property

import numpy as np
import pandas as pd

SESSION_ONLY = {"_is_loaded", "_loaded", "_probes"}
"""Attributes of encoders that say where they come from, not what they are."""


def differences(a, b, path=""):
    """Return where two values differ, bit for bit and type for type."""
    if type(a) is np.memmap or type(b) is np.memmap:
        a, b = np.asarray(a), np.asarray(b)
    if type(a) is not type(b):
        return [f"{path}: {type(a)} and {type(b)}"]
    if isinstance(a, (pd.Series, pd.DataFrame, pd.Index)):
        return [] if a.equals(b) and _same_labels(a, b) else [f"{path}: {a} and {b}"]
    if isinstance(a, np.ndarray):
        return _of_arrays(a, b, path)
    if isinstance(a, dict):
        if list(a) != list(b) or list(map(type, a)) != list(map(type, b)):
            return [f"{path}: keys {list(a)} and {list(b)}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}[{key!r}]")]
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return [f"{path}: {len(a)} and {len(b)} entries"]
        pairs = enumerate(zip(a, b, strict=True))
        return [d for i, pair in pairs for d in differences(*pair, f"{path}[{i}]")]
    if isinstance(a, np.random.Generator):
        return differences(a.bit_generator.state, b.bit_generator.state, f"{path}.rng")
    if hasattr(a, "__dict__") and not isinstance(a, type):
        return differences(_state(a), _state(b), f"{path}<{type(a).__name__}>")
    same = a == b or (a != a and b != b)
    return [] if same else [f"{path}: {a!r} and {b!r}"]


def _of_arrays(a, b, path):
    if a.dtype == object and b.dtype == object and a.shape == b.shape:
        return differences(a.tolist(), b.tolist(), path)
    same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return [] if same else [f"{path}: {a!r:.80} and {b!r:.80}"]


def _state(value):
    return {
        name: part
        for name, part in sorted(vars(value).items())
        if name not in SESSION_ONLY
        and not isinstance(getattr(type(value), name, None), cached_property)
    }


def _same_labels(a, b):
    if isinstance(a, pd.DataFrame):
        return a.dtypes.tolist() == b.dtypes.tolist() and a.attrs == b.attrs
    return a.dtype == b.dtype and getattr(a, "name", None) == getattr(b, "name", None)
