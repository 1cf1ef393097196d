"""Queries that are images, files, bytes and arrays: one by content, encoded once."""

import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tiny_clip import tiny_clip

import skl_locus
from skl_locus import (
    CostModel,
    KMeansRouter,
    KNNRouter,
    LocusRouter,
    QueryEncoder,
)
from skl_locus._data.media import media_queries
from skl_locus.batches import encode_batches
from skl_locus.model_selection import QueryKFold

SIDE = 16


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def numbers(contents):
    """Read arrays, images and bytes as they come, as a user's function would."""
    numbers.read += len(contents)
    return np.stack([_statistics(content) for content in contents])


def _statistics(content):
    if isinstance(content, Path):
        content = content.read_bytes()
    if isinstance(content, (bytes, bytearray)):
        content = np.frombuffer(content, np.uint8)
    flat = np.asarray(content, dtype=float).ravel()
    return [flat.mean(), flat.std(), flat[0]]


@pytest.fixture
def encoder():
    numbers.read = 0
    return QueryEncoder(FunctionTransformer(numbers))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def log_of(queries, n_models=3):
    rng = np.random.default_rng(0)
    cells = np.empty(len(queries), dtype=object)
    cells[:] = queries
    return pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(n_models)], len(queries)),
            "query": np.tile(cells, n_models),
            "score": rng.random(n_models * len(queries)).round(),
        }
    )


def test_equal_content_is_one_query_and_is_encoded_once(encoder, tmp_path):
    data = png(picture(0))
    path = tmp_path / "one.png"
    path.write_bytes(data)
    forms = {
        "images": [picture(0), picture(1), picture(0)],
        "arrays": [np.eye(3), np.ones((3, 3)), np.eye(3).T.copy()],
        "bytes": [data, b"another", bytearray(data)],
        "files": [path, tmp_path / ".." / tmp_path.name / "one.png"],
        "files and bytes": [path, data],
    }
    for name, queries in forms.items():
        numbers.read = 0
        vectors = clone(encoder).fit(queries).transform(queries)
        assert numbers.read == len(np.unique(vectors, axis=0)), name
        assert_array_equal(vectors[0], vectors[-1])


def test_kind_type_and_shape_are_part_of_the_content(encoder):
    zeros = np.zeros((2, 2), np.float32)
    different = [zeros, zeros.astype(int), zeros.reshape(1, 4), zeros.tobytes()]
    encoder.fit(different)
    assert len(encoder._known) == 4


def test_a_router_takes_them_wherever_it_takes_texts(encoder):
    images = [picture(seed) for seed in range(12)]
    log = log_of(images)
    router = KNNRouter(n_neighbors=3, encoder=encoder).fit(log, log["score"])
    P = router.correctness_matrix(images)
    # Single, as a list, as a frame, and in rows of models: the same numbers.
    assert_array_equal(router.correctness_matrix([picture(5)])[0], P[5])
    frame = pd.DataFrame({"query": images})
    assert_array_equal(router.correctness_matrix(frame), P)
    assert_array_equal(router.predict_proba(log)[:12, 1], P[:, 0])
    assert_array_equal(router.route(images), router.rank(images, 1)[0][:, 0])
    new = log_of(images[:6], 1).assign(model="new")
    assert "new" in router.add_models(new, new["score"]).models_


def test_explanations_name_queries_by_their_content(encoder):
    log = log_of([np.full((2, 2), i) for i in range(40)])
    router = LocusRouter(max_iter=4, encoder=encoder, random_state=0)
    router.fit(log, log["score"])
    similar = router.explain(log["query"].iloc[[0]], k=2, log=log).similar
    assert similar["id"].str.startswith("array:").all()


def test_neither_pickles_nor_files_hold_content_or_paths(clip, tmp_path):
    images = []
    for seed in range(8):
        path = tmp_path / f"secret-{seed}.png"
        path.write_bytes(png(picture(seed)))
        images.append(path)
    log = log_of(images)
    router = KMeansRouter(n_clusters=2, encoder=clip).fit(log, log["score"])
    P = router.correctness_matrix(images)
    state = pickle.dumps(router)
    assert b"secret" not in state
    assert png(picture(0))[40:80] not in state
    skl_locus.save(router, tmp_path / "router.sklocus")
    for path in images[1:]:
        path.unlink()
    again = skl_locus.load(tmp_path / "router.sklocus")
    # A file that the router has seen is known by its bytes.
    assert_array_equal(again.correctness_matrix(images[:1]), P[:1])
    again.set_params(encoder=clip)
    assert again.correctness_matrix([picture(99)]).shape == (1, 3)


def test_clip_reads_every_form_of_an_image(clip, tmp_path):
    image = picture(0)
    path = tmp_path / "one.png"
    path.write_bytes(png(image))
    encoder = QueryEncoder(clip).fit([image, picture(1)])
    expected = encoder.transform([image])
    for form in (path, png(image), np.asarray(image)):
        assert_allclose(encoder.transform([form]), expected, atol=1e-6)
    assert not np.allclose(encoder.transform([picture(1)]), expected)


def test_images_are_opened_some_at_a_time(clip, monkeypatch):
    sizes = []
    encode = clip.encode
    monkeypatch.setattr(
        clip, "encode", lambda items, **kw: sizes.append(len(items)) or encode(items)
    )
    monkeypatch.setattr("skl_locus._data.query_encoder.OPENED_BATCHES", 2)
    images = [picture(seed) for seed in range(10)]
    encoder = QueryEncoder(clip, batch_size=2, cache_size=0).fit(images)
    assert sizes == [4, 4, 2]
    alone = np.concatenate([encoder.transform([image]) for image in images])
    assert_allclose(encoder.transform(images), alone, atol=1e-6)


def test_routing_digits_beats_the_best_single_model():
    digits = load_digits()
    rng = np.random.default_rng(0)
    # Each model reads four of the digits well.
    good = {f"m{i}": np.arange(i, i + 4) % 10 for i in range(0, 10, 2)}
    log = pd.concat(
        pd.DataFrame(
            {
                "model": model,
                "query_id": np.arange(len(digits.images)),
                "query": list(digits.images),
                "score": rng.random(len(digits.target))
                < np.where(np.isin(digits.target, own), 0.95, 0.3),
            }
        )
        for model, own in good.items()
    )
    log["score"] = log["score"].astype(float)
    encoder = QueryEncoder(make_pipeline(FunctionTransformer(_flat), PCA(16)))
    train, test = log[log["query_id"] < 1000], log[log["query_id"] >= 1000]
    router = KNNRouter(n_neighbors=15, encoder=encoder).fit(train, train["score"])
    scores = test.pivot_table(index="query_id", columns="model", values="score")
    images = list(digits.images[scores.index])
    chosen = scores.columns.get_indexer(router.route(images))
    routed = scores.to_numpy()[np.arange(len(scores)), chosen].mean()
    assert routed > scores.mean().max() + 0.2


def _flat(images):
    return np.stack([image.ravel() for image in images])


def test_searches_reach_the_encoder():
    images = [np.full((2, 2), i) + np.eye(2) for i in range(30)]
    log = log_of(images)
    encoder = QueryEncoder(make_pipeline(FunctionTransformer(_flat), PCA(2)))
    search = GridSearchCV(
        KNNRouter(n_neighbors=3, encoder=encoder),
        {"encoder__encoder__pca__n_components": [1, 2]},
        cv=QueryKFold(3),
    )
    search.fit(log, log["score"])
    assert search.best_params_["encoder__encoder__pca__n_components"] in (1, 2)


def test_streams_of_bytes_are_encoded(encoder):
    encoder.fit([b"one", b"two"])
    frame = pd.DataFrame({"query_id": [0, 1], "query": [b"one", b"three"]})
    (batch,) = encode_batches(encoder, [frame])
    vectors = np.stack(batch.to_pandas()["query"])
    assert_allclose(vectors, encoder.transform([b"one", b"three"]), rtol=1e-6)


def test_media_have_no_length_in_characters(encoder):
    costs = CostModel(prices={"m": (1.0, 1.0)}, default_output_tokens=5).fit()
    with pytest.raises(ValueError, match="costs are not known"):
        costs.matrix([picture(0)], ["m"])


def test_a_table_keeps_names_alone(encoder):
    table = encoder.fit([picture(0)]).transform(pd.DataFrame({"query": [picture(0)]}))
    (name,) = table["query_id"]
    assert type(name) is str
    assert name.startswith("image:")


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([picture(0), "a text"], "row 1 of the column 'query' holds str"),
        (["a text", picture(0)], r"mixes text with Image \(row 1\)"),
        ([picture(0), None], "row 1 of the column 'query' holds NoneType"),
        ([b"one", np.ones(3)], "row 1 of the column 'query' holds ndarray"),
        ([Path("missing.png")], "row 0 .*'missing.png' cannot be read"),
        ([np.array([[None, 1]], dtype=object)], "array of objects is no query"),
    ],
)
def test_what_is_no_image_is_named_by_row(encoder, queries, message):
    before = clone(encoder).fit([picture(0)])
    known = before._known
    for fitted in (encoder, before):
        with pytest.raises(ValueError, match=message):
            fitted.fit(queries)
    assert before._known is known


def test_bytes_that_are_no_image_are_named(clip):
    with pytest.raises(ValueError, match=r"row 1 .*no image that Pillow reads"):
        QueryEncoder(clip).fit([png(picture(0)), b"no image"])


def test_an_encoder_of_texts_says_that_it_reads_none():
    encoder = QueryEncoder(TfidfVectorizer())
    with pytest.raises(ValueError, match=r"cannot read .* of type Image; pass an enc"):
        encoder.fit([picture(0)])
    log = log_of([picture(0), picture(1)])
    with pytest.raises(ValueError, match="'query' holds images or other media, but"):
        KNNRouter().fit(log, log["score"])


def test_texts_are_no_paths(encoder, tmp_path):
    encoder = QueryEncoder(TfidfVectorizer()).fit(["one.png", "two.png"])
    assert encoder.n_features_out_ == 3  # words, not bytes of files


def test_texts_that_look_like_images_are_texts(clip, tmp_path, monkeypatch):
    # From the folder itself: the model reads 77 letters of a text at most.
    monkeypatch.chdir(tmp_path)
    picture(0).save("a.png")
    # Nothing listens there: an address that is asked is an error.
    texts = ["https://localhost:9/a.png", "a.png", "a text"]
    expected = clip.encode([{"text": text} for text in texts])
    assert_allclose(QueryEncoder(clip).fit_transform(texts), expected, atol=1e-5)


def test_colours_of_a_palette_tell_images_apart(clip):
    red, blue = Image.new("P", (8, 8), 1), Image.new("P", (8, 8), 1)
    red.putpalette([0, 0, 0, 255, 0, 0])
    blue.putpalette([0, 0, 0, 0, 0, 255])
    vectors = QueryEncoder(clip).fit_transform([red, blue, red.copy()])
    expected = clip.encode([red.convert("RGB"), blue.convert("RGB")])
    assert_allclose(vectors[:2], expected, atol=1e-5)
    assert_array_equal(vectors[0], vectors[2])


def test_photographs_are_encoded_as_they_are_seen(clip, tmp_path):
    photograph = picture(0).resize((SIDE, 2 * SIDE))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    photograph.save(tmp_path / "a.png", exif=exif)
    seen = photograph.transpose(Image.Transpose.ROTATE_270)
    with Image.open(tmp_path / "a.png") as opened:
        queries = [tmp_path / "a.png", opened, photograph]
        vectors = QueryEncoder(clip).fit_transform(queries)
    expected = clip.encode([seen, seen, photograph])
    assert_allclose(vectors, expected, atol=1e-5)


def test_damaged_images_name_their_row(clip, monkeypatch, tmp_path):
    (tmp_path / "cut.png").write_bytes(png(picture(0))[:80])
    cut = Image.open(tmp_path / "cut.png")
    with cut, pytest.raises(ValueError, match="row 1 of the column 'query' holds no i"):
        QueryEncoder(clip).fit([picture(1), cut])
    # Pillow raises no OSError for what is too large.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"row 0 .* reads \(DecompressionBombError"):
        QueryEncoder(clip).fit([png(picture(0))])


def test_transformers_read_the_kind_of_their_fit(encoder):
    fitted = encoder.fit([picture(0), picture(1)])
    with pytest.raises(ValueError, match=r"fitted on images .* and got text"):
        fitted.transform(["a text"])
    texts = QueryEncoder(TfidfVectorizer()).fit(["a text"])
    # Bytes would be read as text.
    with pytest.raises(ValueError, match="fitted on text and got images"):
        texts.transform([b"a text"])


def test_arrays_of_equal_numbers_and_other_masks_are_two_queries():
    masks = [[[False, True]], [[False, False]]]
    arrays = [np.ma.array([[1, 2]], mask=mask) for mask in masks]
    first, second = media_queries(pd.Series(arrays, dtype=object), "query")
    assert first != second
