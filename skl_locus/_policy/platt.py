"""Platt scaling: calibration of P(correct) by one line in logits for all models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

CLIP = 1e-6
"""Distance that probabilities are kept from 0 and 1, where logits are infinite."""


@dataclass(frozen=True)
class PlattScaling:
    """Probabilities ``expit(slope * logit(P) + intercept)``, in the order of P.

    Parameters
    ----------
    slope : float
        Positive; below 1 for probabilities that were too sure of themselves.
    intercept : float
        Negative for probabilities that were too high.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return corrected probabilities, in float64."""
        logits = self.slope * _logits(probabilities) + self.intercept
        return expit(logits)


def fit_platt_scaling(probabilities: np.ndarray, scores: np.ndarray) -> PlattScaling:
    """Fit Platt's correction to scores in [0, 1], whatever the order of the rows.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows,)
        P(correct).
    scores : ndarray of shape (n_rows,)
        Observed scores.

    Returns
    -------
    PlattScaling
        Of least log loss; one that changes nothing where all scores are 0, all are 1
        or the fit would reverse the order of the probabilities.
    """
    # Where all scores are 0, or all are 1, the best intercept is infinite.
    if not (0 < scores.mean() < 1):
        return PlattScaling()
    # In a fixed order, since the solver's sums depend on it in their last bits.
    order = np.lexsort((scores, probabilities))
    logits, scores = _logits(probabilities[order]), scores[order]
    # A score of 0.7 is 0.7 of a right answer beside 0.3 of a wrong one: two rows with
    # these weights have the log loss of the graded score. No penalty (C is infinite),
    # since two numbers cannot overfit and a penalty would pull the slope to 0.
    sides = np.repeat([1, 0], len(scores))
    model = LogisticRegression(C=np.inf).fit(
        np.tile(logits, 2)[:, None],
        sides,
        sample_weight=np.concatenate([scores, 1 - scores]),
    )
    slope = float(model.coef_[0, 0])
    if slope <= 0:
        return PlattScaling()
    return PlattScaling(slope, float(model.intercept_[0]))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return logit(probabilities.astype(np.float64).clip(CLIP, 1 - CLIP))
