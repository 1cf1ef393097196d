"""Bad arrays, bare queries and frames that are not there; what is allowed instead."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from small import SMALL

from skl_locus import KMeansRouter, KNNRouter, LocusEmbedder, LocusRouter, QueryEncoder
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import ConstantScoreWarning
from skl_locus.metrics import routing_accuracy_scorer
from skl_locus.model_selection import ModelShuffleSplit, QueryKFold

POOL = make_evaluations(
    4, 30, n_tasks=2, n_families=2, n_features=3, specialization=2, random_state=1
)
LOG = POOL.evaluations
ENCODINGS = ["e0", "e1", "e2"]
NUMERIC = LOG[["model", "query_id", "score"]].join(
    pd.DataFrame(np.stack(LOG["query"].tolist()), columns=ENCODINGS)
)
TEXTS = ["What is 7*8?", "Who wrote Faust?", "Is water wet?"] * 40
ROUTERS = {"locus": LocusRouter(**SMALL), "knn": KNNRouter(3)}
X = POOL.encodings
Y = LOG["score"][:30].to_numpy()


@pytest.fixture(scope="module", params=["locus", "knn"])
def router(request):
    """Return a router of named models."""
    return clone(ROUTERS[request.param]).fit(LOG, LOG["score"])


@pytest.fixture(scope="module", params=["locus", "knn"])
def nameless(request):
    """Return a router of one unnamed model."""
    return clone(ROUTERS[request.param]).fit(X, Y)


@pytest.fixture(scope="module")
def embedder():
    return LocusEmbedder(**SMALL).fit(LOG)


def with_entry(value):
    changed = X.copy()
    changed[7, 1] = value
    return changed


BAD_ARRAYS = [
    (with_entry(np.nan), Y, ValueError, "NaN"),
    (with_entry(np.inf), Y, ValueError, "inf"),
    (csr_array(X), Y, TypeError, "[Ss]parse"),
    (X[:0], Y[:0], ValueError, "0 sample"),
    (X[:, 0], Y, ValueError, "2D array"),
    (X, None, ValueError, "y"),
    (X, Y[:-1], ValueError, "inconsistent numbers of samples"),
    (X, np.append(Y[:-1], np.nan), ValueError, "y contains NaN"),
    (X, np.append(Y[:-1], np.inf), ValueError, "y contains inf"),
    (X, np.arange(30) % 3, ValueError, "[Bb]inary|two classes"),
    (X, np.array(list("abc") * 10), ValueError, "[Bb]inary|two classes"),
    (X, np.linspace(-0.2, 1, 30), ValueError, "Unknown label type: continuous"),
    (X, np.linspace(0, 1.2, 30), ValueError, "Unknown label type: continuous"),
]


@pytest.mark.parametrize(("array", "y", "error", "match"), BAD_ARRAYS)
def test_a_bad_array_is_refused_and_changes_nothing(nameless, array, y, error, match):
    before = nameless.predict_proba(X)
    with pytest.raises(error, match=match):
        nameless.fit(array, y)
    np.testing.assert_array_equal(nameless.predict_proba(X), before)


@pytest.mark.parametrize(
    ("array", "error", "match"),
    [(a, e, m) for a, _, e, m in BAD_ARRAYS[:5]]
    + [(X[:, :2], ValueError, "2 features.*3 features")],
)
def test_a_bad_array_is_refused_in_predict(nameless, embedder, array, error, match):
    with pytest.raises(error, match=match):
        nameless.predict_proba(array)
    with pytest.raises(error, match=match):
        embedder.transform(array)


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_the_embedder_refuses_scores_of_an_array_that_are_no_numbers(embedder, score):
    before = embedder.transform(LOG)
    with pytest.raises(ValueError, match=r"\by\b"):
        embedder.fit(X, np.append(Y[:-1], score))
    pd.testing.assert_frame_equal(embedder.transform(LOG), before)


def test_the_embedder_reads_the_score_column_of_one_unnamed_model():
    table = NUMERIC[:30].drop(columns=["model", "query_id"])
    embedder = LocusEmbedder(**SMALL).fit(table)
    high, low = (embedder.transform(table.assign(score=s)) for s in (Y, 1 - Y))
    assert np.abs(np.asarray(high) - np.asarray(low)).max() > 1e-3


def test_soft_scores_of_an_array_are_allowed(nameless):
    soft = clone(nameless).fit(X, np.linspace(0, 1, 30))
    assert soft.classes_.tolist() == [0, 1]
    assert soft.predict_proba(X).shape == (30, 2)


def test_onboarding_needs_named_models(nameless):
    for call in (
        lambda: nameless.add_models(LOG, LOG["score"]),
        lambda: nameless.add_models(X, Y),
        lambda: nameless.remove_models(["model"]),
    ):
        with pytest.raises(ValueError, match=r"array.*'model'"):
            call()


BAD_QUERIES = {
    "bare text": ("What is 7*8?", r"wrap.*\["),
    "bare vector": (X[0], r"wrap.*\["),
    "bare list": (X[0].tolist(), r"wrap.*\["),
    "number": (3.0, r"queries.*wrap"),
    "none": (None, "queries"),
    "three axes": (X[None], "row 0|shape"),
    "another length": (X[:, :2], r"length 2.*3"),
    "longer cells": ([np.ones(4), np.ones(4)], r"length 4.*3"),
    "two lengths": ([X[0], X[1][:2]], r"row 1.*length 2.*3|lengths"),
    "two lengths in lists": (
        [[1.0, 2.0, 3.0], [1.0, 2.0]],
        r"row 1.*length 2.*3|lengths",
    ),
    "nan": (with_entry(np.nan), r"row 7.*NaN"),
    "inf": (with_entry(np.inf), r"row 7.*inf"),
    "nan in a cell": (list(with_entry(np.nan)), r"row 7.*NaN"),
    "text": (["What is 7*8?"], "text.*encode"),
    "texts": (pd.Series(TEXTS), "text.*encode"),
    "frame of texts": (pd.DataFrame({"query": TEXTS}), "text.*encode"),
    "mixed": ([X[0], "What is 7*8?"], "row 1.*text"),
    "mixed, text first": (["What is 7*8?", X[0]], "text"),
    "missing": ([X[0], None], "row 1"),
    "frame without queries": (LOG[["model", "task"]], "'query'"),
    "series of numbers": (pd.Series([1.0, 2.0, 3.0]), r"wrap.*\["),
}


@pytest.mark.parametrize("bad", BAD_QUERIES)
def test_bad_queries_are_refused_with_advice(router, bad):
    queries, match = BAD_QUERIES[bad]
    for method in (router.route, router.rank, router.correctness_matrix):
        with pytest.raises(ValueError, match=f"(?s){match}"):
            method(queries)


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
def test_sparse_queries_are_refused_by_name(router, kind):
    with pytest.raises((TypeError, ValueError), match=r"(?i)sparse|dense|toarray"):
        router.route(kind(X))


@pytest.mark.parametrize("none", [[], X[:0], LOG["query"][:0]], ids=str)
def test_no_queries_give_no_routes(router, none):
    assert router.route(none).shape == (0,)
    assert router.correctness_matrix(none).shape == (0, 4)


def test_a_row_index_does_not_matter(router):
    for index in (np.arange(120) + 5.0, [f"r{i}" for i in range(120)], np.zeros(120)):
        table = LOG.set_index(pd.Index(index))
        np.testing.assert_array_equal(
            router.predict_proba(table), router.predict_proba(LOG)
        )
        assert (router.route(table["query"]) == router.route(LOG["query"])).all()


def test_text_is_refused_by_a_router_of_encoding_columns():
    for estimator in (KNNRouter(3), KNNRouter(3, encoder=TfidfVectorizer())):
        fitted = estimator.fit(NUMERIC, NUMERIC["score"])
        with pytest.raises(ValueError, match="text"):
            fitted.predict_proba(LOG.assign(query=TEXTS, query_id=TEXTS))
        with pytest.raises(ValueError, match="text"):
            fitted.route(TEXTS)


@pytest.mark.parametrize("table", [LOG, NUMERIC], ids=["vectors", "columns"])
def test_a_new_fit_on_vectors_forgets_the_encoder_of_texts(table):
    router = KNNRouter(3, encoder=TfidfVectorizer(max_features=3))
    router.fit(LOG.assign(query=TEXTS, query_id=TEXTS), LOG["score"])
    router.fit(table, LOG["score"])
    with pytest.raises(ValueError, match="text"):
        router.route(TEXTS)


def test_vectors_of_another_length_are_refused_by_a_router_of_texts():
    router = KNNRouter(3, encoder=TfidfVectorizer())
    texts = LOG.assign(query=TEXTS, query_id=TEXTS)
    router.fit(texts, LOG["score"])
    before = router.predict_proba(texts)
    for call in (
        lambda: router.route(X),
        lambda: router.predict_proba(LOG),
        lambda: router.add_models(LOG, LOG["score"]),
    ):
        with pytest.raises(ValueError, match="length 3"):
            call()
    np.testing.assert_array_equal(router.predict_proba(texts), before)


def test_lazy_frames_are_refused_everywhere(router, embedder):
    lazy = pl.DataFrame({"model": ["a", "b"], "query": ["q", "q"]}).lazy()
    for call in (
        lambda: router.fit(lazy, [0, 1]),
        lambda: router.predict_proba(lazy),
        lambda: router.add_models(lazy, [0, 1]),
        lambda: router.route(lazy),
        lambda: embedder.fit(lazy, [0, 1]),
        lambda: embedder.transform(lazy),
        lambda: QueryEncoder(TfidfVectorizer()).fit(lazy),
        lambda: routing_accuracy_scorer(router, lazy, [0, 1]),
    ):
        with pytest.raises(TypeError, match=r"lazy.*collect"):
            call()
    for splitter in (QueryKFold(2), ModelShuffleSplit(1)):  # scikit-learn looks first
        with pytest.raises(TypeError, match=r"(?i)lazy"):
            list(splitter.split(lazy))


def test_models_without_rows_do_not_exist():
    table = LOG.assign(model=LOG["model"].astype("category"))
    table = table[table["model"] != "model-2"]
    left = ["model-0", "model-1", "model-3"]
    assert "model-2" in table["model"].cat.categories
    for router in (LocusRouter(**SMALL), KNNRouter(3), KMeansRouter(2)):
        assert list(router.fit(table, table["score"]).models_) == left
        with pytest.raises(ValueError, match=r"'model-2'.*add_models"):
            router.predict_proba(LOG)
    assert list(LocusEmbedder(**SMALL).fit_transform(table).index) == left
    one = table[table["model"] == "model-0"]
    with pytest.raises(ValueError, match=r"'model'.*one model"):
        router.fit(one, one["score"])


def test_a_known_model_in_add_models_is_refined(router):
    first, later = LOG[LOG["query_id"] < "query-15"], LOG[LOG["query_id"] >= "query-15"]
    more = later[later["model"] == "model-1"]
    router = clone(router).fit(first, first["score"])
    before = router.correctness_matrix(X)
    router.add_models(more, more["score"])
    after = router.correctness_matrix(X)
    assert list(router.models_) == [f"model-{i}" for i in range(4)]
    others = [0, 2, 3]
    np.testing.assert_array_equal(after[:, others], before[:, others])
    assert (after[:, 1] != before[:, 1]).any()


def test_a_refused_refinement_with_repeated_rows_changes_nothing():
    router = KNNRouter(3, duplicates="raise").fit(LOG, LOG["score"])
    before = router.predict_proba(LOG)
    with pytest.raises(ValueError, match=r"'model-0'.*duplicates='raise'"):
        router.add_models(LOG, LOG["score"])
    with pytest.raises(ValueError, match=r"'model-0'.*rows 0 and 120.*duplicates"):
        router.fit(pd.concat([LOG, LOG[:1]]), [*LOG["score"], 1])
    np.testing.assert_array_equal(router.predict_proba(LOG), before)


def test_removing_every_model_is_refused(router):
    with pytest.raises(ValueError, match="at least one"):
        router.remove_models(list(router.models_))
    with pytest.raises(ValueError, match="names"):
        router.remove_models("model-0")
    assert len(router.models_) == 4


def test_a_flawless_newcomer_is_no_reason_to_warn(router):
    new = LOG[:30].assign(model="new")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConstantScoreWarning)
        router = clone(router).fit(LOG, LOG["score"]).add_models(new, np.ones(30))
    assert "new" in router.models_


def test_a_refused_container_leaves_a_fitted_embedder_as_it_was():
    embedder = LocusEmbedder(**SMALL).fit(LOG)
    before = embedder.transform(LOG)
    with (
        sklearn.config_context(transform_output="polars"),
        pytest.raises(ValueError, match="polars"),
    ):
        embedder.fit_transform(LOG, 1 - LOG["score"])
    pd.testing.assert_frame_equal(embedder.transform(LOG), before)
