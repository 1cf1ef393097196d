"""What every router answers: matrices, routes, ranks, votes and single rows."""

import copy
import functools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small import small_routers

from skl_locus import (
    KNNRouter,
)
from skl_locus.datasets import make_evaluations

ROUTERS = small_routers()
every_router = pytest.mark.parametrize("name", ROUTERS)

POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
NAMES = [f"model-{i}" for i in range(6)]
QUERIES = POOL.encodings[:20]
PAIRS = pd.DataFrame(
    {"model": np.tile(NAMES, 20), "query": [v for v in QUERIES for _ in NAMES]}
)


@functools.cache
def _fitted(name):
    return clone(ROUTERS[name]).fit(LOG, LOG.score)


@pytest.fixture(params=ROUTERS)
def router(request):
    """Every router, fitted; the test may change it."""
    return copy.deepcopy(_fitted(request.param))


def of(name):
    return LOG[LOG.model == name]


# Models


@every_router
@pytest.mark.parametrize("labels", [list("fdbeca"), [10, 9, 2, 33, 4, 1]])
def test_models_are_sorted_at_fit_and_additions_appended(name, labels):
    log = LOG.assign(model=LOG.model.map(dict(zip(NAMES, labels, strict=True))))
    router = clone(ROUTERS[name]).fit(log, log.score)
    assert router.models_.dtype == object
    assert router.models_.tolist() == sorted(labels)
    early = type(labels[0])(0)
    router.add_models(of("model-0").assign(model=early), of("model-0").score)
    assert router.models_.tolist() == [*sorted(labels), early]
    router.remove_models([labels[0]])
    router.add_models(log[log.model == labels[0]], log.score[log.model == labels[0]])
    rest = sorted(set(labels) - {labels[0]})
    assert router.models_.tolist() == [*rest, early, labels[0]]
    assert set(router.route(QUERIES)) <= {*labels, early}
    assert all(type(label) is type(early) for label in router.route(QUERIES))


@every_router
def test_labels_of_several_types(name):
    log = LOG.assign(model=LOG.model.replace("model-3", 3).astype(object))
    router = clone(ROUTERS[name]).fit(log, log.score)
    assert set(router.models_) == {3, *NAMES} - {"model-3"}
    router.add_models(of("model-1").assign(model=7), of("model-1").score)
    assert router.models_[-1] == 7


def test_classes_and_unfitted_errors(router):
    assert router.classes_.tolist() == [0, 1]
    unfitted = clone(router)
    for call in (
        unfitted.correctness_matrix,
        unfitted.route,
        unfitted.rank,
        unfitted.vote_weights,
        unfitted.predict_proba,
        unfitted.predict,
        unfitted.routing_scores,
        unfitted.remove_models,
    ):
        with pytest.raises(NotFittedError):
            call(PAIRS)
    with pytest.raises(NotFittedError):
        unfitted.add_models(LOG, LOG.score)
    with pytest.raises(NotFittedError):
        _ = unfitted.models_


# Matrices


def test_correctness_matrix_shape_columns_and_subsets(router):
    matrix = router.correctness_matrix(QUERIES)
    assert matrix.shape == (20, 6)
    assert ((matrix >= 0) & (matrix <= 1)).all()
    some = ["model-4", "model-0", "model-2"]
    assert_allclose(
        router.correctness_matrix(QUERIES, models=some),
        matrix[:, [4, 0, 2]],
        atol=1e-6,
    )
    for container in (np.array, pd.Series, tuple, pd.Index):
        assert_array_equal(
            router.correctness_matrix(QUERIES, container(some)),
            router.correctness_matrix(QUERIES, some),
        )


def test_repeated_and_reordered_queries_keep_their_rows(router):
    order = np.array([3, 3, 0, 19, 7, 0])
    matrix = router.correctness_matrix(QUERIES)
    assert_allclose(router.correctness_matrix(QUERIES[order]), matrix[order], atol=1e-6)


def test_single_rows_are_entries_of_the_matrix(router):
    matrix = router.correctness_matrix(QUERIES)
    mixed = PAIRS.sample(frac=0.8, random_state=0)
    entries = matrix.ravel()[mixed.index]
    probabilities = router.predict_proba(mixed)
    assert probabilities.shape == (len(mixed), 2)
    assert_allclose(probabilities[:, 1], entries, atol=1e-6)
    assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    expected = (probabilities[:, 1] >= 0.5).astype(int)
    assert_array_equal(router.predict(mixed), expected)


def test_score_is_accuracy_with_half_counting_as_correct(router):
    y = np.linspace(0, 1, len(PAIRS))
    y[::7] = 0.5
    expected = np.mean((y >= 0.5) == router.predict(PAIRS))
    assert router.score(PAIRS, y) == pytest.approx(expected)
    weights = np.arange(len(y))
    hits = (y >= 0.5) == router.predict(PAIRS)
    expected = np.average(hits, weights=weights)
    assert router.score(PAIRS, y, sample_weight=weights) == pytest.approx(expected)


def test_a_probability_of_one_half_predicts_correct():
    log = pd.DataFrame({"model": list("abab"), "query": list(np.eye(2)[[0, 0, 1, 1]])})
    router = KNNRouter(2).fit(log, [0, 0, 1, 1])
    assert_array_equal(router.predict_proba(log), np.full((4, 2), 0.5))
    assert_array_equal(router.predict(log), 1)


def test_containers_of_queries(router):
    expected = router.correctness_matrix(QUERIES)
    lists = QUERIES.tolist()
    frame = pd.DataFrame({"query": list(QUERIES), "task": "any", "score": "unread"})
    for queries in (
        lists,
        list(QUERIES),
        tuple(QUERIES),
        QUERIES.astype(np.float64),
        np.asfortranarray(QUERIES),
        pd.Series(list(QUERIES), index=np.arange(20)[::-1]),
        pd.Series(lists),
        pl.Series(lists, dtype=pl.List(pl.Float32)),
        frame,
        frame.set_axis([0] * 20, axis=0),
        pl.DataFrame({"query": lists}),
        pa.table({"query": lists}),
    ):
        assert_array_equal(router.correctness_matrix(queries), expected)


# Decisions


def test_routing_scores_decide(router):
    decisive = router.routing_scores(PAIRS)
    assert decisive.shape == (len(PAIRS),)
    best = decisive.reshape(20, 6).max(axis=1)
    chosen = PAIRS[::6].assign(model=router.route(QUERIES))
    assert_allclose(router.routing_scores(chosen), best, atol=1e-6)


def decisions(router):
    """What decides between the models, query by query: (20, 6)."""
    return router.routing_scores(PAIRS).reshape(20, 6)


def test_route_takes_the_best_of_the_models_allowed(router):
    matrix = decisions(router)
    routes = router.route(QUERIES)
    assert isinstance(routes, np.ndarray)
    assert routes.dtype == object
    assert routes.shape == (20,)
    assert routes.tolist() == [NAMES[i] for i in matrix.argmax(axis=1)]
    some = ["model-1", "model-3", "model-4"]
    within = matrix[:, [1, 3, 4]].argmax(axis=1)
    assert router.route(QUERIES, some).tolist() == [some[i] for i in within]
    down = {"model-0", "model-3"}
    left = [name for name in NAMES if name not in down]
    expected = [left[i] for i in np.delete(matrix, [0, 3], axis=1).argmax(axis=1)]
    for collection in (set, list, tuple, np.array, frozenset):
        unavailable = collection(sorted(down))
        assert router.route(QUERIES, unavailable=unavailable).tolist() == expected
    routes = router.route(QUERIES, models=some, unavailable=down)
    within = matrix[:, [1, 4]].argmax(axis=1)
    assert routes.tolist() == [["model-1", "model-4"][i] for i in within]


OWN_SCORES = {"locus", "avengers"}
"""Routers that decide by scores of their own, as they document."""


@pytest.mark.parametrize("name", [n for n in ROUTERS if n not in OWN_SCORES])
def test_probabilities_decide_unless_a_router_says_otherwise(name):
    router = clone(ROUTERS[name]).fit(LOG, LOG["score"])
    assert_allclose(decisions(router), router.correctness_matrix(QUERIES), atol=1e-6)


def test_no_model_left_raises(router):
    with pytest.raises(ValueError, match="unavailable"):
        router.route(QUERIES, unavailable=NAMES)
    with pytest.raises(ValueError, match="unavailable"):
        router.route(QUERIES, ["model-1"], unavailable={"model-1"})
    with pytest.raises(ValueError, match="models"):
        router.route(QUERIES, [])


@pytest.mark.parametrize("name", ["best", "knn", "kmeans"])
def test_ties_go_to_the_first_model(name):
    twins = pd.concat([of("model-2").assign(model=m) for m in ("x", "a", "m")])
    router = clone(ROUTERS[name]).fit(twins, twins.score)
    router.add_models(of("model-2").assign(model="0"), of("model-2").score)
    assert router.models_.tolist() == ["a", "m", "x", "0"]
    assert set(router.route(QUERIES)) == {"a"}
    assert set(router.route(QUERIES, unavailable=["a"])) == {"m"}
    labels, _ = router.rank(QUERIES)
    assert (labels == router.models_).all()


def test_rank_agrees_with_route_and_matrix(router):
    matrix = router.correctness_matrix(QUERIES)
    labels, probabilities = router.rank(QUERIES)
    assert labels.shape == probabilities.shape == (20, 6)
    decisive = decisions(router)
    for row, names in enumerate(labels):
        assert sorted(names) == NAMES
        columns = [NAMES.index(name) for name in names]
        assert_array_equal(probabilities[row], matrix[row, columns])
        assert (np.diff(decisive[row, columns]) <= 0).all()
    assert_array_equal(labels[:, 0], router.route(QUERIES))
    assert_array_equal(router.rank(QUERIES, 2)[0], labels[:, :2])
    assert_array_equal(router.rank(QUERIES, k=2)[1], probabilities[:, :2])
    assert set(router.rank(QUERIES, 1, models=NAMES[2:4])[0].ravel()) <= set(NAMES[2:4])
    for k in (0, -1, 7):
        with pytest.raises(ValueError, match="k must be"):
            router.rank(QUERIES, k)


def test_vote_weights_are_shares_of_p(router):
    matrix = router.correctness_matrix(QUERIES)
    weights = router.vote_weights(QUERIES)
    assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert_allclose(weights, matrix / matrix.sum(axis=1, keepdims=True), atol=1e-6)
    assert_allclose(router.vote_weights(QUERIES, NAMES[:2]).sum(axis=1), 1, atol=1e-6)


def test_votes_of_hopeless_models_are_even():
    log = pd.DataFrame({"model": list("abab"), "query": list(np.eye(2)[[0, 0, 1, 1]])})
    router = KNNRouter(1).fit(log, [0, 0, 1, 1])
    assert_array_equal(router.vote_weights(np.eye(2)), np.full((2, 2), 0.5))


# Bad queries and unknown models


def test_unknown_models_raise_and_name_add_models(router):
    for call in (
        lambda: router.predict_proba(PAIRS.assign(model="nobody")),
        lambda: router.predict(PAIRS.assign(model="nobody")),
        lambda: router.score(PAIRS.assign(model="nobody"), np.arange(120) % 2),
        lambda: router.routing_scores(PAIRS.assign(model=["nobody", *PAIRS.model[1:]])),
        lambda: router.correctness_matrix(QUERIES, ["model-1", "nobody"]),
        lambda: router.route(QUERIES, models=["nobody"]),
        lambda: router.rank(QUERIES, models=["nobody"]),
        lambda: router.vote_weights(QUERIES, ["nobody"]),
    ):
        with pytest.raises(ValueError, match=r"(?s)'nobody'.*add_models"):
            call()
    with pytest.raises(ValueError, match="'nobody'"):
        router.remove_models(["nobody"])


@pytest.mark.parametrize("method", ["route", "rank", "correctness_matrix"])
def test_a_single_query_must_be_wrapped(router, method):
    for query in ("What is 7*8?", QUERIES[0], QUERIES[0].tolist(), 3.0):
        with pytest.raises(ValueError, match="wrap"):
            getattr(router, method)(query)


@pytest.mark.parametrize(
    "nothing",
    [
        [],
        np.empty((0, 16), np.float32),
        pd.Series([], dtype=object),
        pd.DataFrame({"query": pd.Series([], dtype=object)}),
    ],
    ids=["list", "array", "Series", "frame"],
)
def test_no_queries_give_no_answers(router, nothing):
    assert router.correctness_matrix(nothing).shape == (0, 6)
    assert router.correctness_matrix(nothing, NAMES[:2]).shape == (0, 2)
    assert router.route(nothing).shape == (0,)
    assert router.vote_weights(nothing).shape == (0, 6)
    assert [part.shape for part in router.rank(nothing, 2)] == [(0, 2), (0, 2)]


def test_bad_queries_are_named(router):
    broken = QUERIES.copy()
    broken[7, 3] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        router.route(broken)
    with pytest.raises(ValueError, match="16"):
        router.route(QUERIES[:, :5])
    with pytest.raises(ValueError, match="length"):
        router.route([QUERIES[0], QUERIES[0][:5]])
    with pytest.raises(ValueError, match="text"):
        router.route(["text for a router of vectors"])


def test_a_bare_string_is_no_collection(router):
    for arguments in ({"models": "model-1"}, {"unavailable": "model-1"}):
        with pytest.raises(ValueError, match=r"\['model-1'\]"):
            router.route(QUERIES, **arguments)
    with pytest.raises(ValueError, match=r"\['model-1'\]"):
        router.remove_models("model-1")
