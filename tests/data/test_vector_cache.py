"""The cache of vectors: bounded, for threads, and never seen in the results."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from stand_in_models import StandInModel

import skl_locus
from skl_locus import KMeansRouter, QueryEncoder
from skl_locus._data.vector_cache import VectorCache
from skl_locus._utils.runtime import kept_beside
from skl_locus.metrics import compare

FIT = [f"known text {i}" for i in range(4)]


class CompanyModel(StandInModel):
    """Give each text a vector that depends on the texts it is encoded with, a little.

    So do models that pad the texts of a batch, and products of matrices in general.
    """

    def __init__(self, seed=0):
        super().__init__(seed)
        self.calls = []

    def encode(self, texts, **_):
        self.calls.append(list(texts))
        company = np.float32(1 + 1e-6 * len("".join(texts)))
        return super().encode(texts) * company

    @property
    def n_encoded(self):
        return sum(map(len, self.calls))


def fitted(**parameters):
    encoder = QueryEncoder(CompanyModel(), **parameters).fit(FIT)
    del encoder.encoder.calls[:]
    return encoder


def n_kept(encoder):
    return len(kept_beside(encoder, VectorCache))


def test_a_text_that_comes_again_is_not_encoded_again():
    encoder = fitted()
    first = encoder.transform(["new"])
    assert_array_equal(encoder.transform(["new"]), first)
    assert_array_equal(encoder.transform([FIT[0], "new", "new"])[1:], first[[0, 0]])
    assert encoder.encoder.calls == [["new"]]


def test_a_batch_that_comes_again_in_any_order_is_not_encoded_again():
    encoder, texts = fitted(), ["c", "a", "b"]
    first = encoder.transform(texts)
    assert_array_equal(encoder.transform(texts[::-1]), first[::-1])
    assert encoder.encoder.calls == [["a", "b", "c"]]


def test_results_have_the_same_bits_with_and_without_a_cache():
    rng = np.random.default_rng(0)
    texts = np.array([f"text {i}" for i in range(8)])
    with_cache, without = fitted(), fitted(cache_size=0)
    for _ in range(200):
        some = list(texts[rng.integers(0, 8, rng.integers(1, 4))])
        assert_array_equal(with_cache.transform(some), without.transform(some))
    assert with_cache.encoder.n_encoded < without.encoder.n_encoded / 2


def test_the_vectors_used_least_recently_go_first():
    encoder = fitted(cache_size=3)
    for text in "abcad":  # d takes the place of b
        encoder.transform([text])
    del encoder.encoder.calls[:]
    for text in "acdb":
        encoder.transform([text])
    assert encoder.encoder.calls == [["b"]]
    assert n_kept(encoder) == 3


def test_it_is_bounded_in_vectors_and_not_in_calls():
    encoder = fitted(cache_size=5)
    for start in range(0, 40, 4):
        encoder.transform([f"text {i}" for i in range(start, start + 4)])
        assert n_kept(encoder) == 4
    encoder.transform([f"text {i}" for i in range(6)])  # more than there is room for
    assert n_kept(encoder) == 4
    encoder.set_params(cache_size=2).transform(["a text"])
    assert n_kept(encoder) == 1


def test_nobody_can_change_what_is_kept():
    encoder = fitted()
    encoder.transform(["new"])[:] = 0
    assert encoder.transform(["new"]).any()
    encoder._forget()
    encoder.transform(FIT)[:] = 0
    assert encoder.transform(FIT).all()


@pytest.mark.parametrize("change", ["model", "batch_size", "fit"])
def test_vectors_of_another_encoder_are_forgotten(change):
    encoder = fitted()
    before = encoder.transform(["new"])
    if change == "model":
        encoder.set_params(encoder=CompanyModel(seed=1))
        assert (encoder.transform(["new"]) != before).all()
    elif change == "batch_size":
        encoder.set_params(batch_size=2).transform(["new"])
        assert encoder.encoder.calls == [["new"], ["new"]]
    else:
        encoder.fit(["other"])
        del encoder.encoder.calls[:]
        assert_array_equal(encoder.transform(["new"]), before)
        assert n_kept(encoder) == 1


def test_copies_pickles_files_and_clones_hold_no_cache(tmp_path):
    encoder = fitted()
    state = pickle.dumps(encoder)
    for i in range(50):
        encoder.transform([f"a secret text {i}"])
    assert n_kept(encoder) == 50
    assert pickle.dumps(encoder) == state
    skl_locus.save(encoder, tmp_path / "encoder.locus")
    again = skl_locus.load(tmp_path / "encoder.locus", encoder=encoder.encoder)
    for other in (again, copy.copy(encoder), copy.deepcopy(encoder), clone(encoder)):
        assert other.cache_size == encoder.cache_size
        assert n_kept(other) == 0


def test_threads_share_it():
    encoder = fitted(cache_size=5)
    texts = [[f"text {i % 7}"] for i in range(400)]
    expected = [fitted(cache_size=0).transform(some) for some in texts[:7]]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(encoder.transform, texts))
    for i, vectors in enumerate(found):
        assert_array_equal(vectors, expected[i % 7])
    assert n_kept(encoder) == 5


def test_a_router_with_a_cache_encodes_a_request_once():
    texts = [*FIT, *FIT]
    log = {"model": ["a"] * 4 + ["b"] * 4, "query": texts, "score": [0, 1] * 4}
    model = CompanyModel()
    router = KMeansRouter(2, encoder=model, random_state=0)
    router.fit(pd.DataFrame(log), log["score"])
    del model.calls[:]
    router.route(["new"])
    router.rank(["new"])
    router.correctness_matrix(["new", "new"])
    assert model.calls == [["new"]]


def test_the_size_is_checked():
    for size in (-1, 1.5, None):
        with pytest.raises(ValueError, match="cache_size"):
            QueryEncoder(cache_size=size).fit(FIT)


def test_a_pickle_of_a_version_without_a_cache_still_works():
    encoder = fitted()
    for name in ("cache_size", "backend", "model_kwargs"):
        del encoder.__dict__[name]
    again = pickle.loads(pickle.dumps(encoder)).set_params(encoder=encoder.encoder)
    again.transform(["new"])
    assert n_kept(again) == 1


def compared(shared):
    """Compare two routers; return the number of texts encoded for it and the result."""
    model = CompanyModel()
    log = pd.DataFrame(
        {
            "model": np.repeat(["a", "b"], 40),
            "query": [f"text {i}" for i in range(40)] * 2,
            "score": np.tile([0.0, 1.0, 1.0, 0.0, 1.0], 16),
        }
    )
    is_test = log["query"].str.endswith("1")
    train, test = log[~is_test], log[is_test]
    routers = {}
    for seed, name in enumerate(("first", "second")):
        encoder = model if shared else CompanyModel()
        router = KMeansRouter(2, encoder=encoder, random_state=seed)
        routers[name] = router.fit(train, train["score"])
    model.calls.clear()
    table = compare(routers, test, test["score"], n_resamples=10, random_state=0)
    return model.n_encoded, table


def test_a_comparison_encodes_once_for_routers_that_share_a_text_model():
    n_encoded, table = compared(shared=True)
    assert n_encoded == 4
    pd.testing.assert_frame_equal(table, compared(shared=False)[1])
