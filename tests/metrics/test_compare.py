"""Routers compared side by side, in every form of router and of table."""

import functools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state

from skl_locus import BestSingleRouter, KMeansRouter, KNNRouter
from skl_locus._data.identity import identify_rows
from skl_locus._utils.bootstrap import _resampling_weights
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import (
    best_single_score,
    compare,
    correctness_accuracy_scorer,
    expected_calibration_error,
    oracle_score,
    routing_accuracy_score,
    routing_accuracy_scorer,
    soft_brier_score,
    soft_log_loss,
    soft_roc_auc_score,
)
from skl_locus.metrics._registry import METRICS, RegisteredMetric
from skl_locus.metrics._scorers import SCORERS
from skl_locus.model_selection import QueryKFold

LOG = make_evaluations(
    n_models=5, n_queries=120, observed=0.9, random_state=0
).evaluations.drop(columns="task")
TRAIN, TEST = next(QueryKFold(2, shuffle=True, random_state=0).split(LOG))
TRAIN, TEST = LOG.iloc[TRAIN], LOG.iloc[TEST]
Y = TEST["score"]
OPTIONS = {"n_resamples": 50, "random_state": 0}
KEYS = ["metric", "task", "router"]


def fitted(router, seed=None):
    log = TRAIN if seed is None else TRAIN.sample(frac=0.6, random_state=seed)
    return clone(router).fit(log, log["score"])


@functools.cache
def routers(n_draws=1):
    kinds = {
        "single": BestSingleRouter(),
        "clusters": KMeansRouter(3, random_state=0),
        "neighbors": KNNRouter(5),
    }
    if n_draws == 1:
        return {name: fitted(router) for name, router in kinds.items()}
    return {
        name: [fitted(router, seed) for seed in range(n_draws)]
        for name, router in kinds.items()
    }


def row(table, metric, router, task="all"):
    chosen = table.set_index(KEYS).sort_index()
    return chosen.loc[(metric, task, router)]


def test_estimates_are_those_of_the_metrics():
    table = compare(routers(), TEST, Y, **OPTIONS)
    for name, router in routers().items():
        p = router.predict_proba(TEST)
        expected = {
            "routing_accuracy": routing_accuracy_scorer(router, TEST, Y),
            "correctness_accuracy": correctness_accuracy_scorer(router, TEST, Y),
            "soft_log_loss": soft_log_loss(Y, p),
            "soft_brier": soft_brier_score(Y, p),
            "soft_roc_auc": soft_roc_auc_score(Y, p),
            "expected_calibration_error": expected_calibration_error(Y, p),
            "most_chosen_share": -SCORERS["neg_most_chosen_share"](router, TEST, Y),
            "choice_entropy": SCORERS["choice_entropy"](router, TEST, Y),
        }
        for metric, value in expected.items():
            estimate = row(table, metric, name)["estimate"]
            assert estimate == pytest.approx(value, abs=1e-6), metric
    columns = {"queries": TEST["query_id"], "models": TEST["model"]}
    training = {"y_train": TRAIN["score"], "models_train": TRAIN["model"]}
    best = row(table, "routing_accuracy", "best single")["estimate"]
    assert best == pytest.approx(best_single_score(Y, **columns, **training), abs=1e-6)
    oracle = row(table, "routing_accuracy", "oracle")
    assert oracle["estimate"] == pytest.approx(oracle_score(Y, **columns))
    assert np.isnan(oracle["p_value"])
    assert oracle["difference_low"] > 0


def test_several_draws_are_averaged_and_resampled():
    table = compare(routers(3), TEST, Y, metrics=["soft_brier"], **OPTIONS)
    each = [soft_brier_score(Y, r.predict_proba(TEST)) for r in routers(3)["clusters"]]
    clusters = row(table, "soft_brier", "clusters")
    assert clusters["estimate"] == pytest.approx(np.mean(each), abs=1e-6)
    assert clusters["low"] < clusters["estimate"] < clusters["high"]
    mixed = [routers()["single"], routers()["clusters"], routers()["neighbors"]]
    draws = {"mixed": mixed, "single": [mixed[0]] * 3}
    table = compare(draws, TEST, Y, metrics=["soft_log_loss"], **OPTIONS)
    errors = [row(table, "soft_log_loss", name)["standard_error"] for name in draws]
    assert errors[0] > errors[1]


def test_the_table_and_its_differences():
    table = compare(routers(), TEST, Y, reference="clusters", **OPTIONS)
    routing = table[table["metric"] == "routing_accuracy"]
    assert routing["router"].tolist() == [*routers(), "best single", "oracle"]
    means = routing.set_index("router")["estimate"]
    differences = routing.set_index("router")["difference"]
    assert np.isnan(differences["clusters"])
    for name in ("single", "neighbors", "oracle"):
        expected = means[name] - means["clusters"]
        assert differences[name] == pytest.approx(expected)
    pooled = table[table["metric"] == "soft_roc_auc"]
    assert (pooled["low"] <= pooled["estimate"]).all()
    assert (pooled["estimate"] <= pooled["high"]).all()
    assert pooled[["difference", "p_value", "p_adjusted"]].notna().sum().eq(2).all()
    tested = table[table["p_value"].notna()]
    assert (tested["p_adjusted"] >= tested["p_value"]).all()
    losses = tested[tested["metric"] == "soft_log_loss"]["p_adjusted"]
    smallest = tested[tested["metric"] == "soft_log_loss"]["p_value"].min()
    assert losses.min() == pytest.approx(min(1, 2 * smallest))


POOLED = {
    "soft_roc_auc": soft_roc_auc_score,
    "expected_calibration_error": expected_calibration_error,
}


@pytest.mark.parametrize("metric", POOLED)
def test_pooled_metrics_are_those_of_the_repeated_rows(metric):
    # The metric of the public function on each resample, with its rows written out.
    draws = routers(2)["clusters"]
    options = {"n_resamples": 30, "random_state": 0, "metrics": [metric]}
    table = compare({"clusters": draws}, TEST, Y, **options)
    queries = identify_rows(draws[0], TEST).codes
    seed = check_random_state(0).randint(2**31 - 1)
    (weights,) = _resampling_weights(2, queries.max() + 1, 30, seed)
    values = []
    for of_draws, of_queries in zip(*weights, strict=True):
        rows = np.repeat(np.arange(len(TEST)), of_queries[queries].astype(int))
        each = [
            POOLED[metric](Y.iloc[rows], router.predict_proba(TEST)[rows])
            for router in draws
        ]
        values.append(np.average(each, weights=of_draws))
    found = row(table, metric, "clusters")
    assert found["standard_error"] == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    low, high = np.percentile(values, [2.5, 97.5])
    assert found["low"] == pytest.approx(low, abs=1e-6)
    assert found["high"] == pytest.approx(high, abs=1e-6)


def test_choices_are_resampled_with_the_queries():
    metrics = ["most_chosen_share", "choice_entropy"]
    table = compare(routers(), TEST, Y, metrics=metrics, **OPTIONS)
    found = row(table, "most_chosen_share", "neighbors")
    assert found["low"] <= found["estimate"] <= found["high"]
    assert found["low"] < found["high"]
    assert found["difference_high"] < 0
    assert row(table, "choice_entropy", "neighbors")["difference_low"] > 0
    assert "best single" not in table["router"].to_numpy()


def test_a_task_without_wrong_answers_has_no_area_and_no_warning():
    test = TEST.assign(task=np.where(Y == 1, "easy", "hard"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = compare(routers(), test, Y, metrics=["soft_roc_auc"], **OPTIONS)
    easy = table[table["task"] == "easy"]
    assert easy[["estimate", "standard_error", "low", "high"]].isna().all(axis=None)


def test_tasks_have_rows_of_their_own():
    ids = pd.factorize(TEST["query_id"])[0]
    test = TEST.assign(task=np.where(ids % 3 == 0, "maths", "law"))
    test.loc[test.index[ids % 7 == 6], "task"] = None
    table = compare(routers(), test, Y, **OPTIONS)
    assert table["task"].unique().tolist() == ["all", "law", "maths"]
    maths = (test["task"] == "maths").to_numpy()
    expected = routing_accuracy_scorer(routers()["neighbors"], test[maths], Y[maths])
    found = row(table, "routing_accuracy", "neighbors", "maths")
    assert found["estimate"] == pytest.approx(expected)
    overall = compare(routers(), test, Y, task_col=None, **OPTIONS)
    own = table[table["task"] == "all"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, overall)


@settings(max_examples=10)
@given(seed=st.integers(0, 100))
def test_the_order_of_rows_never_matters(seed):
    test = TEST.assign(task=pd.factorize(TEST["query_id"])[0] % 2)
    doubled = pd.concat([test, test.iloc[:9].assign(score=0.5)])
    shuffled = doubled.sample(frac=1, random_state=seed)
    options = {"n_resamples": 5, "random_state": 0, "metrics": None}
    first, second = (
        compare(routers(), log, log["score"], **options) for log in (doubled, shuffled)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_repeated_rows_are_averaged_before_the_choice():
    doubled = pd.concat([TEST, TEST.assign(score=1 - Y)])
    table = compare(
        routers(), doubled, doubled["score"], metrics=["routing_accuracy"], **OPTIONS
    )
    router = routers()["clusters"]
    expected = routing_accuracy_score(
        doubled["score"],
        router.routing_scores(doubled),
        queries=doubled["query_id"],
        models=doubled["model"],
    )
    found = row(table, "routing_accuracy", "clusters")["estimate"]
    assert found == pytest.approx(expected)


class Unchanged(TransformerMixin, BaseEstimator):
    """A step that hands the rows on."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


def test_pipelines_searches_and_polars_give_the_same():
    expected = compare(routers(), TEST, Y, **OPTIONS)
    piped = make_pipeline(Unchanged(), KMeansRouter(3, random_state=0))
    searched = GridSearchCV(KNNRouter(), {"n_neighbors": [5]}, cv=QueryKFold(2))
    wrapped = {
        "single": routers()["single"],
        "clusters": piped.fit(TRAIN, TRAIN["score"]),
        "neighbors": searched.fit(TRAIN, TRAIN["score"]),
    }
    pd.testing.assert_frame_equal(compare(wrapped, TEST, Y, **OPTIONS), expected)
    plain = TEST.assign(query=[cell.tolist() for cell in TEST["query"]])
    frame = pl.DataFrame(plain.to_dict("list"))
    pd.testing.assert_frame_equal(
        compare(routers(), frame, frame["score"], **OPTIONS), expected
    )


def as_text(log):
    names = [f"question {number}" for number in log["query_id"]]
    return log.assign(query=names).drop(columns="query_id")


def as_columns(log):
    encodings = np.stack(log["query"].tolist())
    columns = [f"x{i}" for i in range(encodings.shape[1])]
    frame = pd.DataFrame(encodings, log.index, columns)
    return frame.assign(model=log["model"], score=log["score"])


@pytest.mark.parametrize("form", [as_text, as_columns])
def test_queries_may_be_text_or_numeric_columns(form):
    encoder = HashingVectorizer(n_features=16) if form is as_text else None
    train, test = form(TRAIN), form(TEST)
    router = BestSingleRouter(encoder=encoder).fit(train, train["score"])
    options = {"metrics": ["routing_accuracy"], **OPTIONS}
    table = compare({"single": router}, test, Y, **options)
    expected = compare({"single": routers()["single"]}, TEST, Y, **options)
    assert_allclose(table["estimate"], expected["estimate"])
    with pytest.raises(ValueError, match="fitted on evaluations of"):
        compare({"single": router}, train, train["score"], **options)


def test_a_router_that_has_seen_test_queries_is_refused():
    half = pd.concat(
        [TRAIN, TEST[TEST["query_id"].isin(TEST["query_id"].unique()[:7])]]
    )
    seen = {**routers(), "cheat": KNNRouter(3).fit(half, half["score"])}
    n_queries = TEST["query_id"].nunique()
    message = f"'cheat' was fitted on evaluations of 7 of the {n_queries} test queries"
    with pytest.raises(ValueError, match=message):
        compare(seen, TEST, Y, **OPTIONS)
    table = compare(seen, TEST, Y, allow_seen=True, baselines=False, **OPTIONS)
    assert table["router"].unique().tolist() == [*routers(), "cheat"]


def test_without_a_covered_single_model_the_row_is_nan():
    rng = np.random.default_rng(0)
    sparse = TEST[rng.random(len(TEST)) < 0.5]
    table = compare(
        routers(), sparse, sparse["score"], metrics=["routing_accuracy"], **OPTIONS
    )
    best = row(table, "routing_accuracy", "best single")
    assert best.isna().all()
    assert row(table, "routing_accuracy", "clusters").notna().any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"routers": {}}, ValueError, "routers must be a mapping"),
        ({"routers": [KNNRouter()]}, ValueError, "routers must be a mapping"),
        ({"routers": {"a": []}}, ValueError, "same number of draws"),
        ({"routers": {"a": Unchanged()}}, TypeError, "Unchanged is not a router"),
        ({"reference": "nobody"}, ValueError, "reference='nobody' is none of"),
        ({"metrics": ["accuracy"]}, ValueError, "metrics must be of"),
        ({"metrics": "soft_brier"}, ValueError, r"pass \['soft_brier'\]"),
        ({"metrics": []}, ValueError, "metrics must be of"),
        ({"y": Y[:-1]}, ValueError, "X has .* rows, but y has"),
        ({"y": Y + 1}, ValueError, r"y must lie in \[0, 1\]"),
        ({"X": TEST.assign(task="all")}, ValueError, "A task is called 'all'"),
        ({"X": TEST.assign(model="new")}, ValueError, "Unknown model 'new'"),
        ({"X": np.ones((len(Y), 3))}, TypeError, "pass a dataframe"),
        ({"n_resamples": 0}, ValueError, "n_resamples must be"),
    ],
)
def test_errors_name_what_is_wrong(change, error, message):
    arguments = {"routers": routers(), "X": TEST, "y": Y, **OPTIONS, **change}
    with pytest.raises(error, match=message):
        compare(**arguments)


def test_names_of_baselines_and_numbers_of_draws_are_checked():
    taken = {"oracle": routers()["single"]}
    with pytest.raises(ValueError, match="The name 'oracle' is taken by a baseline"):
        compare(taken, TEST, Y, **OPTIONS)
    assert len(compare(taken, TEST, Y, baselines=False, **OPTIONS)) == 8
    uneven = {"a": routers(3)["single"], "b": routers()["single"]}
    with pytest.raises(ValueError, match=r"same number of draws.*\{'a': 3, 'b': 1\}"):
        compare(uneven, TEST, Y, **OPTIONS)


def test_a_registered_metric_is_compared(monkeypatch):
    metric = RegisteredMetric(
        "gap", None, "mean", False, lambda scores, p: np.abs(scores - p)
    )
    monkeypatch.setitem(METRICS, metric.name, metric)
    router = fitted(KMeansRouter(3, random_state=0))
    table = compare({"clusters": router}, TEST, Y, **OPTIONS)
    (row,) = table[table["metric"] == "gap"].to_dict("records")
    p = router.predict_proba(TEST)[:, 1]
    assert row["estimate"] == pytest.approx(np.abs(Y - p).mean())


def test_a_registered_metric_of_decisions_is_compared_by_its_own_values(monkeypatch):
    def worst_of_two(pairs, decisions):
        asked = pairs.ranks(decisions) < 2
        return np.minimum.reduceat(np.where(asked, pairs.scores, 1), pairs.starts)

    metric = RegisteredMetric("worst_of_two", None, "routing", True, worst_of_two)
    monkeypatch.setitem(METRICS, metric.name, metric)
    router = fitted(KMeansRouter(3, random_state=0))
    table = compare({"clusters": router}, TEST, Y, **OPTIONS)
    # Single models have a score, but no other metric of decisions.
    (row,) = table[table["metric"] == "worst_of_two"].to_dict("records")
    log = TEST.assign(y=Y, decision=router.routing_scores(TEST))
    log = log.sort_values("decision", ascending=False, kind="stable")
    worst = log.groupby("query_id").head(2).groupby("query_id")["y"].min()
    assert row["estimate"] == pytest.approx(worst.mean())


def test_every_registered_metric_has_a_scorer_of_its_sign():
    router = fitted(KMeansRouter(3, random_state=0))
    assert len(SCORERS) == len(METRICS)
    for metric in METRICS.values():
        value = SCORERS[metric.scorer_name](router, TEST, Y)
        assert (value >= 0) == metric.greater_is_better
