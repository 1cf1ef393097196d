"""Models of a stream are embedded like those of one table."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skl_locus.batches import EvaluationLog, embed_batches, write_parts


def table_of(results):
    table = pa.Table.from_batches(list(results)).to_pandas()
    return table["model"].tolist(), np.stack(table["embedding"]), table


def test_embeddings_are_those_of_transform(embedder, log, folder):
    expected = embedder.transform(log)
    for source in (folder, log, [log.iloc[:300], log.iloc[300:]]):
        for size in (1, 100, 10_000):
            batches = embed_batches(embedder, source, block_size=size)
            models, embeddings, table = table_of(batches)
            assert models == expected.index.tolist()
            assert_allclose(embeddings, expected, atol=1e-5)
            assert_array_equal(table["n_evaluations"], log.groupby("model").size())


def test_a_router_embeds_by_its_geometry(router, log):
    models, embeddings, table = table_of(embed_batches(router, log, block_size=100))
    assert models == router.models_.tolist()
    assert_allclose(embeddings, router.embeddings_, atol=1e-5)
    assert_allclose(table["specific_variance"], router.specific_variances_, atol=1e-5)


def test_a_model_continues_in_the_next_batches(embedder, log):
    frames = (log.iloc[i : i + 7] for i in range(0, len(log), 7))
    batches = list(embed_batches(embedder, frames, block_size=50))
    assert len(batches) > 3
    assert_allclose(table_of(batches)[1], embedder.transform(log), atol=1e-5)


def test_queries_by_id_are_read_once(embedder, log, queries, tmp_path, monkeypatch):
    by_id = log[["model", "query_id", "score"]]
    by_id.to_parquet(tmp_path / "log.parquet")
    expected = embedder.transform(log)
    for source in (tmp_path / "log.parquet", by_id):
        batches = embed_batches(embedder, source, queries=queries, block_size=100)
        assert_allclose(table_of(batches)[1], expected, atol=1e-5)
    stored = EvaluationLog(tmp_path / "log.parquet", queries)
    assert_allclose(table_of(embed_batches(embedder, stored))[1], expected, atol=1e-5)
    unknown = by_id.assign(query_id="q0000")
    with pytest.raises(ValueError, match="Part number 0: queries has no id 'q0000'"):
        list(embed_batches(embedder, unknown, queries=queries))
    twice = pa.concat_tables([queries, queries.slice(0, 1)])
    with pytest.raises(ValueError, match="the id 'q000' twice"):
        list(embed_batches(embedder, by_id, queries=twice))
    with pytest.raises(ValueError, match="queries has no column 'query'"):
        list(embed_batches(embedder, by_id, queries=queries.select(["query_id"])))


def test_a_log_that_is_not_sorted_names_model_and_part(embedder, log):
    frames = [log.iloc[:300], log.iloc[:10]]
    with pytest.raises(ValueError, match="Part number 1: the model 'm0' comes again"):
        list(embed_batches(embedder, frames, block_size=1))


def test_scores_that_cannot_be_used_name_the_part(embedder, log):
    frames = [log.iloc[:300], log.iloc[300:].assign(score=7.0)]
    with pytest.raises(ValueError, match="Part number 0 to number 1: "):
        list(embed_batches(embedder, frames, block_size=10_000))


def test_parts_of_embeddings_are_continued(embedder, folder, tmp_path):
    def run():
        batches = embed_batches(embedder, folder, block_size=100)
        return write_parts(batches, tmp_path / "out", batches_per_part=1)

    paths = run()
    before = [path.read_bytes() for path in paths]
    assert len(paths) > 3
    paths[1].unlink()
    paths[-1].unlink()
    assert run() == paths
    assert [path.read_bytes() for path in paths] == before
