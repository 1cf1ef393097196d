"""Text models are not in the file; they are given back, and checked."""

import pickle

import numpy as np
import pytest
from every_estimator import OLD, TEXTS, text_transformer
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from stand_in_models import StandInModel, load_by_name

import skl_locus
from skl_locus import KNNRouter, LLMDNAEmbedder, LocusRouter, QueryEncoder
from skl_locus._data import query_encoder

LOG = OLD.assign(query=["text " + str(i) for i in OLD.query_id])
NEW_TEXTS = ["never seen before", "nor this one"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "router.locus"


@pytest.fixture
def router():
    return KNNRouter(3, encoder=StandInModel(0)).fit(LOG, LOG.score)


@pytest.fixture
def named(monkeypatch):
    """Let names of models lead to stand-ins, and count how often each is loaded."""
    return load_by_name(monkeypatch, query_encoder)


def test_a_loaded_router_knows_texts_and_asks_for_its_model(router, path):
    skl_locus.save(router, path)
    stored = path.read_bytes()
    assert b"a secret place" not in stored
    assert len(stored) < 300_000  # no weights
    loaded = skl_locus.load(path)
    known = LOG["query"].unique().tolist()
    np.testing.assert_array_equal(
        loaded.correctness_matrix(known), router.correctness_matrix(known)
    )
    with pytest.raises(ValueError, match=r"StandInModel.*load\(path, encoder="):
        loaded.route(NEW_TEXTS)


@pytest.mark.parametrize("wrapped", [False, True])
def test_load_gives_the_model_back_to_all_parts(router, path, wrapped):
    skl_locus.save(router, path)
    model = StandInModel(0)
    loaded = skl_locus.load(path, QueryEncoder(model) if wrapped else model)
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )
    again = clone(loaded).fit(LOG, LOG.score)  # the parameter is there, too
    np.testing.assert_array_equal(
        again.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )


def test_pipelines_embedders_and_policies_get_it_back(path):
    pipe = make_pipeline(QueryEncoder(StandInModel(0)), KNNRouter(3))
    pipe.fit(LOG, LOG.score)
    skl_locus.save(pipe, path)
    loaded = skl_locus.load(path, StandInModel(0))
    np.testing.assert_array_equal(
        loaded[0].transform(NEW_TEXTS), pipe[0].transform(NEW_TEXTS)
    )
    answers = LOG.head(4).assign(response=["a", "b", "a", "c"], query=["q"] * 4)
    answers = answers.assign(model=list("abcd"), query_id="q")
    embedder = LLMDNAEmbedder(n_components=4, random_state=0, encoder=StandInModel(0))
    embedder.fit(answers)
    skl_locus.save(embedder, path)
    loaded = skl_locus.load(path, encoder=StandInModel(0))
    new = answers.assign(response=["new", "b", "a", "c"])
    np.testing.assert_array_equal(loaded.transform(new), embedder.transform(new))


WRONG = {
    "another length": (StandInModel(0, n_features=7), "length 7.*length 6"),
    "another model of the same length": (StandInModel(1), "other vectors"),
    "a transformer": (text_transformer(), "clone"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("way", ["load", "router", "encoder"])
def test_another_model_is_refused(router, path, kind, way):
    model, message = WRONG[kind]
    skl_locus.save(router, path)
    if way == "load":
        with pytest.raises(ValueError, match=message):
            skl_locus.load(path, encoder=model)
        return
    loaded = skl_locus.load(path)
    target = loaded if way == "router" else loaded.query_encoder_
    before = dict(vars(target))
    with pytest.raises(ValueError, match=message):
        target.set_params(encoder=model)
    assert vars(target) == before


def test_set_params_after_loading_gives_the_model_back(router, path):
    skl_locus.save(router, path)
    loaded = skl_locus.load(path)
    loaded.set_params(encoder=StandInModel(0), n_neighbors=4)
    assert loaded.n_neighbors == 4
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )


def test_set_params_after_unpickling_gives_the_model_back(router):
    loaded = pickle.loads(pickle.dumps(router))
    with pytest.raises(ValueError, match="length 7"):
        loaded.set_params(encoder=StandInModel(0, n_features=7))
    loaded.set_params(encoder=StandInModel(0))
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )


def test_set_params_of_a_fitted_router_is_for_its_next_fit(router):
    router.set_params(encoder=text_transformer())
    router.route(NEW_TEXTS)  # by the encoder of the fit
    assert router.fit(LOG, LOG.score).query_encoder_.n_features_out_ == 4


def test_a_model_with_a_name_is_loaded_when_it_is_needed(path, named):
    router = KNNRouter(3, encoder="some/model-0").fit(LOG, LOG.score)
    skl_locus.save(router, path)
    (encoder,) = skl_locus.describe(path)["encoders"]
    assert encoder["model"] == "some/model-0"
    assert len(encoder["fingerprint"]) == 16
    named.clear()
    loaded = skl_locus.load(path)
    assert named == {}
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )
    assert named == {"some/model-0": 1}


def test_another_name_is_refused_and_the_same_in_memory_is_taken(path, named):
    router = KNNRouter(3, encoder="some/model-0").fit(LOG, LOG.score)
    skl_locus.save(router, path)
    with pytest.raises(ValueError, match="other vectors"):
        skl_locus.load(path, encoder="some/model-1")
    named.clear()
    loaded = skl_locus.load(path, encoder=StandInModel(0))
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )
    assert named == {}


def test_saving_loads_no_model_and_keeps_the_fingerprint(router, path, named):
    skl_locus.save(router, path)
    first = skl_locus.describe(path)["encoders"]
    skl_locus.save(skl_locus.load(path), path)
    assert skl_locus.describe(path)["encoders"] == first
    named_router = KNNRouter(3, encoder="some/model-0").fit(LOG, LOG.score)
    by_pickle = pickle.loads(pickle.dumps(named_router))
    named.clear()
    skl_locus.save(by_pickle, path)
    assert named == {}
    assert "fingerprint" not in skl_locus.describe(path)["encoders"][0]


def test_a_model_for_an_estimator_without_one_is_refused(path):
    router = KNNRouter(3).fit(OLD, OLD.score)
    skl_locus.save(router, path)
    with pytest.raises(ValueError, match="no text model to give back"):
        skl_locus.load(path, encoder=StandInModel(0))
    skl_locus.save(QueryEncoder(text_transformer()).fit(TEXTS), path)
    with pytest.raises(ValueError, match="no text model to give back"):
        skl_locus.load(path, encoder=StandInModel(0))


def test_an_unfitted_estimator_with_a_loaded_model_gets_it_back(path):
    router = LocusRouter(encoder=StandInModel(0))
    skl_locus.save(router, path)
    assert b"a secret place" not in path.read_bytes()
    model = StandInModel(0)
    assert skl_locus.load(path, encoder=model).encoder is model


def test_a_folder_is_named_without_its_path(path, tmp_path, named):
    folder = tmp_path / "home-of-somebody" / "model-0"
    folder.mkdir(parents=True)
    router = KNNRouter(3, encoder=str(folder)).fit(LOG, LOG.score)
    skl_locus.save(router, path)
    assert skl_locus.describe(path)["encoders"][0]["model"] == "model-0"
    assert b"home-of-somebody" not in path.read_bytes()
    loaded = skl_locus.load(path, encoder=str(folder))
    np.testing.assert_array_equal(
        loaded.correctness_matrix(NEW_TEXTS), router.correctness_matrix(NEW_TEXTS)
    )
