"""Texts of a stream become vectors beside their ids."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skl_locus import KMeansRouter, QueryEncoder
from skl_locus.batches import encode_batches, route_batches

TEXTS = [f"question {i % 30} of {'maths' if i % 2 else 'law'}" for i in range(50)]


@pytest.fixture(scope="module")
def encoder():
    model = make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0))
    return QueryEncoder(model).fit(TEXTS)


def table_of(results):
    return pa.Table.from_batches(list(results)).to_pandas()


def test_vectors_are_beside_ids(encoder):
    table = pd.DataFrame({"query_id": range(50), "query": TEXTS})
    found = table_of(encode_batches(encoder, table, batch_size=20))
    assert found["query_id"].tolist() == list(range(50))
    assert_allclose(np.stack(found["query"]), encoder.transform(TEXTS), atol=1e-6)


def test_texts_without_ids_are_their_own(encoder):
    table = pa.table({"query": TEXTS})
    assert table_of(encode_batches(encoder, table))["query_id"].tolist() == TEXTS
    kept = table_of(encode_batches(encoder, table, keep=[]))
    assert kept.columns.tolist() == ["query"]


def test_routers_read_the_vectors_in_the_place_of_texts(encoder):
    log = pd.DataFrame({"query": TEXTS * 2, "model": ["a"] * 50 + ["b"] * 50})
    y = np.arange(100) // 50 == np.tile(np.arange(50) % 2, 2)
    router = KMeansRouter(2, encoder=encoder, random_state=0).fit(log, y.astype(int))
    encoded = encode_batches(router, pa.table({"query": TEXTS}), batch_size=20)
    found = table_of(route_batches(router, encoded))
    assert found["model"].tolist() == router.route(TEXTS).tolist()


def test_a_router_without_an_encoder_has_none_to_lend(router):
    with pytest.raises(ValueError, match="has no encoder"):
        encode_batches(router, [])


def test_texts_that_are_missing_name_the_part(encoder):
    frames = [pd.DataFrame({"query": ["a"]}), pd.DataFrame({"query": ["b", None]})]
    with pytest.raises(ValueError, match="Part number 1: "):
        list(encode_batches(encoder, frames))
    with pytest.raises(ValueError, match="Part number 0: it has no column 'query'"):
        list(encode_batches(encoder, [pd.DataFrame({"text": ["a"]})]))


def test_a_transformer_that_is_not_fitted(encoder):
    with pytest.raises(ValueError, match="not fitted"):
        encode_batches(TfidfVectorizer(), [])
