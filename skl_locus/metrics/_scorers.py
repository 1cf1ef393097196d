"""Scorers ``scorer(estimator, X, y)`` whose targets may be scores in [0, 1].

scikit-learn's built-in scorers refuse a ``y`` that is not made of classes. The
scorers here fit wherever ``scoring=`` is taken, for a router, for a pipeline that
ends in one and for a fitted search over either. Greater is always better.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import _safe_indexing, check_random_state

from skl_locus._data.columns import model_groups
from skl_locus._data.identity import model_labels, query_codes, query_identities
from skl_locus._routing.unwrap import router_and_rows
from skl_locus.metrics._registry import METRICS, OF_DECISIONS, RegisteredMetric
from skl_locus.metrics._routing import routing_accuracy_score

Metric = Callable[..., float]
Scorer = Callable[[Any, Any, Any], float]


@dataclass(frozen=True)
class ProbabilityScorer:
    """Score P(correct) of the rows with ``metric(y_true, y_prob)``."""

    name: str
    metric: Metric
    greater_is_better: bool

    def __call__(self, estimator: Any, X: Any, y: ArrayLike) -> float:
        value = self.metric(y, estimator.predict_proba(X))
        return value if self.greater_is_better else -value

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class RoutingScorer:
    """Score routing decisions with ``metric(y_true, y_score, *, queries, models)``."""

    metric: Metric
    greater_is_better: bool

    def __call__(self, estimator: Any, X: Any, y: ArrayLike) -> float:
        router, rows = router_and_rows(estimator, X)
        value = self.metric(
            y,
            router.routing_scores(rows),
            queries=query_identities(router, rows),
            models=model_labels(router, rows),
        )
        return value if self.greater_is_better else -value

    def __repr__(self) -> str:
        sign = "" if self.greater_is_better else ", greater_is_better=False"
        return f"make_routing_scorer({_name_of(self.metric)}{sign})"


@dataclass(frozen=True)
class OnboardingScorer:
    """Onboard unseen models from a few evaluations and score their other rows."""

    n_evaluations: int
    scorer: Scorer
    random_state: Any

    def __call__(self, estimator: Any, X: Any, y: ArrayLike) -> float:
        router, rows = router_and_rows(estimator, X)
        scores = np.asarray(y)
        few = self._onboarding_rows(router, rows)
        # The models join a copy: scoring leaves the estimator as it was.
        router = copy.deepcopy(router)
        router.add_models(_take(rows, few), scores[few])
        return self.scorer(router, _take(rows, ~few), scores[~few])

    def __repr__(self) -> str:
        return (
            f"make_onboarding_scorer(n_evaluations={self.n_evaluations}, "
            f"metric={_name_of(self.scorer)}, random_state={self.random_state})"
        )

    def _onboarding_rows(self, router: Any, rows: Any) -> np.ndarray:
        """Mark the rows to onboard from: (n_rows,), bool."""
        models, labels = model_groups(rows, router.model_col)
        _check_unseen_models(labels, router)
        queries, n_queries = query_codes(router, rows)
        ranks = check_random_state(self.random_state).permutation(n_queries)[queries]
        few = np.zeros(len(models), dtype=bool)
        for code, label in enumerate(labels):
            own = models == code
            few |= own & (ranks < self._first_rank_to_score(ranks[own], label))
        return few

    def _first_rank_to_score(self, ranks: np.ndarray, label: Any) -> int:
        distinct = np.unique(ranks)
        if len(distinct) <= self.n_evaluations:
            raise ValueError(
                f"Model {label!r} has evaluations on {len(distinct)} queries; "
                f"n_evaluations={self.n_evaluations} leaves none to score. Lower "
                "n_evaluations or leave the model out."
            )
        return distinct[self.n_evaluations]


def _scorer_of(metric: RegisteredMetric) -> Scorer:
    if metric.kind in OF_DECISIONS:
        return RoutingScorer(metric.function, metric.greater_is_better)
    name = f"{metric.scorer_name}_scorer"
    return ProbabilityScorer(name, metric.function, metric.greater_is_better)


SCORERS: dict[str, Scorer] = {
    metric.scorer_name: _scorer_of(metric) for metric in METRICS.values()
}
"""The scorer of each metric of the package, by name."""

neg_soft_log_loss_scorer = SCORERS["neg_soft_log_loss"]
neg_soft_brier_scorer = SCORERS["neg_soft_brier"]
neg_expected_calibration_error_scorer = SCORERS["neg_expected_calibration_error"]
correctness_accuracy_scorer = SCORERS["correctness_accuracy"]
soft_roc_auc_scorer = SCORERS["soft_roc_auc"]
routing_accuracy_scorer = SCORERS["routing_accuracy"]


def make_routing_scorer(
    metric: Metric = routing_accuracy_score, *, greater_is_better: bool = True
) -> RoutingScorer:
    """Make a scorer of routing decisions from a metric.

    ``scorer(estimator, X, y) = metric(y, s, queries=q, models=m)`` with the
    decision scores ``s = routing_scores(X)``, times -1 if lower is better. The
    queries and models are read from the columns that the router reads: the
    query id where there is one, else the text, else the vector.

    Parameters
    ----------
    metric : callable, default=routing_accuracy_score
        ``metric(y_true, y_score, *, queries, models)``, all in long form, one
        entry per row. Fix further options of a metric with
        :func:`functools.partial`.
    greater_is_better : bool, default=True
        Whether a high value of the metric is good; if not, it is negated.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``, for a router, a pipeline that ends in one
        or a fitted search. Picklable if the metric is.

    Raises
    ------
    TypeError
        If the metric is not callable; by the scorer, if the estimator is not a
        router.

    Examples
    --------
    >>> from skl_locus.metrics import make_routing_scorer
    >>> def regret(y_true, y_score, *, queries, models):
    ...     chosen = routing_accuracy_score(
    ...         y_true, y_score, queries=queries, models=models
    ...     )
    ...     best = routing_accuracy_score(
    ...         y_true, y_true, queries=queries, models=models
    ...     )
    ...     return best - chosen
    >>> make_routing_scorer(regret, greater_is_better=False)
    make_routing_scorer(regret, greater_is_better=False)
    """
    if not callable(metric):
        raise TypeError(f"metric must be callable; got {metric!r}.")
    return RoutingScorer(metric, greater_is_better)


def make_onboarding_scorer(
    n_evaluations: int = 128,
    metric: str | Scorer = "neg_soft_log_loss",
    random_state: int | np.random.RandomState | None = 0,
) -> OnboardingScorer:
    """Make a scorer of how well unseen models are onboarded from few evaluations.

    The scorer copies the fitted router, gives the copy ``n_evaluations`` rows of
    each model in X through ``add_models``, and scores the other rows. Split with
    :class:`skl_locus.model_selection.ModelShuffleSplit`, so that the models are
    new to the router.

    Parameters
    ----------
    n_evaluations : int, default=128
        Distinct queries to onboard each model from.
    metric : {"neg_soft_log_loss", "neg_soft_brier", \
            "neg_expected_calibration_error", "correctness_accuracy", \
            "soft_roc_auc", "routing_accuracy"} or callable, \
            default="neg_soft_log_loss"
        What to compute on the other rows: the name of a scorer of this module,
        or a ``scorer(router, X, y)`` that gets the router itself and the rows as
        the router sees them. Greater is better.
    random_state : int, RandomState instance or None, default=0
        Seed of the choice of queries.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``, for a router, a pipeline that ends in one
        or a fitted search. Picklable if the metric is.

    Raises
    ------
    ValueError
        If ``n_evaluations`` is not a positive integer or no such metric exists;
        by the scorer, if a model has not more than ``n_evaluations`` queries or
        is known to the router already.

    Notes
    -----
    One random order of the queries serves all models, and each is onboarded from
    its first ``n_evaluations`` queries in that order: in a complete log all
    models are scored on the same queries, and the order of the rows does not
    matter. Repeated rows of a query count once and stay together.

    Examples
    --------
    >>> from skl_locus.metrics import make_onboarding_scorer
    >>> make_onboarding_scorer(n_evaluations=32, metric="routing_accuracy")
    make_onboarding_scorer(n_evaluations=32, metric='routing_accuracy', random_state=0)
    """
    if not isinstance(n_evaluations, Integral) or n_evaluations < 1:
        raise ValueError(
            f"n_evaluations must be a positive integer; got {n_evaluations!r}."
        )
    return OnboardingScorer(int(n_evaluations), _as_scorer(metric), random_state)


def _as_scorer(metric: str | Scorer) -> Scorer:
    if callable(metric):
        return metric
    if metric not in SCORERS:
        raise ValueError(
            f"metric={metric!r} is unknown; choose one of {sorted(SCORERS)} or pass "
            "a callable scorer(router, X, y)."
        )
    return SCORERS[metric]


def _check_unseen_models(labels: list, router: Any) -> None:
    known = set(router.models_).intersection(labels)
    if known:
        names = sorted(known, key=labels.index)
        raise ValueError(
            f"The router knows {names} already, but this scores how well unseen "
            "models are onboarded; split with ModelShuffleSplit."
        )


def _take(rows: Any, mask: np.ndarray) -> Any:
    return _safe_indexing(rows, np.flatnonzero(mask))


def _name_of(function: Callable) -> str:
    for name, scorer in SCORERS.items():
        if scorer == function:
            return repr(name)
    return getattr(function, "__name__", repr(function))
