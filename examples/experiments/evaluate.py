"""Fit a router on a draw and measure it on matrices (n_queries, n_models).

In every matrix NaN stands for a score that was not observed, or a model that the
router does not know.
"""

import time

import numpy as np
from methods import make
from protocol import Draw, draw, frame

from skl_locus.metrics import (
    best_single_score,
    expected_calibration_error,
    soft_roc_auc_score,
)

CORRECT_FROM = 0.5
CALIBRATION_BINS = 15
NOISE_SEED = 7
CHANCE_SEED, CHANCE_DRAWS = 13, 20
SMALLEST_PROBABILITY = 1e-7
MIN_COVERAGE = 0.8
"""A single model that missed more test queries is no yardstick."""


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
    rows = by_task(totals, P, scores, drawn.seen, log.tasks[drawn.test])
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
    p = np.clip(P, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    losses = {
        "correct": (P >= CORRECT_FROM) == (scores >= CORRECT_FROM),
        "log_loss": -scores * np.log(p) - (1 - scores) * np.log1p(-p),
        "brier": (P - scores) ** 2,
    }
    return {
        "chosen": np.where(observed.any(axis=1), chosen_score, np.nan),
        **{
            name: np.where(observed, loss, 0).sum(axis=1)
            for name, loss in losses.items()
        },
        "count": observed.sum(axis=1),
    }


def summarise(totals, P, scores, seen):
    """Return the row of a table: all metrics, the best single model, the oracle."""
    observed = np.isfinite(P) & np.isfinite(scores)
    routable = np.isfinite(totals["chosen"])
    count = max(1, totals["count"].sum())
    return {
        "routing_accuracy": _mean(totals["chosen"][routable]),
        "correctness_accuracy": totals["correct"].sum() / count,
        "log_loss": totals["log_loss"].sum() / count,
        "brier": totals["brier"].sum() / count,
        "roc_auc": area_under_curve(scores[observed], P[observed]),
        "ece": calibration_error(scores[observed], P[observed]),
        "best_single": single_model_score(seen, scores),
        "oracle": _mean(np.where(observed, scores, -1).max(axis=1)[routable]),
        "coverage": observed.mean(),
        "n_queries": int(routable.sum()),
    }


def by_task(totals, P, scores, seen, tasks):
    """Return one row over all tasks and one for each of them."""
    rows = [{"task": "all", **summarise(totals, P, scores, seen)}]
    distinct = np.unique(tasks)
    for task in distinct if len(distinct) > 1 else ():
        of_task = tasks == task
        some = {name: values[of_task] for name, values in totals.items()}
        summary = summarise(some, P[of_task], scores[of_task], seen)
        rows.append({"task": str(task), **summary})
    return rows


def single_model_score(seen, scores):
    """Return the test score of the model that was best on the training queries."""
    trained, tested = (np.nonzero(np.isfinite(part)) for part in (seen, scores))
    try:
        return best_single_score(
            scores[tested],
            queries=tested[0],
            models=tested[1],
            y_train=seen[trained],
            models_train=trained[1],
            min_coverage=MIN_COVERAGE,
        )
    except ValueError:  # no model that was trained on has the coverage
        return np.nan


def area_under_curve(scores, p):
    """Return the ROC AUC, NaN where all answers are right or all wrong."""
    if not len(scores) or not 0 < scores.sum() < len(scores):
        return np.nan
    return soft_roc_auc_score(scores, p)


def calibration_error(scores, p):
    """Return the expected calibration error over bins of equal mass."""
    if not len(p):
        return np.nan
    return expected_calibration_error(scores, p, n_bins=CALIBRATION_BINS)


def error_by_chance(p):
    """Return the mean calibration error of scores that are right that often."""
    rng = np.random.default_rng(CHANCE_SEED)
    drawn = rng.random((CHANCE_DRAWS, len(p))) < p
    return _mean(np.array([calibration_error(scores, p) for scores in drawn]))


def _mean(values):
    return float(values.mean()) if len(values) else np.nan
