"""Metrics by hand and against scikit-learn; scorers on routers and pipelines."""

import copy
import pickle
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from long_rows import distinct, long_rows
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from skl_locus import metrics
from skl_locus._data.columns import as_frame, read_column
from skl_locus.metrics import (
    correctness_accuracy_score,
    correctness_accuracy_scorer,
    make_onboarding_scorer,
    make_routing_scorer,
    neg_soft_brier_scorer,
    neg_soft_log_loss_scorer,
    routing_accuracy_score,
    routing_accuracy_scorer,
    soft_brier_score,
    soft_log_loss,
)
from skl_locus.model_selection import ModelShuffleSplit, QueryKFold

SCORERS = [
    neg_soft_log_loss_scorer,
    neg_soft_brier_scorer,
    correctness_accuracy_scorer,
    routing_accuracy_scorer,
    make_routing_scorer(),
    make_onboarding_scorer(4, "routing_accuracy"),
    make_onboarding_scorer(8, correctness_accuracy_scorer, random_state=3),
]
ROW_METRICS = [soft_log_loss, soft_brier_score, correctness_accuracy_score]


class LengthEncoder(TransformerMixin, BaseEstimator):
    """Turn texts into vectors (their length less a shift), and note the calls."""

    def __init__(self, shift=0):
        self.shift = shift

    def fit(self, X, y=None):
        self.n_fitted_ = len(X)
        return self

    def transform(self, X):
        vectors = [np.array([len(text) - self.shift, 1.0]) for text in X["query"]]
        return X.assign(query=vectors, query_id=X["query"])


class SideRouter(ClassifierMixin, BaseEstimator):
    """Each model's shrunk mean where a query's first coordinate is positive or not."""

    def __init__(
        self,
        *,
        shrinkage=1.0,
        model_col="model",
        query_col="query",
        query_id_col="query_id",
    ):
        self.shrinkage = shrinkage
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        self.models_ = np.array([], dtype=object)
        self.means_ = {}
        return self.add_models(X, y)

    def add_models(self, X, y, replace=False):
        y = np.asarray(y, dtype=float)
        models, sides = self._models_and_sides(X)
        means = dict(self.means_)
        for key in set(zip(models, sides, strict=True)):
            own = y[(models == key[0]) & (sides == key[1])]
            means[key] = (own.sum() + self.shrinkage / 2) / (len(own) + self.shrinkage)
        new = sorted(set(models) - set(self.models_))
        self.means_ = means
        self.models_ = np.array([*self.models_, *new], dtype=object)
        return self

    def predict_proba(self, X):
        p = self.routing_scores(X)
        return np.column_stack([1 - p, p])

    def predict(self, X):
        return self.classes_[(self.routing_scores(X) >= 0.5).astype(int)]

    def routing_scores(self, X):
        check_is_fitted(self)
        models, sides = self._models_and_sides(X)
        unknown = set(models) - set(self.models_)
        if unknown:
            raise ValueError(f"unknown models {sorted(unknown)}; see add_models")
        keys = zip(models, sides, strict=True)
        return np.array([self.means_.get(key, 0.5) for key in keys])

    def _models_and_sides(self, X):
        frame = as_frame(X)
        models = np.asarray(read_column(frame, self.model_col), dtype=object)
        cells = read_column(frame, self.query_col)
        return models, np.array([bool(cell[0] > 0) for cell in cells])


def make_log(n_models=4, n_queries=24, seed=0, text=False):
    """Half of the models answer long texts (positive vectors), half the others."""
    rng = np.random.default_rng(seed)
    models = np.repeat([f"m{i}" for i in range(n_models)], n_queries)
    numbers = np.tile(np.arange(n_queries), n_models)
    positive = numbers % 2 == 1
    skilled = positive == (np.repeat(np.arange(n_models), n_queries) % 2 == 1)
    y = np.clip(np.where(skilled, 0.9, 0.2) + rng.normal(0, 0.1, len(models)), 0, 1)
    if text:
        queries = [f"{n:04d}" + "?" * (n % 2) for n in numbers]
    else:
        queries = [np.array([1.0 if n % 2 else -1.0, float(n)]) for n in numbers]
    log = pd.DataFrame({"model": models, "query": queries})
    if not text:
        log["query_id"] = numbers
    return log, y


def text_pipeline():
    return Pipeline([("encode", LengthEncoder(shift=4)), ("route", SideRouter())])


# Row metrics


def test_soft_log_loss_by_hand():
    expected = -(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3
    assert soft_log_loss([1, 0, 0.5], [0.8, 0.4, 0.5]) == pytest.approx(expected)


def test_soft_brier_score_by_hand():
    expected = (0.2**2 + 0.4**2 + 0.1**2) / 3
    assert soft_brier_score([1, 0, 0.5], [0.8, 0.4, 0.4]) == pytest.approx(expected)


def test_one_half_counts_as_correct_on_both_sides():
    assert correctness_accuracy_score([0.5, 0.5, 0.49], [0.5, 0.49, 0.5]) == 1 / 3


def test_row_metrics_agree_with_sklearn_on_binary_scores():
    rng = np.random.default_rng(0)
    y, p, w = rng.integers(0, 2, 200), rng.random(200), rng.random(200)
    p[:4], y[:4] = [0, 1, 0, 1], [0, 0, 1, 1]
    for weight in (None, w):
        options = {"sample_weight": weight}
        assert soft_log_loss(y, p, **options) == pytest.approx(
            log_loss(y, p, **options)
        )
        assert soft_brier_score(y, p, **options) == pytest.approx(
            brier_score_loss(y, p, **options)
        )
        assert correctness_accuracy_score(y, p, **options) == pytest.approx(
            accuracy_score(y, p >= 0.5, **options)
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips_at_the_eps_of_the_dtype(dtype):
    certain = np.array([0, 1], dtype=dtype)
    expected = -np.log(np.finfo(dtype).eps)
    assert soft_log_loss([1, 0], certain) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_two_columns_and_any_container_give_the_same(metric):
    y, p = np.array([1, 0, 0.5]), np.array([0.8, 0.4, 0.5])
    expected = metric(y, p)
    index = [7, 3, 5]
    assert metric(y, np.column_stack([1 - p, p])) == expected
    assert metric(pd.Series(y, index=index), pd.Series(p)) == expected
    assert metric(pl.Series(y), pl.Series(p)) == expected
    assert metric(y.tolist(), p.tolist()) == expected
    assert isinstance(expected, float)


@pytest.mark.parametrize("metric", ROW_METRICS)
@given(data=st.data())
def test_row_metrics_change_no_bit_when_rows_are_shuffled(metric, data):
    unit = st.floats(0, 1, width=32)
    rows = data.draw(st.lists(st.tuples(unit, unit), min_size=1, max_size=30))
    shuffled = data.draw(st.permutations(rows))
    assert metric(*zip(*rows, strict=True)) == metric(*zip(*shuffled, strict=True))


@pytest.mark.parametrize("metric", ROW_METRICS)
@pytest.mark.parametrize(
    ("y_true", "y_prob", "message"),
    [
        ([], [], "y_true is empty"),
        ([1, 0], [0.5], "y_prob has 1 rows, but y_true has 2"),
        ([1, 1.5], [0.5, 0.5], r"y_true must lie in \[0, 1\]; row 1 has the value 1.5"),
        ([1, np.nan], [0.5, 0.5], "y_true has the value nan in row 1"),
        ([1, 0], [0.5, np.inf], "y_prob has the value inf in row 1"),
        ([1, 0], [-0.1, 0.5], r"y_prob must lie in \[0, 1\]; row 0"),
        (["yes", "no"], [0.5, 0.5], "y_true must be numeric"),
        ([1, None], [0.5, 0.5], "y_true has the value nan in row 1"),
        ([[1], [0]], [0.5, 0.5], "y_true must have one value per row"),
        ([1, 0], [[0.2, 0.3, 0.5]] * 2, "y_prob must have one value per row"),
    ],
)
def test_row_metrics_name_the_bad_argument(metric, y_true, y_prob, message):
    with pytest.raises(ValueError, match=message):
        metric(y_true, y_prob)


@pytest.mark.parametrize("weight", [[0, 0], [1, -1], [1, np.nan], [1]])
def test_bad_weights_are_named(weight):
    with pytest.raises(ValueError, match="sample_weight"):
        soft_brier_score([1, 0], [0.5, 0.5], sample_weight=weight)


# Routing accuracy


def test_routing_accuracy_by_hand():
    log = pd.DataFrame(
        [
            ("q1", "a", 1.0, 0.9),
            ("q1", "b", 0.0, 0.1),
            ("q2", "a", 0.25, 0.9),
            ("q2", "b", 1.0, 0.8),
            ("q3", "b", 0.5, 0.1),
        ],
        columns=["query", "model", "score", "decision"],
    )
    accuracy = routing_accuracy_score(
        log.score, log.decision, queries=log["query"], models=log.model
    )
    assert accuracy == pytest.approx((1 + 0.25 + 0.5) / 3)


def test_ties_go_to_the_smallest_label_whatever_its_type():
    options = {"queries": ["q", "q"]}
    assert routing_accuracy_score([0, 1], [0.5, 0.5], models=["b", "a"], **options) == 1
    assert routing_accuracy_score([0, 1], [0.5, 0.5], models=[10, 9], **options) == 1
    reversed_order = pd.Categorical(["b", "a"], categories=["z", "b", "a"])
    assert routing_accuracy_score([0, 1], [1, 1], models=reversed_order, **options) == 1


def test_repeated_rows_are_averaged():
    accuracy = routing_accuracy_score(
        [1, 0, 0.25],
        [1.0, 0.0, 0.6],
        queries=["q", "q", "q"],
        models=["a", "a", "b"],
    )
    assert accuracy == 0.25  # the decision for "a" is 0.5


@pytest.mark.parametrize(
    "queries",
    [
        ["x", "x", "y"],
        [0, 0, 1],
        [("x", 1), ("x", 1), ("x", 2)],
        np.array([[0.5, 1], [0.5, 1], [1, 1]]),
        pd.Series([np.array([0.5, 1]), np.array([0.5, 1]), np.array([1, 1.0])]),
        pd.Series([["x", 1], ["x", 1], ["y", 1]]),
        pd.Categorical(["x", "x", "y"], categories=["z", "y", "x"]),
        pd.date_range("2024-01-01", periods=2)[[0, 0, 1]],
        pl.Series(["x", "x", "y"]),
    ],
)
def test_queries_may_be_any_identity(queries):
    options = {"queries": queries, "models": ["a", "b", "a"]}
    assert routing_accuracy_score([1, 0, 0.5], [1, 0, 1], **options) == 0.75


def reference_routing_accuracy(rows):
    """Do it the slow way, in exact arithmetic; rows are (query, model, y, s)."""
    by_pair = defaultdict(list)
    for query, model, *values in rows:
        by_pair[query, model].append([Fraction(v) for v in values])
    best = {}
    for (query, _), values in sorted(by_pair.items()):
        score, decision = (
            sum(column) / len(values) for column in zip(*values, strict=True)
        )
        if query not in best or decision > best[query][0]:
            best[query] = decision, score
    return float(sum(score for _, score in best.values()) / len(best))


def routing_accuracy_of(rows):
    queries, models, scores, decisions = map(list, zip(*rows, strict=True))
    return routing_accuracy_score(scores, decisions, queries=queries, models=models)


@given(rows=long_rows)
def test_routing_accuracy_equals_the_slow_reference(rows):
    once = distinct(rows)
    expected = reference_routing_accuracy(once)
    assert routing_accuracy_of(once) == pytest.approx(expected, abs=1e-12)


def test_repeating_all_rows_of_a_model_parts_no_tie():
    rows = [("q", "a", 1, 0.7), *[("q", "b", 0, 0.7)] * 7]
    assert routing_accuracy_of(rows) == 1


@given(rows=long_rows, data=st.data())
def test_routing_accuracy_changes_no_bit_when_rows_are_shuffled(rows, data):
    shuffled = data.draw(st.permutations(rows))
    assert routing_accuracy_of(rows) == routing_accuracy_of(shuffled)


def test_routing_accuracy_names_the_bad_argument():
    good = {"queries": ["q", "q"], "models": ["a", "b"]}
    with pytest.raises(ValueError, match="y_score has 1 rows"):
        routing_accuracy_score([1, 0], [1], **good)
    with pytest.raises(ValueError, match="y_score has the value nan in row 1"):
        routing_accuracy_score([1, 0], [1, np.nan], **good)
    with pytest.raises(ValueError, match="y_true must lie"):
        routing_accuracy_score([1, 2], [1, 0], **good)
    with pytest.raises(ValueError, match="queries has 1 rows"):
        routing_accuracy_score([1, 0], [1, 0], queries=["q"], models=["a", "b"])
    with pytest.raises(ValueError, match="models has 3 rows"):
        routing_accuracy_score([1, 0], [1, 0], queries=["q", "q"], models=[*"abc"])
    with pytest.raises(ValueError, match="queries has a missing value in row 1"):
        routing_accuracy_score([1, 0], [1, 0], queries=["q", None], models=[*"ab"])
    with pytest.raises(ValueError, match="'models' has a missing value in row 0"):
        routing_accuracy_score([1, 0], [1, 0], queries=["q", "q"], models=[None, "b"])
    with pytest.raises(ValueError, match="queries must have one identity"):
        routing_accuracy_score([1, 0], [1, 0], queries="q", models=[*"ab"])


# Scorers


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
def test_scorers_pickle_and_copy(scorer):
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert copy.deepcopy(scorer) == scorer
    assert repr(pickle.loads(pickle.dumps(scorer))) == repr(scorer)


def test_reprs_are_readable():
    assert repr(neg_soft_brier_scorer) == "neg_soft_brier_scorer"
    assert (
        repr(routing_accuracy_scorer) == "make_routing_scorer(routing_accuracy_score)"
    )
    assert repr(make_onboarding_scorer(2)) == (
        "make_onboarding_scorer(n_evaluations=2, metric='neg_soft_log_loss', "
        "random_state=0)"
    )


def test_probability_scorers_are_their_metrics_with_greater_better():
    log, y = make_log()
    router = SideRouter().fit(log, y)
    p = router.predict_proba(log)
    assert neg_soft_log_loss_scorer(router, log, y) == -soft_log_loss(y, p)
    assert neg_soft_brier_scorer(router, log, y) == -soft_brier_score(y, p)
    accuracy = correctness_accuracy_score(y, p)
    assert correctness_accuracy_scorer(router, log, y) == accuracy


def test_routing_scorer_reads_the_columns_the_router_names():
    log, y = make_log()
    names = {"model": "llm", "query": "prompt", "query_id": "hash"}
    renamed = log.rename(columns=names)
    router = SideRouter(model_col="llm", query_col="prompt", query_id_col="hash")
    router.fit(renamed, y)
    expected = routing_accuracy_score(
        y,
        router.routing_scores(renamed),
        queries=log["query_id"],
        models=log["model"],
    )
    assert routing_accuracy_scorer(router, renamed, y) == expected
    assert expected > 0.8


def test_queries_are_told_apart_by_id_before_vector():
    log = pd.DataFrame(
        {
            "model": ["a", "a", "b"],
            "query": [np.ones(2)] * 3,
            "query_id": [1, 2, 2],
        }
    )
    y = [0, 0, 1]
    router = SideRouter().fit(log, y)
    assert routing_accuracy_scorer(router, log, y) == 0.5
    assert routing_accuracy_scorer(router, log.drop(columns="query_id"), y) == 1


class ColumnRouter(SideRouter):
    """Read numeric columns as the encoding, like a router without query column."""

    def __init__(
        self,
        *,
        encoding_cols=None,
        model_col="model",
        query_col="query",
        query_id_col="query_id",
    ):
        super().__init__(
            model_col=model_col, query_col=query_col, query_id_col=query_id_col
        )
        self.encoding_cols = encoding_cols

    def _models_and_sides(self, X):
        return X[self.model_col].to_numpy(dtype=object), X["x0"].to_numpy() > 0


@pytest.mark.parametrize("encoding_cols", [None, ["x0"]])
def test_numeric_columns_less_the_model_identify_queries(encoding_cols):
    log = pd.DataFrame({"model": [1, 2, 1, 2], "x0": [1.0, 1.0, -1.0, -1.0]})
    if encoding_cols:
        log["price"] = [1.0, 2.0, 1.0, 2.0]
    y = [1, 0, 0, 1]
    router = ColumnRouter(encoding_cols=encoding_cols).fit(log, y)
    assert routing_accuracy_scorer(router, log, y) == 1


def test_scorers_go_through_pipelines_and_searches():
    log, y = make_log(text=True)
    pipe = text_pipeline().fit(log, y)
    encoded = pipe["encode"].transform(log)
    search = GridSearchCV(
        text_pipeline(),
        {"encode__shift": [0, 4], "route__shrinkage": [1.0, 3.0]},
        scoring=routing_accuracy_scorer,
        cv=QueryKFold(3),
        n_jobs=1,
        error_score="raise",
    ).fit(log, y)
    assert search.best_params_["encode__shift"] == 4
    nested = make_pipeline("passthrough", pipe)
    for scorer in (neg_soft_log_loss_scorer, routing_accuracy_scorer):
        expected = scorer(pipe["route"], encoded, y)
        assert scorer(pipe, log, y) == expected
        assert scorer(nested, log, y) == expected
        assert scorer(search, log, y) == scorer(search.best_estimator_, log, y)


def test_several_scorers_at_once_with_metadata_routing():
    log, y = make_log(text=True)
    scoring = {"nll": neg_soft_log_loss_scorer, "routing": routing_accuracy_scorer}
    options = {"scoring": scoring, "cv": QueryKFold(3), "error_score": "raise"}
    off = cross_validate(text_pipeline(), log, y, **options)
    with sklearn.config_context(enable_metadata_routing=True):
        on = cross_validate(text_pipeline(), log, y, **options)
    for name in ("test_nll", "test_routing"):
        np.testing.assert_array_equal(off[name], on[name])


def test_an_estimator_that_is_no_router_is_refused():
    log, y = make_log()
    with pytest.raises(TypeError, match="LengthEncoder is not a router"):
        routing_accuracy_scorer(LengthEncoder(), log, y)


def failing_metric(y_true, y_score, *, queries, models):
    raise ZeroDivisionError("from the metric")


def mean_regret(y_true, y_score, *, queries, models):
    options = {"queries": queries, "models": models}
    best = routing_accuracy_score(y_true, y_true, **options)
    return best - routing_accuracy_score(y_true, y_score, **options)


def test_errors_of_a_metric_propagate():
    log, y = make_log()
    router = SideRouter().fit(log, y)
    with pytest.raises(ZeroDivisionError, match="from the metric"):
        make_routing_scorer(failing_metric)(router, log, y)


def test_a_metric_where_lower_is_better_is_negated():
    log, y = make_log()
    router = SideRouter().fit(log, y)
    regret = make_routing_scorer(mean_regret)(router, log, y)
    scorer = make_routing_scorer(mean_regret, greater_is_better=False)
    assert regret > 0
    assert scorer(router, log, y) == -regret
    with pytest.raises(TypeError, match="metric must be callable"):
        make_routing_scorer("routing_accuracy")


# Onboarding


def unseen_models(n_models=6, **options):
    log, y = make_log(n_models=n_models, **options)
    seen = log["model"].isin(["m0", "m1"]).to_numpy()
    return log[seen], y[seen], log[~seen], y[~seen]


def test_onboarding_scores_the_rows_it_did_not_onboard_from():
    log, y, new, new_y = unseen_models()
    router = SideRouter().fit(log, y)
    onboarded, scored = [], []

    class Spy(SideRouter):
        def add_models(self, X, y, replace=False):
            onboarded.append(X)
            return super().add_models(X, y, replace)

    def scorer(estimator, X, y):
        scored.append(X)
        return routing_accuracy_scorer(estimator, X, y)

    router.__class__ = Spy
    accuracy = make_onboarding_scorer(10, scorer)(router, new, new_y)
    assert accuracy > 0.8
    assert (onboarded[0].groupby("model").size() == 10).all()
    assert len(onboarded[0]) + len(scored[0]) == len(new)
    assert not set(onboarded[0].index) & set(scored[0].index)
    # In a complete log the models are scored on the same queries.
    assert scored[0].groupby("query_id").size().eq(4).all()


def test_onboarding_leaves_the_estimator_unchanged():
    log, y, new, new_y = unseen_models(text=True)
    pipe = text_pipeline().fit(log, y)
    before = pickle.dumps(pipe)
    make_onboarding_scorer(8)(pipe, new, new_y)
    assert pickle.dumps(pipe) == before


def test_more_evaluations_onboard_better():
    log, y, new, new_y = unseen_models(n_queries=100)
    router = SideRouter().fit(log, y)
    few, many = (
        make_onboarding_scorer(n, "neg_soft_brier")(router, new, new_y) for n in (2, 60)
    )
    assert many > few


@given(seed=st.integers(0, 1000))
def test_onboarding_does_not_depend_on_the_order_of_rows(seed):
    log, y, new, new_y = unseen_models()
    router = SideRouter().fit(log, y)
    order = np.random.default_rng(seed).permutation(len(new))
    scorer = make_onboarding_scorer(7)
    shuffled = scorer(router, new.iloc[order], new_y[order])
    assert shuffled == pytest.approx(scorer(router, new, new_y), abs=1e-12)


def test_onboarding_keeps_repeated_rows_of_a_query_together():
    log, y, new, new_y = unseen_models(n_queries=6)
    twice, twice_y = pd.concat([new, new]), np.tile(new_y, 2)
    router = SideRouter().fit(log, y)
    scored = []

    def scorer(estimator, X, y):
        scored.append(X)
        return 0.0

    make_onboarding_scorer(4, scorer)(router, twice, twice_y)
    assert scored[0].groupby("model")["query_id"].nunique().eq(2).all()
    assert len(scored[0]) == 4 * 2 * 2


def test_onboarding_in_cross_val_score_over_models():
    log, y = make_log(n_models=8, text=True)
    scores = cross_val_score(
        text_pipeline(),
        log,
        y,
        scoring=make_onboarding_scorer(10, "routing_accuracy"),
        cv=ModelShuffleSplit(3, test_size=0.5, random_state=0),
        error_score="raise",
    )
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_onboarding_takes_polars():
    log, y, new, new_y = unseen_models()
    router = SideRouter().fit(log, y)
    frame = pl.DataFrame(
        {
            "model": new["model"].to_list(),
            "query": [cell.tolist() for cell in new["query"]],
            "query_id": new["query_id"].to_list(),
        }
    )
    scorer = make_onboarding_scorer(10)
    assert scorer(router, frame, new_y) == scorer(router, new, new_y)


def test_a_model_with_too_few_evaluations_is_named():
    log, y, new, new_y = unseen_models(n_queries=12)
    router = SideRouter().fit(log, y)
    short = new.iloc[2:]
    with pytest.raises(ValueError, match=r"'m2' has evaluations on 10 queries.*=10"):
        make_onboarding_scorer(10)(router, short, new_y[2:])
    assert make_onboarding_scorer(9)(router, short, new_y[2:]) < 0


def test_onboarding_a_known_model_is_refused():
    log, y, *_ = unseen_models()
    router = SideRouter().fit(log, y)
    with pytest.raises(ValueError, match=r"\['m0', 'm1'\].*ModelShuffleSplit"):
        make_onboarding_scorer(4)(router, log, y)


def test_bad_arguments_of_make_onboarding_scorer():
    for bad in (0, -1, 2.5, "many"):
        with pytest.raises(ValueError, match="n_evaluations must be"):
            make_onboarding_scorer(bad)
    with pytest.raises(ValueError, match="metric='accuracy' is unknown; choose one of"):
        make_onboarding_scorer(metric="accuracy")


def test_everything_public_is_there():
    assert all(hasattr(metrics, name) for name in metrics.__all__)
