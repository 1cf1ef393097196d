"""Onboarding, refining and removing models, their neighbours and stand-ins."""

import copy
import functools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from small import SMALL, small_routers

from skl_locus import (
    KNNRouter,
)
from skl_locus.datasets import make_evaluations

ROUTERS = small_routers()

POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
NAMES = [f"model-{i}" for i in range(6)]
QUERIES = POOL.encodings[:20]


@functools.cache
def _fitted(name):
    return clone(ROUTERS[name]).fit(LOG, LOG.score)


@pytest.fixture(params=ROUTERS)
def router(request):
    """Every router, fitted; the test may change it."""
    return copy.deepcopy(_fitted(request.param))


@pytest.fixture
def locus():
    return copy.deepcopy(_fitted("locus"))


def of(name, **columns):
    return LOG[LOG.model == name].assign(**columns)


def onboarded(router, *names):
    """Return P(correct) of new models with the evaluations of some of the pool."""
    router = copy.deepcopy(router)
    for name in names:
        rows = of(name, model=f"twin of {name}")
        router.add_models(rows, rows.score)
    return router.correctness_matrix(QUERIES)[:, -len(names) :]


# Adding


def test_a_new_model_changes_no_other_prediction(router):
    before = router.correctness_matrix(QUERIES)
    new = of("model-2", model="new")
    assert router.add_models(new, new.score) is router
    matrix = router.correctness_matrix(QUERIES)
    assert_allclose(matrix[:, :6], before, atol=1e-6)


@pytest.mark.parametrize("name", ["best", "knn", "kmeans"])
def test_without_training_a_twin_is_predicted_alike(name):
    before = _fitted(name).correctness_matrix(QUERIES)
    twin = onboarded(_fitted(name), "model-2")
    assert_allclose(twin, before[:, [2]], atol=1e-5)


def test_a_twin_with_all_evaluations_is_predicted_alike():
    # One with fewer is completed, which models of the fit are not.
    asked = LOG.drop_duplicates("query_id").assign(model="all", score=1.0)
    asked.loc[asked.index[::3], "score"] = 0.0
    log = pd.concat([LOG, asked], ignore_index=True)
    router = clone(ROUTERS["locus"]).fit(log, log.score)
    router.add_models(asked.assign(model="twin"), asked.score)
    matrix = router.correctness_matrix(QUERIES)
    known = router.models_.tolist().index("all")
    assert_allclose(matrix[:, -1], matrix[:, known], atol=1e-5)


def test_several_models_are_added_at_once_in_any_order(router):
    new = pd.concat([of("model-4", model="b"), of("model-1", model="a")])
    new = new.sample(frac=1, random_state=0)
    expected = onboarded(router, "model-1", "model-4")
    router.add_models(new, new.score)
    assert router.models_.tolist() == [*NAMES, "a", "b"]
    matrix = router.correctness_matrix(QUERIES)
    assert_allclose(matrix[:, 6:], expected, atol=1e-5)


def test_one_call_refines_and_adds(router):
    late = of("model-4", model="zz")
    expected = onboarded(router, "model-4", "model-1")
    router.add_models(late[::2], late.score[::2])
    both = pd.concat([late[1::2], of("model-1", model="aa")])
    router.add_models(both, both.score)
    assert router.models_.tolist() == [*NAMES, "zz", "aa"]
    matrix = router.correctness_matrix(QUERIES)
    assert_allclose(matrix[:, 6:], expected, atol=1e-5)


def balanced_halves():
    """Logs A and B with all queries in A and the mean one half in either."""
    score = np.arange(40) % 2
    log = pd.DataFrame(
        {"model": "a", "query": list(POOL.encodings[:40]), "score": score}
    )
    other = log.assign(model="b", score=np.roll(score, 1))
    return pd.concat([log, other[:20]]), other[20:]


@pytest.mark.parametrize("name", ["best", "knn", "kmeans"])
def test_refining_is_a_fit_on_the_union(name):
    first, second = balanced_halves()
    router = clone(ROUTERS[name]).fit(first, first.score)
    before = router.correctness_matrix(QUERIES)
    router.add_models(second, second.score)
    union = pd.concat([first, second])
    expected = clone(ROUTERS[name]).fit(union, union.score)
    assert_array_equal(
        router.correctness_matrix(QUERIES), expected.correctness_matrix(QUERIES)
    )
    if name == "knn":
        assert not np.array_equal(before, router.correctness_matrix(QUERIES))


def test_knn_refined_in_parts_is_knn_on_everything():
    mixed = LOG.sample(frac=1, random_state=0)
    parts = [mixed[i::4] for i in range(4)]
    router = KNNRouter(3).fit(parts[0], parts[0].score)
    for part in parts[1:]:
        router.add_models(part, part.score)
    assert_array_equal(
        router.correctness_matrix(QUERIES), _fitted("knn").correctness_matrix(QUERIES)
    )


def test_best_single_is_the_mean_shrunk_by_two_evaluations():
    router = copy.deepcopy(_fitted("best"))
    prior = LOG.score.mean()

    def shrunk(scores):
        return (scores.sum() + 2 * prior) / (len(scores) + 2)

    expected = [shrunk(of(name).score) for name in NAMES]
    assert_allclose(router.correctness_matrix(QUERIES)[0], expected, atol=1e-6)
    new = of("model-3", model="new", score=np.linspace(0, 1, len(of("model-3"))))
    router.add_models(new, new.score)
    expected.append(shrunk(new.score))
    assert_allclose(router.correctness_matrix(QUERIES)[0], expected, atol=1e-6)


def test_locus_refines_with_the_union_of_evaluations(locus):
    rows = LOG.model == "model-3"
    halves = LOG[rows][::2], LOG[rows][1::2]
    router = clone(locus)
    fewer = pd.concat([LOG[~rows], halves[0]])
    router.fit(fewer, fewer.score)
    alone = router.embedder_.transform(halves[0])
    assert_allclose(router.embeddings_[[3]], alone, atol=1e-5)
    router.add_models(halves[1], halves[1].score)
    union = router.embedder_.transform(LOG[rows])
    assert_allclose(router.embeddings_[[3]], union, atol=1e-5)
    assert np.abs(union - alone).to_numpy().max() > 1e-3
    others = router.embedder_.transform(LOG[~rows])
    assert_allclose(np.delete(router.embeddings_, 3, axis=0), others, atol=1e-5)


def test_locus_embeddings_are_those_of_its_embedder(locus):
    embeddings = locus.embedder_.transform(LOG)
    assert locus.embeddings_.shape == (6, SMALL["n_components"])
    assert embeddings.index.tolist() == locus.models_.tolist()
    assert_allclose(locus.embeddings_, embeddings, atol=1e-5)
    new = of("model-5", model="0")
    locus.add_models(new, new.score)
    assert_allclose(locus.embeddings_[6:], locus.embedder_.transform(new), atol=1e-5)


def test_replace_forgets_the_old_evaluations(router):
    new = of("model-3", model="model-1", score=1 - of("model-3").score)
    twin = copy.deepcopy(router).add_models(new.assign(model="new"), new.score)
    union = copy.deepcopy(router).add_models(new, new.score)
    router.add_models(new, new.score, replace=True)
    assert router.models_.tolist() == NAMES
    matrix = router.correctness_matrix(QUERIES)
    expected = twin.correctness_matrix(QUERIES)
    assert_allclose(matrix[:, 1], expected[:, 6], atol=1e-5)
    others = [0, 2, 3, 4, 5]
    assert_allclose(matrix[:, others], expected[:, others], atol=1e-6)
    assert np.abs(union.correctness_matrix(QUERIES) - matrix)[:, 1].max() > 1e-3


def test_replace_takes_new_models_too(router):
    new = of("model-3", model="new")
    router.add_models(new, new.score, replace=True)
    assert router.models_.tolist() == [*NAMES, "new"]


def test_a_failed_addition_changes_nothing(router):
    before = router.correctness_matrix(QUERIES)
    new = of("model-3", model="new")
    short = new.assign(query=[cell[:5] for cell in new["query"]])
    for X, y, message in (
        (short, new.score, "length"),
        (new, new.score + 1, "row"),
        (new, new.score[:-1], "rows"),
        (new.drop(columns="model"), new.score, "'model'"),
        (new[:0], new.score[:0], "empty"),
        (new, None, "y"),
    ):
        with pytest.raises(ValueError, match=message):
            router.add_models(X, y)
    assert router.models_.tolist() == NAMES
    assert_array_equal(router.correctness_matrix(QUERIES), before)


def test_an_array_names_no_model_to_add(router):
    with pytest.raises(ValueError, match="'model'"):
        router.add_models(QUERIES, np.arange(20) % 2)
    assert router.models_.tolist() == NAMES


# Removing


def test_removed_models_are_gone_and_the_others_stay(router):
    before = router.correctness_matrix(QUERIES)
    again = onboarded(router, "model-4")
    assert router.remove_models(["model-4", "model-0"]) is router
    left = [1, 2, 3, 5]
    assert router.models_.tolist() == [NAMES[i] for i in left]
    assert_allclose(router.correctness_matrix(QUERIES), before[:, left], atol=1e-6)
    with pytest.raises(ValueError, match="add_models"):
        router.predict(of("model-4"))
    router.add_models(of("model-4"), of("model-4").score)
    expected = np.hstack([before[:, left], again])
    assert_allclose(router.correctness_matrix(QUERIES), expected, atol=1e-5)
    with pytest.raises(ValueError, match="no model"):
        router.remove_models(router.models_)
    assert len(router.models_) == 5
    router.remove_models([]).remove_models(NAMES[1:4]).remove_models(["model-5"])
    assert set(router.route(QUERIES)) == {"model-4"}


# Neighbours


def test_neighbors_are_sorted_by_distance(locus):
    squares = np.square(locus.embeddings_ - locus.embeddings_[2]).sum(axis=1)
    left_out = locus.specific_variances_
    distances = np.sqrt(squares + left_out + left_out[2])
    neighbors = locus.neighbors("model-2", k=3)
    order = [i for i in np.argsort(distances) if i != 2][:3]
    assert neighbors.index.tolist() == [NAMES[i] for i in order]
    assert_allclose(neighbors, distances[order], atol=1e-5)
    assert len(locus.neighbors("model-2", k=100)) == 5
    with pytest.raises(ValueError, match="'nobody'"):
        locus.neighbors("nobody")
    with pytest.raises(ValueError, match="k must be"):
        locus.neighbors("model-2", 0)


@pytest.mark.parametrize("models", [None, ["model-5", "model-0", "model-3"]])
def test_fallback_neighbor_takes_the_nearest_of_a_model_that_is_down(locus, models):
    names = models or NAMES
    routes = locus.route(QUERIES, models)
    for down in ([routes[0]], [routes[0], locus.neighbors(routes[0], 1).index[0]]):
        left = [name for name in names if name not in down]
        if models is not None:
            down = [name for name in down if name in models]
        nearest = {
            name: next(n for n in locus.neighbors(name, 5).index if n in left)
            for name in down
        }
        actual = locus.route(QUERIES, models, down, fallback="neighbor")
        assert actual.tolist() == [nearest.get(name, name) for name in routes]
        assert_array_equal(
            locus.route(QUERIES, models, down, fallback="rerank"),
            locus.route(QUERIES, models, down),
        )
    with pytest.raises(ValueError, match="unavailable"):
        locus.route(QUERIES, models, names, fallback="neighbor")


def test_fallbacks_that_do_not_exist(router):
    if not hasattr(router, "embeddings_"):
        with pytest.raises(ValueError, match=r"embeddings.*rerank"):
            router.route(QUERIES, fallback="neighbor")
    with pytest.raises(ValueError, match="fallback must be"):
        router.route(QUERIES, fallback="nonsense")
