"""QueryEncoder with scikit-learn text transformers; text in routers and pipelines."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from small import SMALL

from skl_locus import (
    BestSingleRouter,
    KMeansRouter,
    KNNRouter,
    LocusEmbedder,
    LocusRouter,
    QueryEncoder,
)

QUESTIONS = [
    *(
        f"What is {a}*{b}?"
        for a, b in [(7, 8), (6, 9), (3, 4), (12, 5), (9, 9), (2, 6)]
    ),
    *(f"Who wrote {book}?" for book in ["Faust", "Emma", "Ulysses", "Hamlet", "Dune"]),
    "Is water wet?",
]
NEW = ["What is 11*12?", "Who wrote Emma and Faust?"]
MODELS = ["adder", "bard", "oracle"]


def make_log():
    rows = [(m, q) for q in QUESTIONS for m in MODELS]
    log = pd.DataFrame(rows, columns=["model", "query"])
    knows = {"adder": "What", "bard": "Who", "oracle": ""}
    log["score"] = [float(q.startswith(knows[m])) for m, q in rows]
    log["task"] = log["query"].str.split().str[0]
    return log


LOG = make_log()


def tfidf_svd(n_components=4):
    return make_pipeline(
        TfidfVectorizer(token_pattern=r"\w+"),
        TruncatedSVD(n_components, random_state=0),
    )


class CountingEncoder(TransformerMixin, BaseEstimator):
    """Note every text that is fitted and transformed."""

    seen = ()

    def fit(self, X, y=None):
        self.fitted_ = list(X)
        return self

    def transform(self, X):
        CountingEncoder.seen = [*CountingEncoder.seen, *X]
        return [[len(text), text.count(" ")] for text in X]


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr(CountingEncoder, "seen", ())
    return CountingEncoder


@pytest.fixture(scope="module")
def encoder():
    return QueryEncoder(tfidf_svd()).fit(LOG)


def test_lists_give_float32_matrices(encoder):
    for texts in (
        QUESTIONS,
        tuple(QUESTIONS),
        np.array(QUESTIONS),
        pd.Series(QUESTIONS),
    ):
        vectors = encoder.transform(texts)
        assert type(vectors) is np.ndarray
        assert vectors.shape == (12, encoder.n_features_out_) == (12, 4)
        assert vectors.dtype == np.float32
    expected = tfidf_svd().fit(sorted(QUESTIONS)).transform(NEW)
    np.testing.assert_allclose(encoder.transform(NEW), expected, atol=1e-5)
    assert encoder.transform([]).shape == (0, 4)
    assert len(encoder.get_feature_names_out()) == 4


def test_each_distinct_text_is_encoded_once(counted):
    encoder = QueryEncoder(counted()).fit(LOG)
    assert sorted(encoder.encoder_.fitted_) == sorted(QUESTIONS)
    assert sorted(counted.seen) == sorted(QUESTIONS)
    encoder.transform(LOG)
    encoder.transform(QUESTIONS[::-1])
    assert len(counted.seen) == len(QUESTIONS)
    vectors = encoder.transform([*NEW, QUESTIONS[0], *NEW])
    assert sorted(counted.seen[len(QUESTIONS) :]) == sorted(NEW)
    assert vectors[:, 0].tolist() == [len(t) for t in [*NEW, QUESTIONS[0], *NEW]]


def test_fit_transform_encodes_once(counted):
    QueryEncoder(counted()).fit_transform(LOG)
    assert len(counted.seen) == len(QUESTIONS)


def test_a_router_encodes_each_text_once(counted):
    router = KNNRouter(3, encoder=counted()).fit(LOG, LOG["score"])
    router.predict_proba(LOG)
    router.add_models(LOG.assign(model="new"), 1 - LOG["score"])
    router.route(QUESTIONS)
    assert len(counted.seen) == len(QUESTIONS)


def test_the_wrapped_transformer_is_left_unfitted():
    tfidf = TfidfVectorizer()
    QueryEncoder(tfidf).fit(QUESTIONS)
    assert not hasattr(tfidf, "vocabulary_")


@pytest.mark.parametrize("sparse", [TfidfVectorizer(), HashingVectorizer(n_features=8)])
def test_sparse_vectors_become_dense(sparse):
    vectors = QueryEncoder(sparse).fit_transform(QUESTIONS)
    expected = clone(sparse).fit_transform(QUESTIONS).toarray()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_frame_comes_back_with_vectors_and_identities(encoder):
    before = LOG.copy(deep=True)
    table = encoder.transform(LOG)
    pd.testing.assert_frame_equal(LOG, before)
    assert list(table.columns) == [*LOG.columns, "query_id"]
    assert table["query_id"].astype(str).tolist() == LOG["query"].tolist()
    pd.testing.assert_frame_equal(
        table[["model", "score", "task"]], LOG.drop(columns="query")
    )
    vectors = encoder.transform(LOG["query"])
    for cell, vector in zip(table["query"], vectors, strict=True):
        assert cell.shape == (4,)
        assert cell.dtype == np.float32
        np.testing.assert_array_equal(cell, vector)


def test_rows_of_a_query_share_one_array(encoder):
    table = encoder.transform(pd.concat([LOG, LOG[::-1]]))
    objects = pd.Series([id(cell) for cell in table["query"]])
    pairs = set(zip(objects, table["query_id"], strict=True))
    assert len(pairs) == len(QUESTIONS)
    assert objects.nunique() == len(QUESTIONS)


def test_an_existing_id_is_kept(encoder):
    table = LOG.assign(query_id=[QUESTIONS.index(q) for q in LOG["query"]])
    encoded = encoder.transform(table)
    pd.testing.assert_series_equal(encoded["query_id"], table["query_id"])
    assert list(encoded.columns) == list(table.columns)


@pytest.mark.parametrize(
    "index", [range(36), np.arange(36) + 0.5, ["row"] * 36], ids=str
)
def test_any_row_index_is_kept(encoder, index):
    table = LOG.set_index(pd.Index(index))
    encoded = encoder.transform(table)
    pd.testing.assert_index_equal(encoded.index, table.index)
    np.testing.assert_array_equal(
        np.stack(encoded["query"].tolist()), encoder.transform(LOG["query"])
    )


def test_one_row_and_as_many_queries_as_features(encoder):
    for n in (1, 4):
        table = encoder.transform(pd.DataFrame({"model": "a", "query": NEW * 2})[:n])
        assert [cell.shape for cell in table["query"]] == [(4,)] * n


@pytest.mark.parametrize("library", [pl.DataFrame, pa.Table.from_pydict])
def test_frames_of_other_libraries_give_pandas(encoder, library):
    table = encoder.transform(library(LOG.to_dict("list")))
    assert type(table) is pd.DataFrame
    expected = encoder.transform(LOG)
    assert list(table.columns) == list(expected.columns)
    np.testing.assert_array_equal(
        np.stack(table["query"].tolist()), np.stack(expected["query"].tolist())
    )
    for column in ("model", "score", "task", "query_id"):
        assert table[column].tolist() == expected[column].tolist()


def test_columns_may_have_other_names():
    log = LOG.rename(columns={"query": "prompt"}).assign(query="not this one")
    encoder = QueryEncoder(tfidf_svd(), query_col="prompt", query_id_col="pid")
    table = encoder.fit_transform(log)
    assert table["pid"].astype(str).tolist() == LOG["query"].tolist()
    assert table["query"].tolist() == log["query"].tolist()
    assert table["prompt"][0].shape == (4,)


BAD_TEXTS = {
    "bare text": ("What is 7*8?", r"wrap.*\["),
    "matrix": (np.eye(3), "list of texts"),
    "numbers": ([1.0, 2.0], "text"),
    "mixed with a number": (["Why?", 3], "mix"),
    "mixed with a vector": (["Why?", np.ones(3)], "text"),
    "missing": (["Why?", None], "missing.*row 1"),
    "missing at first": ([None, "Why?"], "missing|not text"),
    "nan": (pd.Series(["Why?", np.nan]), "missing.*row 1"),
    "no text": ([], r"empty|0 texts|at least one"),
    "no column": (LOG.drop(columns="query"), "'query'.*missing"),
    "vectors": (pd.DataFrame({"query": [np.ones(3)] * 2}), "'query'.*text"),
}


@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_bad_texts_are_refused_and_change_nothing(bad):
    texts, match = BAD_TEXTS[bad]
    encoder = QueryEncoder(CountingEncoder()).fit(QUESTIONS)
    before = encoder.transform(QUESTIONS)
    with pytest.raises(ValueError, match=match):
        encoder.fit(texts)
    if bad != "no text":
        with pytest.raises(ValueError, match=match):
            encoder.transform(texts)
    np.testing.assert_array_equal(encoder.transform(QUESTIONS), before)


def test_pickles_copies_and_clones(encoder):
    for copied in (
        pickle.loads(pickle.dumps(encoder)),
        copy.copy(encoder),
        copy.deepcopy(encoder),
    ):
        for texts in (QUESTIONS, NEW):
            np.testing.assert_array_equal(
                copied.transform(texts), encoder.transform(texts)
            )
    unfitted = clone(encoder)
    assert not hasattr(unfitted, "n_features_out_")
    assert str(unfitted) == str(encoder)
    unpickled = pickle.loads(pickle.dumps(unfitted))
    assert unpickled.encoder.steps[1][1].n_components == 4


def test_nested_parameters():
    router = LocusRouter(encoder=QueryEncoder(tfidf_svd()))
    name = "encoder__encoder__truncatedsvd__n_components"
    assert router.get_params()[name] == 4
    router.set_params(**{name: 2})
    assert router.encoder.encoder[-1].n_components == 2
    assert clone(router).get_params()[name] == 2


@pytest.fixture(scope="module")
def both():
    """Return a router of texts, and the pipeline that should equal it."""
    router = LocusRouter(**SMALL, encoder=tfidf_svd()).fit(LOG, LOG["score"])
    steps = [("encode", QueryEncoder(tfidf_svd())), ("route", LocusRouter(**SMALL))]
    return router, Pipeline(steps).fit(LOG, LOG["score"])


def test_a_router_of_texts_equals_the_pipeline(both):
    router, pipe = both
    np.testing.assert_array_equal(pipe.predict_proba(LOG), router.predict_proba(LOG))
    new = pd.DataFrame({"model": ["bard", "oracle"], "query": NEW})
    np.testing.assert_array_equal(pipe.predict_proba(new), router.predict_proba(new))
    np.testing.assert_array_equal(pipe[-1].embeddings_, router.embeddings_)


def test_routing_through_a_fitted_pipeline(both):
    router, pipe = both
    for texts in (NEW, QUESTIONS, np.array(NEW), pd.Series(NEW, index=[3.5, 4.5])):
        routes = pipe[-1].route(pipe[:-1].transform(texts))
        assert routes.tolist() == router.route(texts).tolist()
    assert set(router.route(NEW)) <= set(MODELS)


def test_a_frame_of_queries_is_routed_like_its_texts(both):
    router, pipe = both
    table = pd.DataFrame({"query": NEW})
    assert router.route(table).tolist() == router.route(NEW).tolist()
    encoded = pipe[:-1].transform(table)
    assert pipe[-1].route(encoded).tolist() == router.route(NEW).tolist()


@pytest.mark.parametrize("encode", [QueryEncoder(tfidf_svd()), tfidf_svd()])
@pytest.mark.parametrize(
    "router",
    [LocusRouter(**SMALL), KNNRouter(3), KMeansRouter(2), BestSingleRouter()],
    ids=lambda router: type(router).__name__,
)
def test_every_router_reads_text_with_an_encoder(router, encode):
    router = clone(router).set_params(encoder=encode)
    router.fit(LOG, LOG.score)
    assert router.route(["What is 7*8?"])[0] in MODELS
    labels, probabilities = router.rank(NEW, k=2)
    assert labels.shape == probabilities.shape == (2, 2)
    new = LOG[LOG["task"] == "Who"].assign(model="newcomer")
    router.add_models(new, new["score"])
    assert "newcomer" in router.models_


def test_the_embedder_reads_text_with_an_encoder():
    embedder = LocusEmbedder(**SMALL, encoder=tfidf_svd())
    embeddings = embedder.fit_transform(LOG)
    assert list(embeddings.index) == MODELS
    few = pd.DataFrame({"model": "new", "query": NEW, "score": [1.0, 0.0]})
    assert list(embedder.transform(few).index) == ["new"]


@pytest.mark.parametrize("container", ["default", "pandas", "polars"])
def test_output_settings_do_not_break_texts(container, both):
    router, pipe = both
    assert clone(pipe).set_output(transform="pandas") is not None
    set_encoder = QueryEncoder(tfidf_svd()).set_output(transform="pandas")
    assert type(set_encoder.fit_transform(QUESTIONS)) is np.ndarray
    assert type(set_encoder.transform(LOG)) is pd.DataFrame
    with sklearn.config_context(transform_output=container):
        fitted = clone(pipe).fit(LOG, LOG["score"])
        np.testing.assert_array_equal(
            fitted.predict_proba(LOG), router.predict_proba(LOG)
        )
        routes = fitted[-1].route(fitted[:-1].transform(NEW))
        alone = clone(router).fit(LOG, LOG["score"])
        assert (
            routes.tolist() == alone.route(NEW).tolist() == router.route(NEW).tolist()
        )


@pytest.mark.parametrize(
    "encoder", [HashingVectorizer(n_features=8), TfidfVectorizer()], ids=repr
)
def test_half_of_an_emoji_is_encoded_like_an_unknown_character(encoder):
    cut, replaced = "Who wrote Emma \ud83d", "Who wrote Emma \ufffd"
    fitted = QueryEncoder(encoder).fit([*QUESTIONS, cut])
    vectors = fitted.transform([cut, replaced, QUESTIONS[0]])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors.any(axis=1).all()
    log = make_log().astype({"query": object})
    log.loc[log["query"] == QUESTIONS[0], "query"] = cut
    router = KMeansRouter(n_clusters=2, encoder=encoder).fit(log, log["score"])
    assert router.route([cut, "\ude00 alone"]).shape == (2,)
