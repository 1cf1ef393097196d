"""Recognition of models: cases by hand, invariances, refusals."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small import TELLING

from skl_locus import KMeansRouter, LocusRouter
from skl_locus._routing import neighbor_index
from skl_locus._routing.unwrap import known_evaluations
from skl_locus._utils.statistics import holm
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import drift_test, find_duplicates, identify
from skl_locus.inspection._matched_pairs import pair_evaluations
from skl_locus.inspection._permutation import _directions

POOL = make_evaluations(n_models=6, n_queries=600, n_families=3, random_state=0)
LOG = POOL.evaluations
N_TRAIN = 200


def train_router(log):
    return LocusRouter(**TELLING).fit(log, log["score"])


@pytest.fixture(scope="module")
def router():
    train = POOL.queries["query_id"][:N_TRAIN]
    return train_router(LOG[LOG["query_id"].isin(train)])


def rows_of(model):
    return LOG[LOG["model"] == model]


def test_the_same_answers_are_never_an_alarm(router):
    known = rows_of("model-2").head(50)
    test = drift_test(router, "model-2", known, known["score"], random_state=0)
    assert test.p_value == 1
    assert test.n_pairs == test.n_shared == 50
    assert test.agreement == 1
    assert test.distance == pytest.approx(0, abs=1e-6)


def test_p_values_count_the_observed_and_are_reproducible(router):
    known = rows_of("model-2").head(150)
    perfect = known.assign(score=1.0)
    first, second = (
        drift_test(
            router, "model-2", perfect, perfect["score"], n_resamples=99, random_state=3
        )
        for _ in range(2)
    )
    as_large = (first.null >= first.statistic * (1 - 1e-9)).sum()
    assert first.p_value == (1 + as_large) / 100
    assert first.p_value == 0.01
    assert np.array_equal(first.null, second.null)


def test_inverted_answers_are_noticed_at_an_unchanged_mean():
    # A model that is right on 30 queries and wrong on 30. Turned around, it is right as
    # often, but on those that are hard for all.
    rng = np.random.default_rng(1)
    easiness, vectors = rng.normal(size=200), rng.normal(size=(200, 4))
    rows = pd.concat(
        pd.DataFrame(
            {
                "model": f"model-{i}",
                "query": list(vectors),
                "query_id": [f"q{q}" for q in range(200)],
                "score": (rng.logistic(size=200) < 2 * easiness).astype(float),
            }
        )
        for i in range(8)
    )
    router = LocusRouter(**TELLING | {"max_iter": 2}).fit(rows, rows["score"])
    own = rows[rows["model"] == "model-3"]
    right, wrong = (own[own["score"] == score].head(30) for score in (1, 0))
    inverted = pd.concat([right.assign(score=0.0), wrong.assign(score=1.0)])
    found = drift_test(
        router, "model-3", inverted, inverted["score"], n_resamples=199, random_state=0
    )
    assert found.agreement == 0
    assert found.p_value == 1 / 200


def test_too_few_evaluations_on_other_queries_are_refused(router):
    new = rows_of("model-1").tail(101)
    with pytest.raises(ValueError, match="at least 202 are needed"):
        drift_test(router, "model-1", new, new["score"])
    with pytest.raises(ValueError, match="No candidate has enough"):
        identify(router, new, new["score"])


def test_with_enough_common_queries_only_those_are_compared(router):
    new = rows_of("model-1").iloc[N_TRAIN - 40 :]
    test = drift_test(router, "model-1", new, new["score"], random_state=0)
    assert test.n_pairs == test.n_shared == 40
    assert test.p_value == 1


def test_exchanging_the_sides_turns_the_signs_of_the_effects(router):
    own, other = (known_evaluations(router, f"model-{i}") for i in (1, 4))
    pairs = pair_evaluations(own.take(np.arange(30)), other)
    rest = np.full((2, 30), 0.3), np.eye(8)[:3]
    effects, embeddings = router._exchange_effects(
        pairs.queries, pairs.codes, pairs.scores, *rest
    )
    turned, swapped = router._exchange_effects(
        pairs.queries, pairs.codes[[1, 0]], pairs.scores[[1, 0]], *rest
    )
    assert turned == pytest.approx(-effects, abs=1e-6)
    assert swapped == pytest.approx(embeddings[::-1], abs=1e-6)


def test_effects_add_up_to_the_difference_of_nearly_equal_sets(router):
    own = known_evaluations(router, "model-1")
    pairs = pair_evaluations(own, own)
    nudged = replace(pairs, scores=pairs.scores + np.array([[1e-3], [0]], np.float32))
    expected, directions = np.zeros((2, len(own))), np.eye(8)
    effects, (first, second) = router._exchange_effects(
        nudged.queries, nudged.codes, nudged.scores, expected, directions
    )
    assert effects.sum(axis=0) == pytest.approx(first - second, rel=0.02, abs=1e-5)


def test_the_compared_models_have_no_say_in_the_directions(router):
    moved = rows_of("model-1").head(60).assign(score=1.0)
    other = copy.copy(router).add_models(moved, moved["score"], replace=True)
    for names in (["model-1"], ["model-1", "model-3"]):
        assert np.array_equal(_directions(router, names), _directions(other, names))
    assert not np.array_equal(
        _directions(router, ["model-3"]), _directions(other, ["model-3"])
    )


def test_several_models_and_unknown_ones_are_refused(router):
    with pytest.raises(ValueError, match="X has 6 models"):
        identify(router, LOG, LOG["score"])
    some = rows_of("model-1").head(10)
    with pytest.raises(ValueError, match="Unknown model 'nobody'"):
        drift_test(router, "nobody", some, some["score"])
    with pytest.raises(ValueError, match="n_resamples"):
        drift_test(router, "model-1", some, some["score"], n_resamples=0)


def test_identify_ranks_the_model_itself_first(router):
    unknown = rows_of("model-4").head(120).drop(columns="model")
    table = identify(router, unknown, unknown["score"], random_state=0)
    assert table.index[0] == "model-4"
    assert table["p_value"].iloc[0] == 1
    assert table["agreement"].iloc[0] == 1
    assert (table["p_value"].iloc[1:] < 1).all()
    assert table["log_likelihood"].is_monotonic_decreasing


def test_identify_looks_among_the_models_it_is_given(router):
    unknown = rows_of("model-4").head(60)
    table = identify(router, unknown, unknown["score"], models=["model-0", "model-1"])
    assert set(table.index) == {"model-0", "model-1"}


def test_holm_by_hand():
    adjusted = holm(np.array([0.04, 0.01, 0.03]))
    assert adjusted.tolist() == pytest.approx([0.06, 0.03, 0.06])


def test_duplicates_are_found_and_opposites_are_not():
    twin = rows_of("model-3").assign(model="twin")
    opposite = twin.assign(model="opposite", score=1 - twin["score"])
    log = pd.concat([LOG, twin, opposite])
    log = log[log["query_id"].isin(POOL.queries["query_id"][:N_TRAIN])]
    table = find_duplicates(train_router(log), n_neighbors=7, random_state=0)
    assert len(table) == 8 * 7 / 2
    assert table.loc[0, ["model_a", "model_b"]].tolist() == ["model-3", "twin"]
    assert table.loc[0, "not_told_apart"]
    pairs = table.set_index(["model_a", "model_b"])
    assert not pairs.loc[("opposite", "twin"), "not_told_apart"]
    assert (table["p_adjusted"] >= table["p_value"]).all()


def test_the_nearest_pairs_alone_are_tested(router):
    options = {"n_neighbors": 3, "n_resamples": 99}
    every = find_duplicates(router, random_state=0, **options)
    nearest = every.nsmallest(4, "distance")[["model_a", "model_b"]]
    some = find_duplicates(router, random_state=0, max_pairs=4, **options)
    assert len(some) == 4 < len(every)
    assert {*some[["model_a", "model_b"]].itertuples(index=False, name=None)} == {
        *nearest.itertuples(index=False, name=None)
    }
    more = find_duplicates(router, random_state=0, max_pairs=1000, **options)
    pd.testing.assert_frame_equal(more, every)
    with pytest.raises(ValueError, match="max_pairs"):
        find_duplicates(router, max_pairs=0)


def test_pairs_of_a_large_pool_are_found_by_the_index(router, monkeypatch):
    pytest.importorskip("faiss")
    options = {"n_neighbors": 2, "n_resamples": 19, "random_state": 0}
    exact = find_duplicates(router, **options)
    monkeypatch.setattr(neighbor_index, "INDEXED_FROM", 2)
    monkeypatch.setattr(
        "skl_locus.inspection._duplicates.model_distances",
        lambda *_: pytest.fail("All distances would not fit in memory."),
    )
    # So few models are searched exactly, cell by cell.
    pd.testing.assert_frame_equal(find_duplicates(router, **options), exact)


def test_models_without_common_queries_are_compared_on_matched_ones(router):
    new = rows_of("model-3").tail(200).assign(model="renamed")
    pool = copy.copy(router).add_models(new, new["score"])
    table = find_duplicates(pool, n_neighbors=6, n_resamples=19, random_state=0)
    pairs = table[table["model_b"] == "renamed"]
    assert (pairs["n_shared"] == 0).all()
    assert (pairs["n_pairs"] == 100).all()


def test_a_router_that_embeds_no_models_is_named():
    router = KMeansRouter(3, random_state=0).fit(LOG, LOG["score"])
    rows = rows_of("model-2").head(50)
    message = "must be a fitted LocusRouter, got KMeansRouter"
    with pytest.raises(TypeError, match=message):
        drift_test(router, "model-2", rows, rows["score"])
    with pytest.raises(TypeError, match=message):
        identify(router, rows, rows["score"])
