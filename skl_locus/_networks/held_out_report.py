"""What held-out queries say of a fit, for its closing line."""

from __future__ import annotations

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._utils.progress import is_reported, learned


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
    return log_loss(unseen.scores, p)


def log_loss(scores: np.ndarray, p: np.ndarray) -> float:
    """Return the mean cross-entropy of scores in [0, 1]."""
    scores = scores.astype(np.float64)
    eps = float(np.finfo(np.float32).eps)
    p = np.clip(p.astype(np.float64), eps, 1 - eps)
    return float(-(scores * np.log(p) + (1 - scores) * np.log1p(-p)).mean())
