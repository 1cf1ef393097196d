"""Bounds on a mean loss that hold for samples of any size.

P-values for the hypothesis that an expected loss is not below a limit, and tests in a
sequence so that no threshold is certified wrongly (Angelopoulos, Bates, Candes, Jordan
and Lei, 2021, "Learn then Test", arXiv:2110.01052).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import rel_entr
from scipy.stats import binom


def risk_p_value(losses: np.ndarray, limit: float, *, binary: bool) -> float:
    """Test whether the expected loss is at least a limit, by independent losses.

    Parameters
    ----------
    losses : ndarray of shape (n,)
        Independent losses in [0, 1] of one distribution.
    limit : float
        In (0, 1).
    binary : bool
        Whether losses can be 0 or 1 only, so that their number is binomial. Otherwise
        the p-value is that of Hoeffding and Bentkus (Bates et al., 2021,
        "Distribution-free, risk-controlling prediction sets", arXiv:2101.02703).

    Returns
    -------
    float
        If the expected loss is at least ``limit``, at most u with a probability of at
        most u, for any u and n; 1 for no losses.
    """
    n = len(losses)
    if n == 0:
        return 1.0
    total = math.fsum(losses.tolist())
    if binary:
        # At the limit itself the number of losses is binomial, and for any larger
        # expected loss so few of them are less likely still.
        return float(binom.cdf(round(total), n, limit))
    # Hoeffding's bound exp(-n KL(mean || limit)) holds below the limit only; cut off
    # there, it is 1. Neither it nor Bentkus's, e times the binomial probability of at
    # most that many losses, is smaller in all cases; each is valid, and so is the
    # smaller one, as both are bounds on the same tail probability.
    mean = min(total / n, limit)
    divergence = rel_entr(mean, limit) + rel_entr(1 - mean, 1 - limit)
    hoeffding = math.exp(-n * divergence)
    bentkus = math.e * binom.cdf(math.ceil(total), n, limit)
    return float(min(hoeffding, bentkus, 1.0))


def smallest_sample(limit: float, alpha: float) -> int:
    """Return how many losses, all zero, are needed to certify a limit.

    The p-value of n losses of zero is ``(1 - limit) ** n``, binary or not.
    """
    return math.ceil(math.log(alpha) / math.log1p(-limit))


def certified_in_sequence(p_values: np.ndarray, alpha: float) -> int:
    """Return how many hypotheses are rejected before the first that is not.

    Fixed-sequence testing: each is tested at the full level, since only the first
    true one can be rejected wrongly. The order must not depend on the sample tested.

    Parameters
    ----------
    p_values : ndarray of shape (n_tests,)
        In the order of testing.
    alpha : float
        Level: probability of a wrong rejection at most.

    Returns
    -------
    int
        Number of rejections.
    """
    # What follows a failure does not count, however small its p-value: a sequence that
    # went on would have as many chances to be wrong as it has tests.
    failed = np.flatnonzero(p_values > alpha)
    return int(failed[0]) if len(failed) else len(p_values)
