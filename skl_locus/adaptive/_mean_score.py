"""Mean score of a model over a whole benchmark, from few of its evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from skl_locus._routing.access import known_models, read_unnamed_model
from skl_locus.adaptive._pool_queries import AskableQueries
from skl_locus.adaptive._responses import Posterior, ResponseModel

CONFIDENCE = 0.9
"""Share of intervals that hold the mean."""

MISFIT = 0.1
"""Standard deviation, as a share of that of an answer, by which the expected score of
all unseen queries together is off: the factor model of a pool is not quite true of
others. Chosen so that intervals of 90% hold the mean nine times in ten."""


@dataclass(frozen=True)
class ScoreEstimate:
    """Estimated mean score of a model over a benchmark.

    Parameters
    ----------
    mean : float
        Observed scores and the expected ones of all other queries, averaged.
    low, high : float
        Limits of its interval.
    standard_error : float
        Standard deviation of the mean, given the observed scores.
    n_observed : int
        Queries with observed scores.
    n_queries : int
        Queries of the benchmark.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    n_observed: int
    n_queries: int


def estimate_score(
    router: Any, X: Any, y: Any, queries: Any = None, *, confidence: float = CONFIDENCE
) -> ScoreEstimate:
    """Estimate the mean score of a model over a benchmark from some evaluations.

    The scores of the queries that the model has answered, and the expected ones of all
    others::

        mean = (sum_{q seen} y_q + sum_{q unseen} E[y_q | seen]) / n

    The expectation is that of a factor model, with ability and factor scores of the
    model inferred from its evaluations, as in tinyBenchmarks' p-IRT.

    Parameters
    ----------
    router : LocusRouter
        Fitted; other models of the benchmark have taught it how hard the queries are.
    X : dataframe or array of n_rows rows
        Evaluations of one model, in the form that the router takes. A model column may
        be missing; if present, it holds one label, whichever.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    queries : list of str, array of shape (n_queries, n_features), Series or \
            dataframe, default=None
        All queries of the benchmark, those of X included; by default, those of the
        router's log. Evaluations of queries that are not among them count as well.
    confidence : float, default=0.9
        Nominal coverage of the interval.

    Returns
    -------
    ScoreEstimate
        With ``mean``, ``low``, ``high``, ``standard_error``, ``n_observed`` and
        ``n_queries``.

    Raises
    ------
    ValueError
        If X has several models, or a score is not in [0, 1].
    TypeError
        If the router is no LocusRouter.

    See Also
    --------
    select_queries : A fixed set of queries for this.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.adaptive import estimate_score
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> known, new = log[log["model"] != "model-5"], log[log["model"] == "model-5"]
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(known, known["score"])
    >>> few = new.sample(20, random_state=0)
    >>> estimate = estimate_score(router, few, few["score"])
    >>> estimate.n_observed, estimate.n_queries
    (20, 60)
    >>> estimate.low < estimate.mean < estimate.high
    True
    """
    _check_confidence(confidence)
    known = known_models(router)
    newcomer = read_unnamed_model(router, X, y)
    if queries is None:
        benchmark = known.evaluations.queries
    else:
        benchmark = AskableQueries.read(router, queries).queries
    both, own, asked = benchmark.union(newcomer.queries)
    responses = ResponseModel.of(known.model, both)
    scores = np.full(len(both), np.nan)
    scores[asked[newcomer.query_codes]] = newcomer.scores
    posterior = responses.posterior(scores)
    return mean_score(responses.take(own), scores[own], posterior, confidence)


def mean_score(
    responses: ResponseModel,
    scores: np.ndarray,
    posterior: Posterior,
    confidence: float = CONFIDENCE,
) -> ScoreEstimate:
    """Complete scores, NaN where unknown, and average them."""
    theta, n = posterior.theta, len(responses)
    seen = np.isfinite(scores)
    completed = np.where(seen, scores, responses.expected(theta))
    answers = responses.answer_variances(theta)
    gradient = responses.gradients(theta)[~seen].sum(axis=0)
    # What is uncertain: the state of the model, each unseen answer, and the factor
    # model itself, whose errors do not average out.
    misfit = (MISFIT * np.sqrt(answers[~seen]).sum()) ** 2
    variance = gradient @ posterior.covariance @ gradient
    variance += answers[~seen].sum() + misfit
    error = float(np.sqrt(variance)) / n
    mean = float(completed.mean())
    half = float(norm.ppf((1 + confidence) / 2)) * error
    return ScoreEstimate(
        mean=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        standard_error=error,
        n_observed=int(seen.sum()),
        n_queries=n,
    )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}.")
