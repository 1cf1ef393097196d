"""Regressions of new models, completed by what the pool says of their other answers."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small import SMALL

import skl_locus
from skl_locus import LocusRouter
from skl_locus._estimation.shared_basis import design_of
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=40, n_queries=240, random_state=0)
LOG = POOL.evaluations
QUERIES = np.array(sorted(LOG["query_id"].unique()))
FIT, UNSEEN = QUERIES[:160], QUERIES[160:]
NEWCOMERS = sorted(LOG["model"].unique())[30:]
KNOWN = LOG[~LOG["model"].isin(NEWCOMERS) & LOG["query_id"].isin(FIT)]
NEW = LOG[LOG["model"].isin(NEWCOMERS) & LOG["query_id"].isin(FIT)]
ROUTER = LocusRouter(**SMALL).fit(KNOWN, KNOWN["score"])
ENCODINGS = POOL.encodings


def few_of(log, n):
    shuffled = log.sample(frac=1, random_state=1)
    return shuffled.groupby("model", sort=False).head(n)


FEW = few_of(NEW, 12)


def feature_of(router):
    return router._pool.evidence.shared.features["own_regression"]


def without_completion(router):
    """Return a copy that takes only the own evaluations of new models."""
    router, pool = copy.copy(router), router._pool
    shared = pool.evidence.shared
    own = replace(feature_of(router), completion=None)
    shared = replace(shared, features={**shared.features, "own_regression": own})
    router._pool = replace(pool, evidence=replace(pool.evidence, shared=shared))
    return router


PLAIN = without_completion(ROUTER)


def with_models(router, log):
    return copy.copy(router).add_models(log, log["score"])


def log_loss(router):
    asked = LOG[LOG["model"].isin(NEWCOMERS) & LOG["query_id"].isin(UNSEEN)]
    vectors = np.stack(list(asked["query"]))
    P = router.correctness_matrix(vectors, NEWCOMERS)
    P = P[np.arange(len(asked)), [NEWCOMERS.index(name) for name in asked["model"]]]
    y = asked["score"].to_numpy()
    return -np.mean(y * np.log(P) + (1 - y) * np.log1p(-P))


def test_unseen_answers_of_new_models_are_predicted_better():
    assert log_loss(with_models(ROUTER, FEW)) < log_loss(with_models(PLAIN, FEW)) - 0.01


def test_the_table_and_the_step_find_what_a_fit_to_all_expected_scores_finds():
    completion = feature_of(ROUTER).completion
    pool = with_models(ROUTER, FEW)._pool
    own = pool.evaluations.only_models(NEWCOMERS)
    model = completion.model
    abilities, factor_scores, _ = model.scores(own)
    scores = model.expected_scores(abilities, factor_scores)
    places = model.places_of(own.queries)[own.query_codes]
    scores[own.model_codes, places] = own.scores
    queries = pool.evaluations.queries
    rows = queries.rows[model.places_of(queries).argsort()]
    design = design_of(queries, rows, len(scores))
    solved = feature_of(ROUTER).regression.fit(design, scores.T).values(ENCODINGS)
    found = completion._completed(own).values(ENCODINGS)
    assert np.abs(found - solved).max() < 0.15
    assert np.sqrt(np.mean((found - solved) ** 2)) < 0.04
    assert solved.std() > 0.5


def test_known_models_stay_the_same_to_the_bit():
    before = ROUTER.correctness_matrix(ENCODINGS)
    after = with_models(ROUTER, FEW)
    known = ROUTER.models_.tolist()
    assert np.array_equal(after.correctness_matrix(ENCODINGS, known), before)


def test_neither_the_order_of_rows_nor_that_of_models_matters():
    first, second = (
        FEW[FEW["model"].isin(half)] for half in np.split(np.array(NEWCOMERS), 2)
    )
    together = with_models(ROUTER, FEW)
    shuffled = with_models(ROUTER, FEW.sample(frac=1, random_state=5))
    apart = with_models(with_models(ROUTER, second), first)
    P = together.correctness_matrix(ENCODINGS, NEWCOMERS)
    assert np.array_equal(shuffled.correctness_matrix(ENCODINGS, NEWCOMERS), P)
    np.testing.assert_allclose(
        apart.correctness_matrix(ENCODINGS, NEWCOMERS), P, atol=1e-6
    )


def test_nothing_is_completed_where_nothing_is_missing():
    complete, plain = with_models(ROUTER, NEW), with_models(PLAIN, NEW)
    P = plain.correctness_matrix(ENCODINGS)
    assert np.array_equal(complete.correctness_matrix(ENCODINGS), P)


def test_expected_scores_do_not_count_as_evaluations():
    completed, plain = with_models(ROUTER, FEW), with_models(PLAIN, FEW)
    columns = completed._pool.columns_of(NEWCOMERS)
    assert (completed._pool.evidence.sizes[columns] == 12).all()
    assert len(completed._pool.evaluations) == len(KNOWN) + len(FEW)
    assert np.array_equal(completed.trust(ENCODINGS), plain.trust(ENCODINGS))
    assert np.array_equal(completed.embeddings_, plain.embeddings_)


def test_the_weight_falls_with_evaluations_and_rises_with_the_pool():
    completion = feature_of(ROUTER).completion
    shares = completion.shares(np.array([0, 40, 80, 160, 500]))
    assert (np.diff(shares[:4]) < 0).all()
    assert shares[0] == 30 / 40
    assert (shares[3:] == 0).all()
    larger = replace(completion, n_models=300)
    assert (larger.shares(np.array([0, 40])) > shares[:2]).all()


def test_many_evaluations_of_other_queries_leave_a_model_its_own_regression():
    others = FEW.assign(query_id="other-" + FEW["query_id"].astype(str))
    many = [others.assign(query_id=others["query_id"] + f"-{i}") for i in range(20)]
    log = pd.concat([FEW, *many])
    completed, plain = with_models(ROUTER, log), with_models(PLAIN, log)
    P = plain.correctness_matrix(ENCODINGS, NEWCOMERS)
    assert np.array_equal(completed.correctness_matrix(ENCODINGS, NEWCOMERS), P)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_models_that_are_always_right_or_wrong_have_finite_predictions(value):
    one = FEW[FEW["model"] == NEWCOMERS[0]].assign(score=value)
    router = copy.copy(ROUTER).add_models(one, one["score"])
    P = router.correctness_matrix(ENCODINGS, NEWCOMERS[:1])
    assert np.isfinite(P).all()
    assert abs(P.mean() - value) < abs(
        ROUTER.correctness_matrix(ENCODINGS).mean() - value
    )


def test_both_geometries_predict_the_same():
    other = LocusRouter(**SMALL | {"geometry": "network"}).fit(KNOWN, KNOWN["score"])
    one, other = with_models(ROUTER, FEW), with_models(other, FEW)
    P = one.correctness_matrix(ENCODINGS, NEWCOMERS)
    assert np.array_equal(other.correctness_matrix(ENCODINGS, NEWCOMERS), P)


def test_a_loaded_router_completes_alike(tmp_path):
    skl_locus.save(ROUTER, tmp_path / "router.locus")
    loaded = skl_locus.load(tmp_path / "router.locus")
    P = with_models(ROUTER, FEW).correctness_matrix(ENCODINGS, NEWCOMERS)
    again = with_models(loaded, FEW).correctness_matrix(ENCODINGS, NEWCOMERS)
    assert np.array_equal(again, P)
