"""UniRoute's vectors and maps: formulas, planted structure, onboarding."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from logs import EXAMPLES, SEEDS, make_log, shuffled
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import check_grad
from scipy.special import softmax
from sklearn.preprocessing import normalize

from skl_locus import BestSingleRouter, KMeansRouter, UniRouteRouter
from skl_locus._estimation.softmax_map import MapProblem

QUERIES = np.random.default_rng(0).normal(size=(20, 16))


def fit(router, log):
    return router.fit(log, log["score"])


@EXAMPLES
@given(seed=SEEDS)
def test_the_nearest_cluster_is_k_means_without_shrinkage(seed):
    log = make_log(seed)
    router = fit(UniRouteRouter(4, query_map="nearest", random_state=0), log)
    same = fit(KMeansRouter(4, shrinkage=0.0, random_state=0), log)
    expected = same.correctness_matrix(QUERIES)
    assert_array_equal(router.correctness_matrix(QUERIES), expected)
    assert router.coef_ is None
    assert router.alpha_ is None


def test_vectors_are_mean_scores_in_the_clusters():
    log = make_log(0)
    router = fit(UniRouteRouter(3, alpha=1.0, random_state=0), log)
    vectors = normalize(np.stack(log["query"].tolist()))
    distances = ((vectors[:, None] - router.cluster_centers_) ** 2).sum(axis=2)
    table = log.assign(cluster=distances.argmin(axis=1))
    means = table.groupby(["model", "cluster"])["score"].mean()
    assert len(means) == 12
    assert_allclose(router.embeddings_.ravel(), means, atol=1e-6)


def test_predictions_are_the_documented_formula():
    log = make_log(5)
    router = fit(UniRouteRouter(3, alpha=0.1, random_state=0), log)
    shares = softmax(normalize(QUERIES) @ router.coef_.T, axis=1)
    errors = shares @ (1 - router.embeddings_.T)
    assert_allclose(router.correctness_matrix(QUERIES), 1 - errors, atol=1e-6)


def problem_of(log, n_clusters, shrinkage):
    router = fit(UniRouteRouter(n_clusters, query_map="nearest", random_state=0), log)
    pool = router._fitted_pool()
    evaluations = pool.evaluations
    evaluations = evaluations.with_encodings(normalize(evaluations.queries.encodings))
    return MapProblem.of(evaluations, pool.clusters, shrinkage, pool.prior)


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_the_gradient_is_that_of_the_loss(shrinkage):
    problem = problem_of(make_log(2, repeats=5), 4, shrinkage)
    start = np.random.default_rng(0).normal(size=(4, 16))
    error = check_grad(
        lambda flat: problem._loss(flat, 0.7, start.shape)[0],
        lambda flat: problem._loss(flat, 0.7, start.shape)[1],
        start.ravel(),
    )
    assert (
        error < 1e-4 * np.abs(problem._loss(start.ravel(), 0.7, start.shape)[1]).max()
    )


def test_an_evaluation_has_no_part_in_the_mean_that_predicts_it():
    log = make_log(3, (20, 20))
    problem = problem_of(log, 1, 0.0)
    # With one cluster, what predicts an evaluation is the mean of all the others.
    left_out = problem.means[problem.members] + problem.corrections
    for column in range(2):
        own = problem.scores[:, column]
        known = np.isfinite(own)
        others = (own[known].sum() - own[known]) / (known.sum() - 1)
        assert_allclose(left_out[known, column], others)


def planted(seed=0, n_models=8, n_queries=500):
    """Scores of the method's own model: shares by a softmax, means by cluster."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(n_queries, 6))
    theta = np.zeros((3, 6))
    theta[0, 0], theta[1, 1], theta[2, :2] = 8, 8, -8
    chances = softmax(normalize(queries) @ theta.T, axis=1) @ rng.choice(
        [0.05, 0.95], size=(3, n_models)
    )
    scores = (rng.random(chances.shape) < chances).astype(float)
    query, model = np.indices(scores.shape).reshape(2, -1)
    log = pd.DataFrame(
        {
            "model": [f"m{i}" for i in model],
            "query": list(queries[query]),
            "query_id": query,
            "score": scores.ravel(),
        }
    )
    return log[query < 400], queries[400:], chances[400:]


def test_shares_of_clusters_are_recovered():
    log, queries, chances = planted()
    router = fit(UniRouteRouter(8, random_state=0), log)
    nearest = fit(UniRouteRouter(8, query_map="nearest", random_state=0), log)
    single = fit(BestSingleRouter(), log)
    errors = [
        np.abs(each.correctness_matrix(queries) - chances).mean()
        for each in (router, nearest, single)
    ]
    assert errors[0] < 0.8 * errors[1] < 0.8 * errors[2]

    def routed(some):
        columns = [int(label[1:]) for label in some.route(queries)]
        return chances[np.arange(len(queries)), columns].mean()

    assert routed(router) > routed(single) + 0.1


def test_a_new_model_needs_its_vector_alone():
    log, queries, chances = planted()
    late = log["model"] == "m7"
    router = fit(UniRouteRouter(8, random_state=0), log[~late])
    before, coef = router.correctness_matrix(queries), router.coef_.copy()
    router.add_models(log[late], log.loc[late, "score"])
    matrix = router.correctness_matrix(queries)
    assert_array_equal(matrix[:, :7], before)
    assert_array_equal(router.coef_, coef)
    flat = log.loc[late, "score"].mean()
    own = np.abs(matrix[:, 7] - chances[:, 7]).mean()
    assert own < 0.6 * np.abs(flat - chances[:, 7]).mean()


def test_the_order_of_rows_changes_no_bit():
    log = make_log(4, repeats=10)
    matrices = [
        fit(UniRouteRouter(3, alpha=1.0, random_state=0), rows).correctness_matrix(
            QUERIES
        )
        for rows in (log, shuffled(log, 1))
    ]
    assert_array_equal(*matrices)


@pytest.mark.parametrize("query_map", ["softmax", "nearest"])
def test_auto_takes_a_candidate_of_each(query_map):
    log, *_ = planted(n_queries=450)
    router = UniRouteRouter(
        query_map=query_map, shrinkage="auto", tune_for="routing_accuracy"
    )
    fit(router.set_params(random_state=0), log.iloc[:2000])
    assert router.n_clusters_ in (1, 2, 4, 8, 16, 32)
    assert router.shrinkage_ in (30, 10, 3, 1)
    assert router.alpha_ in (
        (None,) if query_map == "nearest" else (10, 3, 1, 0.3, 0.1, 0.03)
    )
