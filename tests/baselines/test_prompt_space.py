"""The space of prompts (Kashani et al.) is a setting of LinearRouter."""

import numpy as np
import pandas as pd
import pytest
from logs import make_log
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus import BestSingleRouter, LinearRouter


def prompt_space(alpha):
    return LinearRouter(alpha=alpha, loss="squared_error", pooling="none")


def fit(router, log):
    return router.fit(log, log["score"])


def regularised_pseudoinverse(A, alpha):
    """By singular values: s / (s^2 + alpha) takes the place of 1 / s."""
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    return Vt.T @ np.diag(s / (s**2 + alpha)) @ U.T


@pytest.mark.parametrize("alpha", [0.1, 10.0])
@pytest.mark.parametrize("coding", ["0 to 1", "-1 to 1"])
def test_one_pseudoinverse_gives_the_vectors_of_all_models(alpha, coding):
    log = make_log(0, (30, 30, 30), n_queries=30)
    router = fit(prompt_space(alpha), log)
    table = log.pivot_table(index="query_id", columns="model", values="score")
    prompts = log.drop_duplicates("query_id").set_index("query_id")["query"]
    A = np.stack(prompts[table.index].tolist()).astype(float)
    S = table.to_numpy() if coding == "0 to 1" else 2 * table.to_numpy() - 1
    shared = regularised_pseudoinverse(A - A.mean(axis=0), alpha)
    vectors = shared @ (S - S.mean(axis=0))
    queries = np.random.default_rng(1).normal(size=(9, 16))
    success = (queries - A.mean(axis=0)) @ vectors + S.mean(axis=0)
    if coding == "-1 to 1":
        vectors, success = vectors / 2, (success + 1) / 2
    assert_allclose(router.coef_, vectors.T, atol=1e-5)
    P = router.correctness_matrix(queries)
    assert_allclose(P, success.clip(0, 1), atol=1e-5)


def planted(n_models=6, n_queries=400, seed=0):
    """Scores that are products of a model's vector and the prompt's."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(n_queries, 8))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    vectors = np.vstack([np.eye(8)[:3], -np.eye(8)[:3]])[:n_models]
    chances = 0.5 + 0.5 * queries @ vectors.T
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
    return log[query < 300], queries[300:], chances[300:]


def test_the_vectors_of_models_are_recovered():
    log, queries, chances = planted()
    router = fit(prompt_space("auto"), log)
    single = fit(BestSingleRouter(), log)

    def routed(some):
        columns = [int(label[1:]) for label in some.route(queries)]
        return chances[np.arange(len(queries)), columns].mean()

    assert routed(router) > routed(single) + 0.1
    error = np.abs(router.correctness_matrix(queries) - chances).mean()
    assert error < 0.5 * np.abs(single.correctness_matrix(queries) - chances).mean()


def test_a_new_model_changes_no_bit_of_the_others():
    log, queries, _ = planted()
    late = log["model"] == "m5"
    router = fit(prompt_space(1.0), log[~late])
    coef = router.coef_.copy()
    router.add_models(log[late], log.loc[late, "score"])
    assert_array_equal(router.coef_[:5], coef)
    whole = fit(prompt_space(1.0), log)
    P = whole.correctness_matrix(queries)
    assert_allclose(router.correctness_matrix(queries), P, atol=1e-5)
