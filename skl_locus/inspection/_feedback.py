"""Feedback report: what a router predicted beside what was observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from skl_locus._data.feedback import check_decisions, with_feedback
from skl_locus._utils.array_checks import check_probabilities, check_scores
from skl_locus._utils.statistics import stable_mean
from skl_locus.metrics._calibration import expected_calibration_error
from skl_locus.metrics._correctness import soft_brier_score, soft_log_loss

MIN_DECISIONS = 100
"""Decisions from which a difference means something: with fewer, it is uncertain by
more than a tenth where half of the answers are right."""

N_BINS = 10
"""Bins of the calibration error: ten decisions each where there are just enough."""

OVERALL = "all"
"""Name of the row of all models together."""

TOO_HIGH, TOO_LOW, FITS, FEW = "too high", "too low", "fits", "too few"
"""Verdicts on P: the interval of the difference lies below 0, above 0, around 0."""


@dataclass(frozen=True, repr=False)
class FeedbackReport:
    """Predicted P beside observed scores, by model and by week.

    Made by `feedback_report`; ``print(report)`` shows the models with a verdict.

    Parameters
    ----------
    models : DataFrame
        One row for each model, and one for all together ("all", the first).
    weeks : DataFrame
        The same for each model and week; indexed by model and by the Monday with which
        the week begins, in UTC.
    n_decisions : int
        Number of decisions, with and without a score.
    confidence : float
        Confidence of the intervals.
    """

    models: pd.DataFrame
    weeks: pd.DataFrame
    n_decisions: int
    confidence: float

    def __str__(self) -> str:
        """Return the table of models in a form to read, and what to make of it."""
        # By its place, since a model may have any name.
        n_scored = int(self.models["n"].iloc[0])
        shown = pd.DataFrame(
            {
                "n": self.models["n"],
                "predicted": self.models["mean_probability"].map("{:.3f}".format),
                "observed": self.models["mean_score"].map("{:.3f}".format),
                "difference": self.models.apply(_interval, axis=1),
                "P is": self.models["verdict"],
            }
        )
        lines = [
            f"{n_scored} of {self.n_decisions} decisions have a score.",
            shown.to_string(),
            *self._remarks(),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _remarks(self) -> list[str]:
        own = self.models.iloc[1:]
        judged = own[own["verdict"] != FEW]
        wrong = int(judged["verdict"].isin([TOO_HIGH, TOO_LOW]).sum())
        remarks = []
        if len(judged):
            by_chance = (1 - self.confidence) * len(judged)
            remarks.append(
                f"P does not fit for {wrong} of {len(judged)} models with enough "
                f"decisions; by chance, {by_chance:.1f} would be expected at most."
            )
        few = len(own) - len(judged)
        if few:
            remarks.append(f"{few} models have too few scores for a verdict.")
        remarks.append(
            "Scores exist for the chosen models only: do not compare models by them."
        )
        return remarks


def feedback_report(
    decisions: Any,
    scores: Any = None,
    *,
    confidence: float = 0.95,
    min_decisions: int = MIN_DECISIONS,
) -> FeedbackReport:
    """Compare the predicted P of chosen models with the scores of their answers.

    Parameters
    ----------
    decisions : DataFrame of n_decisions rows
        Of :func:`skl_locus.datasets.read_decisions`: time, model, probability and, to
        join scores, request_id.
    scores : mapping, Series or dataframe, default=None
        Score in [0, 1] by request_id, or a table with request_id and score. By default
        the decisions have a column score.
    confidence : float, default=0.95
        Confidence of the intervals.
    min_decisions : int, default=100
        Fewer scores than this get no verdict.

    Returns
    -------
    FeedbackReport
        Its tables ``models`` and ``weeks`` have the columns

        - n: number of decisions with a score;
        - mean_probability and mean_score;
        - difference (observed less predicted), difference_low and difference_high;
        - brier, log_loss and calibration_error, as of `skl_locus.metrics`, the last
          with ten bins;
        - verdict: P is "too high", "too low" or "fits" (the interval holds 0), or there
          are "too few" scores.

    Raises
    ------
    ValueError
        If no decision has a score, or a column is missing.

    Notes
    -----
    The interval is Wilson's for the mean score, less the mean P, which is known. It
    assumes independent answers. For scores between 0 and 1, and for queries of
    different difficulty, it is too wide rather than too narrow. Many requests of one
    session, or of one text, are not independent: then it is too narrow.

    There are scores for chosen models only, and three things follow. The means of two
    models are not comparable, since each has answered other queries. P of the chosen
    models can be too high although P of all models fits, because the largest of several
    uncertain numbers is often one that is too large by chance. And if users score the
    bad answers rather than the good ones, the report is about the answers that were
    scored: it says how many these are. To learn about the models that are not chosen,
    send a small random share of the requests to them.

    The calibration error of few decisions is not 0 even where P fits.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skl_locus.inspection import feedback_report
    >>> rng = np.random.default_rng(0)
    >>> P = rng.uniform(0.5, 1, 400)
    >>> decisions = pd.DataFrame({
    ...     "time": pd.date_range("2026-11-02", periods=400, freq="h", tz="UTC"),
    ...     "model": np.tile(["small", "large"], 200),
    ...     "probability": P,
    ...     "score": (rng.random(400) < np.where(np.arange(400) % 2, P, P - 0.3)) * 1.0,
    ... })
    >>> print(feedback_report(decisions))
    400 of 400 decisions have a score.
             n predicted observed              difference     P is
    model
    all    400 ...
    large  200 ...  fits
    small  200 ...  too high
    ...
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    check_decisions(decisions, ("time", "model"))
    n_decisions = int(decisions["model"].notna().sum())
    rows = _scored_rows(decisions, scores)
    options = (norm.ppf(0.5 + confidence / 2), min_decisions)
    groups = _by_model(rows)
    names = [OVERALL, *(label for label, _ in groups)]
    models = [_summary(own, *options) for own in (rows, *(own for _, own in groups))]
    weeks = {
        (label, week): _summary(some, *options)
        for label, own in groups
        for week, some in own.groupby(_weeks(own["time"]))
    }
    return FeedbackReport(
        pd.DataFrame(models, pd.Index(names, name="model", tupleize_cols=False)),
        pd.DataFrame(
            weeks.values(), pd.MultiIndex.from_tuples(weeks, names=["model", "week"])
        ),
        n_decisions,
        confidence,
    )


def _scored_rows(decisions: pd.DataFrame, scores: Any) -> pd.DataFrame:
    """Return the decisions with a score: time, model, P and score, checked."""
    if scores is not None:
        decisions = with_feedback(decisions, scores)
    for name in ("time", "model", "probability", "score"):
        if name not in decisions.columns:
            advice = " or scores=" if name == "score" else ""
            raise ValueError(f"The decisions need a column {name!r}{advice}.")
    rows = decisions[["time", "model", "probability", "score"]]
    rows = rows[rows["model"].notna() & rows["score"].notna()]
    if rows.empty:
        raise ValueError(
            "No decision has a score; join scores by the request_id of the decisions."
        )
    if rows["time"].isna().any():
        raise ValueError("A decision with a score has no time.")
    if rows["probability"].isna().any():
        raise ValueError("A decision with a chosen model has no probability.")
    check_probabilities(rows["probability"], len(rows))
    return rows.assign(score=check_scores(rows["score"], "score"))


def _by_model(rows: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """Return the rows of each model, models in the order of their names."""
    return sorted(rows.groupby("model", sort=False), key=lambda group: str(group[0]))


def _weeks(times: pd.Series) -> pd.Series:
    """Return the beginning of the week of each time, in UTC."""
    days = pd.to_datetime(times, utc=True).dt.normalize()
    return days - pd.to_timedelta(days.dt.day_of_week, unit="D")


def _summary(rows: pd.DataFrame, z: float, min_decisions: int) -> dict[str, Any]:
    scores = rows["score"].to_numpy(dtype=np.float64)
    P = rows["probability"].to_numpy(dtype=np.float64)
    n = len(rows)
    mean_score, mean_P = stable_mean(scores), stable_mean(P)
    low, high = wilson_interval(mean_score, n, z)
    low, high = low - mean_P, high - mean_P
    return {
        "n": n,
        "mean_probability": mean_P,
        "mean_score": mean_score,
        "difference": mean_score - mean_P,
        "difference_low": low,
        "difference_high": high,
        "brier": soft_brier_score(scores, P),
        "log_loss": soft_log_loss(scores, P),
        "calibration_error": expected_calibration_error(scores, P, n_bins=N_BINS),
        "verdict": FEW if n < min_decisions else _verdict(low, high),
    }


def wilson_interval(mean: float, n: int, z: float) -> tuple[float, float]:
    """Return the limits between which a rate lies, given an observed mean.

    Unlike the interval of a normal distribution, it has a width where all answers are
    right, and stays within [0, 1].

    Parameters
    ----------
    mean : float
        Mean of n scores in [0, 1].
    n : int
        Number of scores.
    z : float
        Quantile of the normal distribution.

    Returns
    -------
    low, high : float
        Limits.
    """
    share = z**2 / n
    middle = (mean + share / 2) / (1 + share)
    half = np.sqrt(share * (mean * (1 - mean) + share / 4)) / (1 + share)
    return float(middle - half), float(middle + half)


def _verdict(low: float, high: float) -> str:
    if high < 0:
        return TOO_HIGH
    return TOO_LOW if low > 0 else FITS


def _interval(row: pd.Series) -> str:
    limits = (row[f"difference{end}"] for end in ("", "_low", "_high"))
    difference, low, high = (f"{limit:+.3f}" for limit in limits)
    return f"{difference} ({low} to {high})"
