"""Parameters, history and held-out queries of gradient training."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skl_locus._data.evaluations import EvaluationSet

MIN_QUERIES_TO_SPLIT = 10
"""With fewer queries none is held out: a couple of them would decide by chance."""

CHECKS_PER_FIT = 24
"""Number of validations over ``max_iter`` steps."""

TRAINING_CONSTRAINTS: dict[str, Any] = {
    "query_noise": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "device": [str],
    "precision": [StrOptions({"auto", "float32", "float64", "mixed"})],
    "verbose": ["verbose"],
}


class TrainingHistoryMixin:
    """The attributes that record a training run."""

    device_: str
    loss_curve_: list[float]
    validation_scores_: list[float]
    n_iter_: int
    best_iter_: int

    def _record_training(self, device: Any, history: Any) -> None:
        self.device_ = str(device)
        self.loss_curve_ = history.loss_curve
        self.validation_scores_ = history.validation_scores
        self.n_iter_ = history.n_iter
        self.best_iter_ = history.best_iter


def hold_out_queries(
    evaluations: EvaluationSet, fraction: float, seed: int
) -> np.ndarray:
    """Choose whole queries to hold out; every model keeps some evaluations.

    Parameters
    ----------
    evaluations : EvaluationSet
        Evaluations to split.
    fraction : float
        Share of the queries.
    seed : int
        Seed of the choice.

    Returns
    -------
    ndarray of shape (n,), bool
        True for the evaluations held out; none with too few queries.
    """
    n_queries = len(evaluations.queries)
    if n_queries < MIN_QUERIES_TO_SPLIT:
        return np.zeros(len(evaluations), dtype=bool)
    n_held = max(1, round(fraction * n_queries))
    # Another stream than that of training, which starts from the same seed.
    order = np.random.default_rng([seed, 1]).permutation(n_queries)
    held = np.isin(evaluations.query_codes, order[:n_held])
    # A model whose evaluations would all be held out keeps them all for training.
    left = np.bincount(evaluations.model_codes[~held], minlength=evaluations.n_models)
    return held & (left > 0)[evaluations.model_codes]


def split_at(
    evaluations: EvaluationSet, held_out: np.ndarray
) -> tuple[EvaluationSet, EvaluationSet | None]:
    """Return the evaluations to train on and those held out, None if none is."""
    training = evaluations.take(np.flatnonzero(~held_out))
    if not held_out.any():
        return training, None
    return training, evaluations.take(np.flatnonzero(held_out))
