"""The long tables of the summary: by log, by task left out, by cost, and all together.

Differences are from `BestSingleRouter`, whose P is the mean score of each model: what
every look at the query has to beat.
"""

import numpy as np
import pandas as pd
from comparison import LOSSES
from protocol import COMPLETE, SHIFT

from skl_locus._utils.bootstrap import statistic_bootstrap
from skl_locus.metrics import aiq_score, qnc_score, two_way_bootstrap

REFERENCE = "Best single"
RANDOM_MIXTURES = "Random mixtures"
"""The zero router: single models mixed by price, whatever the query is."""

METRICS = ("log_loss", "routing_accuracy")
N_RESAMPLES = 500
NORMAL_LIMIT = 1.96
"""Standard errors on either side of a mean of independent differences, for 95%."""

ROUNDING = 1e-9
"""What the same mean may differ by when it is summed in another order."""

REACHED = 0.975
"""Share of resamples in which a quality must be reached for an upper limit to exist."""


def long_tables(results, logs):
    """Return the tables by name, from results by step and method."""
    # Of a run that is under way, some steps have nothing to compare with yet.
    begun = {s: found for s, found in results.items() if REFERENCE in found}
    whole = {s: found for s, found in begun.items() if s.cell == COMPLETE}
    shifts = {s: found for s, found in begun.items() if s.cell.startswith(SHIFT)}
    by_log = pd.concat(
        [table_of_cell(steps) for steps in by_cell(whole)], ignore_index=True
    )
    by_task = [table_of_cell(steps) for steps in by_cell(shifts)]
    by_task = pd.concat(by_task, ignore_index=True) if by_task else by_log.iloc[:0]
    return {
        "logs": by_log,
        "tasks": by_task,
        "costs": cost_table(whole, logs),
        "methods": over_logs(by_log, sorted({step.log for step in whole})),
        "shift": over_tasks(by_task),
    }


def by_cell(results):
    """Group the results of the draws of a cell: lists of (step, results by method)."""
    cells = {}
    for step, found in results.items():
        cells.setdefault((step.log, step.cell, step.n), []).append((step, found))
    return cells.values()


def table_of_cell(draws):
    """Return a row per method: means over the draws and differences with intervals."""
    first = draws[0][0]
    rows = []
    for method in dict.fromkeys(name for _, found in draws for name in found):
        paired = [found for _, found in draws if method in found]
        row = {"log": first.log, "cell": first.cell, "n": first.n, "method": method}
        row["n_draws"] = len(paired)
        for metric in METRICS:
            row |= difference(paired, method, metric)
        metrics = pd.DataFrame([found[method]["metrics"] for found in paired])
        for name in ("correctness_accuracy", "brier", "roc_auc", "ece"):
            row[name] = metrics[name].mean()
        row["most_chosen_share"] = np.mean(
            [
                np.bincount(f[method]["chosen"]).max() / len(f[method]["chosen"])
                for f in paired
            ]
        )
        row["best_single"], row["oracle"] = metrics[["best_single", "oracle"]].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def difference(paired, method, metric):
    """Return a mean, its difference from the reference, and the interval of that."""
    own, other = (
        np.stack([found[name]["totals"][LOSSES[metric]] for found in paired])
        for name in (method, REFERENCE)
    )
    counts = np.isfinite(own) & np.isfinite(other)
    if metric != "routing_accuracy":
        counts = counts * np.stack([f[method]["totals"]["count"] for f in paired])
    own, other = np.nan_to_num(own), np.nan_to_num(other)
    found = two_way_bootstrap(
        own, counts, reference=other, reference_counts=counts, random_state=0
    )
    return {
        metric: float(two_way_bootstrap(own, counts, n_resamples=2).estimate),
        f"{metric}_difference": float(found.estimate),
        f"{metric}_error": float(found.standard_error),
        f"{metric}_low": float(found.low),
        f"{metric}_high": float(found.high),
    }


def over_logs(by_log, logs):
    """Average the differences over logs, each with the same weight.

    A method that lacks a log has no mean. Logs are independent, and errors of the
    differences within them come from draws and test queries.
    """
    rows = []
    for method, own in by_log.groupby("method", sort=False):
        row = {"method": method, "n_logs": len(own), "n_draws": own["n_draws"].min()}
        for metric in METRICS:
            values = own[f"{metric}_difference"]
            error = np.sqrt((own[f"{metric}_error"] ** 2).sum()) / len(own)
            row |= _with_limits(metric, values.mean(), error, len(own) == len(logs))
        rows.append(row)
    return pd.DataFrame(rows)


def over_tasks(by_task):
    """Average the differences of each log over the tasks that were left out.

    The interval is over tasks: which task comes next is what is not known.
    """
    rows = []
    for (log, method), own in by_task.groupby(["log", "method"], sort=False):
        n_tasks = by_task.loc[by_task["log"] == log, "cell"].nunique()
        row = {"log": log, "method": method, "n_tasks": len(own)}
        for metric in METRICS:
            values = own[f"{metric}_difference"]
            row |= _with_limits(
                metric, values.mean(), values.sem(), len(own) == n_tasks
            )
        rows.append(row)
    # No task may have been left out yet.
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["log", "method"])


def _with_limits(metric, mean, error, is_complete):
    if not is_complete:
        mean = np.nan
    return {
        f"{metric}_difference": mean,
        f"{metric}_low": mean - NORMAL_LIMIT * error,
        f"{metric}_high": mean + NORMAL_LIMIT * error,
    }


def cost_table(whole, logs):
    """Return AIQ and QNC with intervals, for the logs with costs."""
    tables = []
    for draws in by_cell(whole):
        log = logs[draws[0][0].log]
        if log.costs is None:
            continue
        # Only methods with every draw: the rows of a table share their resamples.
        methods = [
            name
            for name in dict.fromkeys(name for _, found in draws for name in found)
            if all(name in found for _, found in draws)
        ]
        if methods:
            tables.append(CostCurves(log, draws, methods).table())
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


class CostCurves:
    """Cost and quality of every method, draw, weight of cost and query of a log."""

    def __init__(self, log, draws, methods):
        scores, costs = log.scores[log.test], log.costs[log.test]
        known = np.isfinite(scores) & np.isfinite(costs)
        # A choice is made among the models that were observed on a query.
        kept = known.any(axis=1)
        self.log, self.methods = log, methods
        self.n_draws, self.n_queries = len(draws), int(kept.sum())
        self.rows = np.arange(len(scores))[kept]
        self.scores = np.where(known, scores, np.nan)
        self.costs = np.where(known, costs, np.nan)
        means = np.nanmean(self.costs[kept], axis=0)
        self.cost_range = float(means.min()), float(means.max())
        self.points = {
            (name, d): self._points(found[name]["choices"])
            for name in methods
            for d, (_, found) in enumerate(draws)
        }
        self.singles = self._points(
            np.tile(np.arange(scores.shape[1])[:, None], (1, len(scores)))
        )
        self.best = [
            self._points(found[REFERENCE]["chosen"][None]) for _, found in draws
        ]

    def _points(self, choices):
        """Return costs and scores of choices (n_weights, n_queries), 0 if unknown.

        The third is 1 where they are known, None where all of them are: means are
        taken thousands of times.
        """
        chosen = choices[:, self.rows]
        costs, scores = self.costs[self.rows, chosen], self.scores[self.rows, chosen]
        known = np.isfinite(costs)
        if known.all():
            return costs, scores, None
        return np.nan_to_num(costs), np.nan_to_num(scores), known.astype(np.float64)

    def table(self):
        """Return a row per method, the random mixtures first."""
        names = [RANDOM_MIXTURES, *self.methods]
        size = self.n_draws, self.n_queries
        quality, gaps = statistic_bootstrap(
            self.aiq, *size, n_resamples=N_RESAMPLES, random_state=0
        )
        self.reached = []
        cost, _ = statistic_bootstrap(
            self.qnc, *size, n_resamples=N_RESAMPLES, random_state=0
        )
        reached = np.mean(self.reached, axis=0)
        return pd.DataFrame(
            {
                "log": self.log.name,
                "method": names,
                "n_draws": self.n_draws,
                "aiq": quality.estimate,
                "aiq_low": quality.low,
                "aiq_high": quality.high,
                "aiq_difference": gaps.estimate,
                "aiq_difference_low": gaps.low,
                "aiq_difference_high": gaps.high,
                "qnc": cost.estimate,
                "qnc_low": cost.low,
                "qnc_high": np.where(reached >= REACHED, cost.high, np.inf),
                "qnc_reached": reached,
            }
        )

    def aiq(self, weights):
        """Return the mean quality over the range of costs, under weights of queries."""
        return self._each(
            lambda costs, scores, _: aiq_score(
                costs, scores, cost_range=self.cost_range
            ),
            weights,
        )

    def qnc(self, weights):
        """Return the relative cost of the best single model's quality likewise."""

        def relative_cost(costs, scores, draw):
            best_cost, best_score = mean_points(self.best[draw], weights)
            return qnc_score(
                costs,
                scores,
                best_single_quality=float(best_score[0]) - ROUNDING,
                best_single_cost=float(best_cost[0]),
            )

        values = self._each(relative_cost, weights)
        self.reached.append(np.isfinite(values).mean(axis=1))
        return values

    def _each(self, value, weights):
        """Compute a value for the mixtures and every method (rows) and draw."""
        rows = [[value(*mean_points(self.singles, weights), d) for d in self._draws]]
        means = {
            key: mean_points(points, weights) for key, points in self.points.items()
        }
        rows += [
            [value(*means[name, d], d) for d in self._draws] for name in self.methods
        ]
        return np.array(rows)

    @property
    def _draws(self):
        return range(self.n_draws)


def mean_points(points, weights):
    """Return mean costs and scores of operating points under weights of queries."""
    costs, scores, known = points
    counts = weights.sum() if known is None else known @ weights
    return (costs @ weights) / counts, (scores @ weights) / counts
