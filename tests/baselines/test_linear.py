"""LinearRouter is the penalised regression that it says it is."""

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, make_log, shuffled
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, Ridge

from skl_locus import LinearRouter
from skl_locus._estimation.linear_solvers import RotatedDesign

PLAIN = {"alpha": 0.5, "pooling": "none"}


def fit(log, **parameters):
    return LinearRouter(**{**PLAIN, **parameters}).fit(log, log["score"])


def table(log, model):
    rows = log[log["model"] == model]
    return np.stack(rows["query"].tolist()).astype(float), rows["score"].to_numpy()


@pytest.mark.parametrize("n_features", [3, 40])
def test_logistic_regression_of_scikit_learn(n_features):
    log = make_log(0, (60, 50, 25), n_queries=70, n_features=n_features)
    log["score"] = (log["score"] > 0.4).astype(float)
    router = fit(log)
    for i, name in enumerate(router.models_):
        X, y = table(log, name)
        expected = LogisticRegression(C=1 / 0.5, tol=1e-10, max_iter=1000).fit(X, y)
        assert_allclose(router.coef_[i], expected.coef_[0], atol=1e-4)
        assert_allclose(router.intercept_[i], expected.intercept_[0], atol=1e-4)


def test_ridge_regression_of_scikit_learn():
    log = make_log(1)
    router = fit(log, loss="squared_error")
    for i, name in enumerate(router.models_):
        X, y = table(log, name)
        expected = Ridge(alpha=0.5).fit(X, y)
        assert_allclose(router.coef_[i], expected.coef_, atol=1e-6)
        assert_allclose(router.intercept_[i], expected.intercept_, atol=1e-6)
        P = router.correctness_matrix(X * 9)[:, i]
        assert_allclose(P, expected.predict(X * 9).clip(0, 1), atol=1e-5)
        assert P.min() == 0
        assert P.max() == 1


@EXAMPLES
@given(seed=SEEDS, alpha=st.floats(0.05, 20))
def test_soft_scores_are_at_the_minimum_of_the_objective(seed, alpha):
    log = make_log(seed, (25, 14))
    router = fit(log, alpha=alpha)
    for i, name in enumerate(router.models_):
        X, y = table(log, name)
        gaps = expit(X @ router.coef_[i] + router.intercept_[i]) - y
        assert_allclose(X.T @ gaps + alpha * router.coef_[i], 0, atol=1e-4)
        assert gaps.sum() == pytest.approx(0, abs=1e-4)


def test_coefficients_are_pulled_to_the_average_model():
    log = make_log(2)
    router = fit(log, pooling="mean")
    average = log.groupby("query_id")["score"].mean()
    vectors = log.drop_duplicates("query_id").set_index("query_id")["query"]
    X = np.stack(vectors.loc[average.index].tolist())
    center = direct(X, average.to_numpy(), 0.5, 0)[:-1]
    for i, name in enumerate(router.models_):
        expected = direct(*table(log, name), 0.5, center)
        assert_allclose(router.coef_[i], expected[:-1], atol=1e-3)
        assert_allclose(router.intercept_[i], expected[-1], atol=1e-3)


def direct(X, y, alpha, center):
    """Minimise the documented objective, plainly."""

    def objective(v):
        z, gap = X @ v[:-1] + v[-1], v[:-1] - center
        return np.sum(np.logaddexp(0, z) - y * z) + alpha / 2 * gap @ gap

    return minimize(objective, np.zeros(X.shape[1] + 1), method="BFGS", tol=1e-6).x


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("pooling", ["none", "mean"])
@EXAMPLES
@given(seed=SEEDS, n_new=st.integers(1, 3), size=st.integers(1, 20))
def test_company_changes_no_bit(loss, pooling, seed, n_new, size):
    """Onboarding is the same alone, with others, in any order; and as in fit."""
    router = fit(make_log(seed), loss=loss, pooling=pooling)
    before = router.coef_.copy(), router.intercept_.copy()
    new = make_log(seed + 1, (size,) * n_new)
    new = new.assign(model="new-" + new["model"], query_id=new["query_id"] + 100)
    together = copy.deepcopy(router).add_models(new, new["score"])
    assert_array_equal(together.coef_[:4], before[0])
    assert_array_equal(together.intercept_[:4], before[1])
    for name, rows in shuffled(new, seed).groupby("model"):
        alone = copy.deepcopy(router).add_models(rows, rows["score"])
        i = together.models_.tolist().index(name)
        assert_array_equal(alone.coef_[4], together.coef_[i])
        assert_array_equal(alone.intercept_[4], together.intercept_[i])


@EXAMPLES
@given(seed=SEEDS)
def test_other_models_of_fit_change_roundings_alone(seed):
    log = make_log(seed)
    some = log[log["model"].isin(["m1", "m3"])]
    few, all_ = fit(some), fit(log)
    assert_allclose(few.coef_, all_.coef_[[1, 3]], atol=1e-6)
    assert_allclose(few.intercept_, all_.intercept_[[1, 3]], atol=1e-6)


def test_a_twin_onboarded_later_has_the_coefficients_of_fit():
    log = make_log(3)
    twin = log[log["model"] == "m1"].assign(model="twin")
    router = fit(log, pooling="mean").add_models(twin, twin["score"])
    assert_allclose(router.coef_[4], router.coef_[1], atol=1e-6)
    assert_allclose(router.intercept_[4], router.intercept_[1], atol=1e-6)


def test_refining_and_removing_keep_the_others():
    log = make_log(4)
    router = fit(log)
    before = router.coef_.copy()
    more = make_log(5, (9, 9)).assign(query_id=lambda t: t["query_id"] + 100)
    router.add_models(
        more[more["model"] == "m1"], more.loc[more.model == "m1", "score"]
    )
    assert_array_equal(router.coef_[[0, 2, 3]], before[[0, 2, 3]])
    assert not np.array_equal(router.coef_[1], before[1])
    router.remove_models(["m0", "m1"])
    assert router.models_.tolist() == ["m2", "m3"]
    assert_array_equal(router.coef_, before[[2, 3]])


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_the_scale_of_encodings_does_not_matter_to_auto(loss):
    log = make_log(6, (40, 40, 30), n_queries=50)
    # A power of two scales without rounding.
    large = log.assign(query=[vector * 64 for vector in log["query"]])
    queries = np.stack(log["query"].tolist())
    first = LinearRouter(loss=loss).fit(log, log["score"])
    second = LinearRouter(loss=loss).fit(large, log["score"])
    assert second.alpha_ == pytest.approx(first.alpha_ * 64**2)
    assert_allclose(
        second.correctness_matrix(queries * 64),
        first.correctness_matrix(queries),
        atol=1e-4,
    )


@pytest.mark.parametrize("pooling", ["none", "mean"])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_models_that_are_always_right_or_wrong(loss, pooling):
    log = make_log(7)
    log.loc[log["model"] == "m0", "score"] = 1.0
    log.loc[log["model"] == "m1", "score"] = 0.0
    router = fit(log, loss=loss, pooling=pooling)
    prior, n = log["score"].mean(), (log["model"] == "m0").sum()
    center = np.mean(table(log, "m0")[0], axis=0, keepdims=True)
    expected = (n + 2 * prior) / (n + 2)
    assert router.correctness_matrix(center)[0, 0] == pytest.approx(expected, abs=1e-5)
    P = router.correctness_matrix(np.stack(log["query"].tolist()))
    assert np.isfinite(router.coef_).all()
    assert (P[:, 0] > P[:, 1]).all()
    if pooling == "none":
        assert_array_equal(router.coef_[:2], 0)


def test_one_evaluation_is_enough():
    log = make_log(8, (12, 1))
    log.loc[log["model"] == "m1", "score"] = 0.3
    router = fit(log)
    assert_array_equal(router.coef_[1], 0)
    assert router.intercept_[1] == pytest.approx(logit(0.3), abs=1e-5)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (8, 8), (1, 3), (3, 1)])
def test_designs_lose_nothing(shape):
    X = np.random.default_rng(0).normal(size=shape)
    design = RotatedDesign.of(X)
    assert_allclose(design.coordinates @ design.axes + design.center, X, atol=1e-9)
    assert_allclose(design.axes @ design.axes.T, np.eye(len(design.axes)), atol=1e-9)
    squares = design.coordinates.T @ design.coordinates
    assert_allclose(squares, np.diag(design.widths**2), atol=1e-9)


@pytest.mark.parametrize("pooling", ["none", "mean"])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_planted_directions_are_recovered(loss, pooling):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 5))
    planted = np.eye(5)[:3] * 4
    scores = rng.random((600, 3)) < expit(vectors @ planted.T)
    log = pd.DataFrame(
        {"model": np.repeat(list("abc"), 600), "query": list(vectors) * 3}
    )
    router = LinearRouter(loss=loss, pooling=pooling).fit(log, scores.T.ravel())
    unit = router.coef_ / np.linalg.norm(router.coef_, axis=1, keepdims=True)
    assert (np.sum(unit * np.eye(5)[:3], axis=1) > 0.95).all()
    fresh = rng.normal(size=(300, 5))
    best = (fresh @ planted.T).argmax(axis=1)
    assert np.mean(router.route(fresh) == np.array(list("abc"))[best]) > 0.85
