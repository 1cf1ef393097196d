"""What makes two fitted estimators the same one, for runs that are continued."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from skl_locus._routing.unwrap import fitted_router

N_PROBES = 8
"""Vectors on which two routers are compared."""

N_PROBED = 64
"""Models whose P on these vectors is compared."""

DECIMALS = 6
"""Decimals of P that are written; runs are compared with a tolerance."""


def router_inside(router: Any) -> Any:
    """Return the fitted router of a policy; a router as it is."""
    inside = getattr(router, "router", router)
    return fitted_router(inside)


def router_identity(router: Any) -> dict[str, Any]:
    """Describe a router by its models and some of its predictions.

    A digest of its state would do, but not after it was saved and loaded by another
    version, and not on a machine that rounds otherwise.
    """
    inside = router_inside(router)
    probes = np.random.default_rng(0).normal(size=(N_PROBES, inside.n_features_in_))
    P = inside.correctness_matrix(
        probes.astype(np.float32), inside.models_[:N_PROBED].tolist()
    )
    return {
        "class": type(router).__name__,
        "models": digest_of(inside.models_.tolist()),
        "P": np.round(P.astype(float).mean(axis=1), DECIMALS).tolist(),
    }


def digest_of(labels: list) -> str:
    """Return a digest of labels."""
    return hashlib.blake2b(repr(labels).encode(), digest_size=16).hexdigest()


def same_job(one: Any, other: Any) -> bool:
    """Compare the descriptions of two jobs; numbers may differ by rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same_job(one[key], other[key]) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_job, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE
    return bool(one == other)


TOLERANCE = 1e-4
"""Difference up to which predictions of one router may be rounding."""
