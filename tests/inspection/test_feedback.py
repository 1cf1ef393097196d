"""The feedback report: predicted P beside what was observed."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from skl_locus.inspection import feedback_report
from skl_locus.inspection._feedback import wilson_interval
from skl_locus.metrics import expected_calibration_error


def decisions_of(n, shift=0.0, seed=0, model="small", start="2026-11-02"):
    """Return decisions whose P is too high by a shift."""
    rng = np.random.default_rng(seed)
    P = rng.uniform(0.4, 0.95, n)
    return pd.DataFrame(
        {
            "time": pd.date_range(start, periods=n, freq="h", tz="UTC"),
            "request_id": [f"{model} {i}" for i in range(n)],
            "model": model,
            "probability": P,
            "score": (rng.random(n) < P - shift).astype(float),
        }
    )


def test_models_are_judged_by_the_difference():
    table = pd.concat(
        [
            decisions_of(400, 0.0, 1, "fits"),
            decisions_of(400, 0.2, 2, "falls"),
            decisions_of(400, -0.2, 3, "rises"),
            decisions_of(20, 0.9, 4, "rare"),
        ]
    )
    report = feedback_report(table)
    assert report.models["verdict"].drop("all").to_dict() == {
        "falls": "too high",
        "fits": "fits",
        "rare": "too few",
        "rises": "too low",
    }
    assert report.models["n"].tolist() == [1220, 400, 400, 20, 400]
    assert report.models.loc["falls", "difference"] == pytest.approx(-0.2, abs=0.06)


def test_the_numbers_are_those_of_the_metrics():
    table = decisions_of(150)
    row = feedback_report(table).models.loc["small"]
    P, y = table["probability"], table["score"]
    assert row["mean_probability"] == pytest.approx(P.mean())
    assert row["difference"] == pytest.approx((y - P).mean())
    assert row["brier"] == pytest.approx(brier_score_loss(y, P))
    assert row["log_loss"] == pytest.approx(log_loss(y, P))
    expected = expected_calibration_error(y, P, n_bins=10)
    assert row["calibration_error"] == expected
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_weeks_begin_on_monday_in_utc():
    times = pd.to_datetime(
        [
            "2026-11-01T23:59:59+00:00",  # a Sunday
            "2026-11-02T00:30:00+01:00",  # the same Sunday in UTC
            "2026-11-02T00:00:00+00:00",
            "2026-11-08T23:00:00+00:00",
        ],
        utc=True,
    )
    table = decisions_of(4).assign(time=times)
    weeks = feedback_report(table).weeks
    starts = weeks.index.get_level_values("week")
    assert starts.strftime("%Y-%m-%d").tolist() == ["2026-10-26", "2026-11-02"]
    assert weeks["n"].tolist() == [2, 2]


def test_scores_are_joined_and_their_number_said():
    table = decisions_of(200).drop(columns="score")
    declined = table.tail(1).assign(model=None, request_id="declined")
    scores = {f"small {i}": float(i % 2) for i in range(0, 200, 2)}
    report = feedback_report(pd.concat([table, declined]), scores)
    assert report.models.loc["small", "n"] == 100
    assert report.models.loc["small", "mean_score"] == 0
    assert str(report).startswith("100 of 200 decisions have a score.")


def test_a_person_can_read_it():
    table = pd.concat([decisions_of(300, 0.3, 1), decisions_of(9, 0, 2, "rare")])
    text = repr(feedback_report(table))
    assert "<FeedbackReport>" in text
    assert "P does not fit for 1 of 1 models" in text
    assert "1 models have too few scores" in text
    assert "do not compare models" in text


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    missed = 0
    for seed in rng.integers(0, 2**31, 200):
        row = feedback_report(decisions_of(100, 0.0, seed)).models.loc["small"]
        missed += row["verdict"] != "fits"
    # Conservative where queries differ in difficulty, so at most 5% and some noise.
    assert missed <= 16


def test_the_interval_of_wilson():
    # Agresti and Coull, 1998: of 10 right answers in 10, the limits are 0.7225 and 1.
    low, high = wilson_interval(1.0, 10, 1.959964)
    assert low == pytest.approx(0.7225, abs=1e-4)
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns="score"), "'score' or scores="),
        (lambda t: t.drop(columns="probability"), "'probability'"),
        (lambda t: t.drop(columns="model"), "'model'"),
        (lambda t: t.assign(time=pd.NaT), "no time"),
        (lambda t: t.to_dict("records"), "DataFrame"),
        (lambda t: t.assign(score=np.nan), "No decision has a score"),
        (lambda t: t.assign(score=2.0), "score"),
        (lambda t: t.assign(probability=1.5), "y_prob"),
        (lambda t: t.assign(probability=np.nan), "no probability"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        feedback_report(change(decisions_of(10)))
    with pytest.raises(ValueError, match="confidence"):
        feedback_report(decisions_of(10), confidence=95)


def test_the_order_of_the_rows_makes_no_difference():
    table = pd.concat([decisions_of(120, 0.1, 1), decisions_of(120, 0.2, 2, "other")])
    shuffled = table.sample(frac=1, random_state=0)
    expected, found = feedback_report(table), feedback_report(shuffled)
    pd.testing.assert_frame_equal(found.models, expected.models)
    pd.testing.assert_frame_equal(found.weeks, expected.weeks)


def test_a_model_may_have_the_name_of_the_row_of_all():
    table = pd.concat([decisions_of(40, 0, 1, "all"), decisions_of(20, 0, 2, "small")])
    report = feedback_report(table)
    assert report.models.index.tolist() == ["all", "all", "small"]
    assert report.models["n"].tolist() == [60, 40, 20]
    assert "60 of 60 decisions" in str(report)
    assert "2 models have too few" in str(report)


def test_names_of_requests_may_be_numbers():
    table = decisions_of(40).assign(request_id=np.arange(40)).drop(columns="score")
    report = feedback_report(table, dict.fromkeys(range(10), 1.0))
    assert report.models["n"].tolist() == [10, 10]


@pytest.mark.parametrize("column", ["time", "model"])
def test_a_missing_column_is_named_where_scores_are_joined(column):
    table = decisions_of(10).drop(columns=["score", column])
    with pytest.raises(ValueError, match=f"'{column}'"):
        feedback_report(table, {"small 0": 1.0})
