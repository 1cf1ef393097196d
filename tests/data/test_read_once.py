"""Queries are encoded once and identified once, and not at all where none asks."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from small import SMALL, small_routers

import skl_locus._data.queries
from skl_locus import CostModel, KMeansRouter, LocusRouter, QueryEncoder, RouterPolicy
from skl_locus._data.query_batch import QueryBatch, read_batch
from skl_locus.inspection import routing_headroom, savings_report
from skl_locus.metrics import (
    compare,
    make_onboarding_scorer,
    neg_soft_log_loss_scorer,
    routing_accuracy_scorer,
)

N_MODELS, N_QUERIES = 4, 300

PRICES = {f"m{i}": (i + 1.0, 10.0 * (i + 1)) for i in range(N_MODELS)}


class CountingLengths(TransformerMixin, BaseEstimator):
    """Encode texts by their lengths and letters, and count them."""

    n_encoded = 0

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        CountingLengths.n_encoded += len(X)
        return np.array([[len(t), t.count("1"), t.count("2")] for t in X], dtype=float)


def make_log(start, with_ids):
    rng = np.random.default_rng(start)
    texts = [f"What is {i} + {i}?" for i in range(start, start + N_QUERIES)]
    log = pd.DataFrame(
        {
            "model": np.repeat(list(PRICES), N_QUERIES),
            "query": texts * N_MODELS,
            "score": rng.integers(0, 2, N_MODELS * N_QUERIES),
            "cost": rng.uniform(size=N_MODELS * N_QUERIES),
        }
    )
    if with_ids:
        log["query_id"] = start + log.index % N_QUERIES
    return log


@pytest.fixture(params=[False, True], ids=["texts", "ids"])
def logs(request):
    return [make_log(start, request.param) for start in (0, 1000, 2000)]


def counting_encoder():
    """Return an encoder without a cache, which would hide a second encoding."""
    return QueryEncoder(CountingLengths(), cache_size=0)


@pytest.fixture
def router(logs):
    train = logs[0]
    return KMeansRouter(3, encoder=counting_encoder()).fit(train, train["score"])


@pytest.fixture
def n_encoded(monkeypatch):
    """Return how many texts have been encoded since."""
    start = CountingLengths.n_encoded
    return lambda: CountingLengths.n_encoded - start


@pytest.fixture
def digests(monkeypatch):
    """Collect what is digested."""
    seen, digest = [], skl_locus._data.queries._digest
    monkeypatch.setattr(
        skl_locus._data.queries,
        "_digest",
        lambda data: seen.append(data) or digest(data),
    )
    return seen


def make_costs():
    return CostModel(prices=PRICES, default_output_tokens=10.0)


def policies():
    return {
        "weight": {"cost_weight": 0.1},
        "floor": {"min_correctness": 0.4},
        "quality": {"target_quality": "best_single"},
        "cost": {"target_cost": 1.0},
    }


@pytest.mark.parametrize("aim", policies().values(), ids=policies())
def test_a_policy_encodes_and_digests_each_query_once(logs, router, aim, request):
    held_out = logs[1]
    policy = RouterPolicy(router, cost_model=make_costs(), **aim)
    n_encoded = request.getfixturevalue("n_encoded")
    digests = request.getfixturevalue("digests")
    policy.fit(held_out, held_out["score"])
    assert n_encoded() == N_QUERIES
    assert len(digests) == len(set(digests))
    # A text that has an id is digested once more, to find it among those encoded.
    assert len(digests) == (2 if "query_id" in held_out else 1) * N_QUERIES


@pytest.mark.parametrize("dropped", [0, 1], ids=["complete", "partial"])
def test_a_savings_report_encodes_each_query_once(logs, router, dropped, request):
    _, held_out, test = logs
    policy = RouterPolicy(router, cost_model=make_costs(), cost_weight=0.1)
    policy.fit(held_out, held_out["score"])
    # In a partial log, the policy chooses again where its choice was not observed.
    test = test[~((test["model"] == "m0") & (test.index % 5 == 0))] if dropped else test
    n_encoded = request.getfixturevalue("n_encoded")
    digests = request.getfixturevalue("digests")
    savings_report(policy, test, n_resamples=10, random_state=0)
    assert n_encoded() == N_QUERIES
    assert len(digests) == len(set(digests))


def test_routers_are_compared_with_one_encoding_of_each_query(logs, router, request):
    test = logs[2]
    other = KMeansRouter(5, encoder=counting_encoder()).fit(logs[0], logs[0]["score"])
    n_encoded = request.getfixturevalue("n_encoded")
    compare({"one": router}, test, test["score"], n_resamples=10, random_state=0)
    assert n_encoded() == N_QUERIES
    both = {"one": router, "other": other}
    compare(both, test, test["score"], n_resamples=10, random_state=0)
    assert n_encoded() == 3 * N_QUERIES


def calls_on_queries():
    """Return calls of a router and of a policy on bare queries, by name."""
    costs = dict.fromkeys(PRICES, 1.0)
    weighed = {"costs": costs, "cost_weight": 0.1}
    on_router = {
        "route": lambda router, X: router.route(X),
        "route by cost": lambda router, X: router.route(X, **weighed),
        "route above a floor": lambda router, X: router.route(
            X, costs=costs, min_correctness=0.5
        ),
        "route in sessions": lambda router, X: router.route(
            X, incumbent=["m0"] * len(X), switch_margin=0.1
        ),
        "rank": lambda router, X: router.rank(X, k=2),
        "correctness_matrix": lambda router, X: router.correctness_matrix(X),
        "vote_weights": lambda router, X: router.vote_weights(X),
    }
    on_policy = {
        "policy.route": lambda policy, X: policy.route(X),
        "policy.rank": lambda policy, X: policy.rank(X, k=2),
        "policy.choose": lambda policy, X: policy.choose(X),
        "policy.costs": lambda policy, X: policy.costs(X),
    }
    return {
        **{name: (lambda policy: policy.router, on_router[name]) for name in on_router},
        **{name: (lambda policy: policy, on_policy[name]) for name in on_policy},
    }


@pytest.mark.parametrize("name", calls_on_queries())
@pytest.mark.parametrize("form", ["frame", "repeated"])
def test_a_call_on_queries_encodes_each_text_once(router, logs, name, form, request):
    policy = RouterPolicy(router, cost_model=make_costs(), min_correctness=0.4)
    policy.fit(logs[1], logs[1]["score"])
    texts = logs[2]["query"].iloc[:N_QUERIES].tolist()
    X = {
        "frame": logs[2][["query"]].iloc[:N_QUERIES],
        "repeated": [*texts, *texts[::-1]],
    }[form]
    part, call = calls_on_queries()[name]
    n_encoded = request.getfixturevalue("n_encoded")
    call(part(policy), X)
    assert n_encoded() == N_QUERIES


def calls_on_rows():
    """Return what is computed of a router and a log of known models, by name."""
    return {
        "routing_accuracy_scorer": routing_accuracy_scorer,
        "neg_soft_log_loss_scorer": neg_soft_log_loss_scorer,
        "predict": lambda router, X, y: router.predict(X),
        "predict_proba": lambda router, X, y: router.predict_proba(X),
        "routing_scores": lambda router, X, y: router.routing_scores(X),
        "score": lambda router, X, y: router.score(X, y),
        "add_models": lambda router, X, y: router.add_models(
            X.assign(model="new " + X["model"]), y
        ),
        "fit": lambda router, X, y: router.fit(X, y),
        "onboarding": lambda router, X, y: make_onboarding_scorer(
            100, "correctness_accuracy"
        )(router, X.assign(model="new " + X["model"]), y),
        "headroom": lambda router, X, y: routing_headroom(
            X, y, encoder=router.encoder, random_state=0
        ),
    }


@pytest.mark.parametrize("name", calls_on_rows())
def test_a_call_on_a_log_encodes_each_text_once(router, logs, name, request):
    test = logs[2].drop(columns="cost")
    n_encoded = request.getfixturevalue("n_encoded")
    calls_on_rows()[name](router, test, test["score"])
    assert n_encoded() == N_QUERIES


def test_fit_and_trust_of_a_locus_router_encode_each_text_once(logs, request):
    train = logs[0]
    n_encoded = request.getfixturevalue("n_encoded")
    router = LocusRouter(**SMALL, encoder=counting_encoder())
    router.fit(train, train["score"])
    assert n_encoded() == N_QUERIES
    new = [f"What is {i} - {i}?" for i in range(7)]
    router.trust([*new, train["query"].iloc[0], *new])
    assert n_encoded() == N_QUERIES + len(new)


def test_a_policy_that_fits_its_router_encodes_each_text_once(logs, request):
    train, held_out, _ = logs
    n_encoded = request.getfixturevalue("n_encoded")
    router = KMeansRouter(3, encoder=counting_encoder())
    router.fit(train, train["score"])
    policy = RouterPolicy(router, cost_model=make_costs(), min_correctness=0.4)
    policy.fit(held_out, held_out["score"]).evaluate(logs[2], logs[2]["score"])
    assert n_encoded() == 3 * N_QUERIES


@pytest.mark.parametrize("method", ["route", "rank", "correctness_matrix"])
def test_nothing_is_digested_to_route_vectors(method, digests):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_QUERIES, 3)).astype(np.float32)
    log = make_log(0, with_ids=False).assign(query=[*vectors] * N_MODELS)
    router = KMeansRouter(3).fit(log, log["score"])
    digests.clear()
    for queries in (vectors, [*vectors], pd.Series([*vectors]), log[["query"]]):
        getattr(router, method)(queries)
    router.predict_proba(log)
    assert digests == []


@pytest.mark.parametrize("name", small_routers())
def test_probabilities_and_decisions_of_rows_come_from_one_computation(name):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 5)).astype(np.float32)
    log = make_log(0, with_ids=False)[lambda log: log.index % N_QUERIES < 40]
    log = log.assign(query=[*vectors] * N_MODELS)
    router = small_routers()[name].fit(log, log["score"])
    pool_class, calls = type(router._pool), []
    compute = pool_class.scores_and_probabilities

    def counted(self, encodings, columns):
        calls.append(len(encodings))
        return compute(self, encodings, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_class, "scores_and_probabilities", counted)
        decisions, P = router._predict_rows(log)
    assert calls == [40]
    assert_array_equal(router.routing_scores(log), decisions)
    assert_array_equal(router.predict_proba(log)[:, 1], P)


def batch_forms():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)[[0, 1, 2, 0, 3, 1]]
    texts = ["b", "a", "c", "b", "d", "a"]
    return {
        "matrix": vectors,
        "cells": [*vectors],
        "series": pd.Series(texts, index=[*"uvwxyz"]),
        "frame": pd.DataFrame({"query": texts, "query_id": [2, 1, 3, 2, 4, 1]}),
    }


@pytest.mark.parametrize("form", batch_forms())
def test_a_batch_has_distinct_queries_in_an_order_of_its_own(form):
    queries = batch_forms()[form]
    batch = read_batch(queries, "query")
    assert len(batch) == 6
    assert batch.unique.n_values == 4
    _, expected = np.unique(["b", "a", "c", "b", "d", "a"], return_inverse=True)
    assert pd.crosstab(batch.codes, expected).astype(bool).to_numpy().sum() == 4
    turned = queries.iloc[::-1] if hasattr(queries, "iloc") else queries[::-1]
    assert_array_equal(read_batch(turned, "query").codes[::-1], batch.codes)


@pytest.mark.parametrize("form", batch_forms())
def test_some_queries_of_a_batch_stay_what_they_are(form):
    batch = read_batch(batch_forms()[form], "query")
    batch = batch.encoded(lambda values: np.arange(values.n_values)[:, None])
    rows = np.array([4, 0, 3])
    some = batch.take(rows)
    assert isinstance(some, QueryBatch)
    assert_array_equal(some.encodings[some.codes], batch.encodings[batch.codes[rows]])
    assert_array_equal(
        some.keys("query", is_id=False), batch.keys("query", is_id=False)[rows]
    )
    assert_array_equal(some.characters("query"), batch.characters("query")[rows])
    if batch.index is not None:
        assert some.index.equals(batch.index[rows])


def test_equal_rows_are_one_query_whatever_the_sign_of_zero():
    matrix = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0], [0.0, 1.0]])
    batch = read_batch(matrix, "query")
    assert batch.unique.n_values == 2
    assert len(set(batch.codes[[0, 1, 3]])) == 1


def test_many_rows_are_compared_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(50, 3)).astype(np.float32)[rng.integers(0, 50, 400)]
    whole = read_batch(matrix, "query")
    monkeypatch.setattr(skl_locus._data.queries, "COMPARED_BYTES", 70)
    parts = read_batch(matrix, "query")
    assert_array_equal(parts.codes, whole.codes)
    assert_array_equal(parts.unique.vectors[parts.codes], matrix)
