"""Fits on logs of the disk: bounded samples for training, embeddings from all rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyarrow import dataset
from small import SMALL
from small_streams import write_files

from skl_locus import LocusEmbedder, LocusRouter
from skl_locus._data import stored_logs
from skl_locus._data.log_samples import BoundedSample
from skl_locus._data.schema import Columns
from skl_locus.batches import EvaluationLog


def test_a_log_within_the_bound_is_fitted_like_a_table(router, log, folder, vectors):
    for source in (folder, str(folder), dataset.dataset(folder)):
        stored = LocusRouter(**SMALL).fit(source, "score")
        assert_array_equal(stored.embeddings_, router.embeddings_)
        assert_array_equal(
            stored.correctness_matrix(vectors), router.correctness_matrix(vectors)
        )


def test_an_embedder_is_fitted_like_on_a_table(embedder, log, folder):
    stored = LocusEmbedder(**SMALL).fit(folder)
    assert_array_equal(stored.transform(log), embedder.transform(log))


def test_queries_by_id_give_the_same_fit(router, log, queries, vectors, tmp_path):
    by_id = log[["model", "query_id", "score"]]
    folder = write_files(by_id, tmp_path / "log", 250)
    stored = LocusRouter(**SMALL).fit(EvaluationLog(folder, queries), None)
    assert_array_equal(
        stored.correctness_matrix(vectors), router.correctness_matrix(vectors)
    )


def sample_of(source, limit=20, seed=0):
    stored = EvaluationLog(source, max_evaluations_per_model=limit, random_state=seed)
    sample = stored.sample(Columns())
    table = sample.table.to_pandas()
    return set(zip(table["model"], table["query_id"], strict=True)), sample


def test_a_sample_is_bounded_seeded_and_free_of_order(log, folder, tmp_path):
    pairs, sample = sample_of(folder)
    counts = pd.Series([model for model, _ in pairs]).value_counts()
    assert (counts == 20).all()
    assert not sample.complete
    assert len(sample.scores) == 160
    shuffled = write_files(
        log.sample(frac=1, random_state=0), tmp_path / "shuffled", 100
    )
    assert sample_of(shuffled)[0] == pairs
    assert sample_of(folder, seed=1)[0] != pairs
    # Models do not share one set of queries.
    chosen = {m: {q for other, q in pairs if other == m} for m in counts.index}
    assert len(set.union(*chosen.values())) > 60


def test_rows_of_one_pair_stay_together(log, tmp_path):
    twice = pd.concat([log, log.assign(score=1 - log["score"])])
    path = write_files(twice, tmp_path / "twice", 100)
    pairs, sample = sample_of(path)
    assert len(sample.scores) == 2 * len(pairs) == 320
    assert sample.scores.mean() == 0.5


def test_a_sample_is_drawn_evenly(monkeypatch):
    monkeypatch.setattr("skl_locus._data.log_samples.MIN_PENDING", 50)
    counts = np.zeros(200)
    for seed in range(300):
        sample = BoundedSample(20, seed)
        for start in range(0, 200, 40):
            rows = np.arange(start, start + 40)
            sample.add(
                ["a"], np.zeros(40, int), rows.astype(np.uint64), pa.table({"i": rows})
            )
        kept = sample.rows()["i"].to_numpy()
        assert len(kept) == 20
        counts[kept] += 1
    # Binomial with a mean of 30 and a standard deviation of 5.2.
    assert abs(counts.mean() - 30) < 1e-9
    assert counts.min() > 30 - 5 * 5.2
    assert counts.max() < 30 + 5 * 5.2
    assert 4.2 < counts.std() < 6.2


@pytest.mark.parametrize("geometry", ["scores", "network"])
def test_embeddings_are_made_from_all_evaluations(geometry, log, folder):
    bounded = EvaluationLog(folder, max_evaluations_per_model=40)
    router = LocusRouter(**SMALL, geometry=geometry).fit(bounded, "score")
    expected = router.embedder_.transform(log)
    assert router.models_.tolist() == expected.index.tolist()
    assert_allclose(router.embeddings_, expected, atol=1e-5)
    sample = sample_of(folder, 40)[1]
    few = LocusRouter(**SMALL, geometry=geometry)
    few.fit(sample.table, sample.scores)
    assert np.abs(few.embeddings_ - router.embeddings_).max() > 1e-3
    assert len(router._pool.evaluations) == len(sample.scores)


def test_a_log_that_is_not_sorted_is_read_in_passes(log, folder, tmp_path, monkeypatch):
    shuffled = write_files(
        log.sample(frac=1, random_state=0), tmp_path / "shuffled", 100
    )
    monkeypatch.setattr(stored_logs, "PASS_BYTES", 20_000)
    logs = [EvaluationLog(p, max_evaluations_per_model=40) for p in (folder, shuffled)]
    routers = [LocusRouter(**SMALL).fit(stored, "score") for stored in logs]
    assert_allclose(routers[0].embeddings_, routers[1].embeddings_, atol=1e-5)
    sample = sample_of(shuffled, 40)[1]
    assert sample.n_bytes > 2 * stored_logs.PASS_BYTES
    assert not sample.grouped


def test_a_failed_fit_leaves_the_router_as_it_was(log, folder, vectors):
    router = LocusRouter(**SMALL).fit(log, log["score"])
    before = router.correctness_matrix(vectors)
    (folder / "2.parquet").write_bytes(b"no parquet")
    with pytest.raises(OSError, match=r"2\.parquet"):
        router.fit(folder, "score")
    assert_array_equal(router.correctness_matrix(vectors), before)


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda f: LocusRouter().fit(f, [1, 0]), TypeError, "pass its name as y"),
        (lambda f: LocusRouter().fit(f, "points"), ValueError, "'points' is missing"),
        (lambda f: LocusRouter().fit(f / "no", None), OSError, "no file or folder"),
        (lambda f: EvaluationLog(pd.DataFrame()), TypeError, "passed to fit as it is"),
        (
            lambda f: EvaluationLog(f, max_evaluations_per_model=0),
            ValueError,
            "max_evaluations_per_model",
        ),
    ],
)
def test_bad_arguments(folder, fit, error, message):
    with pytest.raises(error, match=message):
        fit(folder)


def test_scores_out_of_range_name_the_file(log, tmp_path):
    path = write_files(log.assign(score=5.0), tmp_path / "log", 250)
    with pytest.raises(ValueError, match=r"Part .*0\.parquet: "):
        LocusRouter(**SMALL).fit(path, None)
