"""The savings report: hand-computed logs, partial ones, and what must not matter."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from logs import EXAMPLES, SEEDS, make_log, shuffled
from sklearn.frozen import FrozenEstimator
from stand_in_policy import WeightPolicy

from skl_locus import BestSingleRouter, KMeansRouter, RouterPolicy
from skl_locus._utils.bootstrap import ratio_bootstrap
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import SavingsDisplay, routing_headroom, savings_report
from skl_locus.metrics import (
    best_single_score,
    cost_quality_curve,
    oracle_score,
    random_router_score,
    routing_accuracy_score,
    two_way_bootstrap,
)

COSTS = {"large": 10.0, "small": 1.0}
NORTH, SOUTH = [1.0, 0.0], [0.0, 1.0]

# Small is right in the north, large everywhere but on one query of the south.
TRAIN = pd.DataFrame(
    {
        "model": ["small", "large"] * 4,
        "query": [np.array(v) for v in (NORTH, NORTH, SOUTH, SOUTH)] * 2,
        "query_id": ["t1", "t1", "t2", "t2", "t3", "t3", "t4", "t4"],
        "score": [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0],
    }
)
TEST = pd.DataFrame(
    {
        "model": ["small", "large"] * 4,
        "query": [np.array(v) for v in (NORTH, NORTH, NORTH, NORTH)]
        + [np.array(v) for v in (SOUTH, SOUTH, SOUTH, SOUTH)],
        "query_id": ["n1", "n1", "n2", "n2", "s1", "s1", "s2", "s2"],
        "task": ["north"] * 4 + ["south"] * 4,
        "score": [1.0, 1.0, 0.5, 0.0, 0.0, 1.0, 1.0, 0.0],
    }
)


def policy_of(weight=0.04, train=TRAIN, costs=COSTS):
    router = KMeansRouter(n_clusters=2, random_state=0).fit(train, train["score"])
    return WeightPolicy(router, costs, weight)


def report_of(log, policy=None, **parameters):
    parameters = {"n_resamples": 50, "random_state": 0, **parameters}
    return savings_report(policy or policy_of(), log, **parameters)


def column(report, name):
    return report.table[name].to_dict()


def test_a_log_of_four_queries():
    report = report_of(TEST)
    assert column(report, "model") == {
        "policy": None,
        "always best": "large",
        "always cheapest": "small",
        "random": None,
        "oracle": None,
    }
    # Small in the north (1 and 0.5 right), large in the south (1 and 0).
    assert column(report, "cost") == {
        "policy": 22 / 4,
        "always best": 10.0,
        "always cheapest": 1.0,
        "random": 5.5,
        "oracle": (1 + 1 + 10 + 1) / 4,
    }
    assert column(report, "quality") == {
        "policy": 2.5 / 4,
        "always best": 0.5,
        "always cheapest": 2.5 / 4,
        "random": (1 + 0.25 + 0.5 + 0.5) / 4,
        "oracle": 3.5 / 4,
    }
    assert report.table.loc["policy", "quality_difference"] == 0.125
    assert report.table.loc["policy", "cost_difference"] == -4.5
    assert report.table.loc["policy", "cost_ratio"] == 0.55
    assert (report.table[["share", "coverage"]] == 1).all(axis=None)


def test_by_task_the_same_is_said_of_its_queries():
    whole = report_of(TEST)
    assert whole.by_task.index.get_level_values("task").unique().tolist() == [
        "north",
        "south",
    ]
    for task in ("north", "south"):
        own = report_of(TEST[TEST["task"] == task])
        expected = own.table.assign(share=0.5)
        pd.testing.assert_frame_equal(whole.by_task.loc[task], expected)
    assert report_of(TEST.drop(columns="task")).by_task.empty
    assert report_of(TEST, task_col=None).by_task.empty


def test_what_the_log_says_of_costs_counts_where_it_says_so():
    log = TEST.assign(cost=[2.0, 20.0, np.nan, np.nan, 2.0, 20.0, 2.0, 20.0])
    report = report_of(log)
    # Small for 2 and for 1, the expected cost; large for 20 each.
    assert report.table.loc["policy", "cost"] == (2 + 1 + 20 + 20) / 4
    assert report.table.loc["always best", "cost"] == (20 + 10 + 20 + 20) / 4
    renamed = log.rename(columns={"cost": "usd"})
    again = report_of(renamed, cost_col="usd")
    pd.testing.assert_frame_equal(again.table, report.table)


def test_costs_of_the_log_do_not_sway_the_policy():
    tempting = TEST.assign(cost=[1000.0, 0.0] * 4)
    report = report_of(tempting)
    assert report.table.loc["policy", "cost"] == (1000 + 1000 + 0 + 0) / 4
    assert report.table.loc["always cheapest", "model"] == "small"


def test_scores_may_be_given_beside_the_log():
    bare = TEST.drop(columns="score")
    given_beside = report_of(bare, y=TEST["score"])
    pd.testing.assert_frame_equal(given_beside.table, report_of(TEST).table)
    renamed = report_of(TEST.rename(columns={"score": "grade"}), score_col="grade")
    pd.testing.assert_frame_equal(renamed.table, report_of(TEST).table)


def test_the_reference_can_be_the_model_in_use():
    report = report_of(TEST, reference="small")
    assert report.table.loc["always best", "model"] == "small"
    assert report.table.loc["policy", "cost_ratio"] == 5.5
    with pytest.raises(ValueError, match="reference='medium' is no model"):
        report_of(TEST, reference="medium")


def test_the_reference_is_chosen_without_the_scores_of_the_log():
    upside_down = TEST.assign(score=1 - TEST["score"])
    assert report_of(upside_down).table.loc["always best", "model"] == "large"


def test_a_policy_of_one_choice_is_that_model():
    report = report_of(TEST, policy_of(weight=1.0))
    policy, single = report.table.loc["policy"], report.table.loc["always cheapest"]
    pd.testing.assert_series_equal(
        policy.drop("model"), single.drop("model"), check_names=False
    )


def test_a_log_of_one_model_is_its_mean():
    own = TEST[TEST["model"] == "small"]
    report = report_of(own)
    assert set(column(report, "quality").values()) == {2.5 / 4}
    assert set(column(report, "cost").values()) == {1.0}
    assert column(report, "coverage") == {
        "policy": 0.5,
        "always best": 1.0,
        "always cheapest": 1.0,
        "random": 0.5,
        "oracle": 0.5,
    }


def test_a_partial_log_offers_what_was_observed():
    # On n1 large is missing, which the policy does not want; on s1 it does.
    partial = TEST.drop(index=[1, 5])
    report = report_of(partial, min_coverage=0.5)
    # Small on n1, n2 and, for want of large, on s1; large on s2.
    assert report.table.loc["policy", "cost"] == 13 / 4
    assert report.table.loc["policy", "quality"] == (1 + 0.5 + 0 + 0) / 4
    assert report.table.loc["policy", "coverage"] == 0.75
    assert report.table.loc["oracle", "coverage"] == 0.75
    best = report.table.loc["always best"]
    assert (best["share"], best["coverage"], best["quality"]) == (0.5, 0.5, 0.0)
    # On n2 and s2, where large was observed, the policy costs 1 and 10.
    assert report.table.loc["policy", "cost_ratio"] == 11 / 20
    assert report.table.loc["policy", "quality_difference"] == 0.25
    assert "what the policy would choose for 75.0% of them" in str(report)


def test_a_single_model_needs_coverage():
    partial = TEST.drop(index=[1, 5])
    assert report_of(partial).table.loc["always best", "model"] == "small"
    with pytest.raises(ValueError, match=r"on 80% of the queries.*lower min_coverage"):
        report_of(TEST.drop(index=[1, 2, 4, 5, 6]))


def test_what_the_policy_may_not_choose_is_still_a_rival():
    policy = policy_of()
    policy.models_ = np.array(["small"], dtype=object)
    policy.route = lambda queries, unavailable=(): np.full(len(queries), "small")
    report = report_of(TEST.drop(index=4), policy)
    assert report.table["model"]["always best"] == "large"
    # Small was not observed on s1: the policy has nothing to choose there.
    row = report.table.loc["policy"]
    assert (row["share"], row["coverage"]) == (0.75, 0.75)
    assert (row["cost"], row["quality"]) == (1.0, 2.5 / 3)


def test_a_policy_of_the_package_is_replayed():
    pool = make_evaluations(n_models=5, n_queries=120, random_state=0)
    log = pool.evaluations
    part = log["query_id"].str[-3:].astype(int)
    train, held_out, test = log[part < 40], log[part.between(40, 79)], log[part >= 80]
    router = KMeansRouter(4, random_state=0).fit(train, train["score"])
    policy = RouterPolicy(router, cost_model=pool.models["cost"], cost_weight=0.1)
    report = report_of(test, policy.fit(held_out, held_out["score"]))
    expected = policy.evaluate(test, test["score"])
    row = report.table.loc["policy"]
    assert row["quality"] == pytest.approx(expected["quality"])
    assert row["cost"] == pytest.approx(expected["cost"])
    frozen = RouterPolicy(FrozenEstimator(router), cost_model=pool.models["cost"])
    assert len(report_of(test, frozen.fit(held_out, held_out["score"])).table) == 5


def test_a_policy_without_costs_is_refused():
    policy = policy_of()
    policy.cost_model_ = None
    with pytest.raises(ValueError, match="policy has no costs; pass cost_model="):
        report_of(TEST, policy)


def test_queries_of_the_training_are_refused():
    with pytest.raises(ValueError, match="fitted on evaluations of 4 of the 4 test q"):
        report_of(TRAIN)
    assert len(report_of(TRAIN, allow_seen=True).table) == 5


@pytest.mark.parametrize(
    ("log", "match"),
    [
        (
            TEST.replace({"model": {"small": "tiny"}}),
            "'tiny' of evaluations is none of the r",
        ),
        (TEST.assign(cost=-1.0), "'cost' has the value -1 in row 0"),
        (TEST.assign(cost="cheap"), "column 'cost' is not numeric"),
        (TEST.assign(score=2.0), r"must lie in \[0, 1\]"),
        (TEST.drop(columns="score"), "column 'score' is missing"),
    ],
)
def test_a_log_that_cannot_be_replayed_says_why(log, match):
    with pytest.raises(ValueError, match=match):
        report_of(log)


def test_what_is_no_log_is_refused():
    with pytest.raises(TypeError, match="must be a dataframe"):
        report_of(np.ones((3, 2)))
    with pytest.raises(ValueError, match="evaluations has 8 rows, but y has 3"):
        report_of(TEST, y=[0, 1, 0])


def held_out(seed, n_features=4):
    log = make_log(seed, (25, 25, 25), n_queries=40, n_features=n_features, repeats=5)
    rng = np.random.default_rng(seed)
    log["task"] = log["query_id"].mod(3).map({0: "a", 1: "b", 2: None})
    log["cost"] = rng.integers(1, 9, len(log)) / 7
    is_train = log["query_id"] < 20
    # Repeated rows of the training would weigh more in the metrics than in routers.
    train = log[is_train].drop_duplicates(["model", "query_id"])
    return train, log[~is_train]


def seeded_policy(train, seed=0):
    router = BestSingleRouter() if seed % 2 else KMeansRouter(3, random_state=0)
    router.fit(train, train["score"])
    return WeightPolicy(router, {"m0": 0.3, "m1": 0.1, "m2": 0.7}, 0.4)


@EXAMPLES
@given(seed=SEEDS)
def test_the_order_of_the_rows_does_not_matter(seed):
    train, test = held_out(seed)
    policy = seeded_policy(train, seed)
    first, second = (
        report_of(log, policy, min_coverage=0.2) for log in (test, shuffled(test, seed))
    )
    for name in ("table", "by_task", "curve", "models"):
        pd.testing.assert_frame_equal(
            getattr(first, name), getattr(second, name), check_exact=True
        )
    assert str(first) == str(second)


@EXAMPLES
@given(seed=SEEDS)
def test_it_agrees_with_the_metrics(seed):
    train, test = held_out(seed)
    policy = seeded_policy(train, seed)
    report = report_of(test, policy, min_coverage=0.2)
    rows = {"queries": test["query_id"], "models": test["model"]}
    costs = test["model"].map({"m0": 0.3, "m1": 0.1, "m2": 0.7})
    p = policy.router.predict_proba(test)[:, 1].astype(float)
    worth = p - policy.weight * costs
    expected = {
        "policy": routing_accuracy_score(test["score"], worth, **rows),
        "always best": best_single_score(
            test["score"],
            **rows,
            y_train=train["score"],
            models_train=train["model"],
            min_coverage=0.2,
        ),
        "random": random_router_score(test["score"], **rows),
        "oracle": oracle_score(test["score"], **rows),
    }
    quality = report.table["quality"][list(expected)]
    assert quality.to_dict() == pytest.approx(expected, abs=1e-6)
    curve = cost_quality_curve(test["score"], p, costs, **rows)
    expected = report_of(test.drop(columns="cost"), policy, min_coverage=0.2).curve
    if len(expected) < 90:  # else some of the points are left out
        np.testing.assert_allclose(expected, curve, rtol=1e-6)


@EXAMPLES
@given(seed=SEEDS)
def test_limits_are_those_of_the_bootstrap(seed):
    train, test = held_out(seed)
    policy = seeded_policy(train, seed)
    table = report_of(test, policy, min_coverage=0.2).table
    for name in ("cost", "quality", "cost_ratio"):
        low, middle, high = (table[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert (low <= high).all()
        assert (low <= middle + 1e-9).mean() >= 0.8
    zero = table.loc["always best", ["cost_difference", "quality_difference"]]
    assert zero.tolist() == [0, 0]


def test_ratios_resample_like_differences():
    above, below = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0]])
    ratio = ratio_bootstrap(above, below, random_state=0)
    assert (ratio.estimate, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    nothing = ratio_bootstrap(above, np.zeros((1, 3)), random_state=0)
    assert np.isnan(nothing.estimate)
    by_count = ratio_bootstrap(above, np.ones((1, 3)), random_state=0)
    mean = two_way_bootstrap(above, random_state=0)
    assert (by_count.low, by_count.high) == (mean.low, mean.high)


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([1, 0] * 20, "Better quality (+100.0 points, 95% interval +100.0 to +100.0)"),
        ([0, 1] * 20, "Worse quality (-100.0 points, 95% interval -100.0 to -100.0)"),
        ([1, 1] * 20, "The same quality (+0.0 points, 95% interval +0.0 to +0.0)"),
        ([1, 0, 0, 1] * 10, "A quality that cannot be told apart (+0.0 points"),
    ],
)
def test_the_sentence_is_computed(scores, sentence):
    log = pd.DataFrame(
        {
            "model": ["small", "large"] * 20,
            "query": [np.array(NORTH)] * 40,
            "query_id": np.repeat([f"q{i}" for i in range(20)], 2),
            "score": np.array(scores, dtype=float),
        }
    )
    text = str(report_of(log, policy_of(weight=1.0)))
    assert text.startswith(sentence)
    assert "for 10% (10% to 10%) of the price of always 'large', on 20 queries." in text
    assert repr(report_of(log, policy_of(weight=1.0))) == f"<SavingsReport: {text}>"


def test_a_price_of_nothing_has_no_share():
    free = policy_of(weight=0.0, costs={"large": 0.0, "small": 0.0})
    text = str(report_of(TEST, free))
    assert "0 a query, beside nothing as the price of always 'large'" in text


def test_the_interval_is_the_one_asked_for():
    wide, narrow = (report_of(TEST, confidence=c) for c in (0.99, 0.5))
    assert "50% interval" in str(narrow)
    widths = [
        report.table.loc["policy", "quality_high"]
        - report.table.loc["policy", "quality_low"]
        for report in (narrow, wide)
    ]
    assert widths[0] < widths[1]


def test_the_log_stays_as_it_was():
    log = TEST.copy()
    report_of(log)
    pd.testing.assert_frame_equal(log, TEST)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_frames_do_as_well(library):
    pytest.importorskip(library)
    log = TEST.assign(query=[list(cell) for cell in TEST["query"]])
    if library == "polars":
        import polars

        other = polars.DataFrame(log.to_dict("list"))
    else:
        import pyarrow

        other = pyarrow.table(log.to_dict("list"))
    pd.testing.assert_frame_equal(report_of(other).table, report_of(TEST).table)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def assert_legend_hides_nothing(display):
    legend = display.ax_.get_legend().get_window_extent()
    assert not legend.overlaps(display.ax_.get_window_extent())


@pytest.mark.parametrize(("dear", "scale"), [(10.0, "linear"), (200.0, "log")])
def test_the_picture_shows_every_row(plt, dear, scale):
    policy = policy_of(weight=0.001, costs={"large": dear, "small": 1.0})
    display = SavingsDisplay.from_policy(policy, TEST, random_state=0)
    display.figure_.canvas.draw()
    assert display.ax_.get_xscale() == scale
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert "always best:\nlarge" in texts
    assert {"policy", "random", "oracle"} <= set(texts)
    drawn = {line.get_label(): line.get_xydata()[0] for line in display.ax_.lines}
    row = display.report.table.loc["policy"]
    assert drawn["policy"].tolist() == [row["cost"], row["quality"]]
    assert_legend_hides_nothing(display)


def test_the_picture_is_drawn_where_it_is_told(plt):
    ax = plt.subplots()[1]
    report = report_of(TEST)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = SavingsDisplay.from_report(report, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.report is report
    display.figure_.canvas.draw()
    assert_legend_hides_nothing(display)


def test_the_report_has_the_headroom_of_its_queries():
    report = report_of(TEST)
    found = report.headroom.table
    expected = routing_headroom(TEST, TEST["score"], cv=2, random_state=0).table
    # Folds and clusters are drawn anew, and what they do not touch is the same.
    assert found.loc["oracle", "score"] == pytest.approx(expected["score"]["oracle"])
    assert found.loc["best single", "in_sample"] == pytest.approx(
        expected.loc["best single", "in_sample"]
    )
    assert found.loc["best single", "model"] == expected.loc["best single", "model"]
    assert report.headroom.n_queries == TEST["query_id"].nunique()


def test_one_query_has_no_headroom():
    one = TEST[TEST["query_id"] == TEST["query_id"].iloc[0]]
    assert report_of(one, allow_seen=True).headroom is None


def test_what_routing_can_win_stands_below_the_picture(plt):
    report = report_of(TEST)
    words = " ".join(SavingsDisplay.from_report(report).ax_.get_xlabel().split())
    assert words.endswith(f"What routing can win: {report.headroom}")
    for nothing in (False, None):
        display = SavingsDisplay.from_report(report, headroom=nothing)
        assert display.ax_.get_xlabel() == "Cost per query"
    own = SavingsDisplay.from_report(report, headroom="Much.").ax_.get_xlabel()
    assert own.endswith("What routing can win: Much.")


def test_a_legend_below_is_below_the_sentence(plt):
    _, ax = plt.subplots(figsize=(6, 5), layout="constrained")
    display = SavingsDisplay.from_report(report_of(TEST), ax=ax)
    display.figure_.canvas.draw()
    sentence = ax.xaxis.label.get_window_extent()
    assert ax.get_legend().get_window_extent().y1 <= sentence.y0
    assert ax.get_legend().get_window_extent().y0 >= 0
