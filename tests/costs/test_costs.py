"""What a call of a model costs: prices, lengths, logs and tables."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skl_locus import CostModel

TEXTS = ["7 * 8?", "What is the capital of France?"]
LOG = pd.DataFrame(
    {
        "model": ["a", "a", "b", "b"],
        "query": TEXTS * 2,
        "input_tokens": [3, 10, 3, 10],
        "output_tokens": [10, 30, 100, np.nan],
        "cost": [1.0, 3.0, np.nan, 5.0],
    }
)
PRICES = pd.DataFrame(
    {"price_in": [1.0, 2.0, np.nan], "price_out": [4.0, 8.0, np.nan]},
    index=pd.Index(["a", "b", "blank"], name="model"),
)


def fitted(**parameters):
    return CostModel(**parameters).fit(LOG)


# Prices and lengths


def test_prices_by_hand():
    costs = fitted(prices=PRICES, shrinkage=0, chars_per_token=3.0)
    assert costs.output_tokens_.to_dict() == {"a": 20.0, "b": 100.0}
    expected = [[1 * 2 + 4 * 20, 2 * 2 + 8 * 100], [1 * 10 + 4 * 20, 2 * 10 + 8 * 100]]
    matrix = costs.matrix(TEXTS, ["a", "b"])
    assert matrix.dtype == np.float64
    assert_allclose(matrix * 1e6, expected)
    assert_array_equal(costs.matrix(TEXTS, ["b", "a"]), matrix[:, ::-1])


def test_characters_of_a_token_are_learned_where_the_log_tells():
    assert fitted().chars_per_token_ == pytest.approx(36 / 13)
    assert fitted(chars_per_token=5.0).chars_per_token_ == 5.0
    without = LOG.drop(columns="input_tokens")
    assert CostModel().fit(without).chars_per_token_ == 4.0
    assert CostModel().fit().chars_per_token_ == 4.0


def test_lengths_of_models_with_few_rows_are_shrunk():
    means = fitted(shrinkage=1.0)
    assert means.mean_output_tokens_ == 60.0
    assert means.output_tokens_["a"] == pytest.approx((2 * 20 + 60) / 3)
    assert means.output_tokens_["b"] == pytest.approx((100 + 60) / 2)
    given_length = fitted(shrinkage=1.0, default_output_tokens=0)
    assert given_length.output_tokens_["b"] == 50.0


def test_a_model_without_rows_gets_the_mean_length():
    costs = fitted(prices={"new": (0.0, 1.0)})
    assert costs.matrix(TEXTS, ["new"]).tolist() == [[60 / 1e6]] * 2


def test_lengths_given_with_the_queries_go_before_the_texts():
    costs = fitted(prices={"a": (1e6, 0.0)}, chars_per_token=1.0)
    frame = pd.DataFrame({"query": TEXTS, "input_tokens": [5, np.nan]})
    assert costs.matrix(frame, ["a"]).ravel().tolist() == [5.0, len(TEXTS[1])]
    vectors = np.eye(3)
    assert costs.matrix(vectors, ["a"]).ravel().tolist() == [6.5] * 3
    assert costs.matrix(list(vectors), ["a"]).ravel().tolist() == [6.5] * 3
    by_default = CostModel(
        prices={"a": (1e6, 0)}, default_input_tokens=2, default_output_tokens=1
    ).fit()
    assert by_default.matrix(vectors, ["a"]).ravel().tolist() == [2.0] * 3


def test_a_column_of_texts_beside_the_vectors_of_a_router():
    frame = pd.DataFrame({"query": list(np.eye(2)), "text": ["12345678", "1234"]})
    costs = CostModel(
        prices={"a": (1e6, 0.0)}, default_output_tokens=0, query_col="text"
    ).fit(frame)
    assert costs.matrix(frame, ["a"]).ravel().tolist() == [2.0, 1.0]
    assert costs.mean_input_tokens_ == 1.5


@pytest.mark.parametrize(
    "prices",
    [PRICES, PRICES.reset_index(), {"a": (1, 4), "b": [2, 8]}, PRICES.assign(x="y")],
)
def test_forms_of_prices(prices):
    expected = fitted(prices=PRICES).matrix(TEXTS, ["a", "b"])
    assert_array_equal(fitted(prices=prices).matrix(TEXTS, ["a", "b"]), expected)


# Which cost counts


def test_pairs_go_before_calls_prices_and_means():
    pairs = pd.DataFrame(
        {"model": ["a", "a", "a"], "query": [*TEXTS[:1] * 2, "new"], "cost": [4, 6, 7]}
    )
    costs = fitted(costs=pairs, prices={"b": (0.0, 1e6)}, shrinkage=0)
    matrix = costs.matrix([TEXTS[1], TEXTS[0], "new"], ["a", "b"])
    assert_allclose(matrix, [[2, 100], [5, 100], [7, 100]])


def test_costs_by_label_go_before_prices_and_means():
    costs = fitted(costs={"a": 0.5}, prices=PRICES)
    assert costs.matrix(TEXTS, ["a"]).tolist() == [[0.5]] * 2
    assert fitted().matrix(TEXTS, ["a", "b"]).tolist() == [[2.0, 5.0]] * 2
    series = pd.Series({"a": 0.5})
    assert fitted(costs=series).matrix(TEXTS, ["a", "b"]).tolist() == [[0.5, 5.0]] * 2


def test_pairs_are_found_by_id_and_by_text():
    pairs = pd.DataFrame(
        {"model": ["a", "a"], "query": TEXTS, "query_id": [1, 2], "cost": [4, 6]}
    )
    costs = CostModel(costs=pairs).fit()
    assert costs.matrix(TEXTS, ["a"]).ravel().tolist() == [4, 6]
    # An id is the same query whatever the type, and goes before the text.
    frame = pd.DataFrame({"query": TEXTS, "query_id": ["2", "1"]})
    assert costs.matrix(frame, ["a"]).ravel().tolist() == [6, 4]
    by_id = CostModel(costs=pairs.drop(columns="query")).fit()
    assert by_id.matrix(frame, ["a"]).ravel().tolist() == [6, 4]


def test_pairs_of_vectors():
    pairs = pd.DataFrame({"model": ["a"] * 2, "query": list(np.eye(2)), "cost": [1, 2]})
    costs = CostModel(costs=pairs).fit()
    assert costs.matrix(np.eye(2)[::-1], ["a"]).ravel().tolist() == [2, 1]


def test_other_frames():
    expected = fitted(prices=PRICES).matrix(LOG, ["a", "b"])
    frame = pl.from_pandas(LOG)
    costs = CostModel(prices=PRICES).fit(frame)
    assert_array_equal(costs.matrix(frame, ["a", "b"]), expected)
    pairs = pl.from_pandas(LOG.dropna(subset="cost"))
    assert CostModel(costs=pairs).fit().matrix(TEXTS[1:], ["b"]).tolist() == [[5.0]]


# Errors


@pytest.mark.parametrize("bad", [-1.0, np.inf, "much"])
def test_bad_amounts_name_the_model(bad):
    with pytest.raises(ValueError, match="'b'"):
        fitted(costs={"a": 1.0, "b": bad})
    with pytest.raises(ValueError, match="'b'"):
        fitted(prices={"a": (1, 1), "b": (1, bad)})


def test_bad_tables_are_refused():
    with pytest.raises(ValueError, match="'a' twice"):
        fitted(prices=PRICES.rename({"b": "a"}))
    with pytest.raises(ValueError, match="'a' twice"):
        fitted(costs=pd.Series([1, 2], ["a", "a"]))
    with pytest.raises(ValueError, match="price_out"):
        fitted(prices=PRICES[["price_in"]])
    with pytest.raises(ValueError, match="pair"):
        fitted(prices={"a": 3.0})
    with pytest.raises(ValueError, match="list"):
        fitted(prices=[1, 2])
    with pytest.raises(ValueError, match="by label"):
        fitted(costs=[1, 2])
    with pytest.raises(ValueError, match="neither 'query' nor 'query_id'"):
        fitted(costs=LOG[["model", "cost"]])
    with pytest.raises(ValueError, match="no cost in row 2, of the model 'b'"):
        fitted(costs=LOG)
    with pytest.raises(ValueError, match="'cost' has the value -1 in row 1"):
        CostModel().fit(LOG.assign(cost=[0, -1, 0, 0]))
    with pytest.raises(ValueError, match="'cost' is not numeric"):
        CostModel().fit(LOG.assign(cost="cheap"))
    with pytest.raises(ValueError, match="'model' is missing"):
        CostModel().fit(LOG.drop(columns="model"))
    with pytest.raises(TypeError, match="dataframe"):
        CostModel().fit(np.eye(2))


def test_an_error_leaves_the_model_as_it_was():
    costs = fitted(prices=PRICES)
    expected = costs.matrix(TEXTS, ["a"])
    with pytest.raises(ValueError, match="not numeric"):
        costs.fit(LOG.assign(cost="cheap"))
    assert_array_equal(costs.matrix(TEXTS, ["a"]), expected)


def test_what_is_not_known_is_named():
    with pytest.raises(ValueError, match="'blank'"):
        fitted(prices=PRICES).matrix(TEXTS, ["a", "blank"])
    with pytest.raises(ValueError, match=r"how long answers are.*default_output"):
        CostModel(prices=PRICES).fit().matrix(TEXTS, ["a"])
    unknown_length = CostModel(prices=PRICES, default_output_tokens=9).fit()
    with pytest.raises(ValueError, match=r"how long query 0 is.*default_input"):
        unknown_length.matrix(np.eye(2), ["a"])
    with pytest.raises(ValueError, match="wrap"):
        fitted().matrix("a single query", ["a"])
    with pytest.raises(ValueError, match=r"\['a'\]"):
        fitted().matrix(TEXTS, "a")
    with pytest.raises(NotFittedError):
        CostModel().matrix(TEXTS, ["a"])


def test_no_queries_cost_nothing():
    assert fitted(prices=PRICES).matrix([], ["a", "b"]).shape == (0, 2)
    assert fitted(costs=LOG.dropna()).matrix([], ["a", "b"]).shape == (0, 2)


# Conventions


def test_clone_pickle_and_repr():
    costs = fitted(prices=PRICES, costs={"a": 1.0}, default_output_tokens=3)
    assert clone(costs).get_params()["default_output_tokens"] == 3
    loaded = pickle.loads(pickle.dumps(costs))
    assert_array_equal(
        loaded.matrix(TEXTS, ["a", "b"]), costs.matrix(TEXTS, ["a", "b"])
    )
    assert repr(CostModel(default_output_tokens=3)) == (
        "CostModel(default_output_tokens=3)"
    )


@EXAMPLES
@given(st.integers(0, 2**16))
def test_the_order_of_the_log_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    log = pd.DataFrame(
        {
            "model": rng.choice(list("abc"), 40),
            "query": rng.choice(["x", "xy", "xyz" * 9], 40),
            "input_tokens": rng.random(40),
            "output_tokens": rng.random(40),
            "cost": rng.random(40),
        }
    )
    other = log.sample(frac=1, random_state=seed)
    prices = dict.fromkeys("abc", (1.0, 2.0))
    for parameters in ({}, {"prices": prices}, {"costs": log}):
        again = dict(parameters, costs=other) if "costs" in parameters else parameters
        expected = CostModel(**parameters).fit(log).matrix(["x", "xy"], list("cba"))
        actual = CostModel(**again).fit(other).matrix(["x", "xy"], list("cba"))
        assert_array_equal(actual, expected)
