"""What a saved file says about itself, to be read without loading it."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.query_encoder import QueryEncoder
from skl_locus._data.sentence_models import MissingModel, is_folder
from skl_locus._routing.base import RouterMixin

LIBRARIES = ("skl-locus", "scikit-learn", "numpy", "pandas", "scipy", "skops")
"""Packages whose versions are written into a file."""

HELD_OUT = ("quality_", "cost_", "coverage_", "target_quality_")
"""Attributes of policies with figures on held-out queries."""

FINGERPRINT_LETTERS = 16
"""Letters of a text model's fingerprint, for people to compare."""


def describe_estimator(
    estimator: Any, encoders: list[QueryEncoder], *, evaluations: bool
) -> dict[str, Any]:
    """Return the readable header of an estimator.

    Parameters
    ----------
    estimator : estimator
        What is saved.
    encoders : list of QueryEncoder
        Its fitted encoders.
    evaluations : bool
        Whether its evaluations are saved.

    Returns
    -------
    dict
        Values for JSON.
    """
    header: dict[str, Any] = {
        "estimator": type(estimator).__name__,
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }
    router = _router_in(estimator)
    if router is not None:
        header["pool"] = _pool_of(router, evaluations)
    header["held_out"] = _held_out(estimator, router)
    header["encoders"] = [_described(encoder) for encoder in encoders]
    return header


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def _router_in(estimator: Any) -> RouterMixin | None:
    """Return the fitted router in an estimator, if it has one."""
    while not isinstance(estimator, RouterMixin):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "router"):
            estimator = estimator.router
        else:
            return None
    return estimator if hasattr(estimator, "_pool") else None


def _pool_of(router: RouterMixin, evaluations: bool) -> dict[str, Any]:
    pool = router._fitted_pool()
    kept: EvaluationSet | None = None
    if evaluations and isinstance(pool.evaluations, EvaluationSet):
        kept = pool.evaluations
    return {
        "router": type(router).__name__,
        "models": [str(label) for label in pool.models],
        "n_models": len(pool.models),
        "n_features": int(router.n_features_in_),
        "evaluations": 0 if kept is None else len(kept),
        "queries": 0 if kept is None else len(kept.queries),
    }


def _held_out(estimator: Any, router: RouterMixin | None) -> dict[str, float]:
    """Return what an estimator knows about its quality on queries held out."""
    figures = {
        name.rstrip("_"): float(value)
        for name in HELD_OUT
        if isinstance(value := getattr(estimator, name, None), (int, float, np.number))
    }
    scores = getattr(router, "validation_scores_", None)
    if scores is not None and len(scores):
        # Scores are negative log losses; the weights of the best one are kept.
        figures["log_loss_in_training"] = -float(max(scores))
    return figures


def _described(encoder: QueryEncoder) -> dict[str, Any]:
    described = {
        "model": _model_name(encoder),
        "n_features": int(encoder.n_features_out_),
    }
    probes = encoder._probe_vectors()
    if probes is not None:
        described["fingerprint"] = fingerprint(probes)
    return described


def _model_name(encoder: QueryEncoder) -> str:
    model = encoder.encoder
    if encoder.encoder_ is not None:
        return type(encoder.encoder_).__name__
    if isinstance(model, MissingModel):
        return model.name
    if isinstance(model, str) and not is_folder(model):
        return model
    # The name of a folder tells less than its path, which may hold a user's name.
    return Path(model).name if is_folder(model) else type(model).__name__


def fingerprint(probes: np.ndarray) -> str:
    """Return a short name of a text model by the vectors that it gives."""
    return hashlib.sha256(probes.tobytes()).hexdigest()[:FINGERPRINT_LETTERS]
