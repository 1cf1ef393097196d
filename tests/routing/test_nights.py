"""Routers that learn every night forget old evaluations and stay bounded."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from small import SMALL

from skl_locus import KNNRouter, LocusRouter
from skl_locus._data.queries import text_key
from skl_locus.datasets import make_evaluations


@pytest.fixture(scope="module")
def log():
    made = make_evaluations(n_models=5, n_queries=80, random_state=0).evaluations
    made = made[["model", "query", "query_id", "score"]]
    rng = np.random.default_rng(0)
    return made.assign(day=rng.permutation(len(made)) % 20)


@pytest.fixture(params=["locus", "knn"])
def router(request, log):
    made = LocusRouter(**SMALL) if request.param == "locus" else KNNRouter(3)
    first = log[log["day"] < 2]
    return made.fit(first.drop(columns="day"), first["score"])


def add(router, rows, **options):
    return router.add_models(rows, rows["score"], **options)


def pairs_of(router):
    known = router._pool.evaluations
    names, keys = known.model_names, known.queries.keys
    codes = zip(known.model_codes, known.query_codes, strict=True)
    return {(names[m], keys[q]) for m, q in codes}


def test_a_year_of_nights_stays_bounded(router, log):
    sizes = []
    for day in range(2, 20):
        night = log[log["day"] == day]
        add(router, night, time_col="day", max_evaluations_per_model=12)
        sizes.append(router._pool.evaluations.sizes.max())
    assert max(sizes) == 12
    assert router._pool.evaluations.times.min() > 13
    assert len(router.models_) == 5
    assert len(router._pool.evaluations.queries) <= 5 * 12


def test_the_newest_are_kept(router, log):
    rest = log[log["day"] >= 2]
    add(router, rest, time_col="day", max_evaluations_per_model=10)
    known = router._pool.evaluations
    for code, model in enumerate(known.model_names):
        days = np.sort(rest.loc[rest["model"] == model, "day"])[-10:]
        assert_array_equal(np.sort(known.times[known.model_codes == code]), days)


def test_age_is_counted_from_the_newest(router, log):
    rest = log[log["day"] >= 2]
    add(router, rest, time_col="day", max_age=5)
    times = router._pool.evaluations.times
    assert np.nanmin(times) == 14
    # The evaluations of the fit have no time, and no age.
    n_fitted = (log["day"] < 2).sum()
    assert np.isnan(times).sum() == n_fitted


def test_dates_and_durations(router, log):
    rest = log[log["day"] >= 2]
    dates = pd.Timestamp("2026-01-01") + pd.to_timedelta(rest["day"], unit="D")
    add(router, rest.assign(day=dates), time_col="day", max_age="5D")
    times = router._pool.evaluations.times
    assert np.nanmax(times) - np.nanmin(times) == 5 * 86_400


def test_a_model_of_which_all_are_old_keeps_them(router, log):
    old = log[(log["model"] == "model-0") & (log["day"].between(2, 9))]
    renamed = old.assign(model="old")
    add(router, renamed, time_col="day")
    add(router, log[log["day"] > 9], time_col="day", max_age=1)
    known = router._pool.evaluations.only_models(["old"])
    assert len(known) == len(old)


def test_without_times_a_hash_decides_free_of_order(router, log):
    rest = log[log["day"] >= 2].drop(columns="day")
    first = log[log["day"] < 2]
    twin = clone(router).fit(first.drop(columns="day"), first["score"])
    add(router, rest, max_evaluations_per_model=20)
    halves = rest.iloc[100:].sample(frac=1, random_state=0), rest.iloc[:100]
    for half in halves:
        add(twin, half, max_evaluations_per_model=20)
    assert pairs_of(twin) == pairs_of(router)
    assert (router._pool.evaluations.sizes == 20).all()
    queries = np.stack(log["query"][:30])
    assert_allclose(
        twin.correctness_matrix(queries), router.correctness_matrix(queries), atol=1e-6
    )


def test_predictions_are_those_of_what_is_kept(log):
    first = log[log["day"] < 2]
    forgetful, plain = (
        LocusRouter(**SMALL).fit(first.drop(columns="day"), first["score"])
        for _ in range(2)
    )
    rest = log[log["day"] >= 2]
    add(forgetful, rest, time_col="day", max_evaluations_per_model=10)
    pairs = pairs_of(forgetful)
    rows = zip(rest["model"], map(text_key, rest["query_id"]), strict=True)
    kept = rest[[pair in pairs for pair in rows]]
    assert len(kept) == len(pairs) == 50
    add(plain, kept.drop(columns="day"), replace=True)
    queries = np.stack(log["query"][:30])
    assert_allclose(
        forgetful.correctness_matrix(queries),
        plain.correctness_matrix(queries),
        atol=1e-6,
    )


def test_nothing_is_forgotten_unless_asked_for(router, log):
    add(router, log[log["day"] >= 2].drop(columns="day"))
    assert len(router._pool.evaluations) == len(log)
    assert router._pool.evaluations.times is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_evaluations_per_model": 0}, "max_evaluations_per_model"),
        ({"max_age": -1}, "max_age must be positive"),
        ({"max_age": "soon"}, "is no duration"),
        ({"time_col": "hour"}, "'hour' is missing"),
        ({"time_col": "model"}, "no times that can be read"),
    ],
)
def test_bad_arguments_leave_the_router_as_it_was(router, log, options, message):
    before = pairs_of(router)
    with pytest.raises(ValueError, match=message):
        add(router, log.drop(columns="day"), **options)
    assert pairs_of(router) == before


def test_a_missing_time_names_the_row(router, log):
    rows = log.reset_index(drop=True).astype({"day": float})
    rows.loc[3, "day"] = np.nan
    with pytest.raises(ValueError, match="no time in row 3"):
        add(router, rows, time_col="day")
