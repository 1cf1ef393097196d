"""Figures of routers on queries that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skl_locus._cli.commands import note
from skl_locus._cli.saved import router_in, takes_texts

if TYPE_CHECKING:
    import pandas as pd

    from skl_locus.inspection import RoutingHeadroom

METRICS = {
    "routing_accuracy": "routing score",
    "soft_log_loss": "log loss",
    "soft_brier": "Brier score",
    "expected_calibration_error": "calibration error",
}
"""Metrics of `skl_locus.metrics.compare`, with the names of their columns here."""

RESAMPLES = 1000
"""Bootstrap resamples of the test queries for the intervals."""


def comparison(
    routers: Mapping[str, Any],
    test: pd.DataFrame,
    random_state: int | None,
    *,
    allow_seen: bool = False,
) -> pd.DataFrame:
    """Compare routers by all metrics, in the form of `skl_locus.metrics.compare`."""
    from skl_locus.metrics import compare

    return compare(
        routers,
        test,
        test["score"],
        metrics=list(METRICS),
        task_col="task" if "task" in test else None,
        n_resamples=RESAMPLES,
        allow_seen=allow_seen,
        random_state=random_state,
    )


def overall(compared: pd.DataFrame) -> pd.DataFrame:
    """Return one row per router and one column per metric, over all tasks."""
    rows = compared[compared["task"] == "all"]
    table = rows.pivot_table(
        index="router", columns="metric", values="estimate", sort=False
    )
    routing = rows[rows["metric"] == "routing_accuracy"].set_index("router")
    table = table.reindex(routing.index).rename(columns=METRICS)
    table.insert(1, "low", routing["low"])
    table.insert(2, "high", routing["high"])
    table.insert(3, "difference", routing["difference"])
    return table.rename_axis(index=None, columns=None)


def headroom(encoded: pd.DataFrame, random_state: int | None = None) -> RoutingHeadroom:
    """Measure what routing could win on a log of vectors."""
    from skl_locus.inspection import routing_headroom

    return routing_headroom(encoded, encoded["score"], random_state=random_state)


def encoded_for(estimator: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Return a log with the vectors that a fitted router sees in place of texts."""
    if hasattr(estimator, "steps"):
        return estimator[:-1].transform(table)
    router = router_in(estimator)
    return router.query_encoder_.transform(table) if takes_texts(router) else table


def of_known_models(table: pd.DataFrame, routers: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows whose model all routers have."""
    known = set.intersection(*(set(router.models_) for router in routers.values()))
    rows = table["model"].isin(known)
    if not rows.any():
        raise ValueError("The router has none of the models of the log.")
    if not rows.all():
        others = table["model"][~rows].nunique()
        note(
            f"left out {int((~rows).sum())} evaluations of {others} models that the "
            "router does not have"
        )
    return table[rows]
