"""What must not matter does not matter: order, batches, repetitions, labels."""

import copy
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, make_log, shuffled
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from small import SMALL, small_routers

import skl_locus._routing
import skl_locus._torch.inference
from skl_locus import (
    BestSingleRouter,
    KNNRouter,
    LocusEmbedder,
    LocusRouter,
)

# Tiny tables are often of one score, which warns and is not the matter here.

FITS = settings(EXAMPLES, max_examples=10)
SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=6)
ORDER_FREE = ("mean", "max", "raise")

ROUTERS = small_routers()


@pytest.fixture(scope="module")
def router():
    log = make_log(0)
    return LocusRouter(**SMALL).fit(log, log.score)


@pytest.fixture(scope="module")
def embedder(router):
    return router.embedder_


# Order of rows


@pytest.mark.parametrize("duplicates", ORDER_FREE)
@EXAMPLES
@given(seed=SEEDS, sizes=SIZES)
def test_shuffling_changes_no_bit_of_transform(embedder, duplicates, seed, sizes):
    repeats = 0 if duplicates == "raise" else 15
    embedder = copy.deepcopy(embedder).set_params(duplicates=duplicates)
    log = make_log(seed, sizes, repeats=repeats)
    expected = embedder.transform(log)
    actual = embedder.transform(shuffled(log, seed))
    pd.testing.assert_frame_equal(actual, expected, check_exact=True)


@pytest.mark.parametrize("name", ROUTERS)
@FITS
@given(seed=SEEDS, duplicates=st.sampled_from(ORDER_FREE))
def test_shuffling_changes_no_bit_of_a_router_fit(name, seed, duplicates):
    log = make_log(seed, repeats=0 if duplicates == "raise" else 9)
    mixed = shuffled(log, seed)
    first = clone(ROUTERS[name]).set_params(duplicates=duplicates)
    second = clone(first).fit(mixed, mixed.score)
    first.fit(log, log.score)
    queries = np.stack(log["query"].tolist())
    assert_array_equal(
        second.correctness_matrix(queries), first.correctness_matrix(queries)
    )
    assert_array_equal(second.predict_proba(log), first.predict_proba(log))


@pytest.mark.parametrize("name", ["embedllm", "irt", "locus"])
@FITS
@given(seed=SEEDS)
def test_shuffling_changes_no_bit_of_what_is_trained(name, seed):
    log = make_log(seed, repeats=9)
    mixed = shuffled(log, seed)
    first = clone(ROUTERS[name]).fit(log, log.score)
    second = clone(ROUTERS[name]).fit(mixed, mixed.score)
    assert second.loss_curve_ == first.loss_curve_
    assert second.validation_scores_ == first.validation_scores_
    assert_array_equal(second.embeddings_, first.embeddings_)


@FITS
@given(seed=SEEDS)
def test_shuffling_changes_no_bit_of_an_embedder_fit(seed):
    log = make_log(seed, repeats=9)
    first = LocusEmbedder(**SMALL).fit(log)
    second = LocusEmbedder(**SMALL).fit(shuffled(log, seed))
    assert second.loss_curve_ == first.loss_curve_
    assert_array_equal(second.transform(log), first.transform(log))


@pytest.mark.parametrize("n_features", [3, 33, 384])
def test_shuffling_changes_no_bit_whatever_the_width(n_features):
    log = make_log(1, (90, 50, 70), n_queries=101, n_features=n_features)
    router = LocusRouter(**SMALL).fit(log, log.score)
    again = router.embedder_.transform(shuffled(log, 1))
    assert_array_equal(again.to_numpy(), router.embeddings_)


def test_shuffling_changes_no_bit_with_text():
    words = np.random.default_rng(0).choice(list("abcdefgh"), (40, 3))
    texts = [" ".join(f"word{letter}" for letter in row) for row in words]
    log = make_log(2, (40, 30), n_queries=40).drop(columns="query_id")
    log["query"] = np.random.default_rng(1).choice(texts, len(log))
    encoder = make_pipeline(
        TfidfVectorizer(), TruncatedSVD(4, algorithm="arpack", random_state=0)
    )
    mixed = shuffled(log, 3)
    first = LocusRouter(**SMALL, encoder=encoder).fit(log, log.score)
    second = LocusRouter(**SMALL, encoder=encoder).fit(mixed, mixed.score)
    assert_array_equal(second.embeddings_, first.embeddings_)
    assert_array_equal(
        second.correctness_matrix(texts), first.correctness_matrix(texts)
    )


# Padding, batches and chunks


@EXAMPLES
@given(seed=SEEDS, sizes=SIZES)
def test_a_model_alone_is_embedded_as_in_company(embedder, seed, sizes):
    log = make_log(seed, sizes)
    together = embedder.transform(log)
    for name, rows in log.groupby("model"):
        alone = embedder.transform(rows)
        assert alone.index.tolist() == [name]
        assert_allclose(alone.loc[name], together.loc[name], atol=1e-5)


@EXAMPLES
@given(seed=SEEDS, sizes=SIZES, tokens=st.integers(1, 70))
def test_chunk_size_changes_no_embedding(embedder, seed, sizes, tokens):
    log = make_log(seed, sizes)
    expected = embedder.transform(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skl_locus._torch.inference, "CHUNK_TOKENS", tokens)
        assert_allclose(embedder.transform(log), expected, atol=1e-5)


@EXAMPLES
@given(seed=SEEDS, entries=st.integers(1, 40), n_asked=st.integers(1, 12))
def test_chunks_and_subsets_change_no_probability(router, seed, entries, n_asked):
    log = make_log(seed)
    expected = router.predict_proba(log)[:, 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skl_locus._routing.decisions, "CHUNK_SCORES", entries)
        assert_allclose(router.predict_proba(log)[:, 1], expected, atol=1e-5)
    some = shuffled(log, seed)[:n_asked]
    matrix = router.correctness_matrix(some)
    columns = np.searchsorted(router.models_.tolist(), some.model)
    assert_allclose(
        matrix[np.arange(len(some)), columns],
        expected[some.index],
        atol=1e-5,
    )


# Adding models


@EXAMPLES
@given(seed=SEEDS, sizes=SIZES)
def test_adding_models_changes_no_other_embedding_by_a_bit(router, seed, sizes):
    before = router.embeddings_.copy()
    router = copy.deepcopy(router)
    new = make_log(seed, sizes, n_queries=40)
    new["query_id"] += 1000
    router.add_models(new.assign(model="new-" + new.model), new.score)
    router.add_models(new.assign(model="m1"), new.score)  # refines
    assert_array_equal(router.embeddings_[[0, 2, 3]], before[[0, 2, 3]])
    assert not np.array_equal(router.embeddings_[1], before[1])
    router.remove_models(["m1", "new-m0"])
    assert_array_equal(router.embeddings_[:3], before[[0, 2, 3]])


# Repeated rows

GRID = np.eye(4, dtype=np.float32)
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 10)), max_size=25
)
COMBINE = {
    "mean": np.mean,
    "max": max,
    "last": lambda scores: scores[-1],
    "first": lambda scores: scores[0],
}


def table_of(rows):
    models, queries, scores = np.array(rows, dtype=int).reshape(-1, 3).T
    log = pd.DataFrame({"model": models, "query": list(GRID[queries])})
    return log.assign(score=scores / 10)


def expected_scores(rows, duplicates):
    scores = defaultdict(list)
    for model, query, score in rows:
        scores[model, query].append(score / 10)
    return {pair: COMBINE[duplicates](values) for pair, values in scores.items()}


def assert_remembers(router, expected):
    """One neighbour at cosine distance zero: P is the stored score."""
    matrix = router.correctness_matrix(GRID)
    labels = router.models_.tolist()
    for (model, query), score in expected.items():
        assert matrix[query, labels.index(model)] == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("duplicates", COMBINE)
@EXAMPLES
@given(rows=ROWS, cuts=st.tuples(st.integers(0, 25), st.integers(0, 25)))
def test_repeated_rows_are_combined_across_calls(duplicates, rows, cuts):
    start, stop = sorted(cuts)
    base = [(0, 0, 3), (1, 0, 8)]  # a router needs two models
    router = KNNRouter(1, duplicates=duplicates)
    log = table_of(base + rows[:start])
    router.fit(log, log.score)
    for part in (rows[start:stop], rows[stop:]):
        if part:
            router.add_models(table_of(part), table_of(part).score)
    assert_remembers(router, expected_scores(base + rows, duplicates))


def test_adding_to_a_log_of_one_query_changes_no_other_model_by_a_bit():
    log = table_of([(0, 0, 10), (1, 0, 0), (2, 0, 5)])
    router = LocusRouter(**SMALL).fit(log, log.score)
    known = router.models_
    before = router.correctness_matrix(GRID)
    more = table_of([(3, 1, 10), (3, 2, 0)])
    router.add_models(more, more.score)
    assert_array_equal(router.correctness_matrix(GRID, known), before)
    router.remove_models(router.models_[3:])
    assert_array_equal(router.correctness_matrix(GRID), before)


def test_the_mean_of_three_is_not_a_mean_of_means():
    log = table_of([(0, 0, 10), (0, 0, 10), (1, 0, 0), (1, 1, 10)])
    more = table_of([(0, 0, 0), (0, 1, 6)])
    router = KNNRouter(1).fit(log, log.score).add_models(more, more.score)
    assert_remembers(router, {(0, 0): 2 / 3})
    router.add_models(more, more.score)
    assert_remembers(router, {(0, 0): 2 / 4})
    router.add_models(more, more.score, replace=True)
    assert_remembers(router, {(0, 0): 0, (0, 1): 0.6})


def test_a_repeated_pair_counts_once_in_the_mean():
    log = table_of([(0, 0, 10), (0, 0, 10), (0, 1, 0), (1, 0, 0), (1, 1, 10)])
    means = BestSingleRouter().fit(log, log.score).correctness_matrix(GRID[:1])
    assert_allclose(means, 0.5)


@pytest.mark.parametrize("duplicates", COMBINE)
@EXAMPLES
@given(seed=SEEDS)
def test_an_embedding_is_that_of_the_combined_rows(embedder, duplicates, seed):
    log = make_log(seed, repeats=20)
    embedder = copy.deepcopy(embedder).set_params(duplicates=duplicates)
    groups = log.groupby(["model", "query_id"], as_index=False)
    combined = groups.agg({"query": "first", "score": duplicates})
    assert_allclose(embedder.transform(log), embedder.transform(combined), atol=1e-5)


def test_raise_names_model_and_rows():
    log = table_of([(0, 0, 10), (1, 0, 0), (0, 1, 0), (0, 0, 10)])
    with pytest.raises(ValueError, match=r"(?s)0.*rows 0 and 3"):
        KNNRouter(duplicates="raise").fit(log, log.score)
    router = KNNRouter(1, duplicates="raise").fit(log[:3], log.score[:3])
    with pytest.raises(ValueError, match="duplicates='raise'"):
        router.add_models(log[2:], log.score[2:])
    assert_remembers(router, {(0, 0): 1, (0, 1): 0, (1, 0): 0})
    router.add_models(log[2:], log.score[2:], replace=True)


# Labels


@EXAMPLES
@given(seed=SEEDS, order=st.permutations(range(4)))
def test_relabelling_permutes_transform(embedder, seed, order):
    log = make_log(seed)
    names = {f"m{i}": f"renamed-{place}" for i, place in enumerate(order)}
    renamed = embedder.transform(log.assign(model=log.model.map(names)))
    expected = embedder.transform(log).rename(index=names).sort_index()
    assert_allclose(renamed, expected, atol=1e-5)
    assert renamed.index.tolist() == sorted(names.values())


# Threads


def test_threads_that_share_a_block_change_no_result(router, monkeypatch):
    queries = np.random.default_rng(5).normal(size=(60, 16)).astype(np.float32)
    expected = router.correctness_matrix(queries)
    best, probabilities = router.rank(queries)
    monkeypatch.setattr("skl_locus._utils.blas_threads.MIN_NUMBERS", 8)
    monkeypatch.setattr("skl_locus._utils.blas_threads._n_threads", lambda blas: 3)
    assert_allclose(router.correctness_matrix(queries), expected, atol=1e-6)
    ranked = router.rank(queries)
    assert_array_equal(ranked.labels, best)
    assert_allclose(ranked.probabilities, probabilities, atol=1e-6)
