"""Comparison of routers on test queries, with intervals of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skl_locus._data.identity import identify_rows
from skl_locus._data.pairs import MIN_COVERAGE, best_covered_model
from skl_locus._data.queries import UniqueQueries
from skl_locus._data.schema import Columns
from skl_locus._data.vector_cache import shared_vectors
from skl_locus._routing.unwrap import check_unseen, router_and_rows, stored_evaluations
from skl_locus._utils.array_checks import check_scores
from skl_locus._utils.bootstrap import (
    BootstrapEstimate,
    statistic_bootstrap,
    two_way_bootstrap,
)
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus._utils.statistics import holm
from skl_locus.metrics._registry import (
    CHOICES,
    METRICS,
    OF_DECISIONS,
    POOLED,
    ROUTING,
    ROUTING_ACCURACY,
)
from skl_locus.metrics._test_rows import TestRows, View, read_test_rows

BEST_SINGLE, ORACLE = "best single", "oracle"
"""Names of the rows that are no routers."""

OVERALL = "all"
"""Task of the rows for all queries together."""

DIFFERENCES = ["difference", "difference_low", "difference_high", "p_value"]
"""Columns of what is compared with the reference."""

COLUMNS = [
    *("metric", "task", "router"),
    *("estimate", "standard_error", "low", "high"),
    *DIFFERENCES,
    "p_adjusted",
]
"""Columns of the table."""


@shared_vectors()
def compare(
    routers: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    reference: str | None = None,
    metrics: Sequence[str] | None = None,
    task_col: str | None = "task",
    baselines: bool = True,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    allow_seen: bool = False,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Compare fitted routers on test evaluations, overall and by task.

    Parameters
    ----------
    routers : mapping of str to estimator or list of estimators
        Fitted routers, pipelines that end in one or fitted searches, by name. A
        list holds one for each draw of the training queries, the same number for
        all names; the i-th ones are taken to share a draw.
    X : dataframe of n_rows rows
        Test evaluations with a model column, as the estimators take them.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    reference : str, default=None
        Router that the others are compared with; the first by default.
    metrics : list of str, default=None
        Which of "routing_accuracy", "correctness_accuracy", "soft_log_loss",
        "soft_brier", "soft_roc_auc", "expected_calibration_error",
        "most_chosen_share" and "choice_entropy"; all by default.
    task_col : str, default="task"
        Column of X that names each row's task. Without it, or for None, there are
        the overall rows only.
    baselines : bool, default=True
        Whether routing accuracy has rows "best single" and "oracle".
    n_resamples : int, default=1000
        Number of bootstrap resamples.
    confidence : float, default=0.95
        Share of the resampled values between the limits.
    allow_seen : bool, default=False
        Whether test queries may be among those a router was fitted on.
    random_state : int, RandomState instance or None, default=None
        Determines the resamples.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame
        One row per metric, task ("all" first) and router, with the columns

        - metric, task, router;
        - estimate, standard_error, low, high;
        - difference, difference_low, difference_high: less the reference, NaN for
          itself;
        - p_value of no difference, and p_adjusted for the number of comparisons of
          the metric (Holm): overall ones are one family, those within tasks another.

    Raises
    ------
    ValueError
        If a router was fitted on evaluations of test queries, a name or metric is
        unknown, numbers of draws differ, or the table or the scores cannot be used.
    TypeError
        If an estimator is no router.

    Notes
    -----
    Intervals and p-values are those of `two_way_bootstrap` over draws and test
    queries, the same resamples for all routers; within a task, its own queries are
    resampled. The smallest adjusted p-value of k comparisons is never below
    ``2 * k / (n_resamples + 1)``, so that many tasks want many
    resamples. "soft_roc_auc", "expected_calibration_error", "most_chosen_share" and
    "choice_entropy" are no means over queries: they are computed anew from the queries
    of each resample, for each draw, and averaged over the draws in it. A calibration
    error is never negative, so that its resamples, which add noise, lie above the
    estimate on average; the error of a well calibrated router may lie below its
    interval.

    In a partial log the choice is among the models observed for a query. The best
    single model is that of the best mean among the evaluations which the
    reference's router of the same draw keeps, if it was evaluated on 80% of the
    test queries; without such a model the row is NaN. Its difference is taken on
    the queries it was evaluated on. The oracle takes the best model of each query
    and has no p-value, since it cannot be worse.

    A query is identified as the reference's first router reads it: by id, else by
    text or vector. The order of the rows never matters.

    Examples
    --------
    >>> from skl_locus import BestSingleRouter, KMeansRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.metrics import compare
    >>> from skl_locus.model_selection import QueryShuffleSplit
    >>> log = make_evaluations(n_models=6, n_queries=200, random_state=0).evaluations
    >>> split = QueryShuffleSplit(n_splits=1, random_state=0)
    >>> train, test = next(split.split(log))
    >>> routers = {"single": BestSingleRouter(), "clusters": KMeansRouter(8)}
    >>> for router in routers.values():
    ...     _ = router.fit(log.iloc[train], log["score"].iloc[train])
    >>> test = log.iloc[test]
    >>> table = compare(
    ...     routers, test, test["score"], metrics=["routing_accuracy"], random_state=0
    ... )
    >>> table["router"].unique().tolist()
    ['single', 'clusters', 'best single', 'oracle']
    """
    views = _views_of(routers, X, baselines)
    names = list(views)
    reference = _checked_reference(reference, names)
    chosen = _checked_metrics(metrics)
    scores = check_scores(y, "y")
    identified = _IdentifiedViews()
    if not allow_seen:
        _check_unseen(views, identified)
    # The reference comes first: it tells queries apart, and all differ from it.
    ordered = sorted(names, key=lambda name: name != reference)
    rows = read_test_rows(
        [views[name] for name in ordered],
        identified.queries(views[reference][0]),
        X,
        scores,
        task_col,
        with_probabilities=any(
            METRICS[name].kind not in OF_DECISIONS for name in chosen
        ),
    )
    singles = _best_singles(rows, views[reference]) if baselines else None
    options = {
        "n_resamples": n_resamples,
        "confidence": confidence,
        "random_state": check_random_state(random_state).randint(2**31 - 1),
    }
    blocks = _blocks(rows)
    n_parts = len(blocks) * len(chosen)
    parts = []
    with (
        progress_shown(verbose),
        progress_bar("compare", n_parts, unit="metric of a task") as bar,
    ):
        for (task, own), metric in product(blocks, chosen):
            part = _part(metric, own, ordered, singles, options)
            parts.append(part.assign(metric=metric, task=task))
            bar.advance()
    return _finished(pd.concat(parts), names)


def _part(
    metric: str,
    rows: TestRows,
    names: list[str],
    singles: list[int | None] | None,
    options: dict[str, Any],
) -> pd.DataFrame:
    """Compare by one metric on some rows."""
    kind = METRICS[metric].kind
    if kind in (POOLED, CHOICES):
        return _pooled(metric, rows, names, options)
    if kind != ROUTING:
        return _resampled(names, *rows.row_totals(metric), options)
    totals = rows.routed_totals(metric)
    counts = np.ones(totals.shape)
    if singles is None or metric != ROUTING_ACCURACY:
        return _resampled(names, totals, counts, options)
    totals, counts = _with_baselines(totals, counts, rows, singles)
    return _resampled([*names, BEST_SINGLE, ORACLE], totals, counts, options)


def _pooled(
    metric: str, rows: TestRows, names: list[str], options: dict[str, Any]
) -> pd.DataFrame:
    estimates = rows.pooled(metric).mean(axis=1)
    differences = estimates - estimates[0]
    if METRICS[metric].statistic is None:
        return pd.DataFrame(
            {"router": names, "estimate": estimates, "difference": differences}
        )
    means, gaps = statistic_bootstrap(
        rows.resampled(metric), rows.decisions.shape[1], rows.n_queries, **options
    )
    # Estimates are those of the metrics themselves, to the last digit.
    return _table(
        names,
        means._replace(estimate=estimates),
        gaps._replace(estimate=differences),
    )


def _resampled(
    names: list[str], totals: np.ndarray, counts: np.ndarray, options: dict[str, Any]
) -> pd.DataFrame:
    means = two_way_bootstrap(totals, counts, **options)
    # Differences have intervals of their own: routers do well and badly on the same
    # queries, so that intervals of two means may overlap where one is surely better.
    differences = two_way_bootstrap(
        totals, counts, reference=totals[0], reference_counts=counts[0], **options
    )
    return _table(names, means, differences)


def _table(
    names: list[str], means: BootstrapEstimate, differences: BootstrapEstimate
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "router": names,
            "estimate": means.estimate,
            "standard_error": means.standard_error,
            "low": means.low,
            "high": means.high,
            "difference": differences.estimate,
            "difference_low": differences.low,
            "difference_high": differences.high,
            "p_value": differences.p_value,
        }
    )


def _finished(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Order the rows, clear what says nothing and adjust the p-values."""
    table = table.reindex(columns=COLUMNS).reset_index(drop=True)
    # Within each part the reference comes first, and has nothing to differ from.
    is_reference = ~table.duplicated(["metric", "task"])
    table.loc[is_reference, DIFFERENCES] = np.nan
    table.loc[table["router"] == ORACLE, "p_value"] = np.nan
    # Many tasks would give small p-values by chance, and one comparison over all
    # queries would pay for it if it were in the same family.
    families = [table["metric"], table["task"] == OVERALL]
    for _, own in table.dropna(subset="p_value").groupby(families):
        table.loc[own.index, "p_adjusted"] = holm(own["p_value"].to_numpy())
    metrics = table["metric"].map(list(METRICS).index)
    tasks = pd.factorize(table["task"])[0]
    routers = table["router"].map([*names, BEST_SINGLE, ORACLE].index)
    order = np.lexsort((routers, tasks, metrics))
    return table.iloc[order].reset_index(drop=True)


def _blocks(rows: TestRows) -> list[tuple[Any, TestRows]]:
    """List all rows together, and the rows of each task."""
    if OVERALL in rows.task_labels:
        raise ValueError(
            f"A task is called {OVERALL!r}, which stands for all tasks together; "
            "rename it or pass task_col=None."
        )
    return [(OVERALL, rows), *rows.by_task()]


def _with_baselines(
    totals: np.ndarray,
    counts: np.ndarray,
    rows: TestRows,
    singles: list[int | None],
) -> tuple[np.ndarray, np.ndarray]:
    """Add the best single model and the oracle to the totals of the routers."""
    pairs = rows.pairs
    single, known = np.zeros((2, *totals.shape[1:]))
    for draw, position in enumerate(singles):
        if position is not None:
            own = pairs.of_model(position)
            single[draw, pairs.queries[own]] = pairs.scores[own]
            known[draw, pairs.queries[own]] = 1
    oracle = np.broadcast_to(pairs.scores[pairs.best(pairs.scores)], single.shape)
    return (
        np.concatenate([totals, [single, oracle]]),
        np.concatenate([counts, [known, np.ones(oracle.shape)]]),
    )


def _best_singles(rows: TestRows, draws: list[View]) -> list[int | None]:
    """Return the best single model of each draw, as a position in the labels."""
    known = [stored_evaluations(router) for router, _ in draws]
    return [
        best_covered_model(rows.pairs, own.model_names, own.model_means(), MIN_COVERAGE)
        for own in known
    ]


def _views_of(routers: Any, X: Any, baselines: bool) -> dict[str, list[View]]:
    """Return every router inside what was passed, with the rows as it sees them."""
    if not isinstance(routers, Mapping) or not routers:
        raise ValueError("routers must be a mapping of names to fitted routers.")
    taken = {BEST_SINGLE, ORACLE}.intersection(routers) if baselines else set()
    if taken:
        raise ValueError(
            f"The name {taken.pop()!r} is taken by a baseline; rename the router or "
            "pass baselines=False."
        )
    draws = {
        name: list(own) if isinstance(own, (list, tuple)) else [own]
        for name, own in routers.items()
    }
    sizes = {name: len(own) for name, own in draws.items()}
    if min(sizes.values()) == 0 or len(set(sizes.values())) > 1:
        raise ValueError(
            "Each router must have the same number of draws, at least one; got "
            f"{sizes}."
        )
    return {
        name: [router_and_rows(estimator, X) for estimator in own]
        for name, own in draws.items()
    }


def _checked_reference(reference: str | None, names: list[str]) -> str:
    if reference is None:
        return names[0]
    if reference not in names:
        raise ValueError(f"reference={reference!r} is none of the routers {names}.")
    return reference


def _checked_metrics(metrics: Sequence[str] | None) -> list[str]:
    if metrics is None:
        return list(METRICS)
    if isinstance(metrics, str):
        raise ValueError(f"metrics must be a list; pass [{metrics!r}].")
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not len(metrics):
        raise ValueError(f"metrics must be of {list(METRICS)}, got {list(metrics)}.")
    return [metric for metric in METRICS if metric in metrics]


class _IdentifiedViews:
    """The queries of rows, identified once for all routers that read them alike."""

    def __init__(self) -> None:
        self._known: dict[tuple[Columns, int], UniqueQueries] = {}

    def queries(self, view: View) -> UniqueQueries:
        """Return the identified queries of a router's rows."""
        router, rows = view
        # Rows stay alive with the views, so that their address names them.
        key = Columns.of(router), id(rows)
        if key not in self._known:
            self._known[key] = identify_rows(router, rows)
        return self._known[key]


def _check_unseen(views: dict[str, list[View]], identified: _IdentifiedViews) -> None:
    """Raise if a router knows scores of test queries."""
    for name, draws in views.items():
        for view in draws:
            check_unseen(view[0], identified.queries(view), f"Router {name!r}")
