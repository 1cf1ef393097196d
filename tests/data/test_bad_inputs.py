"""Bad tables: one clear error, and a fitted estimator that stays as it was."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from small import SMALL

from skl_locus import (
    BestSingleRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusEmbedder,
    LocusRouter,
)
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import ConstantScoreWarning

POOL = make_evaluations(
    4, 30, n_tasks=2, n_families=2, n_features=3, specialization=2, random_state=0
)
LOG = POOL.evaluations
ENCODINGS = ["e0", "e1", "e2"]
NUMERIC = LOG[["model", "query_id", "score"]].join(
    pd.DataFrame(np.stack(LOG["query"].tolist()), columns=ENCODINGS)
)
ESTIMATORS = {
    "locus": LocusRouter(**SMALL),
    "knn": KNNRouter(3),
    "kmeans": KMeansRouter(2, random_state=0),
    "linear": LinearRouter(alpha=1.0),
    "single": BestSingleRouter(),
    "embedder": LocusEmbedder(**SMALL),
}
METHODS = {
    "fit": lambda e, X: e.fit(X, LOG["score"][: len(X)]),
    "fit_transform": lambda e, X: e.fit_transform(X),
    "transform": lambda e, X: e.transform(X),
    "predict_proba": lambda e, X: e.predict_proba(X),
    "routing_scores": lambda e, X: e.routing_scores(X),
    "add_models": lambda e, X: e.add_models(X, LOG["score"][: len(X)]),
}
ROUTER_METHODS = ("fit", "predict_proba", "routing_scores", "add_models")
CALLS = [
    (name, method)
    for name in ESTIMATORS
    for method in (
        ("fit", "fit_transform", "transform") if name == "embedder" else ROUTER_METHODS
    )
]
FITTING = [(n, m) for n, m in CALLS if m in ("fit", "fit_transform")]


def train(name, table):
    return ESTIMATORS[name].__sklearn_clone__().fit(table, table["score"])


@pytest.fixture(scope="module")
def fitted():
    return {name: train(name, LOG) for name in ESTIMATORS}


@pytest.fixture(scope="module")
def fitted_numeric():
    return {name: train(name, NUMERIC) for name in ("locus", "knn", "embedder")}


def outputs(estimator, table):
    if isinstance(estimator, LocusEmbedder):
        return estimator.transform(table).to_numpy()
    return np.column_stack(
        [estimator.predict_proba(table), estimator.routing_scores(table)]
    )


def assert_refused(estimator, call, *words, error=ValueError, table=LOG):
    """Check that a call fails with all of the words and changes nothing."""
    before, names = outputs(estimator, table), sorted(vars(estimator))
    with pytest.raises(error) as caught:
        call(estimator)
    assert type(caught.value) is error
    for word in words:
        assert re.search(word, str(caught.value)), (word, str(caught.value))
    assert sorted(vars(estimator)) == names
    np.testing.assert_array_equal(outputs(estimator, table), before)


def with_cell(column, row, value, log=LOG):
    cells = log[column].astype(object).tolist()
    cells[row] = value
    return log.assign(**{column: pd.Series(cells, dtype=object)})


BAD_TABLES = {
    "no model column": (LOG.drop(columns="model"), ["'model'"]),
    "no query": (LOG[["model", "task", "score"]], ["'query'"]),
    "no rows": (LOG.iloc[:0], ["empty|0 rows"]),
    "nan": (
        with_cell("query", 7, np.array([0, np.nan, 0])),
        ["'query'", "row 7", "NaN"],
    ),
    "inf": (
        with_cell("query", 7, np.array([0, np.inf, 0])),
        ["'query'", "row 7", "inf"],
    ),
    "another length": (with_cell("query", 7, np.ones(4)), ["'query'", "row 7", "4"]),
    "no length": (with_cell("query", 7, np.ones(0)), ["'query'", "row 7"]),
    "matrix in a cell": (with_cell("query", 7, np.eye(3)), ["'query'", "row 7"]),
    "words in a vector": (with_cell("query", 7, ["a", "b", "c"]), ["'query'", "row 7"]),
    "scalars": (LOG.assign(query=1.5), ["'query'", "vector"]),
    "a text among vectors": (with_cell("query", 7, "Why?"), ["'query'", "row 7"]),
    "vectors below a text": (with_cell("query", 0, "Why?"), ["'query'", "text"]),
    "missing model": (with_cell("model", 7, None), ["'model'", "row 7", "missing"]),
    "missing query": (with_cell("query", 7, None), ["'query'", "row 7"]),
    "missing id": (with_cell("query_id", 7, None), ["'query_id'", "row 7", "missing"]),
    "one id, two queries": (with_cell("query_id", 7, "query-03"), ["query_id", "-03"]),
}


@pytest.mark.parametrize("bad", BAD_TABLES)
@pytest.mark.parametrize(
    ("name", "method"), [call for call in CALLS if call[0] in ("knn", "embedder")]
)
def test_a_bad_table_is_refused_and_changes_nothing(fitted, name, method, bad):
    table, words = BAD_TABLES[bad]
    assert_refused(fitted[name], lambda e: METHODS[method](e, table), *words)


@pytest.mark.parametrize("bad", BAD_TABLES)
def test_a_bad_table_leaves_a_locus_router_as_it_was(fitted, bad):
    table, words = BAD_TABLES[bad]
    for method in ROUTER_METHODS:
        assert_refused(
            fitted["locus"], lambda e, m=method: METHODS[m](e, table), *words
        )


@pytest.mark.parametrize(("name", "method"), CALLS)
def test_text_needs_an_encoder(fitted, name, method):
    table = LOG.assign(query="What is 7*8?", query_id="q")
    assert_refused(fitted[name], lambda e: METHODS[method](e, table), "text", "enco")


@pytest.mark.parametrize(("name", "method"), FITTING)
def test_the_first_fit_on_text_says_encoder(name, method):
    estimator = ESTIMATORS[name].__sklearn_clone__()
    with pytest.raises(ValueError, match=r"'query'.*text.*encoder="):
        METHODS[method](estimator, LOG.assign(query="Why?", query_id="q"))


@pytest.mark.parametrize(("name", "method"), FITTING)
def test_one_model_is_too_few(fitted, name, method):
    table = LOG[LOG["model"] == "model-1"]
    assert_refused(
        fitted[name], lambda e: METHODS[method](e, table), "'model'", "model-1", "two"
    )


BAD_SCORES = {
    "nan": (with_cell("score", 5, np.nan)["score"].astype(float), ["row 5"]),
    "none": (with_cell("score", 5, None)["score"].tolist(), ["row 5|None"]),
    "null": (
        with_cell("score", 5, pd.NA)["score"].astype("Float64"),
        ["row 5|missing"],
    ),
    "null of polars": (pl.Series(with_cell("score", 5, None)["score"]), ["row 5"]),
    "inf": (with_cell("score", 5, np.inf)["score"].astype(float), ["row 5"]),
    "above": (with_cell("score", 5, 1.5)["score"].astype(float), ["row 5", r"1\.5"]),
    "below": (with_cell("score", 5, -1)["score"].astype(float), ["row 5", "-1"]),
    "text": (with_cell("score", 5, "yes")["score"], ["numbers|yes"]),
    "texts of numbers": (LOG["score"].astype(str), ["numbers"]),
    "short": (LOG["score"][:-1], ["119", "120"]),
    "long": ([*LOG["score"], 1], ["121", "120"]),
    "two columns": (np.ones((120, 2)), ["1d|shape"]),
}


@pytest.mark.parametrize("bad", BAD_SCORES)
@pytest.mark.parametrize("method", ["fit", "add_models", "score"])
@pytest.mark.parametrize("name", ["locus", "knn"])
def test_bad_scores_are_refused(fitted, name, method, bad):
    scores, words = BAD_SCORES[bad]
    call = lambda e: getattr(e, method)(LOG, scores)  # noqa: E731
    assert_refused(fitted[name], call, *words)


@pytest.mark.parametrize("bad", BAD_SCORES)
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_bad_scores_are_refused_by_the_embedder(fitted, method, bad):
    scores, words = BAD_SCORES[bad]
    assert_refused(
        fitted["embedder"], lambda e: getattr(e, method)(LOG, scores), *words
    )


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
@pytest.mark.parametrize("bad", ["nan", "inf", "above", "below", "text"])
def test_a_bad_score_column_is_named(fitted, method, bad):
    scores, words = BAD_SCORES[bad]
    table = LOG.assign(score=scores)
    call = lambda e: getattr(e, method)(table)  # noqa: E731
    assert_refused(fitted["embedder"], call, "'score'", *words)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_the_embedder_needs_the_score_column(fitted, method):
    table = LOG.drop(columns="score")
    call = lambda e: getattr(e, method)(table)  # noqa: E731
    assert_refused(fitted["embedder"], call, "'score'", "missing")


@pytest.mark.parametrize("method", ["fit", "add_models", "score"])
@pytest.mark.parametrize("name", ["locus", "knn", "kmeans", "single"])
def test_a_router_needs_y_although_there_is_a_score_column(fitted, name, method):
    assert_refused(fitted[name], lambda e: getattr(e, method)(LOG, None), r"\by\b")


@pytest.mark.parametrize("name", ["locus", "knn", "kmeans", "single", "embedder"])
def test_equal_scores_are_allowed_with_a_warning(name):
    estimator = ESTIMATORS[name].__sklearn_clone__()
    with pytest.warns(ConstantScoreWarning, match="equal"):
        estimator.fit(LOG, np.ones(len(LOG)))
    with pytest.warns(ConstantScoreWarning, match="equal"):
        ESTIMATORS[name].__sklearn_clone__().fit(POOL.encodings, np.ones(30))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "routing_scores"])
@pytest.mark.parametrize("name", ["locus", "knn", "kmeans", "single"])
def test_an_unseen_model_is_named_with_the_way_to_onboard_it(fitted, name, method):
    table = with_cell("model", 7, "newcomer")
    call = lambda e: getattr(e, method)(table)  # noqa: E731
    assert_refused(fitted[name], call, "'newcomer'", "add_models")


@pytest.mark.parametrize("name", ["locus", "knn", "kmeans", "single"])
def test_unknown_labels_are_named_wherever_labels_are_taken(fitted, name):
    queries = POOL.encodings[:2]
    for call in (
        lambda e: e.route(queries, models=["model-0", "nobody"]),
        lambda e: e.rank(queries, models=["nobody"]),
        lambda e: e.correctness_matrix(queries, ["nobody"]),
        lambda e: e.remove_models(["model-0", "nobody"]),
    ):
        assert_refused(fitted[name], call, "'nobody'")


@pytest.mark.parametrize("method", ["transform", "predict_proba", "add_models"])
@pytest.mark.parametrize("name", ["locus", "knn", "embedder"])
def test_another_length_of_encodings_is_refused_after_fit(fitted, name, method):
    if (name, method) not in CALLS:
        return
    table = LOG.assign(query=[v[:2] for v in LOG["query"]])
    assert_refused(
        fitted[name], lambda e: METHODS[method](e, table), r"\b2\b", r"\b3\b"
    )


NUMERIC_CALLS = [(n, m) for n, m in CALLS if n in ("locus", "knn", "embedder")]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "method"), NUMERIC_CALLS)
def test_bad_numbers_in_encoding_columns_are_named(fitted_numeric, name, method, bad):
    table = NUMERIC.copy()
    table.loc[7, "e1"] = bad
    call = lambda e: METHODS[method](e, table)  # noqa: E731
    assert_refused(fitted_numeric[name], call, "'e1'", "row 7", table=NUMERIC)


@pytest.mark.parametrize("kind", ["pandas", "polars", "object"])
def test_nulls_in_encoding_columns_are_named(fitted_numeric, kind):
    table = NUMERIC.assign(e1=NUMERIC["e1"].astype("Float64"))
    table.loc[7, "e1"] = pd.NA
    if kind == "polars":
        table = pl.DataFrame(
            {c: [None if v is pd.NA else v for v in table[c]] for c in table}
        )
    estimator = fitted_numeric["knn"]
    if kind == "object":
        table = with_cell("e1", 7, "?", NUMERIC)
        estimator = KNNRouter(3, encoding_cols=ENCODINGS).fit(NUMERIC, LOG["score"])
    assert_refused(
        estimator, lambda e: e.fit(table, LOG["score"]), "'?e1'?", table=NUMERIC
    )


@pytest.mark.parametrize(
    "table",
    [
        NUMERIC.drop(columns="e1"),
        NUMERIC[["model", "query_id", "score", "e2", "e1", "e0"]],
        NUMERIC.assign(e3=0.0),
        NUMERIC.rename(columns={"e1": "f1"}),
    ],
    ids=["missing", "reordered", "another", "renamed"],
)
@pytest.mark.parametrize("name", ["locus", "knn", "embedder"])
def test_encoding_columns_must_be_those_of_fit(fitted_numeric, name, table):
    method = METHODS["transform" if name == "embedder" else "predict_proba"]
    words = "[Ff]eature names"
    assert_refused(
        fitted_numeric[name], lambda e: method(e, table), words, table=NUMERIC
    )


def test_columns_that_describe_a_row_are_no_encodings(fitted_numeric):
    table = NUMERIC.assign(task=1, cost=2.0, tokens=3, latency=0.1)
    router = fitted_numeric["knn"]
    np.testing.assert_array_equal(outputs(router, table), outputs(router, NUMERIC))


@pytest.mark.parametrize("encoding_cols", [None, ENCODINGS])
@pytest.mark.parametrize("name", ["locus", "knn", "embedder"])
def test_a_table_with_other_columns_must_name_its_model(name, encoding_cols):
    table = NUMERIC.rename(columns={"model": "Model"}).drop(columns="query_id")
    estimator = ESTIMATORS[name].__sklearn_clone__()
    estimator.set_params(encoding_cols=encoding_cols)
    with pytest.raises(ValueError, match="'model'"):
        estimator.fit(table, LOG["score"])


@pytest.mark.parametrize("name", ["locus", "knn"])
def test_a_router_of_named_models_needs_them_in_every_row(fitted_numeric, name):
    nameless = NUMERIC[ENCODINGS]
    call = lambda e: e.predict_proba(nameless)  # noqa: E731
    assert_refused(fitted_numeric[name], call, "'model'", table=NUMERIC)
