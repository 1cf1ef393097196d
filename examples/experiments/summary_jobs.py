"""Jobs of the summary: one method on one draw, with choices under prices."""

import numpy as np
from evaluate import fit_on_draw, predict, query_totals, summarise
from methods import make
from protocol import draw

PRICE_WEIGHTS = (0.0, *np.geomspace(1e-3, 100, 48))
"""Weights of the mean cost of a model, scaled so that the dearest costs 1, against its
decision score: from quality alone to cost alone."""

DECIDES_BY_POINTS = ("Avengers-Pro",)
"""Methods whose dial between quality and cost weighs points instead of P."""


def summary_job(log, job):
    """Fit and measure one method on one draw.

    Returns the metrics, the totals per query, the chosen column of the pool per query,
    and where the log has costs, the column that each weight of cost would choose.
    """
    drawn = draw(log, job["cell"], job["n"], job["seed"])
    router = make(job["method"], job["seed"], job["tiny"])
    fit_on_draw(router, log, drawn)
    scores = log.scores[drawn.test]
    P, decisions = predict(router, log, drawn.test, scores)
    points = decisions if job["method"] in DECIDES_BY_POINTS else P
    return {
        "metrics": summarise(P, decisions, scores, drawn.seen),
        "totals": query_totals(P, decisions, scores),
        "chosen": best_known(decisions),
        "choices": None if log.costs is None else priced_choices(points, log, drawn),
    }


def priced_choices(points, log, drawn):
    """Return the chosen column for each weight of cost: (n_weights, n_queries)."""
    seen = np.isfinite(drawn.seen)
    costs = np.where(seen, log.costs[drawn.train], np.nan)
    # A decision is made before the answer is paid: only mean costs are known.
    expected = np.nanmean(costs, axis=0)
    expected = expected / expected.max()
    return np.stack(
        [best_known(points - weight * expected) for weight in PRICE_WEIGHTS]
    )


def best_known(points):
    """Return the column of the most points in each row, NaN aside."""
    known = np.where(np.isfinite(points), points, -np.inf)
    return known.argmax(axis=1).astype(np.uint8)
