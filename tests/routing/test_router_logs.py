"""Routers on logs of every kind: text, partial logs, very few evaluations."""

import copy
import functools

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from small import small_routers

from skl_locus.datasets import make_evaluations

ROUTERS = small_routers()
every_router = pytest.mark.parametrize("name", ROUTERS)

POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
NAMES = [f"model-{i}" for i in range(6)]
QUERIES = POOL.encodings[:20]


@functools.cache
def _fitted(name):
    return clone(ROUTERS[name]).fit(LOG, LOG.score)


def of(name, **columns):
    return LOG[LOG.model == name].assign(**columns)


# What is read


@every_router
@pytest.mark.parametrize("lie", [0.0, 7.0, "text", None, "flipped"])
def test_a_score_column_in_x_is_never_read(name, lie):
    lies = LOG.assign(score=1 - LOG.score if lie == "flipped" else lie)
    router = clone(ROUTERS[name]).fit(lies, LOG.score)
    expected = _fitted(name).predict_proba(LOG)
    assert_array_equal(router.predict_proba(lies), expected)
    assert_array_equal(router.predict_proba(LOG.drop(columns="score")), expected)
    router.add_models(lies, LOG.score)
    honest = copy.deepcopy(_fitted(name)).add_models(LOG, LOG.score)
    assert_allclose(router.predict_proba(lies), honest.predict_proba(LOG), atol=1e-5)


TOPICS = np.array(["integral", "sonnet", "kernel", "river"])


def text_log():
    topic = POOL.queries.task.factorize()[0]
    texts = [
        f"A {TOPICS[t]} question, item{i % 7}, no. {i}" for i, t in enumerate(topic)
    ]
    number = LOG.query_id.str[-2:].astype(int)
    return LOG.assign(query=[texts[i] for i in number]).drop(columns="query_id"), texts


@every_router
def test_text_queries(name):
    log, texts = text_log()
    encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0))
    router = clone(ROUTERS[name]).set_params(encoder=encoder).fit(log, log.score)
    texts = [*texts[:10], "A river never seen", texts[3]]
    matrix = router.correctness_matrix(texts)
    assert matrix.shape == (12, 6)
    assert_array_equal(matrix[3], matrix[11])
    for queries in (
        tuple(texts),
        np.array(texts),
        np.array(texts, dtype=object),
        pd.Series(texts, index=range(12, 0, -1)),
        pl.Series(texts),
        pd.DataFrame({"query": texts, "score": 1}),
        pl.DataFrame({"query": texts}),
    ):
        assert_array_equal(router.correctness_matrix(queries), matrix)
    assert set(router.route(texts)) <= set(NAMES)
    assert_allclose(router.predict_proba(log)[:, 1].max(), 0.5, atol=0.5)
    router.add_models(
        log[log.model == "model-1"].assign(model="new"), of("model-1").score
    )
    assert router.models_[-1] == "new"
    assert router.route([]).shape == (0,)
    with pytest.raises(ValueError, match="wrap"):
        router.route(texts[0])
    with pytest.raises(ValueError, match="encoder"):
        clone(ROUTERS[name]).fit(log, log.score)
    assert not hasattr(encoder[0], "vocabulary_")  # the parameter is left alone


# Little data


@every_router
def test_each_model_with_its_own_random_quarter(name):
    quarter = make_evaluations(8, 80, observed=0.25, random_state=1)
    log = quarter.evaluations
    assert log.groupby("query_id").size().max() < 8
    router = clone(ROUTERS[name]).fit(log, log.score)
    matrix = router.correctness_matrix(quarter.encodings)
    assert matrix.shape == (80, 8)
    assert np.isfinite(matrix).all()
    assert set(router.route(quarter.encodings)) <= set(quarter.models.index)


@every_router
@pytest.mark.parametrize("default", [False, True])
def test_two_models_of_ten_evaluations(name, default):
    router = clone(ROUTERS[name])
    if default:
        router = type(router)()
        if hasattr(router, "max_iter"):
            router.set_params(max_iter=3)
    own = pd.concat([of("model-0")[:10], of("model-1")[-10:]])
    router.fit(own, own.score)
    assert np.isfinite(router.correctness_matrix(QUERIES)).all()
    assert router.predict_proba(own).shape == (20, 2)
    router.add_models(of("model-2")[:10], of("model-2").score[:10])
    assert len(router.models_) == 3


@every_router
def test_a_model_with_one_evaluation(name):
    lone = of("model-1")[:1].assign(model="lone")
    log = pd.concat([lone, of("model-0"), of("model-2")])
    router = clone(ROUTERS[name]).fit(log, log.score)
    assert router.models_.tolist() == ["lone", "model-0", "model-2"]
    assert np.isfinite(router.correctness_matrix(QUERIES)).all()
    new = pd.concat([lone, of("model-4")[:1].assign(model="other", score=1)])
    router.add_models(new, [0.0, 1.0])
    assert np.isfinite(router.correctness_matrix(QUERIES)).all()
    assert router.models_.tolist() == ["lone", "model-0", "model-2", "other"]


@every_router
def test_models_without_a_common_query(name):
    parts = [of(name)[i::3] for i, name in enumerate(NAMES[:3])]
    log = pd.concat(
        part.assign(query_id=f"{i}-" + part.query_id) for i, part in enumerate(parts)
    )
    router = clone(ROUTERS[name]).fit(log, log.score)
    assert np.isfinite(router.correctness_matrix(QUERIES)).all()


@every_router
def test_no_global_seed_is_touched(name):
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    clone(ROUTERS[name]).fit(LOG, LOG.score)
    assert np.random.rand() == expected  # noqa: NPY002
