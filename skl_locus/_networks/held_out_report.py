"""What held-out queries say of a fit, for its closing line."""

from __future__ import annotations

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._utils.progress import is_reported, learned
from skl_locus._utils.statistics import log_losses


def report_held_out(
    seen: EvaluationSet, unseen: EvaluationSet | None, history: list[float]
) -> None:
    """Add the log loss on held-out queries to the closing line of a fit.

    Parameters
    ----------
    seen, unseen : EvaluationSet
        Evaluations of the training and those held out of it, if any.
    history : list of float
        Negative log losses on them at each check; the best weights are kept.
    """
    if unseen is None or not history or not is_reported():
        return
    learned(held_out_fact(seen, unseen, -max(history)))


def held_out_fact(seen: EvaluationSet, unseen: EvaluationSet, loss: float) -> str:
    """Put a log loss beside that of the models' means, which know no query."""
    return (
        f"on {len(unseen.queries)} held-out queries log loss {loss:.4f} "
        f"(models' means {loss_of_means(seen, unseen):.4f})"
    )


def loss_of_means(seen: EvaluationSet, unseen: EvaluationSet) -> float:
    """Return the log loss of predicting each model's mean score for every query."""
    sums = seen.model_means() * seen.sizes
    # One more evaluation, of average score, keeps means of few evaluations from 0 and
    # 1, where a single surprise costs without limit.
    average = seen.scores.mean(dtype=np.float64)
    means = (sums + average) / (seen.sizes + 1)
    p = means[seen.index_of(unseen.model_names)[unseen.model_codes]]
    return float(log_losses(unseen.scores, p).mean())
