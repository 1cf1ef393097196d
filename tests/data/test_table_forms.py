"""One table in many forms gives one result, and is never written to."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import FunctionTransformer
from small import SMALL

from skl_locus import (
    BestSingleRouter,
    CostModel,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusRouter,
)
from skl_locus import LocusEmbedder as Embedder
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import disagreement, model_distances
from skl_locus.model_selection import QueryKFold

ROUTERS = {
    "best": BestSingleRouter(),
    "knn": KNNRouter(3),
    "kmeans": KMeansRouter(4, random_state=0),
    "linear": LinearRouter(alpha=1.0),
    "locus": LocusRouter(**SMALL),
}
POOL = make_evaluations(
    n_models=4, n_queries=25, observed=0.7, n_features=16, random_state=0
)
LOG = POOL.evaluations[["model", "query", "query_id", "score"]]
LOG = LOG.assign(query_id=LOG.query_id.str[-2:].astype(int))
QUERIES = POOL.encodings
FLOATS = pa.list_(pa.float32())


def arrow(log):
    return pa.table(
        {
            "model": log.model.to_list(),
            "query": pa.array([cell.tolist() for cell in log["query"]], FLOATS),
            "query_id": log.query_id.to_list(),
            "score": log.score.to_list(),
        }
    )


def polars(log):
    return pl.from_arrow(arrow(log))


def cells(log, function):
    return log.assign(query=[function(cell) for cell in log["query"]])


def with_extra_columns(log):
    noise = np.arange(len(log)) * 1e9
    return log.assign(task="a", cost=np.nan, notes=None, x0=noise, y=-noise)


def with_unused_categories(log):
    names = [f"model-{i}" for i in (3, 9, 1, 0, 2, 7)]  # in no useful order
    return log.assign(model=pd.Categorical(log.model, names, ordered=True))


FORMS = {
    "row index": lambda t: t.set_axis(np.arange(len(t)) % 7 - 3, axis=0),
    "row index of text": lambda t: t.set_axis([f"r{i}" for i in t.index], axis=0),
    "column order": lambda t: t[["score", "query_id", "query", "model"]],
    "extra columns": with_extra_columns,
    "bool scores": lambda t: t.astype({"score": bool}),
    "int8 scores": lambda t: t.astype({"score": np.int8}),
    "int64 scores": lambda t: t.astype({"score": int}),
    "float32 scores": lambda t: t.astype({"score": np.float32}),
    "nullable scores": lambda t: t.astype({"score": "Int64"}),
    "nullable bools": lambda t: t.astype({"score": "boolean"}),
    "arrow scores": lambda t: t.astype({"score": "double[pyarrow]"}),
    "unused categories": with_unused_categories,
    "string dtype": lambda t: t.astype({"model": "string[pyarrow]"}),
    "object labels": lambda t: t.astype({"model": object}),
    "categorical ids": lambda t: t.astype({"query_id": "category"}),
    "text ids": lambda t: t.astype({"query_id": str}),
    "float ids": lambda t: t.astype({"query_id": float}),
    "list cells": lambda t: cells(t, np.ndarray.tolist),
    "tuple cells": lambda t: cells(t, tuple),
    "float64 cells": lambda t: cells(t, np.float64),
    "unshared cells": lambda t: cells(t, np.copy),
    "strided cells": lambda t: cells(t, lambda v: np.repeat(v, 2)[::2]),
    "arrow list column": lambda t: t.assign(
        query=pd.array(t["query"].map(list).tolist(), dtype=pd.ArrowDtype(FLOATS))
    ),
    "pyarrow": arrow,
    "pyarrow dictionary": lambda t: arrow(t).set_column(
        0, "model", pa.array(t.model.to_list()).dictionary_encode()
    ),
    "pyarrow fixed lists": lambda t: arrow(t).set_column(
        1, "query", pa.array(np.stack(t["query"]).tolist(), pa.list_(pa.float32(), 16))
    ),
    "polars": polars,
    "polars array": lambda t: polars(t).cast({"query": pl.Array(pl.Float32, 16)}),
    "polars categorical": lambda t: polars(t).cast({"model": pl.Categorical}),
    "polars bools": lambda t: polars(t).cast({"score": pl.Boolean}),
}


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(router).fit(LOG, LOG.score) for name, router in ROUTERS.items()}


@pytest.mark.parametrize("form", FORMS)
def test_form_of_the_table_changes_no_fit(fitted, form):
    table = FORMS[form](LOG)
    for name, router in fitted.items():
        other = clone(router).fit(table, table["score"])
        assert other.models_.tolist() == router.models_.tolist()
        assert_array_equal(
            other.correctness_matrix(QUERIES), router.correctness_matrix(QUERIES), name
        )
        assert_array_equal(other.predict_proba(LOG), router.predict_proba(LOG))


@pytest.mark.parametrize("form", FORMS)
def test_form_of_the_table_changes_no_prediction(fitted, form):
    table = FORMS[form](LOG)
    for router in fitted.values():
        assert_array_equal(router.predict_proba(table), router.predict_proba(LOG))
        assert_array_equal(
            router.correctness_matrix(table), router.correctness_matrix(LOG)
        )
    embedder = fitted["locus"].embedder_
    embeddings = embedder.transform(table)
    expected = embedder.transform(LOG)
    assert embeddings.index.tolist() == expected.index.tolist()
    assert_array_equal(embeddings, expected)


@pytest.mark.parametrize("kind", [int, float, np.int8, "category"])
def test_kind_of_labels_changes_no_fit(fitted, kind):
    numbers = LOG.model.str[-1:].astype(int) * 5  # 5 < 10 as numbers only
    table = LOG.assign(model=numbers.astype(kind))
    for name, router in fitted.items():
        other = clone(router).fit(table, LOG.score)
        assert other.models_.tolist() == [0, 5, 10, 15]
        assert_array_equal(
            other.correctness_matrix(QUERIES), router.correctness_matrix(QUERIES), name
        )


@pytest.mark.parametrize(
    "container", [list, np.array, pd.Series, pl.Series, pa.array, np.float32]
)
def test_container_of_y_changes_no_fit(fitted, container):
    y = container(LOG.score.to_list())
    for router in fitted.values():
        other = clone(router).fit(LOG, y)
        assert_array_equal(other.predict_proba(LOG), router.predict_proba(LOG))


def test_y_goes_by_position_and_before_the_score_column(fitted):
    y = LOG.score.sample(frac=1, random_state=0)  # an index in disorder
    by_y = Embedder(**SMALL).fit(LOG.assign(score=0.5), y).transform(LOG)
    by_column = Embedder(**SMALL).fit(LOG.assign(score=y.to_numpy())).transform(LOG)
    assert_array_equal(by_y, by_column)


def test_renamed_columns(fitted):
    names = {"model": "llm", "query": "q", "query_id": "qid", "score": "grade"}
    columns = {f"{old}_col": new for old, new in names.items()}
    embedder = Embedder(**SMALL, **columns).fit(LOG.rename(columns=names))
    expected = fitted["locus"].embedder_.transform(LOG)
    assert_array_equal(embedder.transform(LOG.rename(columns=names)), expected)


def test_without_a_query_column_features_are_columns_in_one_order():
    names = [f"x{i}" for i in range(16)]
    wide = pd.DataFrame(np.stack(LOG["query"]), columns=names)
    wide = wide.assign(model=LOG.model.to_numpy(), query_id=LOG.query_id.to_numpy())
    carried = wide.assign(score=5.0, task=1, cost=2, tokens=3, latency=4)
    for router in ROUTERS.values():
        nested = clone(router).fit(LOG, LOG.score)
        flat = clone(router).fit(wide, LOG.score)
        assert flat.feature_names_in_.tolist() == names
        assert_array_equal(flat.predict_proba(carried), nested.predict_proba(LOG))
        with pytest.raises(ValueError, match="order"):
            flat.predict_proba(wide[[*names[::-1], "model", "query_id"]])
        with pytest.raises(ValueError, match="extra"):
            flat.predict_proba(wide.assign(extra=1.0))
        named = clone(router).set_params(encoding_cols=names[:3])
        named.fit(wide[["x2", "x0", "model", "x1"]], LOG.score)
        assert named.n_features_in_ == 3


# Identity of queries

GRID = np.eye(4, dtype=np.float32)


def table_of(models, queries):
    return pd.DataFrame({"model": models, "query": list(GRID[queries])})


def test_equal_vectors_with_other_ids_are_other_queries(fitted):
    log = LOG.assign(query=[np.ones(16, np.float32)] * len(LOG))
    for router in ROUTERS.values():
        clone(router).set_params(duplicates="raise").fit(log, log.score)
    with pytest.raises(ValueError, match="duplicates='raise'"):
        KNNRouter(duplicates="raise").fit(log.drop(columns="query_id"), log.score)
    embedder = fitted["locus"].embedder_
    apart = embedder.transform(log)
    merged = embedder.transform(log.drop(columns="query_id"))
    assert np.abs(apart - merged).to_numpy().max() > 1e-3


def test_equal_vectors_of_other_texts_are_other_queries():
    constant = FunctionTransformer(lambda texts: np.ones((len(texts), 2)))
    log = LOG.assign(query="question " + LOG.query_id.astype(str))
    log = log.drop(columns="query_id")
    router = KNNRouter(100, encoder=constant, duplicates="raise")
    matrix = router.fit(log, log.score).correctness_matrix(["anything"])
    assert_allclose(matrix[0], log.groupby("model").score.mean(), atol=1e-6)


def test_one_text_with_two_ids_is_two_queries_and_the_id_is_enough():
    log = table_of(list("aabb"), [0, 0, 0, 1]).assign(query_id=list("uvuw"))
    router = KNNRouter(5, duplicates="raise").fit(log, [1, 0, 1, 0])
    assert_allclose(router.correctness_matrix(GRID[:1]), [[0.5, 0.5]])
    more = table_of(list("ba"), [0, 0]).assign(query_id=list("vx"))
    router.add_models(more, [1, 0])
    assert_allclose(router.correctness_matrix(GRID[:1]), [[1 / 3, 2 / 3]], atol=1e-6)


def test_an_id_names_one_query_within_a_table():
    log = table_of(list("abab"), [0, 0, 1, 1]).assign(query_id=list("uuvu"))
    with pytest.raises(ValueError, match="'query_id' 'u'"):
        KNNRouter().fit(log, [1, 0, 0, 1])


def test_ids_that_print_alike_never_swallow_a_query():
    log = table_of(list("abab"), [0, 0, 1, 1])
    log["query_id"] = pd.Series([1, 1, "1", "1"], dtype=object)
    with pytest.raises(ValueError, match="an id must name one query"):
        KNNRouter().fit(log, [1, 0, 0, 1])


def test_negative_zero_is_zero():
    zero, negative = np.array([0, 1], np.float32), np.array([-0.0, 1], np.float32)
    log = pd.DataFrame({"model": list("aabb"), "query": [zero, negative] * 2})
    with pytest.raises(ValueError, match="duplicates='raise'"):
        KNNRouter(duplicates="raise").fit(log, [1, 0, 1, 0])
    wide = pd.DataFrame(np.stack(log["query"]), columns=["x0", "x1"])
    with pytest.raises(ValueError, match="duplicates='raise'"):
        KNNRouter(duplicates="raise").fit(wide.assign(model=log.model), [1, 0, 1, 0])


# What is passed in stays as it is


def frozen(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def use(router, log, y, queries):
    """Call everything that reads a table or queries."""
    router.fit(log, y)
    router.predict_proba(log)
    router.score(log, y)
    router.routing_scores(log)
    router.correctness_matrix(log)
    router.rank(queries)
    router.add_models(log, y)
    new = log.assign(model="new") if isinstance(log, pd.DataFrame) else None
    if new is not None:
        router.add_models(new, y).route(queries, unavailable=["new"])
    if isinstance(router, LocusRouter):
        router.embedder_.transform(log)
        Embedder(**SMALL).fit(log, y).transform(log)


@pytest.mark.parametrize("name", ROUTERS)
def test_inputs_are_never_modified(name):
    log, y, queries = LOG.copy(), LOG.score.copy(), QUERIES.copy()
    log["query"] = [cell.copy() for cell in log["query"]]
    before = pickle.dumps((log, y, queries))
    cells_before = list(map(id, log["query"]))
    use(clone(ROUTERS[name]), log, y, queries)
    table = arrow(LOG)
    clone(ROUTERS[name]).fit(table, table["score"]).predict(table)
    assert pickle.dumps((log, y, queries)) == before
    assert list(map(id, log["query"])) == cells_before
    assert table.equals(arrow(LOG))


@pytest.mark.parametrize("name", ROUTERS)
def test_read_only_arrays_and_memory_maps_work(name, tmp_path, fitted):
    stored = mapped(np.stack(LOG["query"]), tmp_path / "vectors.npy")
    log = LOG.assign(query=list(stored))
    y = mapped(LOG.score.to_numpy(), tmp_path / "scores.npy")
    queries = mapped(QUERIES, tmp_path / "queries.npy")
    use(clone(ROUTERS[name]), log, y, queries)
    log = LOG.assign(query=[frozen(v) for v in stored])
    use(clone(ROUTERS[name]), log, frozen(y), frozen(queries))
    assert_array_equal(
        fitted[name].correctness_matrix(queries),
        fitted[name].correctness_matrix(QUERIES),
    )


@pytest.mark.parametrize("name", ROUTERS)
def test_read_only_anonymous_arrays_work(name, tmp_path):
    X = mapped(QUERIES, tmp_path / "X.npy")
    y = frozen(np.arange(len(X)) % 2)
    expected = clone(ROUTERS[name]).fit(QUERIES, y.copy()).predict_proba(QUERIES)
    assert_array_equal(clone(ROUTERS[name]).fit(X, y).predict_proba(X), expected)


# An array is one unnamed model


def test_an_array_is_embedded_as_one_model():
    embedder = Embedder(**SMALL).fit(QUERIES, np.arange(len(QUERIES)) % 2)
    embedding = embedder.transform(QUERIES)
    assert isinstance(embedding, np.ndarray)
    assert embedding.shape == (1, SMALL["n_components"])
    assert_array_equal(embedder.transform(QUERIES[::-1]), embedding)


def test_embedding_an_array_blames_nobody_for_its_scores():
    """The scores of 0.5 are not the caller's: nothing to warn of."""
    embedder = Embedder(**SMALL).fit(QUERIES, np.arange(len(QUERIES)) % 2)
    embedder.transform(QUERIES)


def test_a_missing_truth_value_is_named_like_a_missing_number():
    flags = pd.array([True, False, None, True], dtype="boolean")
    log = pd.DataFrame(
        {"model": ["a", "b"] * 2, "x0": [0.0, 0.0, 1.0, 1.0], "flag": flags}
    )
    message = r"column 'flag', row 2"
    for table in (log, pl.from_pandas(log), pa.Table.from_pandas(log)):
        with pytest.raises(ValueError, match=message):
            KMeansRouter().fit(table, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="NaN"):
        next(QueryKFold(2).split(log))


def test_bare_arrow_arrays_are_texts_even_of_digits_alone():
    texts = ["120", "012", "000"]
    log = pd.DataFrame({"model": ["a", "b"] * 3, "query": texts * 2})
    encoder = CountVectorizer(analyzer="char", vocabulary=list("012"))
    router = LinearRouter(encoder=encoder).fit(log, [1, 0, 0, 1, 1, 1])
    expected = router.correctness_matrix(texts)
    array = pa.array(texts)
    for queries in (array, pa.chunked_array([array]), array.dictionary_encode()):
        assert_array_equal(router.correctness_matrix(queries), expected)
        assert_array_equal(router.query_encoder_.transform(queries).sum(axis=1), 3)


def test_columns_by_name_and_sets_are_no_list_of_queries():
    router = KMeansRouter(encoder=CountVectorizer(), random_state=0)
    log = pd.DataFrame({"model": ["a", "b"] * 2, "query": ["one", "one", "two", "two"]})
    router.fit(log, [1, 0, 0, 1])
    for queries in ({"query": ["one", "two"]}, {"one", "two"}):
        with pytest.raises(TypeError, match="is no list of queries"):
            router.route(queries)


def test_labels_may_be_tuples_in_results_too():
    log = POOL.evaluations
    pairs = [("provider", model) for model in log["model"]]
    plain, paired = (
        LocusRouter(**SMALL).fit(table, log["score"])
        for table in (log, log.assign(model=pairs))
    )
    table = log.assign(model=pairs)
    assert paired.models_.tolist() == [("provider", name) for name in plain.models_]
    first = paired.models_[0]
    near = paired.neighbors(first, 2)
    assert near.index.tolist() == [
        ("provider", name) for name in plain.neighbors(first[1], 2).index
    ]
    for frame in (model_distances(paired), disagreement(table, log["score"])):
        assert frame.index.tolist() == paired.models_.tolist()
        assert frame.index.name == "model"
    route = paired.route(QUERIES, costs=CostModel().fit(table), cost_weight=0.1)
    expected = plain.route(QUERIES, costs=CostModel().fit(log), cost_weight=0.1)
    assert [name for _, name in route] == expected.tolist()
    embeddings = Embedder(**SMALL).fit_transform(table.drop(columns="cost"))
    assert embeddings.index.tolist() == paired.models_.tolist()
