"""Fits on a draw, measured on matrices (n_queries, n_models).

In every matrix NaN stands for a score that was not observed, or a model that the
router does not know.
"""

import time

import numpy as np
import pandas as pd
from methods import make
from protocol import Draw, draw, frame

from skl_locus import metrics
from skl_locus.metrics._correctness import (
    correctness_hits,
    log_losses,
    squared_losses,
)

NOISE_SEED = 7
CHANCE_SEED, CHANCE_DRAWS = 13, 20

SMALLEST_PROBABILITY = 1e-7
"""Limit of P(correct) in the log loss, about the resolution of single precision."""


def evaluate_job(log, job):
    """Fit and measure one method on one draw: tidy rows and per-query totals."""
    drawn = noisy(draw(log, job["cell"], job["n"], job["seed"]), job)
    router = make(job["method"], job["seed"], job["tiny"], **job.get("changes", {}))
    seconds = fit_on_draw(router, log, drawn)
    scores = log.scores[drawn.test]
    P, decisions = predict(router, log, drawn.test, scores)
    totals = query_totals(P, decisions, scores)
    about = {
        "pool": log.pool,
        **{key: job[key] for key in ("method", "cell", "n", "seed")},
        "fit_seconds": seconds,
    }
    rows = by_task(P, decisions, scores, drawn.seen, log.tasks[drawn.test])
    return {"about": about, "rows": [about | row for row in rows], "totals": totals}


def fit_job(log, job):
    """Fit one method on one draw."""
    router = make(job["method"], job["seed"], job["tiny"])
    fit_on_draw(router, log, draw(log, job["cell"], job["n"], job["seed"]))
    return router


def noisy(drawn, job):
    """Flip a share of the training scores, or grade it: right in [0.5, 1]."""
    share = job.get("noise_share", 0.0)
    if not share:
        return drawn
    rng = np.random.default_rng([job["seed"], NOISE_SEED])
    changed = rng.uniform(size=drawn.seen.shape) < share
    if job["noise"] == "flip":
        other = 1 - drawn.seen
    else:
        other = (drawn.seen + rng.uniform(size=drawn.seen.shape)) / 2
    return Draw(drawn.train, np.where(changed, other, drawn.seen), drawn.test)


def fit_on_draw(router, log, draw):
    """Fit on what was seen; return the processor seconds that it took.

    They do not depend on what else the machine does, such as other jobs.
    """
    table = frame(log, draw.train, draw.seen)
    start = time.process_time()
    router.fit(table, table["score"])
    return time.process_time() - start


def predict(router, log, rows, scores):
    """Return P(correct) and decision scores where a score was observed."""
    known = np.where(np.isin(log.models, router.models_), scores, np.nan)
    table = frame(log, rows, known)
    cells = np.nonzero(np.isfinite(known))
    matrices = np.full((2, *scores.shape), np.nan)
    if len(table):
        matrices[0][cells] = router.predict_proba(table)[:, 1]
        matrices[1][cells] = router.routing_scores(table)
    return matrices[0], matrices[1]


def query_totals(P, decisions, scores):
    """Return per query: the chosen model's score, sums of losses, and their count."""
    observed = np.isfinite(P) & np.isfinite(scores)
    chosen = np.where(observed, decisions, -np.inf).argmax(axis=1)
    chosen_score = scores[np.arange(len(scores)), chosen]
    losses = {
        "correct": correctness_hits(scores, P),
        "log_loss": log_losses(scores, clipped(P)),
        "brier": squared_losses(scores, P),
    }
    return {
        "chosen": np.where(observed.any(axis=1), chosen_score, np.nan),
        **{
            name: np.where(observed, loss, 0).sum(axis=1)
            for name, loss in losses.items()
        },
        "count": observed.sum(axis=1),
    }


def clipped(P):
    """Keep P off 0 and 1 alike for routers of single and of double precision."""
    return np.clip(P, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def by_task(P, decisions, scores, seen, tasks):
    """Return one row over all tasks and one for each of them."""
    rows = [{"task": "all", **summarise(P, decisions, scores, seen)}]
    distinct = np.unique(tasks)
    for task in distinct if len(distinct) > 1 else ():
        own = tasks == task
        summary = summarise(P[own], decisions[own], scores[own], seen)
        rows.append({"task": str(task), **summary})
    return rows


def summarise(P, decisions, scores, seen):
    """Return the row of a table: all metrics, the best single model, the oracle."""
    queries, models = np.nonzero(np.isfinite(P) & np.isfinite(scores))
    log = {"queries": queries, "models": models}
    y = scores[queries, models]
    choices = decisions[queries, models]
    return {
        "routing_accuracy": (
            metrics.routing_accuracy_score(y, choices, **log) if len(y) else np.nan
        ),
        **correctness(P, scores),
        "best_single": best_single_score(seen, scores),
        "oracle": metrics.oracle_score(y, **log) if len(y) else np.nan,
        **extent(P, scores),
    }


def correctness(P, scores):
    """Return the metrics of P(correct), over all observed cells together."""
    observed = np.isfinite(P) & np.isfinite(scores)
    y, p = scores[observed], P[observed]
    names = ("correctness_accuracy", "log_loss", "brier", "roc_auc", "ece")
    if not len(y):
        return dict.fromkeys(names, np.nan)
    values = (
        metrics.correctness_accuracy_score(y, p),
        metrics.soft_log_loss(y, clipped(p)),
        metrics.soft_brier_score(y, p),
        # Undefined, and warned about, where all answers are right or all wrong.
        metrics.soft_roc_auc_score(y, p) if 0 < y.sum() < len(y) else np.nan,
        metrics.expected_calibration_error(y, p),
    )
    return dict(zip(names, values, strict=True))


def extent(P, scores):
    """Return how many cells and queries the metrics are over."""
    observed = np.isfinite(P) & np.isfinite(scores)
    return {
        "coverage": observed.mean(),
        "n_queries": int(observed.any(axis=1).sum()),
    }


def best_single_score(seen, scores):
    """Return the test score of the best model in training, NaN if none is covered."""
    queries, models = np.nonzero(np.isfinite(scores))
    known = np.nonzero(np.isfinite(seen))
    try:
        return metrics.best_single_score(
            scores[queries, models],
            queries=queries,
            models=models,
            y_train=seen[known],
            models_train=known[1],
        )
    except ValueError:  # no model has been asked enough of the test queries
        return np.nan


def error_by_chance(p):
    """Return the mean calibration error of scores that are right that often."""
    if not len(p):
        return np.nan
    rng = np.random.default_rng(CHANCE_SEED)
    drawn = (rng.random((CHANCE_DRAWS, len(p))) < p).astype(float)
    errors = [metrics.expected_calibration_error(scores, p) for scores in drawn]
    return float(np.mean(errors))


def same_family(distances, families):
    """Return how often the nearest other model is of the same family, and by chance.

    Models of no known family, and those alone in theirs, do not count; NaN where
    nobody is left.
    """
    known = pd.notna(families)
    matrix, families = distances[np.ix_(known, known)], families[known]
    apart = ~np.eye(len(families), dtype=bool)
    kin = (families[:, None] == families) & apart
    has_kin = kin.any(axis=1)
    if not has_kin.any():
        return np.nan, np.nan
    nearest = np.where(apart & ~np.isnan(matrix), matrix, np.inf).argmin(axis=1)
    hits = kin[np.arange(len(kin)), nearest][has_kin]
    chance = kin[has_kin].sum(axis=1).mean() / (len(kin) - 1)
    return hits.mean(), chance
