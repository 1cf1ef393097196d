"""Models of a stream are added like those of one table."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyarrow import dataset
from sklearn.base import clone
from small import SMALL
from small_streams import write_files

from skl_locus import KNNRouter, LocusEmbedder, LocusRouter
from skl_locus._data import stored_logs
from skl_locus._routing import embedding_base
from skl_locus.batches import EvaluationLog

ROUTERS = {"locus": LocusRouter(**SMALL), "knn": KNNRouter(3)}


@pytest.fixture
def arriving(log):
    """Six new models and more of a known one, sorted by model."""
    some = log[log["model"].isin([f"m{i}" for i in range(2, 8)])]
    renamed = some.assign(model=some["model"].str.replace("m", "new"))
    more = log[log["model"] == "m1"].iloc[40:]
    frames = more, renamed
    return pd.concat(frames).reset_index(drop=True)


@pytest.fixture
def known(log):
    rows = log[log["model"].isin(["m0", "m1"])]
    return rows.groupby("model").head(60)


@pytest.fixture(params=ROUTERS)
def router(request, known):
    return clone(ROUTERS[request.param]).fit(known, known["score"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of about one model, so that every addition has several."""
    whole, bound = stored_logs.whole_models, 100
    monkeypatch.setattr(
        stored_logs, "whole_models", lambda parts, col: whole(parts, col, bound)
    )


def by_id(log):
    return log[["model", "query_id", "score"]]


def forms(arriving, queries, tmp_path):
    folder = write_files(arriving, tmp_path / "arriving", 150)
    ids = write_files(by_id(arriving), tmp_path / "ids", 150)
    shuffled = arriving.sample(frac=1, random_state=0)
    return {
        "path": folder,
        "dataset": dataset.dataset(folder),
        "generator": (arriving.iloc[i : i + 70] for i in range(0, len(arriving), 70)),
        "list": [arriving.iloc[:200], arriving.iloc[200:]],
        "log": EvaluationLog(folder),
        "queries by id": EvaluationLog(ids, queries),
        "frames by id": EvaluationLog([by_id(arriving)], queries),
        "not sorted": write_files(shuffled, tmp_path / "shuffled", 150),
    }


def same_pools(one, other, vectors):
    assert one.models_.tolist() == other.models_.tolist()
    for name in ("model_codes", "query_codes", "scores", "counts"):
        assert_array_equal(
            getattr(one._pool.evaluations, name), getattr(other._pool.evaluations, name)
        )
    assert_array_equal(
        one.correctness_matrix(vectors), other.correctness_matrix(vectors)
    )


def test_every_form_adds_the_bits_of_one_table(
    router, arriving, queries, vectors, tmp_path, monkeypatch
):
    monkeypatch.setattr(stored_logs, "PASS_BYTES", 20_000)
    expected = deepcopy(router).add_models(arriving, arriving["score"])
    for form, stream in forms(arriving, queries, tmp_path).items():
        added = deepcopy(router).add_models(stream, "score")
        same_pools(added, expected, vectors)
        if hasattr(expected, "embeddings_"):
            assert_array_equal(added.embeddings_, expected.embeddings_, form)


def test_times_and_replacements_are_those_of_one_table(router, arriving, vectors):
    arriving = arriving.assign(day=np.arange(len(arriving)) % 9)
    options = {
        "time_col": "day",
        "max_evaluations_per_model": 30,
        "max_age": 5,
        "replace": True,
    }
    expected = deepcopy(router).add_models(arriving, arriving["score"], **options)
    halves = iter([arriving.iloc[:200], arriving.iloc[200:]])
    added = deepcopy(router).add_models(halves, None, **options)
    same_pools(added, expected, vectors)
    assert_array_equal(added._pool.evaluations.times, expected._pool.evaluations.times)


@pytest.mark.parametrize("geometry", ["scores", "network"])
def test_new_models_are_embedded_by_all_their_evaluations(
    geometry, known, arriving, tmp_path
):
    router = LocusRouter(**SMALL, geometry=geometry).fit(known, known["score"])
    whole = deepcopy(router).add_models(arriving, arriving["score"])
    folder = write_files(arriving, tmp_path / "arriving", 150)
    bounded = EvaluationLog(folder, max_evaluations_per_model=25, random_state=3)
    router.add_models(bounded, None)
    assert (router._pool.evaluations.sizes[2:] == 25).all()
    assert_allclose(router.embeddings_[2:], whole.embeddings_[2:], atol=1e-5)
    # The known model is embedded by what is kept of it.
    assert np.abs(router.embeddings_[1] - whole.embeddings_[1]).max() > 1e-4


def test_what_is_kept_is_free_of_order_and_seeded(router, arriving, tmp_path):
    def pairs(rows, seed, name):
        folder = write_files(rows, tmp_path / name, 150)
        log = EvaluationLog(folder, max_evaluations_per_model=25, random_state=seed)
        known = deepcopy(router).add_models(log, None)._pool.evaluations
        keys = known.queries.keys[known.query_codes]
        return list(zip(known.model_codes, keys, strict=True))

    first = pairs(arriving, 0, "sorted")
    assert pairs(arriving.sample(frac=1, random_state=1), 0, "shuffled") == first
    assert pairs(arriving, 1, "other seed") != first


def test_an_embedder_transforms_a_stream(log, queries, tmp_path):
    embedder = LocusEmbedder(**SMALL).fit(log)
    expected = embedder.transform(log)
    for stream in forms(log, queries, tmp_path).values():
        found = embedder.transform(stream)
        assert found.index.equals(expected.index)
        assert_allclose(found, expected, atol=1e-5)


def test_bad_streams_leave_the_router_as_it_was(router, arriving, vectors, tmp_path):
    before = router.correctness_matrix(vectors)
    bad = arriving.assign(score=np.where(arriving.index < 300, 1.0, 7.0))
    folder = write_files(bad, tmp_path / "bad", 150)
    twice = (arriving.iloc[i : i + 200] for i in (0, 300, 0))
    empty = (arriving.iloc[:0] for _ in range(2))
    cases = [
        (folder, "score", ValueError, r"Part .*2\.parquet"),
        (twice, "score", ValueError, "Part number 2: the model 'm1' comes again"),
        (tmp_path / "none", None, OSError, "no file or folder"),
        (empty, "score", ValueError, "log is empty"),
        ([arriving], arriving["score"], TypeError, "pass its name as y"),
        (iter([1, 2]), "score", TypeError, "is a int"),
    ]
    for stream, y, error, message in cases:
        with pytest.raises(error, match=message):
            router.add_models(stream, y)
    assert len(router.models_) == 2
    assert_array_equal(router.correctness_matrix(vectors), before)


def test_fits_take_no_iterable(log):
    with pytest.raises(TypeError, match="fit reads a log several times"):
        LocusRouter(**SMALL).fit(EvaluationLog([log]), None)


def test_many_models_are_embedded_in_blocks(known, arriving, monkeypatch):
    router = LocusRouter(**SMALL).fit(known, known["score"])
    whole = deepcopy(router).add_models(arriving, arriving["score"])
    sizes, embed = [], LocusRouter._embed_by_network

    def counting(self, evaluations):
        sizes.append(len(evaluations))
        return embed(self, evaluations)

    monkeypatch.setattr(LocusRouter, "_embed_by_network", counting)
    monkeypatch.setattr(embedding_base, "EMBEDDED_ROWS", 170)
    blocks = router.add_models(arriving, arriving["score"])
    assert len(sizes) == 4
    assert max(sizes) <= 170
    assert_allclose(blocks.embeddings_, whole.embeddings_, atol=1e-5)
    # A model with more evaluations than a block is embedded as a whole.
    evaluations = whole._pool.evaluations
    parts = list(evaluations.blocks_of_models(1))
    assert [part.model_names.tolist() for part in parts] == [
        [name] for name in evaluations.model_names
    ]
    assert sum(map(len, parts)) == len(evaluations)
