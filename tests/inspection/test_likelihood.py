"""Likelihoods of recognition: cases by hand, and what they must not depend on."""

import copy

import numpy as np
import pandas as pd
import pytest
from small import SMALL

from skl_locus import LocusRouter
from skl_locus._routing.access import known_models, read_log
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import drift_test, identify
from skl_locus.inspection._likelihood import REPEAT_SHARES, log_likelihoods

POOL = make_evaluations(n_models=8, n_queries=300, n_families=4, random_state=0)
LOG = POOL.evaluations
N_STORED = 200
STORED = POOL.queries["query_id"][:N_STORED]


@pytest.fixture(scope="module")
def router():
    log = LOG[LOG["query_id"].isin(STORED)]
    return LocusRouter(**SMALL, local_evidence=False).fit(log, log["score"])


def rows_of(model, first=180, last=240):
    """Return evaluations of a model, by default 20 stored ones and 40 others."""
    own = LOG[LOG["model"] == model].drop(columns="model")
    asked = POOL.queries["query_id"][first:last]
    return own.set_index("query_id").loc[asked].reset_index()


def ranked(router, rows, **options):
    return identify(
        router, rows, rows["score"], n_resamples=9, random_state=0, **options
    )


def as_set(router, rows):
    table = pd.DataFrame(rows, columns=["model", "query_id", "score"])
    vectors = dict(zip(POOL.queries["query_id"], POOL.encodings, strict=True))
    table["query"] = [vectors[i] for i in table["query_id"]]
    return read_log(router, table, table["score"])


def test_likelihood_by_hand(router):
    # In the order of their digests, by which the queries of a set are sorted.
    asked = sorted(STORED[:2], key=lambda i: as_set(router, [("x", i, 1)]).queries.keys)
    stored = as_set(
        router, [("a", asked[0], 1.0), ("a", asked[1], 0.0), ("b", asked[1], 1.0)]
    )
    scores = [1.0, 0.25]
    new = as_set(router, [("new", asked[0], 1.0), ("new", asked[1], 0.25)])
    answers = np.array([[1.0, 0.0], [np.nan, 1.0]])
    P = np.array([[0.8, 0.6], [0.7, 0.999]])
    got = log_likelihoods(new, stored, P)
    for candidate in range(2):
        total = 0.0
        for share in REPEAT_SHARES:
            product = 1.0
            for query in range(2):
                p = min(max(P[candidate, query], 0.03), 0.97)
                answer = answers[candidate, query]
                if not np.isnan(answer):
                    p = share * answer + (1 - share) * (p + 0.5) / 2
                y = scores[query]
                product *= p**y * (1 - p) ** (1 - y)
            total += product / len(REPEAT_SHARES)
        assert got[candidate] == pytest.approx(np.log(total), rel=1e-9)


def test_the_order_of_rows_and_the_label_change_no_bit(router):
    rows = rows_of("model-5")
    table = ranked(router, rows)
    shuffled = rows.sample(frac=1, random_state=1).assign(model="somebody")
    pd.testing.assert_frame_equal(ranked(router, shuffled), table, check_exact=True)


def test_renamed_ids_with_the_same_queries_change_no_bit(router):
    rows = rows_of("model-5")
    table = ranked(router, rows)
    assert (table["n_shared"] == 20).all()
    known = rows["query_id"].isin(STORED)
    ids = np.where(known, "renamed-" + rows["query_id"].astype(str), rows["query_id"])
    renamed = ranked(router, rows.assign(query_id=ids))
    pd.testing.assert_frame_equal(renamed, table, check_exact=True)


def test_a_query_asked_under_its_id_and_another_is_not_merged(router):
    rows = rows_of("model-5", 0, 50)
    twice = pd.concat([rows, rows.head(1).assign(query_id="another id", score=0.0)])
    test = drift_test(router, "model-5", twice, twice["score"], n_resamples=9)
    assert test.n_pairs == test.n_shared == 50


def test_other_models_change_no_likelihood(router):
    rows = rows_of("model-5")
    before = ranked(router, rows)["log_likelihood"]
    other = rows_of("model-1", 0, N_STORED).assign(model="added")
    larger = copy.copy(router).add_models(other, other["score"])
    larger.remove_models(["model-2"])
    after = ranked(larger, rows)["log_likelihood"]
    same = [name for name in after.index if name != "added"]
    assert len(same) == 7
    assert after[same].tolist() == before[same].tolist()
    alone = ranked(router, rows, models=["model-3"])["log_likelihood"]
    assert alone["model-3"] == pytest.approx(before["model-3"], rel=1e-12)


def test_queries_that_are_not_shared_tell_models_apart_too(router):
    first = [
        ranked(router, rows_of(f"model-{i}", N_STORED, 300)).index[0] == f"model-{i}"
        for i in range(8)
    ]
    # By chance, one of eight.
    assert np.mean(first) >= 0.5


def test_equally_able_models_are_told_apart_by_their_answers(router):
    rows = rows_of("model-5", 0, 60)
    mirrored = rows["score"].sample(frac=1, random_state=0).to_numpy()
    twin = rows_of("model-5", 0, N_STORED).assign(model="shuffled")
    twin.loc[:59, "score"] = mirrored
    pool = copy.copy(router).add_models(twin, twin["score"])
    again = np.where(np.arange(60) % 12 == 0, 1 - rows["score"], rows["score"])
    table = identify(pool, rows, again, n_resamples=9, models=["model-5", "shuffled"])
    assert table.index[0] == "model-5"
    assert np.diff(table["log_likelihood"])[0] < -3


def test_without_score_geometry_a_factor_model_is_made_of_what_is_stored(router):
    log = LOG[LOG["query_id"].isin(STORED)]
    other = LocusRouter(**SMALL, local_evidence=False, geometry="network")
    other.fit(log, log["score"])
    rows = rows_of("model-5")
    columns = ["log_likelihood", "p_value"]
    of_network, of_scores = (
        ranked(each, rows)[columns].sort_index() for each in (other, router)
    )
    assert of_network["log_likelihood"].tolist() == of_scores["log_likelihood"].tolist()


def test_too_few_stored_evaluations_are_last_without_likelihood(router):
    few = rows_of("model-1", 0, 30).assign(model="few")
    pool = copy.copy(router).add_models(few, few["score"])
    table = ranked(pool, rows_of("model-5"))
    assert table.index[-1] == "few"
    assert table.loc["few"].isna().all()
    assert table.drop(index="few").notna().all(axis=None)


def test_the_compared_model_has_no_say_in_the_directions(router):
    moved = rows_of("model-1", 0, 60).assign(model="model-1", score=1.0)
    other = copy.copy(router).add_models(moved, moved["score"], replace=True)
    queries = known_models(router).evaluations.queries
    for names, stays in ((["model-1"], True), (["model-3"], False)):
        before, after = (
            known_models(each).directions(queries, names) for each in (router, other)
        )
        assert np.array_equal(before, after) == stays


def test_discrimination_follows_the_easiness_that_the_others_find(router):
    queries = known_models(router).evaluations.queries
    directions = known_models(router).directions(queries, ["model-1"])
    ability, discrimination = directions[:, 0], directions[:, 1]
    assert discrimination.mean() == pytest.approx(0, abs=1e-9)
    assert np.sqrt(np.mean(discrimination**2)) == pytest.approx(ability[0])
    evaluations = known_models(router).evaluations
    of_others = evaluations.model_codes != evaluations.index_of(["model-1"])[0]
    codes = evaluations.query_codes[of_others]
    means = np.bincount(codes, evaluations.scores[of_others]) / np.bincount(codes)
    assert np.corrcoef(means, discrimination)[0, 1] > 0.9


def test_queries_that_no_other_model_answered_have_no_factors(router):
    queries = known_models(router).evaluations.queries
    others = [f"model-{i}" for i in range(8)]
    directions = known_models(router).directions(queries, others)
    assert (directions[:, 1:] == 0).all()
    assert (directions[:, 0] > 0).all()
