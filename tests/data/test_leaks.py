"""Scores and times beside encodings in columns: never a part of the query."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from small import SMALL, small_routers

from skl_locus import LinearRouter, LocusEmbedder, LocusRouter
from skl_locus.inspection import disagreement
from skl_locus.model_selection import QueryKFold, QueryShuffleSplit

N_MODELS, N_QUERIES = 4, 50

LIBRARIES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
}

SPLITTERS = {
    "folds": lambda **names: QueryKFold(5, **names),
    "shuffled": lambda **names: QueryShuffleSplit(3, random_state=0, **names),
}


def coin_flips(seed=0, **columns):
    """Log of encodings in columns, with scores that nothing foretells."""
    rng = np.random.default_rng(seed)
    encodings = rng.normal(size=(N_QUERIES, 3)).astype(np.float32)
    log = pd.DataFrame(np.tile(encodings, (N_MODELS, 1)), columns=["x0", "x1", "x2"])
    log.insert(0, "model", np.repeat([f"m{i}" for i in range(N_MODELS)], N_QUERIES))
    log["points"] = rng.integers(0, 2, len(log))
    return log.assign(**columns)


def times(log):
    return log.assign(timestamp=np.arange(len(log), dtype=float))


def torn_queries(log, splitter, *split_by):
    """Return the largest number of queries on both sides of a split."""
    queries = log["x0"].to_numpy()
    return max(
        len(set(queries[train]) & set(queries[test]))
        for train, test in splitter.split(log, *split_by)
    )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", small_routers())
def test_a_router_refuses_scores_among_the_encodings(name, library):
    log = coin_flips()
    table = LIBRARIES[library](log)
    with pytest.raises(ValueError, match=r"column 'points' equals .* encoding_cols="):
        small_routers()[name].fit(table, log["points"])


@pytest.mark.parametrize("kind", [bool, int, float, np.float32])
def test_scores_are_found_whatever_their_type(kind):
    log = coin_flips()
    y = log["points"].astype(kind).tolist()
    with pytest.raises(ValueError, match="column 'points' equals"):
        LinearRouter().fit(log.astype({"points": kind}), y)


@pytest.mark.parametrize(
    "scale",
    [
        lambda y: 100 * y,
        lambda y: 1 - y,
        lambda y: 10 * (y - 0.5),
        lambda y: (y - y.mean()) / y.std(),
    ],
    ids=["percent", "errors", "centred", "standardised"],
)
@pytest.mark.parametrize("graded", [False, True])
def test_scores_are_found_on_another_scale(scale, graded):
    log = coin_flips()
    if graded:
        log["points"] = np.random.default_rng(1).uniform(size=len(log))
    y, X = log["points"], log.assign(points=scale(log["points"]))
    for learn in (LinearRouter().fit, lambda X, y: next(QueryKFold().split(X, y))):
        with pytest.raises(ValueError, match="'points' is, on another scale, the scor"):
            learn(X, y)
    # What only goes with the scores is not refused, nor is a line by chance.
    noise = np.random.default_rng(2).normal(scale=0.01, size=len(log))
    assert LinearRouter().fit(X.assign(points=y + noise), y).n_features_in_ == 4
    few = pd.DataFrame({"model": ["a", "b"] * 2, "x0": [3.0, 3, 7, 7]})
    assert LinearRouter().fit(few, [0, 0, 1, 1]).n_features_in_ == 1


def test_an_embedder_refuses_scores_among_the_encodings():
    log = coin_flips()
    with pytest.raises(ValueError, match="column 'points' equals"):
        LocusEmbedder(**SMALL).fit(log, log["points"])
    twice = log.assign(score=log["points"])
    with pytest.raises(ValueError, match="column 'points' equals"):
        LocusEmbedder(**SMALL).fit(twice)


def test_a_refusal_leaves_a_fitted_router_as_it_was():
    log = coin_flips()
    bare = log.drop(columns="points")
    router = LinearRouter().fit(bare, log["points"])
    expected = router.predict_proba(bare)
    with pytest.raises(ValueError, match="'points'"):
        router.fit(log, log["points"])
    np.testing.assert_array_equal(router.predict_proba(bare), expected)


@pytest.mark.parametrize(
    "router",
    [
        LocusRouter(score_col="points", **SMALL),
        LinearRouter(encoding_cols=["x0", "x1", "x2"]),
    ],
    ids=["score_col", "encoding_cols"],
)
def test_named_columns_are_read_without_scores(router):
    log = coin_flips()
    router.fit(log, log["points"])
    assert router.feature_names_in_.tolist() == ["x0", "x1", "x2"]


def test_scores_called_score_are_no_encoding():
    log = coin_flips().rename(columns={"points": "score"})
    assert LinearRouter().fit(log, log["score"]).n_features_in_ == 3


def test_arrays_queries_and_unnamed_tables_may_repeat_the_target():
    log = coin_flips()
    X, y = log[["x0", "points"]], log["points"]
    assert LinearRouter().fit(X.to_numpy(), y).n_features_in_ == 2
    assert LinearRouter().fit(X, y).n_features_in_ == 2
    cells = log.assign(query=list(log[["x0", "x1"]].to_numpy()))
    assert LinearRouter().fit(cells, y).n_features_in_ == 2


def test_whoever_names_the_column_gets_it():
    log = coin_flips()
    router = LinearRouter(encoding_cols=["x0", "points"]).fit(log, log["points"])
    assert router.n_features_in_ == 2


@pytest.mark.filterwarnings("ignore:All 200 scores are equal")
def test_a_constant_encoding_beside_constant_scores_is_no_leak():
    log = coin_flips(points=0)
    assert LinearRouter().fit(log, log["points"]).n_features_in_ == 4


@pytest.mark.parametrize("make", SPLITTERS.values(), ids=SPLITTERS)
def test_splitters_refuse_scores_among_the_encodings(make):
    log = coin_flips()
    with pytest.raises(ValueError, match="column 'points' equals"):
        next(make().split(log, log["points"]))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("make", SPLITTERS.values(), ids=SPLITTERS)
def test_splitters_tear_no_query_apart(make, library):
    log = coin_flips()
    table, y = LIBRARIES[library](log), log["points"]
    assert torn_queries(log, make(score_col="points")) == 0
    assert torn_queries(log, make(encoding_cols=["x0", "x1"]), y) == 0
    plain = [rows.tolist() for _, rows in make().split(log.drop(columns="points"))]
    named = [rows.tolist() for _, rows in make(score_col="points").split(table, y)]
    assert named == plain


@pytest.mark.parametrize("make", SPLITTERS.values(), ids=SPLITTERS)
def test_splitters_refuse_times_that_make_every_row_a_query(make):
    log = times(coin_flips().drop(columns="points"))
    with pytest.raises(ValueError, match=r"'timestamp'; without .* 50 queries"):
        next(make().split(log))
    assert torn_queries(log, make(encoding_cols=["x0", "x1", "x2"])) == 0


@pytest.mark.parametrize("make", SPLITTERS.values(), ids=SPLITTERS)
@pytest.mark.parametrize(
    "columns",
    [
        {"second": np.arange(N_MODELS * N_QUERIES) // 1.01 // 1},
        {"epoch": 1.7e9 + 10 * np.arange(N_MODELS * N_QUERIES)},
        {"billions": np.repeat([7, 13, 70, 400], N_QUERIES)},
        {
            "billions": np.repeat([7, 13, 70, 400], N_QUERIES),
            "context": np.repeat([8, 8, 32, 128], N_QUERIES),
            "epoch": 1.7e9 + 10 * np.arange(N_MODELS * N_QUERIES),
        },
    ],
    ids=["seconds", "few-in-float32", "of-the-model", "all"],
)
def test_splitters_refuse_what_describes_rows_or_models(make, columns):
    log = coin_flips(bias=1, **columns).drop(columns="points")
    log = log.sample(frac=1, random_state=0)
    name = next(iter(columns))
    count = len(columns)
    with pytest.raises(ValueError, match=rf"'{name}'; without .* \({count}\) .* 50 q"):
        next(make().split(log))
    assert torn_queries(log, make(encoding_cols=["x0", "x1", "x2"])) == 0


@pytest.mark.parametrize("make", SPLITTERS.values(), ids=SPLITTERS)
def test_splitters_know_models_by_another_name(make):
    log = coin_flips().rename(columns={"model": "llm"})
    with pytest.raises(ValueError, match="column 'points' equals"):
        next(make().split(log, log["points"]))
    numbers = log.drop(columns="points").assign(llm=np.repeat([0, 1, 2, 3], N_QUERIES))
    assert torn_queries(numbers, make(model_col="llm")) == 0
    with pytest.raises(ValueError, match=r"'timestamp'; without .* 50 queries"):
        next(make(model_col="llm").split(times(numbers)))


def test_sparse_logs_of_whole_numbers_are_split():
    rng = np.random.default_rng(0)
    log = pd.DataFrame(rng.integers(-9, 10, size=(200, 5))).add_prefix("x")
    log["model"] = np.arange(200) % N_MODELS
    assert len(next(QueryKFold(5).split(log))[1]) == 40


def test_several_columns_may_make_every_row_a_query():
    rng = np.random.default_rng(0)
    log = times(coin_flips(points=rng.uniform(size=N_MODELS * N_QUERIES)))
    with pytest.raises(ValueError, match=r"'points'; without .* \(2\)"):
        next(QueryKFold().split(log))


def test_tables_of_one_row_per_query_are_split_by_row():
    log = times(coin_flips()).sample(frac=1, random_state=0)
    alone = log.drop_duplicates(["x0"]).drop(columns="points")
    assert len(next(QueryKFold(5).split(alone))[1]) == N_QUERIES / 5


def test_disagreement_refuses_scores_among_the_encodings():
    log = coin_flips()
    with pytest.raises(ValueError, match="column 'points' equals"):
        disagreement(log, log["points"])
