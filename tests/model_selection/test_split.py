"""Splitters: no query (or model) on both sides, whatever the order of the rows."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skl_locus.model_selection import ModelShuffleSplit, QueryKFold, QueryShuffleSplit

QUERY_SPLITTERS = [
    QueryKFold(4),
    QueryKFold(4, shuffle=True, random_state=0),
    QueryShuffleSplit(4, test_size=0.3, random_state=0),
]


class MeanClassifier(ClassifierMixin, BaseEstimator):
    """Predict the mean of what was seen, on any kind of frame."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        self.p_ = min(np.mean(y) + self.shift, 1)
        return self

    def predict(self, X):
        return np.full(len(X), int(self.p_ >= 0.5))


def make_log(n_models=3, n_queries=20, drop=0.2, seed=0):
    """Make a partial log of texts, with ids, in no particular order."""
    rng = np.random.default_rng(seed)
    pairs = [(m, q) for m in range(n_models) for q in range(n_queries)]
    kept = rng.permutation(len(pairs))[: int(len(pairs) * (1 - drop))]
    models, queries = zip(*[pairs[i] for i in kept], strict=True)
    return pd.DataFrame(
        {
            "model": [f"m{m}" for m in models],
            "query": [f"What is {q} + {q}?" for q in queries],
            "query_id": queries,
        }
    )


def test_sides(log, splits, column):
    for train, test in splits:
        assert not set(log[column].iloc[train]) & set(log[column].iloc[test])
        assert len(train)
        assert len(test)


test_sides.__test__ = False


def identities_of_tests(splitter, log, column):
    return [frozenset(log[column].iloc[test]) for _, test in splitter.split(log)]


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
def test_no_query_is_on_both_sides(splitter):
    log = make_log()
    splits = list(splitter.split(log))
    assert len(splits) == splitter.get_n_splits() == splitter.get_n_splits(log) == 4
    test_sides(log, splits, "query")


@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_cover_every_row_once_and_balance_queries(shuffle):
    log = make_log(n_queries=22)
    splits = list(QueryKFold(4, shuffle=shuffle).split(log))
    tests = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.sort(tests), np.arange(len(log)))
    for train, test in splits:
        np.testing.assert_array_equal(np.sort([*train, *test]), np.arange(len(log)))
        assert log["query"].iloc[test].nunique() in (5, 6)


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
@given(seed=st.integers(0, 1000))
def test_folds_of_queries_do_not_depend_on_the_order_of_rows(splitter, seed):
    log = make_log()
    shuffled = log.sample(frac=1, random_state=seed)
    expected = identities_of_tests(splitter, log, "query_id")
    assert identities_of_tests(splitter, shuffled, "query_id") == expected


@given(seed=st.integers(0, 1000))
def test_drawn_models_do_not_depend_on_the_order_of_rows(seed):
    log = make_log(n_models=7)
    splitter = ModelShuffleSplit(5, test_size=2, random_state=0)
    shuffled = log.sample(frac=1, random_state=seed)
    expected = identities_of_tests(splitter, log, "model")
    assert identities_of_tests(splitter, shuffled, "model") == expected


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
def test_equal_texts_under_different_ids_stay_together(splitter):
    log = make_log()
    log["query_id"] = np.arange(len(log))
    test_sides(log, splitter.split(log), "query")


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
def test_ids_decide_between_equal_vectors(splitter):
    log = make_log().drop(columns="query")
    with_vectors = log.assign(query=[np.ones(3)] * len(log))
    test_sides(log, splitter.split(log), "query_id")
    for own, other in zip(
        splitter.split(log), splitter.split(with_vectors), strict=True
    ):
        np.testing.assert_array_equal(own[1], other[1])


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
def test_rows_of_an_array_and_vector_cells_are_queries_by_their_values(splitter):
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(12, 3)), 2, axis=0)
    log = pd.DataFrame({"row": np.repeat(np.arange(12), 2)})
    of_array = list(splitter.split(vectors))
    of_cells = list(splitter.split(pd.DataFrame({"query": list(vectors)})))
    test_sides(log, of_array, "row")
    for own, other in zip(of_array, of_cells, strict=True):
        np.testing.assert_array_equal(own[1], other[1])


@pytest.mark.parametrize(
    "splitter", [*QUERY_SPLITTERS, ModelShuffleSplit(4, random_state=0)], ids=repr
)
def test_every_kind_of_frame_is_split_alike(splitter):
    log = make_log()
    frames = [log, pl.from_pandas(log), pa.Table.from_pandas(log)]
    categorical = log.assign(model=log["model"].astype("category"))
    expected = [test.tolist() for _, test in splitter.split(log)]
    for frame in [*frames, categorical, log.set_index("query_id", drop=False)]:
        assert [test.tolist() for _, test in splitter.split(frame)] == expected


def test_columns_may_have_other_names():
    log = make_log().rename(columns={"model": "llm", "query": "prompt"})
    folds = QueryKFold(4, query_col="prompt", query_id_col="none").split(log)
    test_sides(log, folds, "prompt")
    draws = QueryShuffleSplit(4, query_col="none").split(log)
    test_sides(log, draws, "query_id")
    models = ModelShuffleSplit(4, model_col="llm").split(log)
    test_sides(log, models, "llm")


def test_no_model_is_on_both_sides():
    log = make_log(n_models=6)
    splitter = ModelShuffleSplit(5, test_size=2, random_state=0)
    splits = list(splitter.split(log))
    assert len(splits) == splitter.get_n_splits() == 5
    test_sides(log, splits, "model")
    for train, test in splits:
        assert log["model"].iloc[test].nunique() == 2
        assert len(train) + len(test) == len(log)


def test_unused_categories_are_no_models():
    log = make_log(n_models=4)
    log["model"] = log["model"].astype("category")
    few = log[log["model"].isin(["m0", "m3"])]
    splitter = ModelShuffleSplit(9, test_size=0.5, random_state=0)
    for train, test in splitter.split(few):
        sides = [set(few["model"].iloc[rows]) for rows in (train, test)]
        assert sorted(map(list, sides)) == [["m0"], ["m3"]]


def test_sizes_count_queries():
    log = make_log(n_queries=20)

    def sizes(**options):
        train, test = next(QueryShuffleSplit(1, random_state=0, **options).split(log))
        return log["query"].iloc[train].nunique(), log["query"].iloc[test].nunique()

    assert sizes() == (16, 4)
    assert sizes(test_size=0.5) == (10, 10)
    assert sizes(train_size=5) == (5, 15)
    assert sizes(test_size=3, train_size=0.25) == (5, 3)


def test_the_seed_decides():
    log = make_log()

    def tests(splitter):
        return [test.tolist() for _, test in splitter.split(log)]

    for make in (
        lambda seed: QueryKFold(4, shuffle=True, random_state=seed),
        lambda seed: QueryShuffleSplit(4, random_state=seed),
    ):
        assert tests(make(0)) == tests(make(0))
        assert tests(make(0)) != tests(make(1))


def test_groups_are_ignored():
    log = make_log()
    for splitter in (QueryKFold(3), QueryShuffleSplit(3), ModelShuffleSplit(3)):
        assert len(list(splitter.split(log, groups=["too", "short"]))) == 3


def test_reprs_name_the_parameters():
    assert repr(QueryKFold(3)) == (
        "QueryKFold(encoding_cols=None, model_col='model', n_splits=3,\n"
        "      query_col='query', query_id_col='query_id', random_state=None,\n"
        "      score_col='score', shuffle=False)"
    )
    assert "model_col='llm'" in repr(ModelShuffleSplit(model_col="llm"))
    assert "test_size=0.3" in repr(QueryShuffleSplit(test_size=0.3))


@pytest.mark.parametrize("splitter", QUERY_SPLITTERS, ids=repr)
def test_splitters_pickle_and_clone(splitter):
    log = make_log()
    expected = identities_of_tests(splitter, log, "query")
    for copied in (pickle.loads(pickle.dumps(splitter)), clone(splitter, safe=False)):
        assert identities_of_tests(copied, log, "query") == expected


@pytest.mark.parametrize("convert", [lambda log: log, pl.from_pandas], ids=["pd", "pl"])
def test_splitters_serve_as_cv(convert):
    log = make_log(n_models=5)
    X, y = convert(log), np.arange(len(log)) % 2
    for cv in (QueryKFold(3), QueryShuffleSplit(3), ModelShuffleSplit(3)):
        scores = cross_val_score(MeanClassifier(), X, y, cv=cv, error_score="raise")
        assert scores.shape == (3,)
    search = GridSearchCV(MeanClassifier(), {"shift": [0, 1]}, cv=QueryKFold(3))
    assert search.set_params(n_jobs=1, error_score="raise").fit(X, y).n_splits_ == 3


@pytest.mark.parametrize("bad", [0, 2.0, "many"])
def test_bad_n_splits(bad):
    for make in (QueryKFold, QueryShuffleSplit, ModelShuffleSplit):
        with pytest.raises(ValueError, match="n_splits must be an integer"):
            make(bad)
    with pytest.raises(ValueError, match="at least 2"):
        QueryKFold(1)


def test_a_seed_without_shuffle_is_refused():
    with pytest.raises(ValueError, match="no effect unless shuffle=True"):
        QueryKFold(3, random_state=0)


def split_all(splitter, X):
    return list(splitter.split(X))


def test_too_few_groups():
    log = make_log(n_models=1, n_queries=3, drop=0)
    with pytest.raises(ValueError, match="n_splits=5 is more than the 3 distinct quer"):
        split_all(QueryKFold(5), log)
    with pytest.raises(ValueError, match="X has 1 distinct models; at least 2"):
        split_all(ModelShuffleSplit(), log)
    with pytest.raises(ValueError, match="X has 1 distinct queries; at least 2"):
        split_all(QueryShuffleSplit(), log.iloc[:1])


@pytest.mark.parametrize("size", [1.5, 30, -1])
def test_sizes_that_do_not_fit(size):
    log = make_log(n_queries=20)
    with pytest.raises((ValueError, TypeError), match="test_size"):
        split_all(QueryShuffleSplit(test_size=size), log)


def test_missing_columns_are_named():
    log = make_log()
    with pytest.raises(ValueError, match="column 'llm' is missing"):
        split_all(ModelShuffleSplit(model_col="llm"), log)
    with pytest.raises(TypeError, match="read from the column 'model'"):
        split_all(ModelShuffleSplit(), np.ones((4, 2)))
    with pytest.raises(ValueError, match="No query can be read"):
        split_all(QueryKFold(2), log[["model"]])
