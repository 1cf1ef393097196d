"""Loading of sentence-transformers models: once, with a revision, failing fast."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import sentence_transformers
from sklearn.base import BaseEstimator, TransformerMixin
from small import SMALL

from skl_locus import LocusRouter, QueryEncoder
from skl_locus._data import sentence_models
from skl_locus._utils import progress


class Loaded:
    """Stands in for a model; every text has the vector of its length."""

    def encode(self, texts, **options):
        return np.array([[len(text), 1.0] for text in texts])


@pytest.fixture
def hub(monkeypatch):
    """Replace loading and the hub; record what is asked of them."""

    class Hub:
        asked: list = []
        is_cached = True
        error: Exception | None = None

        def load(self, name, *, local_files_only=False, **options):
            self.asked.append(("load", name, options.get("revision")))
            time.sleep(0.05)
            if local_files_only and not self.is_cached:
                raise OSError(name)
            return Loaded()

        def model_info(self, api, name, **options):
            self.asked.append(("find", name, options.get("revision")))
            assert options["timeout"] <= 10
            if self.error is not None:
                raise self.error

    hub = Hub()
    hub.asked = []
    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", hub.load)
    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "model_info",
        lambda api, name, **options: hub.model_info(api, name, **options),
    )
    monkeypatch.setattr(sentence_models, "_failures", {})
    return hub


def test_a_model_that_cannot_be_had_is_asked_for_once(hub, monkeypatch):
    hub.is_cached, hub.error = False, ConnectionError("no network")
    for _ in range(3):
        with pytest.raises(OSError, match=r"'no/model' could not be loaded \(Conn"):
            QueryEncoder("no/model").fit(["a text"])
    # One look into the cache and one question to the hub, and no try at ten files.
    assert [kind for kind, _, _ in hub.asked] == ["load", "find"]
    # When the network is back, it is found after a while.
    hub.error = None
    monkeypatch.setattr(sentence_models, "RETRY_SECONDS", 0.0)
    assert QueryEncoder("no/model").fit(["a text"]).n_features_out_ == 2


def test_the_revision_is_what_is_loaded(hub):
    encoder = QueryEncoder("some/model", revision="abc123").fit(["a text"])
    assert hub.asked == [("load", "some/model", "abc123")]
    hub.is_cached = False
    encoder.set_params(revision="def456").transform(["another text"])
    assert hub.asked[1:] == [
        (kind, "some/model", "def456") for kind in ("load", "find", "load")
    ]
    with pytest.raises(ValueError, match="revision"):
        QueryEncoder(revision=3).fit(["a text"])


def test_threads_with_unknown_texts_load_the_model_once(hub):
    encoder = pickle.loads(pickle.dumps(QueryEncoder("some/model").fit(["a text"])))
    del hub.asked[:]
    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(encoder.transform, [[f"text {i}"] for i in "1234"]))
    assert len(vectors) == 4
    assert len(hub.asked) == 1


def test_a_pickle_of_a_version_without_revisions_still_works(hub):
    encoder = QueryEncoder("some/model").fit(["a text"])
    del encoder.__dict__["revision"]
    again = pickle.loads(pickle.dumps(encoder))
    assert again.get_params()["revision"] is None
    assert again.transform(["an unknown text"]).shape == (1, 2)


def test_the_backend_and_its_options_are_what_is_loaded(hub, monkeypatch):
    given = []
    monkeypatch.setattr(
        sentence_transformers,
        "SentenceTransformer",
        lambda name, **options: given.append(options) or Loaded(),
    )
    monkeypatch.setattr(sentence_models, "find_spec", lambda name: name)
    encoder = QueryEncoder("some/model").fit(["a text"])
    # Versions of sentence-transformers before 3.2 have no such parameters.
    assert not {"backend", "model_kwargs"} & set(given[0])
    options = {"file_name": "onnx/model_quint8_avx2.onnx", "export": False}
    encoder.set_params(backend="onnx", model_kwargs=options).transform(["another"])
    assert given[1]["backend"] == "onnx"
    assert given[1]["model_kwargs"] == options
    encoder.transform(["a third one"])
    assert len(given) == 2
    again = pickle.loads(pickle.dumps(encoder))
    again.transform(["another"])
    assert given[2] == given[1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"trust_remote_code": True}, "trust_remote_code.*load a"),
        ({"token": "a secret"}, "'token'"),
        ({"dtype": np.float32}, "'dtype'.*must be a text"),
    ],
)
def test_options_that_no_file_may_hold_are_refused(hub, options, match):
    with pytest.raises(ValueError, match=match):
        QueryEncoder("some/model", model_kwargs=options).fit(["a text"])
    assert hub.asked == []
    # A file from a stranger does not come through `fit`.
    encoder = QueryEncoder("some/model").fit(["a text"])
    encoder.__dict__["model_kwargs"] = options
    again = pickle.loads(pickle.dumps(encoder))
    del hub.asked[:]
    with pytest.raises(ValueError, match=match):
        again.transform(["another text"])
    assert hub.asked == []


def test_a_backend_that_is_not_installed_is_named_with_its_extra(hub, monkeypatch):
    monkeypatch.setattr(sentence_models, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"onnxruntime.*skl-locus\[onnx\]"):
        QueryEncoder("some/model", backend="onnx").fit(["a text"])
    with pytest.raises(ValueError, match="backend"):
        QueryEncoder("some/model", backend="tensorrt").fit(["a text"])
    assert hub.asked == []


def test_progress_of_loading_is_shown_where_it_is_wanted(hub, monkeypatch, capfd):
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    texts = [f"text {i}" for i in range(40)]
    QueryEncoder("some/model").fit(texts)
    assert capfd.readouterr().err == ""
    encoder = QueryEncoder("some/model", verbose=1).fit(texts)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "load some/model:   0%" in shown.err
    assert "encode: 100%" in shown.err
    # A service that asks for one text fills no log with bars.
    monkeypatch.setattr(progress, "BAR_AFTER", 2.0)
    encoder.transform(["another text"])
    assert capfd.readouterr().err == ""


class Slow(TransformerMixin, BaseEstimator):
    """Stands in for a text transformer; notes what is on the screen as it works."""

    seen = ""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        Slow.seen = Slow.capture.readouterr().err
        return np.array([[len(text), 1.0] for text in X])


def test_a_router_shows_the_progress_of_its_encoder(monkeypatch, capfd):
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    Slow.capture = capfd
    texts = [f"text {i % 50} {'long ' * (i % 50)}" for i in range(100)]
    log = pd.DataFrame({"model": ["a"] * 50 + ["b"] * 50, "query": texts})
    scores = np.arange(100) % 3 / 2
    for encoder in (Slow(), QueryEncoder(Slow())):
        LocusRouter(**SMALL, verbose=1, encoder=encoder).fit(log, scores)
        assert "encode:   0%" in Slow.seen
        assert "0/50" in Slow.seen
        capfd.readouterr()
        LocusRouter(**SMALL, encoder=encoder).fit(log, scores)
        assert Slow.seen == ""
