"""What is fitted can be stored, copied, mapped and shared between threads."""

import copy
import functools
import importlib.util
import io
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted
from small import SMALL, small_routers

from skl_locus import (
    LocusEmbedder,
    LocusRouter,
    QueryEncoder,
)
from skl_locus.datasets import make_evaluations

ROUTERS = small_routers()
EMBEDDER = LocusEmbedder(**SMALL)
ESTIMATORS = {**ROUTERS, "embedder": EMBEDDER, "encoder": QueryEncoder("a-name")}

POOL = make_evaluations(n_models=6, n_queries=50, observed=0.7, random_state=0)
OLD = POOL.evaluations[POOL.evaluations.model != "model-5"]
NEW = POOL.evaluations[POOL.evaluations.model == "model-5"]
QUERIES = POOL.encodings


@functools.cache
def _fitted(name):
    return clone(ROUTERS[name]).fit(OLD, OLD.score)


def fitted(name, stage="fitted"):
    """Return a fitted router that the test may change."""
    router = copy.deepcopy(_fitted(name))
    if stage == "after add_models":
        router.add_models(NEW, NEW.score)
    elif stage == "after remove_models":
        router.remove_models(["model-2"])
    return router


def by_pickle(estimator, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(estimator, protocol))


def by_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def by_joblib_compressed(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file, compress=3)
    file.seek(0)
    return joblib.load(file)


ROUND_TRIPS = [by_pickle, by_joblib, by_joblib_compressed, copy.deepcopy]


def assert_same_predictions(actual, expected):
    assert actual.models_.tolist() == expected.models_.tolist()
    assert_array_equal(
        actual.correctness_matrix(QUERIES), expected.correctness_matrix(QUERIES)
    )
    seen = POOL.evaluations[POOL.evaluations.model.isin(expected.models_)]
    assert_array_equal(actual.predict_proba(seen), expected.predict_proba(seen))
    assert_array_equal(actual.route(QUERIES), expected.route(QUERIES))
    if isinstance(expected, LocusRouter):
        assert_array_equal(actual.embeddings_, expected.embeddings_)
        assert_array_equal(
            actual.embedder_.transform(NEW), expected.embedder_.transform(NEW)
        )


def leaves(value, path="", seen=None):
    """Walk everything that an object is made of."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    yield path, value
    if isinstance(value, dict):
        parts = ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        parts = ((f"[{i}]", part) for i, part in enumerate(value))
    else:
        parts = ((f".{k}", v) for k, v in getattr(value, "__dict__", {}).items())
    for name, part in parts:
        yield from leaves(part, path + name, seen)


STAGES = ["fitted", "after add_models", "after remove_models"]
every_router = pytest.mark.parametrize("name", ROUTERS)
every_stage = pytest.mark.parametrize("stage", STAGES)
every_way = pytest.mark.parametrize("way", ROUND_TRIPS)


@every_way
@pytest.mark.parametrize("name", ESTIMATORS)
def test_unfitted_round_trip(name, way):
    estimator = clone(ESTIMATORS[name])
    loaded = way(estimator)
    assert loaded.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        check_is_fitted(loaded)


@every_way
@every_stage
@every_router
def test_fitted_round_trip(name, stage, way):
    router = fitted(name, stage)
    loaded = way(router)
    assert_same_predictions(loaded, router)
    for some in (loaded, router):  # and both go on alike
        some.add_models(NEW[::2].assign(model="later"), NEW.score[::2])
    assert_same_predictions(loaded, router)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@every_router
def test_every_pickle_protocol(name, protocol):
    assert_same_predictions(by_pickle(fitted(name), protocol), fitted(name))


@every_way
def test_embedder_round_trip(way):
    embedder = clone(EMBEDDER).fit(OLD)
    loaded = way(embedder)
    expected = embedder.transform(POOL.evaluations)
    assert_array_equal(loaded.transform(POOL.evaluations), expected)
    assert loaded.loss_curve_ == embedder.loss_curve_
    assert_array_equal(loaded.fit(OLD).transform(POOL.evaluations), expected)


@every_router
def test_a_loaded_router_can_be_cloned_and_fitted_again(name):
    router = fitted(name)
    assert_same_predictions(clone(by_pickle(router)).fit(OLD, OLD.score), router)


@every_stage
@every_router
def test_fitted_state_holds_numpy_arrays_and_no_tensor(name, stage):
    router = fitted(name, stage)
    router.correctness_matrix(QUERIES)
    arrays = 0
    for path, value in leaves(router):
        module = type(value).__module__
        assert module.split(".")[0] != "torch", f"{path} is a {type(value)}"
        arrays += isinstance(value, np.ndarray)
    assert arrays > 3
    for word in (b"torch\n", b"torch._", b"torch.nn", b"Tensor"):
        assert word not in pickle.dumps(router, 2)


@every_stage
@every_router
def test_memory_mapped_state_predicts_and_grows(name, stage, tmp_path):
    router = fitted(name, stage)
    path = tmp_path / "router.joblib"
    joblib.dump(router, path)
    stored = path.read_bytes()
    loaded = joblib.load(path, mmap_mode="r")
    assert any(isinstance(value, np.memmap) for _, value in leaves(loaded))
    assert_same_predictions(loaded, router)
    for some in (loaded, router):
        some.add_models(NEW[::2].assign(model="later"), NEW.score[::2])
        some.add_models(NEW[1::2].assign(model="model-0"), NEW.score[1::2])
        some.remove_models(["model-1"])
    assert_same_predictions(loaded, router)
    assert path.read_bytes() == stored


def test_memory_mapped_embedder_transforms(tmp_path):
    embedder = fitted("locus").embedder_
    joblib.dump(embedder, tmp_path / "embedder.joblib")
    loaded = joblib.load(tmp_path / "embedder.joblib", mmap_mode="r")
    assert_array_equal(loaded.transform(NEW), embedder.transform(NEW))
    loaded.set_params(warm_start=True).fit(OLD)  # copies what it trains


@every_router
def test_file_size(name, tmp_path, record_property):
    path = tmp_path / "router.joblib"
    joblib.dump(fitted(name), path)
    size = path.stat().st_size
    record_property("bytes", size)
    print(f"{name}: {size / 1024:.0f} KiB")  # noqa: T201
    assert size < 200_000


def test_file_size_with_the_default_network(tmp_path, record_property):
    router = LocusRouter(max_iter=1, random_state=0).fit(OLD, OLD.score)
    path = tmp_path / "router.joblib"
    joblib.dump(router, path)
    record_property("bytes", path.stat().st_size)
    print(f"default LocusRouter: {path.stat().st_size / 1024:.0f} KiB")  # noqa: T201
    n_weights = 1_000_000  # shared with embedder_, so stored once
    assert path.stat().st_size < 4 * n_weights


def blank(cls):
    return cls.__new__(cls)


class OfAnotherVersion:
    """Pickles as an estimator whose state says another format version."""

    def __init__(self, estimator, versions_later):
        self.cls, self.state = type(estimator), dict(estimator.__getstate__())
        self.state["_skl_locus_format"] += versions_later

    def __reduce__(self):
        return blank, (self.cls,), self.state


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_newer_format_is_refused(name):
    estimator = fitted(name) if name in ROUTERS else clone(ESTIMATORS[name])
    expected = rf"(?i){type(estimator).__name__}.*format.*upgrade"
    with pytest.raises(ValueError, match=expected):
        by_pickle(OfAnotherVersion(estimator, 1))
    assert type(by_pickle(OfAnotherVersion(estimator, 0))) is type(estimator)


def test_an_embedder_in_a_router_keeps_its_version():
    state = fitted("locus").embedder_.__getstate__()
    assert state["_skl_locus_format"] >= 1


def test_a_pickle_of_a_private_class_that_has_moved_says_so():
    stored = pickle.dumps(fitted("best"), 2)
    assert b"skl_locus._data.evaluations" in stored
    moved = stored.replace(b"skl_locus._data.evaluations", b"skl_locus._data.elsewhere")
    expected = (
        r"This version of skl-locus .* no module .*skl_locus\._data\.elsewhere.*save"
    )
    with pytest.raises(ModuleNotFoundError, match=expected):
        pickle.loads(moved)
    file = io.BytesIO(moved)
    with pytest.raises(ModuleNotFoundError, match="another version"):
        joblib.load(file)


def test_public_names_that_are_not_there_are_reported_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'skl_l.*nothing'"):
        importlib.import_module("skl_locus.nothing")
    assert importlib.util.find_spec("skl_locus.__nothing__") is None


@every_router
def test_a_change_of_a_loaded_router_stays_with_it(name, tmp_path):
    path = tmp_path / "router.pkl"
    path.write_bytes(pickle.dumps(fitted(name)))
    stored = path.read_bytes()
    pickle.loads(stored).add_models(NEW, NEW.score).remove_models(["model-0"])
    assert path.read_bytes() == stored
    assert_same_predictions(pickle.loads(stored), fitted(name))


@every_router
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_change_of_a_copy_stays_with_it(name, duplicate):
    router = fitted(name)
    other = duplicate(router)
    other.add_models(NEW, NEW.score)
    other.add_models(NEW.assign(model="model-0"), NEW.score, replace=True)
    other.remove_models(["model-1"])
    assert_same_predictions(router, _fitted(name))
    router.remove_models(["model-2"])
    assert "model-2" in other.models_


# Text


def text_log():
    words = np.array(["sum", "poem", "proof", "city"])[QUERIES[:, :4].argmax(axis=1)]
    texts = [f"{word} number {i}" for i, word in enumerate(words)]
    return OLD.assign(query=[texts[int(i)] for i in OLD.query_id.str[-2:]]), texts


def svd():
    return make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0))


@every_way
@every_router
def test_text_routers_keep_their_encoder(name, way):
    log, texts = text_log()
    router = clone(ROUTERS[name]).set_params(encoder=svd()).fit(log, log.score)
    texts = [*texts, "a proof never seen"]
    assert_array_equal(
        way(router).correctness_matrix(texts), router.correctness_matrix(texts)
    )


class SentenceModel:
    """Stands for a loaded sentence-transformers model: encodes, cannot be fitted."""

    def __init__(self):
        self.weights = np.ones(1_000_000, np.float32)
        self.folder = "/home/somebody/secret-folder"

    def encode(self, texts, **_):
        return np.array([[len(t), t.count("o"), 1] for t in texts], np.float32)


@every_router
def test_a_router_stores_vectors_but_no_sentence_model(name):
    log, _ = text_log()
    router = clone(ROUTERS[name]).set_params(encoder=SentenceModel())
    router.fit(log, log.score)
    stored = pickle.dumps(router)
    assert b"secret-folder" not in stored
    assert len(stored) < 1_000_000
    loaded = pickle.loads(stored)
    seen = log["query"].unique().tolist()
    assert_array_equal(loaded.correctness_matrix(seen), router.correctness_matrix(seen))
