"""Explanations of routes: their parts add up, and agree with what routers predict."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.feature_extraction.text import HashingVectorizer
from small import SMALL

from skl_locus import LocusRouter, load, save
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=6, n_queries=80, random_state=0)
LOG = POOL.evaluations
NEW = POOL.encodings[:8] * 1.1 + 0.05


@pytest.fixture(scope="module")
def router():
    return LocusRouter(**SMALL).fit(LOG, LOG["score"])


def sums(table, first):
    return expit(table.loc[:, first:].sum(axis=1).to_numpy(np.float64))


def test_parts_add_up_to_what_the_router_predicts(router):
    explanation = router.explain(np.vstack([NEW, 50 * NEW[:1]]), k=6)
    table = explanation.contributions
    np.testing.assert_allclose(
        sums(table.drop(columns="trust"), "mean"), table["probability"], atol=1e-5
    )
    decisions = explanation.decisions
    np.testing.assert_allclose(sums(decisions, "mean"), decisions["score"], atol=1e-5)


def test_models_are_those_of_rank_in_its_order(router):
    labels, P = router.rank(NEW, 3)
    table = router.explain(NEW, k=3).contributions
    assert table["model"].tolist() == labels.ravel().tolist()
    np.testing.assert_allclose(table["probability"], P.ravel())
    assert table["rank"].tolist() == [1, 2, 3] * len(NEW)


def test_there_is_a_column_for_each_feature_and_the_network(router):
    features = list(router._pool.evidence.shared.features)
    explanation = router.explain(NEW[:1])
    assert explanation.parts == [*features, "network"]
    assert explanation.contributions.columns[-len(features) - 3 :].tolist() == [
        *features,
        "network",
        "limit",
        "trust",
    ]


def test_each_part_alone_says_what_it_says(router):
    estimates = router.explain(NEW, k=6).estimates
    assert estimates["mean"].between(0.01, 0.99).all()
    # The mean is a matter of the model, not of the query.
    spread = estimates.groupby("model")[["mean", "clusters"]].agg(np.ptp)
    assert (spread["mean"] < 1e-9).all()
    assert (spread["clusters"] > 0.01).any()


def test_trust_is_that_of_the_router_and_scales_what_departs_from_the_mean(router):
    near, far = NEW[:1], 50 * NEW[:1]
    table = router.explain(np.vstack([near, far]), k=6).contributions
    trust = table.groupby("query")["trust"].first()
    np.testing.assert_allclose(trust, router.trust(np.vstack([near, far])))
    assert (table.loc[table["query"] == 1, "clusters"].abs() < 1e-6).all()


def test_similar_queries_have_the_ids_and_scores_of_the_log(router):
    explanation = router.explain(POOL.encodings[:4], k=2, n_similar=3, log=LOG)
    similar = explanation.similar
    assert len(similar) == 4 * 3 * 2
    first = similar[similar["neighbor"] == 1].drop_duplicates("query")
    # A query of the log is its own nearest one.
    ids = LOG.drop_duplicates("query_id")["query_id"].tolist()
    assert set(similar["id"]) <= set(ids)
    np.testing.assert_allclose(first["distance"], 0, atol=1e-5)
    scores = LOG.set_index(["model", "query_id"])["score"]
    for row in similar.itertuples():
        assert row.score == pytest.approx(scores[row.model, row.id])


def test_similar_queries_are_the_nearest_and_unknown_scores_are_missing():
    rng = np.random.default_rng(0)
    partial = LOG[rng.random(len(LOG)) < 0.6]
    router = LocusRouter(**SMALL).fit(partial, partial["score"])
    similar = router.explain(NEW, k=6, n_similar=4, log=partial).similar
    vectors = partial.drop_duplicates("query_id").set_index("query_id")
    known = np.stack([np.asarray(v) for v in vectors["query"]])
    expected = np.sort(np.linalg.norm(NEW[0] - known, axis=1))[:4]
    own = similar[similar["query"] == 0].drop_duplicates("neighbor")
    np.testing.assert_allclose(own["distance"], expected, rtol=1e-4)
    scores = partial.set_index(["model", "query_id"])["score"]
    for row in similar.itertuples():
        known_score = scores.get((row.model, row.id), np.nan)
        np.testing.assert_allclose(row.score, known_score, rtol=1e-6)
    assert similar["score"].isna().any()


def test_without_a_log_queries_have_digests(router):
    ids = router.explain(NEW[:1]).similar["id"]
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in ids)


def test_sentences_name_the_model_its_probability_and_the_reason(router):
    explanation = router.explain(NEW[:2])
    best = explanation.contributions.iloc[0]
    sentence = explanation.sentences[0]
    assert sentence.startswith(f"{best['model']!r} is chosen")
    assert f"P(correct) {best['probability']:.2f}" in sentence
    second = explanation.contributions.iloc[1]["model"]
    assert f"Next is {second!r}" in sentence
    assert str(explanation).count("\n") == 1
    assert "is chosen" in explanation._repr_html_()
    assert repr(explanation).startswith("<RouteExplanation>")


def test_a_far_query_is_called_far(router):
    assert "far from those of the log" in router.explain(50 * NEW[:1]).sentences[0]
    assert "far from those" not in router.explain(POOL.encodings[:1]).sentences[0]


def test_many_queries_are_not_all_printed(router):
    assert str(router.explain(POOL.encodings[:20])).endswith("15 more queries.")


def test_models_that_are_down_are_left_out(router):
    best = router.route(NEW)[0]
    models = router.explain(NEW[:1], k=9, unavailable=[best]).contributions["model"]
    assert len(models) == 5
    assert best not in models.tolist()
    assert router.explain(NEW[:1], models=[best]).contributions["model"].item() == best


def test_a_router_without_evidence_has_the_network_alone():
    router = LocusRouter(**SMALL, local_evidence=False).fit(LOG, LOG["score"])
    table = router.explain(NEW, k=6).contributions
    np.testing.assert_allclose(expit(table["network"]), table["probability"], atol=1e-6)
    assert router.explain(NEW).parts == ["network"]
    assert "is chosen" in str(router.explain(NEW))


def test_a_log_of_one_encoding_has_means_alone():
    log = LOG.assign(query=[np.ones(3)] * len(LOG))
    router = LocusRouter(**SMALL).fit(log, log["score"])
    table = router.explain(np.ones((1, 3)), k=6).contributions
    np.testing.assert_allclose(table["mean"], logit(table["probability"].astype(float)))


def test_without_stored_evaluations_there_are_no_similar_queries(router, tmp_path):
    save(router, tmp_path / "router.locus", evaluations=False)
    explanation = load(tmp_path / "router.locus").explain(NEW)
    assert explanation.similar.empty
    assert "is chosen" in str(explanation)


def test_no_queries_give_empty_tables(router):
    explanation = router.explain(NEW[:0])
    assert explanation.contributions.empty
    assert str(explanation) == ""


@pytest.mark.parametrize("arguments", [{"k": 0}, {"n_similar": -1}, {"log": [1]}])
def test_wrong_arguments_are_named(router, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        router.explain(NEW, **arguments)


def test_texts_name_similar_queries_where_there_are_no_ids():
    texts = [f"{'red' if i % 2 else 'blue'} apple {i}" for i in range(10, 40)]
    log = pd.DataFrame(
        [
            (m, t, float((i + len(m)) % 3 > 0))
            for m in ("a", "bb")
            for i, t in enumerate(texts)
        ],
        columns=["model", "query", "score"],
    )
    router = LocusRouter(**SMALL, encoder=HashingVectorizer(n_features=256))
    router.fit(log, log["score"])
    similar = router.explain(["red apple 13"], n_similar=2, log=log).similar
    assert similar["id"].iloc[0] == "red apple 13"
