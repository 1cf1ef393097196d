"""Likelihood of new evaluations if they are those of a known model."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet

MIN_PROBABILITY = 0.03
"""Expected scores are kept that far from 0 and 1: a single surprise is then no proof of
another model, for answers are also misread or cut off."""

REPEAT_SHARES = np.linspace(0, 0.95, 20)
"""Shares of answers that a model may repeat when it is asked again. How many it does is
not known (it depends on its temperature), so all are taken to be equally likely."""

UNDECIDED = 0.5
"""An answer that is not repeated is drawn half from this, half from what is expected of
the model. By the expectation alone, a wrong answer to an easy question, such as a
timeout gives, counts more against the model itself than against a weaker one."""


def log_likelihoods(
    newcomer: EvaluationSet, candidates: EvaluationSet, expected: np.ndarray
) -> np.ndarray:
    """Rate how likely new evaluations are under each of some known models.

    Where the model was not evaluated on the query, its expected score is the
    probability of a right answer. Where it was, it repeats its answer with an unknown
    probability that is the same for all queries, and is integrated out.

    Parameters
    ----------
    newcomer : EvaluationSet
        Evaluations of one model.
    candidates : EvaluationSet
        Stored evaluations of the known models.
    expected : ndarray of shape (n_candidates, n_queries)
        Expected scores of the candidates on ``newcomer.queries``.

    Returns
    -------
    ndarray of shape (n_candidates,)
        Log-likelihoods in nats, in the order of ``candidates.model_names``. For graded
        scores, less the cross-entropies.
    """
    codes = newcomer.query_codes
    scores = newcomer.scores.astype(np.float64)
    expected = expected[:, codes].clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    stored = stored_scores(candidates, newcomer.queries)[:, codes]
    is_new = np.isnan(stored)
    terms = _log_probabilities(scores, expected)
    of_new = np.where(is_new, terms, 0).sum(axis=1)
    again = (expected + UNDECIDED) / 2
    of_shared = [
        _shared_sum(scores, share * stored + (1 - share) * again, is_new)
        for share in REPEAT_SHARES
    ]
    return of_new + logsumexp(of_shared, axis=0) - np.log(len(REPEAT_SHARES))


def answer_probabilities(
    candidates: EvaluationSet, queries: QuerySet, expected: np.ndarray
) -> np.ndarray:
    """Return how likely each candidate is to be right on queries, asked one by one.

    The share of answers that are repeated is averaged over, as in `log_likelihoods`.

    Parameters
    ----------
    candidates : EvaluationSet
        Stored evaluations of the known models.
    queries : QuerySet
        Queries that may be asked.
    expected : ndarray of shape (n_candidates, n_queries)
        Expected scores of the candidates on them.

    Returns
    -------
    ndarray of shape (n_candidates, n_queries)
        Probabilities, kept away from 0 and 1.
    """
    expected = expected.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    stored = stored_scores(candidates, queries)
    share = REPEAT_SHARES.mean()
    repeated = share * stored + (1 - share) * (expected + UNDECIDED) / 2
    return np.where(np.isnan(stored), expected, repeated)


def stored_scores(candidates: EvaluationSet, queries: QuerySet) -> np.ndarray:
    """Look up known scores on queries, NaN where there are none."""
    places = find_sorted(queries.keys, candidates.queries.keys)
    places = places[candidates.query_codes]
    rows = np.flatnonzero(places >= 0)
    stored = np.full((candidates.n_models, len(queries)), np.nan)
    stored[candidates.model_codes[rows], places[rows]] = candidates.scores[rows]
    return stored


def _shared_sum(
    scores: np.ndarray, probabilities: np.ndarray, is_new: np.ndarray
) -> np.ndarray:
    terms = _log_probabilities(scores, np.where(is_new, UNDECIDED, probabilities))
    return np.where(is_new, 0, terms).sum(axis=1)


def _log_probabilities(scores: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return scores * np.log(probabilities) + (1 - scores) * np.log1p(-probabilities)
