"""Lengths and costs that depend on the query, predicted from its encoding."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from logs import EXAMPLES, SEEDS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skl_locus
from skl_locus import CostModel, KMeansRouter, RouterPolicy
from skl_locus._costs.tables import cost_matrix
from skl_locus.inspection import savings_report
from skl_locus.metrics import cost_quality_curve

MODELS = ["chatty", "terse"]
PRICES = {"chatty": (0.0, 1e6), "terse": (0.0, 1e6)}
"""With these, a cost is the length of the answer."""

REGRESSORS = {
    "ridge": "ridge",
    "knn": "knn",
    "lines": LinearRegression(),
    "neighbors": KNeighborsRegressor(5, algorithm="brute"),
}
EVERY_REGRESSOR = pytest.mark.parametrize(
    "regressor", REGRESSORS.values(), ids=REGRESSORS
)


def directions(n_queries, seed=0):
    """Draw queries on an arc, where both lines and neighbours see the angle."""
    angles = np.random.default_rng(seed).uniform(0, np.pi / 2, n_queries)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def length_of(vectors):
    """Return the planted lengths: one model's depend on the query, (n, 2)."""
    return np.column_stack([100 + 400 * vectors[:, 0], np.full(len(vectors), 50.0)])


def planted(n_queries=200, seed=0, noise=5.0):
    vectors = directions(n_queries, seed)
    lengths = length_of(vectors)
    lengths = lengths + noise * np.random.default_rng(seed).normal(size=lengths.shape)
    return pd.DataFrame(
        {
            "model": np.repeat(MODELS, n_queries),
            "query": list(vectors) * 2,
            "query_id": np.tile(np.arange(n_queries), 2),
            "output_tokens": lengths.T.ravel(),
            "cost": lengths.T.ravel() / 1000,
            "score": np.random.default_rng(seed).integers(0, 2, 2 * n_queries),
        }
    )


def fitted(regressor, log=None, **parameters):
    parameters = {
        "shrinkage": 0.0,
        "prices": PRICES,
        "default_input_tokens": 0,
        **parameters,
    }
    log = planted() if log is None else log
    return CostModel(regressor=regressor, **parameters).fit(log)


# What is predicted


@EVERY_REGRESSOR
def test_planted_lengths_are_recovered(regressor):
    new = directions(100, seed=1)
    truth = length_of(new)
    errors = abs(fitted(regressor).matrix(new, MODELS) - truth).mean(axis=0)
    by_mean = abs(fitted(None).matrix(new, MODELS) - truth).mean(axis=0)
    assert errors[0] < 0.25 * by_mean[0]
    assert errors[1] < 5.0  # the noise, where there is nothing to learn


@EVERY_REGRESSOR
def test_planted_costs_are_recovered_where_there_are_no_prices(regressor):
    new = directions(100, seed=1)
    costs = fitted(regressor, prices=None)
    error = abs(costs.matrix(new, MODELS) - length_of(new) / 1000).mean(axis=0)
    assert error[0] < 0.25 * (length_of(new)[:, 0] / 1000).std()


@EVERY_REGRESSOR
def test_nothing_beyond_the_log_is_predicted(regressor):
    log = planted()
    far = np.array([[50.0, -50.0], [-50.0, 50.0]])
    own = log.loc[log.model == "chatty", "output_tokens"]
    predicted = fitted(regressor, log).matrix(far, ["chatty"])
    assert predicted.min() >= own.min()
    assert predicted.max() <= own.max()


@EVERY_REGRESSOR
def test_few_rows_are_shrunk_as_without_a_regressor(regressor):
    log = planted()
    few = log[log.model == "terse"].head(3).assign(model="new")
    log = pd.concat([log, few])
    prices = {**PRICES, "new": (0.0, 1e6), "unseen": (0.0, 1e6)}
    options = {"log": log, "prices": prices, "shrinkage": 10.0}
    by_query = fitted(regressor, **options).matrix(directions(20), [*prices])
    by_mean = fitted(None, **options).matrix(directions(20), [*prices])
    assert_allclose(by_query[:, 2], by_mean[:, 2], rtol=0.05)
    assert_array_equal(by_query[:, 3], by_mean[:, 3])
    assert by_query[:, 0].std() > 50


def test_shrinkage_by_hand():
    log = planted(30)
    raw = fitted("ridge", log).matrix(directions(4), MODELS)
    shrunk = fitted("ridge", log, shrinkage=10.0)
    prior = shrunk.mean_output_tokens_
    expected = (30 * raw + 10 * prior) / 40
    assert_allclose(shrunk.matrix(directions(4), MODELS), expected)


def test_costs_are_shrunk_to_the_mean_of_the_model():
    log = planted(30)
    raw = fitted("ridge", log, prices=None).matrix(directions(4), MODELS)
    shrunk = fitted("ridge", log, prices=None, shrinkage=10.0)
    expected = (30 * raw + 10 * shrunk.mean_costs_[MODELS].to_numpy()) / 40
    assert_allclose(shrunk.matrix(directions(4), MODELS), expected)


def test_neighbors_by_hand():
    # Two of four queries are looked up: the square root of their number.
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    log = pd.DataFrame(
        {
            "model": ["a"] * 4 + ["b"] * 2,
            "query": [*vectors, *vectors[:2]],
            "output_tokens": [10.0, 20.0, 100.0, 200.0, 1.0, 3.0],
        }
    )
    prices = {"a": (0, 1e6), "b": (0, 1e6)}
    costs = fitted("knn", log, prices=prices)
    # The mean of a model counts as two more neighbours; that of "b" is all there is
    # of it near the second query.
    expected = [[(10 + 20 + 2 * 82.5) / 4, 2.0], [(100 + 200 + 2 * 82.5) / 4, 2.0]]
    new = np.array([[2.0, 0.1], [0.1, 2.0]])
    assert_allclose(costs.matrix(new, ["a", "b"]), expected)


def test_repeated_rows_of_a_pair_are_averaged():
    log = planted(30)
    twice = pd.concat([log, log.assign(output_tokens=log.output_tokens + 10)])
    middle = log.assign(output_tokens=log.output_tokens + 5)
    assert_allclose(
        fitted("ridge", twice).matrix(directions(5), MODELS),
        fitted("ridge", middle).matrix(directions(5), MODELS),
    )


def test_blank_lengths_are_left_out():
    log = planted(60)
    rows = np.arange(len(log)) % 3 == 0
    blank = log.assign(output_tokens=log.output_tokens.mask(rows))
    assert_allclose(
        fitted("ridge", blank[["model", "query", "output_tokens"]]).output_tokens_,
        fitted("ridge", log[~rows]).output_tokens_,
    )
    found = fitted("ridge", blank).matrix(directions(9, seed=2), MODELS)
    assert abs(found - length_of(directions(9, seed=2))).mean() < 20


def test_a_regressor_of_the_users_needs_some_queries_of_a_model():
    log = pd.concat([planted(100), planted(8).assign(model="new")])
    costs = fitted(KNeighborsRegressor(15), log, prices={**PRICES, "new": (0, 1e6)})
    predicted = costs.matrix(directions(5), ["new"])
    assert_allclose(predicted, costs.output_tokens_["new"])


def test_costs_of_calls_and_pairs_go_first():
    log = planted(30)
    costs = fitted("ridge", log, costs={"chatty": 7.0})
    assert costs.matrix(directions(3), MODELS)[:, 0].tolist() == [7.0] * 3
    pairs = log.loc[log.model == "chatty", ["model", "query", "cost"]]
    costs = fitted("ridge", log, costs=pairs)
    known = costs.matrix(directions(30), ["chatty"]).ravel()
    assert_allclose(known, pairs["cost"])


# Forms of queries


def text_log():
    words = np.array(["list", "prove", "poem", "sum"])
    texts = [f"{words[i % 4]} {words[i // 4 % 4]} {i}" for i in range(80)]
    lengths = [300.0 if "prove" in text else 20.0 for text in texts]
    return pd.DataFrame({"model": "m", "query": texts, "output_tokens": lengths})


def text_encoder():
    return make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0))


def test_texts_are_encoded():
    costs = CostModel(
        prices={"m": (0.0, 1e6)}, regressor="ridge", encoder=text_encoder()
    ).fit(text_log())
    long, short = costs.matrix(["prove it", "list it"], ["m"]).ravel()
    assert long > 1.5 * short


def test_columns_of_an_encoding():
    log = planted(50)
    table = pd.DataFrame(np.stack(log["query"]), columns=["x", "y"])
    table = table.assign(model=log["model"], output_tokens=log["output_tokens"])
    costs = fitted("ridge", table.assign(price=1.0), encoding_cols=["x", "y"])
    expected = fitted("ridge", log).matrix(directions(5), MODELS)
    new = pd.DataFrame(directions(5), columns=["x", "y"])
    assert_allclose(costs.matrix(new, MODELS), expected)
    assert_allclose(costs.matrix(directions(5), MODELS), expected)


def test_queries_that_repeat_or_are_none():
    costs = fitted("knn")
    new = directions(3)
    assert_array_equal(
        costs.matrix(new[[0, 2, 0]], MODELS), costs.matrix(new, MODELS)[[0, 2, 0]]
    )
    assert costs.matrix([], MODELS).shape == (0, 2)
    assert costs.matrix(np.empty((0, 2)), MODELS).shape == (0, 2)


def test_encodings_far_from_the_origin_beside_a_router():
    # A router takes the common part off such encodings before it hands them on.
    log = planted(60)
    offset = np.float32(4096)
    moved = log.assign(query=[vector + offset for vector in log["query"]])
    costs = fitted("ridge", moved)
    router = KMeansRouter(4, random_state=0).fit(moved, moved["score"])
    batch = router._read_queries(directions(5) + offset)
    expected = costs.matrix(directions(5) + offset, MODELS)
    assert_array_equal(costs.matrix(batch, MODELS), expected)
    assert expected[:, 0].std() > 10


# Who uses costs


def test_routes_and_policies_use_costs_of_queries():
    log, held_out = (
        planted(),
        planted(seed=3).assign(query_id=lambda t: -1 - t.query_id),
    )
    router = KMeansRouter(4, random_state=0).fit(log, log["score"])
    costs, new = fitted("ridge", log), directions(40, seed=5)
    table = pd.DataFrame(costs.matrix(new, MODELS), columns=MODELS)
    options = {"cost_weight": 0.001}
    assert_array_equal(
        router.route(new, costs=costs, **options),
        router.route(new, costs=table, **options),
    )
    policy = RouterPolicy(
        router,
        cost_model=CostModel(prices=PRICES, default_input_tokens=0, regressor="ridge"),
        **options,
    ).fit(held_out, held_out["score"])
    assert policy.cost_model_.regressor == "ridge"
    assert policy.costs(new)[:, 0].std() > 50
    assert_allclose(
        policy.choose(new)["cost"],
        policy.costs(new)[np.arange(40), [MODELS.index(m) for m in policy.route(new)]],
    )


def test_a_curve_decides_by_expected_costs_and_counts_observed_ones():
    log = {"queries": ["q", "q"], "models": ["a", "b"]}
    observed, expected = [5.0, 3.0], [1.0, 4.0]
    curve = cost_quality_curve(
        [1, 1], [0.5, 0.5], observed, expected_costs=expected, weights=[1], **log
    )
    assert curve["cost"].tolist() == [5.0]
    curve = cost_quality_curve([1, 1], [0.5, 0.5], observed, weights=[1], **log)
    assert curve["cost"].tolist() == [3.0]
    by_label = {"a": 1.0, "b": 4.0}
    curve = cost_quality_curve(
        [1, 1], [0.5, 0.5], observed, expected_costs=by_label, **log
    )
    assert curve["cost"].tolist() == [5.0]
    with pytest.raises(ValueError, match="expected_costs must not be negative"):
        cost_quality_curve([1, 1], [0.5, 0.5], observed, expected_costs=[-1, 1], **log)


# Errors


def test_bad_inputs_are_named():
    with pytest.raises(ValueError, match="'regressor' parameter"):
        fitted("forest")
    with pytest.raises(ValueError, match="'query' holds text, but encoder=None"):
        fitted("ridge", text_log())
    with pytest.raises(ValueError, match="fitted with length 2"):
        fitted("ridge").matrix(np.eye(3), MODELS)
    with pytest.raises(ValueError, match="got text"):
        fitted("ridge").matrix(["a text"], MODELS)
    with pytest.raises(ValueError, match=r"one finite number .* 'chatty'"):
        fitted(FunctionTransformerAsRegressor())


class FunctionTransformerAsRegressor(FunctionTransformer):
    """Something that predicts a matrix."""

    def predict(self, X):
        return X


def test_a_log_without_lengths_and_costs_is_as_without_a_regressor():
    log = planted()[["model", "query"]]
    costs = fitted("ridge", log, default_output_tokens=9)
    assert costs.matrix(directions(2), MODELS).tolist() == [[9.0, 9.0]] * 2
    given = CostModel(costs={"a": 1.0}, regressor="ridge").fit()
    assert given.matrix(directions(2), ["a"]).tolist() == [[1.0]] * 2


def test_a_second_fit_forgets_the_first():
    costs = fitted("ridge")
    costs.set_params(regressor=None).fit(planted())
    assert costs.matrix(directions(9), MODELS)[:, 0].std() == 0


# Conventions


@EXAMPLES
@given(SEEDS)
def test_the_order_of_the_log_changes_no_bit(seed):
    log = planted(24, seed)
    other = log.sample(frac=1, random_state=seed)
    for regressor in REGRESSORS.values():
        expected = fitted(regressor, log).matrix(directions(6), MODELS)
        actual = fitted(regressor, other).matrix(directions(6), MODELS)
        assert_array_equal(actual, expected)


@EVERY_REGRESSOR
def test_copies_and_files(regressor, tmp_path):
    costs, new = fitted(regressor), directions(7, seed=1)
    expected = costs.matrix(new, MODELS)
    skl_locus.save(costs, tmp_path / "costs.skl")
    for other in (
        pickle.loads(pickle.dumps(costs)),
        clone(costs).fit(planted()),
        skl_locus.load(tmp_path / "costs.skl"),
    ):
        assert_array_equal(other.matrix(new, MODELS), expected)


def test_files_of_policies_and_of_text_encoders(tmp_path):
    log, held_out = planted(), planted(seed=3)
    held_out["query_id"] = -1 - held_out["query_id"]
    router = KMeansRouter(4, random_state=0).fit(log, log["score"])
    policy = RouterPolicy(
        router, cost_model=CostModel(regressor="knn"), cost_weight=1.0
    ).fit(held_out, held_out["score"])
    skl_locus.save(policy, tmp_path / "policy.skl")
    loaded, new = skl_locus.load(tmp_path / "policy.skl"), directions(20)
    assert_array_equal(loaded.route(new), policy.route(new))
    assert_array_equal(loaded.costs(new), policy.costs(new))
    assert policy.costs(new)[:, 0].std() > 0.02
    report = savings_report(policy, planted(seed=4).drop(columns="query_id"))
    assert report.table.loc["policy", "cost"] > 0
    texts = CostModel(
        prices={"m": (0.0, 1e6)},
        regressor="ridge",
        encoder=HashingVectorizer(n_features=32),
    ).fit(text_log())
    skl_locus.save(texts, tmp_path / "texts.skl")
    for other in (
        skl_locus.load(tmp_path / "texts.skl"),
        pickle.loads(pickle.dumps(texts)),
    ):
        asked = ["prove a new one", "list 3"], ["m"]
        assert_array_equal(other.matrix(*asked), texts.matrix(*asked))


def test_a_service_asks_for_the_cost_of_a_query_that_a_router_has_read():
    log = pd.concat([text_log(), text_log().assign(model="n")])
    log["score"] = np.arange(160) % 2
    router = KMeansRouter(2, encoder=text_encoder(), random_state=0)
    router = router.fit(log, log["score"])
    costs = CostModel(
        prices={"m": (0.0, 1e6)}, regressor="ridge", encoder=text_encoder()
    ).fit(log)
    batch = router._read_queries(["prove it"])
    own = cost_matrix(costs, batch, 1, np.array(["m"], dtype=object))
    assert_array_equal(own, costs.matrix(["prove it"], ["m"]))


def test_a_pickle_of_an_earlier_version_has_no_regressor():
    costs = CostModel(prices=PRICES, default_input_tokens=0).fit(planted())
    state = costs.__getstate__()
    for name in ("regressor", "encoder", "encoding_cols", "_regressions"):
        state.pop(name, None)
    old = CostModel.__new__(CostModel)
    old.__setstate__(state)
    assert_array_equal(
        old.matrix(directions(3), MODELS), costs.matrix(directions(3), MODELS)
    )
    assert "regressor=None" not in repr(old)


def test_a_regressor_that_ignores_the_query_is_the_mean():
    costs = fitted(DummyRegressor())
    assert_allclose(
        costs.matrix(directions(3), MODELS), fitted(None).matrix(directions(3), MODELS)
    )
