"""Loading of sentence-transformers models: once, with a revision, failing fast."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import numpy as np
import pytest
import sentence_transformers

from skl_locus import QueryEncoder
from skl_locus._data import sentence_models


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
