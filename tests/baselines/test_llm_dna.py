"""LLMDNAEmbedder projects responses to common queries, and asks for all of them."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS, shuffled
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

from skl_locus import LLMDNAEmbedder, QueryEncoder


def make_answers(seed=0, n_models=5, n_queries=12, width=6):
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(n_queries, 4)).astype(np.float32)
    responses = rng.normal(size=(n_models, n_queries, width)).astype(np.float32)
    return pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(n_models)], n_queries),
            "query": list(queries) * n_models,
            "query_id": list(range(n_queries)) * n_models,
            "response": list(responses.reshape(-1, width)),
        }
    )


def concatenated(log):
    """What is projected: all encodings of a model in one vector."""
    ordered = log.sort_values(["model", "query_id"])
    parts = [
        np.concatenate(pair)
        for pair in zip(ordered["query"], ordered["response"], strict=True)
    ]
    return np.stack(parts).reshape(log["model"].nunique(), -1)


LOG = make_answers()
EMBEDDER = LLMDNAEmbedder(16, random_state=0)
TEXTS = pd.DataFrame(
    {
        "model": ["a", "a", "b", "b"],
        "query": ["what is up", "what is down"] * 2,
        "response": ["the sky", "the ground", "the roof", "the floor"],
    }
)


# Embeddings


def test_rows_are_models_by_name():
    Z = clone(EMBEDDER).fit_transform(LOG)
    assert Z.index.tolist() == [f"m{i}" for i in range(5)]
    assert Z.index.name == "model"
    assert Z.columns.tolist() == [f"llmdnaembedder{i}" for i in range(16)]
    assert (Z.dtypes == np.float32).all()


def test_distances_are_preserved():
    log = make_answers(n_models=12, n_queries=40)
    exact = pdist(concatenated(log))
    Z = LLMDNAEmbedder(2000, random_state=0).fit_transform(log)
    # Relative errors of a projection to k components are about 1 / sqrt(2 k).
    assert_allclose(pdist(Z), exact, rtol=0.08)
    ratios = [
        pdist(LLMDNAEmbedder(64, random_state=seed).fit_transform(log)) / exact
        for seed in range(20)
    ]
    assert np.mean(np.square(ratios)) == pytest.approx(1, abs=0.03)


def test_families_stay_together():
    log = make_answers(n_models=3, n_queries=20)
    rng = np.random.default_rng(1)
    cousins = log.assign(
        model="x" + log["model"],
        response=[r + rng.normal(scale=0.2, size=6) for r in log["response"]],
    )
    Z = LLMDNAEmbedder(random_state=0).fit_transform(pd.concat([log, cousins]))
    distances = np.linalg.norm(Z.to_numpy()[:3, None] - Z.to_numpy()[None, 3:], axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 1, 2]


def test_the_embedding_is_linear_in_the_responses():
    log = make_answers(1, n_models=3)
    a, b = (log.loc[log["model"] == m, "response"].to_numpy() for m in ("m0", "m1"))
    log["response"] = [*a, *b, *((a + b) / 2)]
    Z = clone(EMBEDDER).fit_transform(log)
    assert_allclose(Z.loc["m2"], (Z.loc["m0"] + Z.loc["m1"]) / 2, atol=1e-5)


@EXAMPLES
@given(seed=SEEDS)
def test_the_order_of_rows_changes_no_bit(seed):
    log = make_answers(seed)
    responses = np.random.default_rng(seed).normal(size=(9, 6))
    log = pd.concat([log, log.head(9).assign(response=list(responses))])
    first = clone(EMBEDDER).fit(log)
    mixed = shuffled(log, seed)
    second = clone(EMBEDDER).fit(mixed)
    expected = first.transform(log)
    pd.testing.assert_frame_equal(first.transform(mixed), expected, check_exact=True)
    pd.testing.assert_frame_equal(second.transform(mixed), expected, check_exact=True)


@EXAMPLES
@given(seed=SEEDS, n_models=st.integers(1, 4))
def test_company_and_name_do_not_matter(seed, n_models):
    embedder = clone(EMBEDDER).fit(LOG)
    log = make_answers(0, n_models=5).assign(
        response=list(np.random.default_rng(seed).normal(size=(60, 6)))
    )
    some = log[log["model"].isin([f"m{i}" for i in range(n_models)])]
    Z = embedder.transform(log)
    assert_allclose(embedder.transform(some), Z.iloc[:n_models], atol=1e-5)
    twins = pd.concat([log, some.assign(model="twin of " + some["model"])])
    both = embedder.transform(twins)
    assert_allclose(both.iloc[5:], both.iloc[:n_models], atol=1e-6)


def test_repeated_responses_are_averaged_or_refused():
    log = make_answers(2, n_models=2)
    again = log.head(1).assign(response=[np.full(6, 3.0)])
    first = (log["response"][0] + np.float32(3)) / 2
    mean = log.assign(response=[first, *log["response"][1:]])
    embedder = clone(EMBEDDER).fit(log)
    assert_allclose(
        embedder.transform(pd.concat([log, again])), embedder.transform(mean), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"'m0' has a second response.*\(row 24\)"):
        clone(embedder).set_params(duplicates="raise").fit(pd.concat([log, again]))


def test_seeds_and_copies():
    embedder = clone(EMBEDDER).fit(LOG)
    expected = embedder.transform(LOG)
    for twin in (
        clone(embedder).fit(LOG),
        copy.deepcopy(embedder),
        pickle.loads(pickle.dumps(embedder)),
    ):
        pd.testing.assert_frame_equal(twin.transform(LOG), expected)
    other = LLMDNAEmbedder(16, random_state=1).fit_transform(LOG)
    assert not np.allclose(other, expected)
    unseeded = LLMDNAEmbedder(16).fit(LOG)
    pd.testing.assert_frame_equal(unseeded.transform(LOG), unseeded.transform(LOG))
    assert embedder.n_queries_ == len(embedder.query_keys_) == 12
    assert (embedder.n_features_in_, embedder.n_response_features_) == (4, 6)
    # The matrix is drawn again, not stored.
    assert len(pickle.dumps(LLMDNAEmbedder(4096).fit(LOG))) < 10_000


def test_queries_may_stand_in_columns_and_tables_in_any_library():
    wide = pd.DataFrame(np.stack(LOG["query"]), columns=list("wxyz"))
    wide = wide.join(LOG[["model", "query_id", "response"]])
    expected = clone(EMBEDDER).fit_transform(LOG)
    pd.testing.assert_frame_equal(clone(EMBEDDER).fit_transform(wide), expected)
    cells = LOG.assign(
        query=[q.tolist() for q in LOG["query"]],
        response=[r.tolist() for r in LOG["response"]],
    )
    frame = pl.DataFrame(cells.to_dict("list"))
    pd.testing.assert_frame_equal(clone(EMBEDDER).fit_transform(frame), expected)


# Text


@pytest.mark.parametrize(
    "encoder", [TfidfVectorizer(), QueryEncoder(TfidfVectorizer())]
)
def test_queries_and_responses_have_vocabularies_of_their_own(encoder):
    embedder = LLMDNAEmbedder(400, encoder=encoder, random_state=0).fit(TEXTS)
    assert (embedder.n_features_in_, embedder.n_response_features_) == (4, 5)
    Z = embedder.transform(TEXTS)
    responses = TfidfVectorizer().fit_transform(TEXTS["response"]).toarray()
    exact = np.linalg.norm(responses[:2] - responses[2:])
    assert pdist(Z)[0] == pytest.approx(exact, rel=0.15)
    reloaded = pickle.loads(pickle.dumps(embedder))
    pd.testing.assert_frame_equal(reloaded.transform(TEXTS), Z)


def test_responses_are_not_kept():
    words = np.random.default_rng(0).choice(list("abcdefgh"), (400, 3))
    many = pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(200)], 2),
            "query": ["what is up", "what is down"] * 200,
            "response": ["".join(w) + f" word{i}" for i, w in enumerate(words)],
        }
    )
    encoder = HashingVectorizer(n_features=256)
    embedder = LLMDNAEmbedder(8, encoder=encoder, random_state=0)
    expected = embedder.fit_transform(many)
    assert_allclose(embedder.transform(many), expected, atol=1e-6)
    assert len(pickle.dumps(embedder)) < 400 * 256


def test_text_needs_an_encoder_in_fit():
    with pytest.raises(ValueError, match=r"'response' holds text.*encoder="):
        LLMDNAEmbedder().fit(TEXTS.assign(query=list(np.eye(2)) * 2))
    embedder = clone(EMBEDDER).fit(LOG)
    with pytest.raises(ValueError, match="fitted on encoded responses and got text"):
        embedder.transform(LOG.assign(response="words"))


# What is missing


def test_every_model_must_answer_every_query():
    with pytest.raises(ValueError, match=r"'m1' has no response to 2 of the 12"):
        clone(EMBEDDER).fit(LOG.drop(index=[13, 20, 30]))


def test_new_models_must_answer_the_queries_of_fit():
    embedder = clone(EMBEDDER).fit(LOG)
    new = make_answers(0, n_models=1).assign(model="new")
    with pytest.raises(ValueError, match=r"'new' has no response to 3 of the 12"):
        embedder.transform(new.head(9))
    with pytest.raises(ValueError, match=r"'new' has no response to 12 of the 12"):
        embedder.transform(new.assign(query_id=new["query_id"] + 100))
    other = make_answers(5, n_models=1).assign(model="new")
    more = pd.concat([new, other.assign(query_id=other["query_id"] + 100)])
    pd.testing.assert_frame_equal(embedder.transform(more), embedder.transform(new))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            np.eye(3),
            "pass a dataframe with the columns 'model', 'query' and 'response'",
        ),
        (LOG.drop(columns="model"), "'model', 'query' and 'response'"),
        (LOG.drop(columns="response"), "'response' is missing"),
        (LOG.drop(columns=["query"]), "No query can be read"),
        (LOG.assign(response=[None, *LOG["response"][1:]]), "'response', row 0"),
        (LOG.assign(response=1.0), "'response', row 0"),
        (LOG.assign(response=[*LOG["response"][:-1], np.ones(5)]), "length 5"),
        (LOG.head(0), "empty"),
    ],
)
def test_errors_name_the_column_and_leave_the_embedder_as_it_was(table, message):
    embedder = clone(EMBEDDER).fit(LOG)
    expected = embedder.transform(LOG)
    with pytest.raises(ValueError, match=message):
        embedder.fit(table)
    pd.testing.assert_frame_equal(embedder.transform(LOG), expected)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_components", 0),
        ("random_state", "zero"),
        ("response_col", 1),
        ("duplicates", "max"),
        ("model_col", 3),
    ],
)
def test_fit_names_the_invalid_parameter(parameter, value):
    with pytest.raises(ValueError, match=parameter):
        LLMDNAEmbedder(**{parameter: value}).fit(LOG)


def test_transform_needs_fit_and_the_same_widths():
    with pytest.raises(NotFittedError):
        clone(EMBEDDER).transform(LOG)
    embedder = clone(EMBEDDER).fit(LOG)
    narrow = LOG.assign(response=[r[:5] for r in LOG["response"]])
    with pytest.raises(ValueError, match=r"length 5.*fitted with length 6"):
        embedder.transform(narrow)
    embedder.set_params(n_components=3)
    assert embedder.transform(LOG).shape == (5, 16)


def test_it_is_no_router_and_gives_no_polars():
    assert not hasattr(EMBEDDER, "route")
    assert not hasattr(EMBEDDER, "predict_proba")
    with pytest.raises(ValueError, match="LLMDNAEmbedder cannot output polars"):
        clone(EMBEDDER).set_output(transform="polars")
    Z = clone(EMBEDDER).set_output(transform="pandas").fit_transform(LOG)
    assert_array_equal(Z.index, [f"m{i}" for i in range(5)])
