"""Savings report: cost and quality of a policy on a log, beside single models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import label_array
from skl_locus._data.pairs import MIN_COVERAGE, score_matrix
from skl_locus._routing.cost_curve import swept_curve
from skl_locus._utils.bootstrap import ratio_bootstrap, two_way_bootstrap
from skl_locus.inspection._headroom import N_FOLDS, RoutingHeadroom, headroom_of
from skl_locus.inspection._mixture import Mixture, mixture_at_cost
from skl_locus.inspection._replay import BEST, POLICY, ROWS, Outcome, Replay, replay

CURVE_POINTS = 100
"""Operating points of the curve; more cannot be seen in a picture."""

SAME_QUALITY = 0.01
"""Qualities are called the same if the interval of their difference lies within."""

QUANTITIES = ("cost", "quality")
"""Measures of each way of choosing, in the order of `FIELDS`."""

FIELDS = ("costs", "scores")
"""Attributes of an `Outcome` that hold the measures."""


@dataclass(frozen=True, repr=False)
class SavingsReport:
    """Cost and quality of a policy on a log, beside what it can be held against.

    Made by `savings_report`; ``str(report)`` says it in a sentence, which calls
    qualities the same only if the whole interval of their difference lies within one
    point of zero. A second one says so where a random mixture of single models may be
    as good, as it is where the same models are better on nearly all queries.

    Parameters
    ----------
    table : DataFrame of 5 rows
        The ways of choosing over all queries, see `savings_report`.
    by_task : DataFrame
        The same for each task; indexed by task and way.
    curve : DataFrame
        Operating points of the policy's router, by the weight of cost, as of
        `skl_locus.metrics.cost_quality_curve`.
    models : DataFrame
        Each model alone: mean cost, quality and coverage, on its own queries.
    confidence : float
        Share of the resampled values between the limits.
    headroom : RoutingHeadroom or None
        What any choice by task or cluster could win on the same queries, as of
        `routing_headroom` with its defaults; None with a single query.
    mixture : Mixture or None
        The random mixture of single models that costs no more than the policy
        (`skl_locus.metrics.zero_router_hull`), with the policy's gain in quality and
        its limits (``difference``, ``low``, ``high``); None where no model is as cheap.
    """

    table: pd.DataFrame
    by_task: pd.DataFrame
    curve: pd.DataFrame
    models: pd.DataFrame
    confidence: float
    headroom: RoutingHeadroom | None = None
    mixture: Mixture | None = None

    def __str__(self) -> str:
        """Return what the policy saves, and whether that costs quality."""
        row, single = self.table.loc[POLICY], self.table.loc[BEST, "model"]
        n_queries = int(self.table.attrs["n_queries"])
        sentences = [
            f"{self._quality(row)} for {_price(row)} of always {single!r}, on "
            f"{n_queries} queries."
        ]
        if row["coverage"] < 1:
            sentences.append(
                f"The log has what the policy would choose for {row['coverage']:.1%} "
                "of them; for the others it chose among what was observed."
            )
        if self.mixture is not None and self.mixture.low <= 0:
            sentences.append(self._beside_mixture(self.mixture))
        return " ".join(sentences)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _beside_mixture(self, mixture: Mixture) -> str:
        """Return what is as good without a look at the queries."""
        verdict = _verdict(-mixture.high, -mixture.low)
        return (
            f"{verdict} for no more money: {mixture} (policy "
            f"{100 * mixture.difference:+.1f} points, {self.confidence:.0%} interval "
            f"{100 * mixture.low:+.1f} to {100 * mixture.high:+.1f})."
        )

    def _quality(self, row: pd.Series) -> str:
        estimate, low, high = (
            row[f"quality_difference{end}"] for end in ("", "_low", "_high")
        )
        return (
            f"{_verdict(low, high)} ({100 * estimate:+.1f} points, "
            f"{self.confidence:.0%} interval {100 * low:+.1f} to {100 * high:+.1f})"
        )


def savings_report(
    policy: Any,
    evaluations: Any,
    y: ArrayLike | None = None,
    *,
    reference: Any = None,
    min_coverage: float = MIN_COVERAGE,
    cost_col: str = "cost",
    score_col: str = "score",
    task_col: str | None = "task",
    n_resamples: int = 1000,
    confidence: float = 0.95,
    allow_seen: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> SavingsReport:
    """Replay a log to estimate the cost and quality of a policy on it.

    Parameters
    ----------
    policy : RouterPolicy
        Fitted; its router must be one of this package.
    evaluations : dataframe of n_rows rows
        A log of queries that the router was not fitted on, nor the policy tuned on,
        with a model column. Its models must be the router's; those that the policy may
        not choose are rivals all the same.
    y : array-like of shape (n_rows,), default=None
        Scores in [0, 1]; None reads ``score_col``.
    reference : label, default=None
        The single model to compare with, such as the one in use. None takes the best
        one in the evaluations that the router was fitted on: no score of this log has
        a part in the choice.
    min_coverage : float, default=0.8
        Share of the queries that a single model must have been evaluated on for it to
        be chosen as the best or the cheapest one.
    cost_col : str, default="cost"
        Column of what a row has cost. Without it, and in rows where it is blank, the
        costs are those that the policy expects. The policy itself never sees it.
    score_col : str, default="score"
        Column of the scores, if ``y`` is not given.
    task_col : str, default="task"
        Column of the tasks; a query has the task of its first row. Without it, or for
        None, there is nothing by task.
    n_resamples : int, default=1000
        Number of bootstrap resamples of the queries.
    confidence : float, default=0.95
        Share of the resampled values between the limits.
    allow_seen : bool, default=False
        Whether queries may be among those the router was fitted on; what is reported
        is then optimistic. (Which queries a policy was tuned on cannot be checked.)
    random_state : int, RandomState instance or None, default=None
        Determines the resamples.

    Returns
    -------
    SavingsReport
        Its ``table`` has the rows

        - "policy";
        - "always best": the reference;
        - "always cheapest": the model of least expected cost, as the policy has
          it, on average over the queries;
        - "random": the mean of the models observed for a query;
        - "oracle": the cheapest of the best models observed for a query, which no
          policy can know;

        and the columns

        - model: which one, for single models;
        - cost and quality: means over queries, with limits (cost_low, cost_high, ...);
        - cost_difference, quality_difference: less those of "always best" on the same
          queries, with limits;
        - cost_ratio: mean cost in that of "always best" on the same queries, with
          limits;
        - share: of the queries of the log that the row is a mean of;
        - coverage: how often what it would choose among all models was observed. For
          "random" and "oracle", the mean share of the models that were observed.

        In ``by_task``, the same for each task.

    Raises
    ------
    ValueError
        If the router was fitted on queries of the log, a model is unknown, no single
        model has the coverage, or a column cannot be used.

    Notes
    -----
    In a partial log the policy chooses among the models observed for a query: where
    its free choice was not, it chooses again, with the others unavailable. Single
    models count on the queries that they were evaluated on, and differences are taken
    on the queries that both have.

    Limits are percentiles over resamples of the queries, the same for all rows; of the
    training of the router they know nothing (see
    `skl_locus.metrics.two_way_bootstrap`). Repeated (query, model) rows are averaged,
    and the order of the rows never matters.

    See Also
    --------
    SavingsDisplay : The same as a picture.
    skl_locus.metrics.compare : Routers side by side, without costs.

    Examples
    --------
    >>> from skl_locus import KMeansRouter, RouterPolicy
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import savings_report
    >>> from skl_locus.model_selection import QueryKFold
    >>> pool = make_evaluations(n_models=6, n_queries=300, random_state=0)
    >>> parts = [rows for _, rows in QueryKFold(n_splits=3).split(pool.evaluations)]
    >>> train, held_out, test = (pool.evaluations.iloc[rows] for rows in parts)
    >>> router = KMeansRouter(random_state=0).fit(train, train["score"])
    >>> policy = RouterPolicy(router, cost_model=pool.models["cost"], cost_weight=0.1)
    >>> report = savings_report(
    ...     policy.fit(held_out, held_out["score"]), test, random_state=0
    ... )
    >>> report.table[["model", "cost", "quality"]].round(2)
                       model  cost  quality
    choice
    policy              None  1.02     0.78
    always best      model-3  1.32     0.53
    always cheapest  model-5  0.47     0.41
    random              None  1.19     0.49
    oracle              None  0.73     0.95
    >>> print(report)
    Better quality (+25.0 points, ...
    """
    log = replay(
        policy,
        evaluations,
        y,
        reference=reference,
        min_coverage=min_coverage,
        cost_col=cost_col,
        score_col=score_col,
        task_col=task_col,
        allow_seen=allow_seen,
    )
    options = {
        "n_resamples": n_resamples,
        "confidence": confidence,
        "random_state": check_random_state(random_state).randint(2**31 - 1),
    }
    return SavingsReport(
        table=_table(log, np.arange(log.pairs.n_queries), options),
        by_task=_by_task(log, options),
        curve=swept_curve(log.pairs, CURVE_POINTS),
        models=_models(log),
        confidence=confidence,
        headroom=_headroom(log, min_coverage, options["random_state"]),
        mixture=mixture_at_cost(log, min_coverage, options),
    )


def _headroom(log: Replay, min_coverage: float, seed: int) -> RoutingHeadroom | None:
    """Measure what routing can win on the queries of the replay."""
    pairs, queries = log.pairs, log.queries
    cv = min(N_FOLDS, len(queries.encodings))
    if cv < 2:
        return None
    shape = pairs.n_queries, len(pairs.labels)
    return headroom_of(
        score_matrix(pairs.queries, pairs.models, pairs.scores, shape),
        label_array(pairs.labels),
        log.tasks + 1,  # queries without a task are a group of their own
        queries.encodings,
        queries.codes,
        cv=cv,
        min_coverage=min_coverage,
        rng=check_random_state(seed),
    )


def _table(log: Replay, queries: np.ndarray, options: dict[str, Any]) -> pd.DataFrame:
    """Summarise some queries."""
    outcomes = [log.outcomes[name] for name in ROWS]
    table = pd.DataFrame(index=pd.Index(ROWS, name="choice"))
    labels = label_array([log.singles.get(name) for name in ROWS])
    table["model"] = pd.Series(labels, table.index, dtype=object)
    for name, column in _estimates(outcomes, queries, options).items():
        table[name] = column
    known = np.array([outcome.known[queries] for outcome in outcomes])
    coverage = np.array([outcome.coverage[queries] for outcome in outcomes])
    table["share"] = known.sum(axis=1) / log.pairs.n_queries
    table["coverage"] = coverage.mean(axis=1)
    table.attrs["n_queries"] = len(queries)
    return table


def _by_task(log: Replay, options: dict[str, Any]) -> pd.DataFrame:
    tables = {
        task: _table(log, queries, options)
        for task, queries in log.by_task()
        if len(queries)
    }
    if not tables:
        return pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []]))
    # Attributes of parts that differ would not survive, nor mean anything.
    return pd.concat(
        {task: pd.DataFrame(table) for task, table in tables.items()},
        names=["task", "choice"],
    )


def _estimates(
    outcomes: list[Outcome], queries: np.ndarray, options: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Return means, differences and ratios with their limits, by name of column."""
    # (quantity, choice, draw, query): the bootstrap can also resample draws of the
    # training queries, of which there is one here. Differences and ratios are taken on
    # queries that both have, since a partial log may lack the hard ones for one.
    values = np.array([_stacked(outcomes, name, queries) for name in FIELDS])
    counts = _stacked(outcomes, "known", queries)
    at = [ROWS.index(BEST)]
    best, best_counts = values[:, at], counts[at]
    means = two_way_bootstrap(values, counts, **options)
    differences = two_way_bootstrap(
        values, counts, reference=best, reference_counts=best_counts, **options
    )
    both = counts * best_counts
    ratios = ratio_bootstrap(values[0] * both, best[0] * both, **options)
    columns: dict[str, np.ndarray] = {}
    for i, name in enumerate(QUANTITIES):
        columns |= _with_limits(name, means, i)
    for i, name in enumerate(QUANTITIES):
        columns |= _with_limits(f"{name}_difference", differences, i)
    return columns | _with_limits("cost_ratio", ratios, slice(None))


def _stacked(outcomes: list[Outcome], name: str, queries: np.ndarray) -> np.ndarray:
    """Return a field of the outcomes on some queries: (n_choices, 1, n_queries)."""
    rows = [getattr(outcome, name)[queries] for outcome in outcomes]
    return np.array(rows, dtype=np.float64)[:, None]


def _with_limits(name: str, estimate: Any, at: Any) -> dict[str, np.ndarray]:
    return {
        name: estimate.estimate[at],
        f"{name}_low": estimate.low[at],
        f"{name}_high": estimate.high[at],
    }


def _models(log: Replay) -> pd.DataFrame:
    rows = list(log.models())
    return pd.DataFrame(rows, columns=["model", *QUANTITIES, "coverage"]).set_index(
        "model"
    )


def _verdict(low: float, high: float) -> str:
    """Return the conclusion that an interval of a difference in quality allows."""
    if low > 0:
        return "Better quality"
    if high < 0:
        return "Worse quality"
    if low > -SAME_QUALITY and high < SAME_QUALITY:
        return "The same quality"
    return "A quality that cannot be told apart"


def _price(row: pd.Series) -> str:
    ratio, low, high = (row[f"cost_ratio{end}"] for end in ("", "_low", "_high"))
    if np.isnan(ratio):
        return f"{row['cost']:.3g} a query, beside nothing as the price"
    return f"{_percent(ratio)} ({_percent(low)} to {_percent(high)}) of the price"


def _percent(share: float) -> str:
    """Write a share with two digits at least: 41%, 0.23%, 312%."""
    percentage = 100 * share
    digits = 0 if percentage >= 10 else 2
    return f"{percentage:.{digits}f}%"
