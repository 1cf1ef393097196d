"""Policies and routers in service: models come and go, logs come back in disguise."""

import copy
import itertools
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import cross_val_predict

from skl_locus import CostModel, KMeansRouter, LinearRouter, LocusRouter, RouterPolicy
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import IgnoredModelWarning
from skl_locus.inspection import savings_report
from skl_locus.metrics import compare
from skl_locus.model_selection import QueryKFold

POOL = make_evaluations(n_models=5, n_queries=200, noise=0.2, random_state=0)
LOG = POOL.evaluations
NAMES = sorted(LOG["model"].unique())
IDS = sorted(LOG["query_id"].unique())
TRAIN = LOG[LOG["query_id"].isin(IDS[:100])]
HELD_OUT = LOG[~LOG["query_id"].isin(IDS[:100])]
QUERIES = POOL.encodings[:20]
COSTS = dict.fromkeys(NAMES, 1.0)


@pytest.fixture
def router():
    return KMeansRouter(8, random_state=0).fit(TRAIN, TRAIN["score"])


def heard(call):
    """Return what a call returns and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(each.message) for each in caught]


# Models that are not there


def test_unknown_unavailable_models_are_ignored_with_one_warning(router):
    expected = router.route(QUERIES, unavailable=[NAMES[0]]).tolist()
    down = ["nobody", NAMES[0]]
    routes, messages = heard(lambda: router.route(QUERIES, unavailable=down))
    assert routes.tolist() == expected
    assert len(messages) == 1
    assert "'nobody', which the router does not have" in messages[0]
    # Once for each label, and in the policy around the router too.
    policy = RouterPolicy(router, cost_model=COSTS)
    policy.fit(HELD_OUT, HELD_OUT["score"])
    for call in (router.route, policy.route, policy.rank, policy.choose):
        assert heard(lambda call=call: call(QUERIES, unavailable=down))[1] == []
    assert len(heard(lambda: policy.route(QUERIES, ["someone"]))[1]) == 1
    with pytest.raises(ValueError, match="No model is left"):
        router.route(QUERIES, unavailable=[*NAMES, "nobody"])


def test_requests_without_a_model_that_is_being_removed(router):
    policy = RouterPolicy(router, cost_model=COSTS)
    policy.fit(HELD_OUT, HELD_OUT["score"])
    own = TRAIN[TRAIN["model"] == NAMES[1]]
    errors, done = [], threading.Event()

    def ask():
        for call in itertools.cycle((router.route, policy.route, policy.rank)):
            if done.is_set():
                return
            try:
                call(QUERIES, unavailable=[NAMES[1]])
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for _ in range(40):
            router.remove_models([NAMES[1]])
            router.add_models(own, own["score"])
        done.set()
        for thread in threads:
            thread.join()
    assert not errors


@pytest.mark.parametrize(
    "costs",
    [COSTS, pd.Series(COSTS), CostModel(costs=COSTS), CostModel()],
    ids=["mapping", "series", "given", "learned"],
)
def test_a_model_that_joins_without_a_cost_is_not_chosen(router, costs):
    policy = RouterPolicy(router, cost_model=costs, cost_weight=0.1)
    policy.fit(HELD_OUT.assign(cost=1.0), HELD_OUT["score"])
    expected = policy.route(QUERIES).tolist()
    new = TRAIN[TRAIN["model"] == NAMES[0]].assign(model="new", score=1.0)
    router.add_models(new, new["score"])
    routes, messages = heard(lambda: policy.route(QUERIES))
    assert routes.tolist() == expected
    assert len(messages) == 1
    assert "no cost of the model 'new'" in messages[0]
    calls = (
        lambda: policy.rank(QUERIES),
        lambda: policy.choose(QUERIES, 100.0),
        lambda: policy.costs(QUERIES),
        lambda: policy.evaluate(HELD_OUT, HELD_OUT["score"]),
    )
    assert [heard(call)[1] for call in calls] == [[]] * 4
    assert "new" not in policy.rank(QUERIES).labels
    assert np.isnan(policy.costs(QUERIES)[:, -1]).all()
    assert (policy.costs(QUERIES)[:, :-1] == 1).all()


def test_a_policy_goes_on_without_a_model_that_the_router_has_lost(router):
    policy = RouterPolicy(router, cost_model=COSTS, models=NAMES[:3])
    policy.fit(HELD_OUT, HELD_OUT["score"])
    router.remove_models(NAMES[:1])
    routes, messages = heard(lambda: policy.route(QUERIES))
    assert set(routes) <= set(NAMES[1:3])
    assert len(messages) == 1
    assert policy.costs(QUERIES).shape == (len(QUERIES), 3)
    router.remove_models(NAMES[1:3])
    with pytest.warns(IgnoredModelWarning), pytest.raises(ValueError, match="No model"):
        policy.route(QUERIES)


# Logs that the router has learned from


def test_training_queries_are_known_by_their_texts():
    texts = LOG.assign(query="question " + LOG["query_id"].astype(str))
    train = texts[texts["query_id"].isin(IDS[:100])]
    encoder = HashingVectorizer(n_features=16)
    router = KMeansRouter(4, random_state=0, encoder=encoder)
    router.fit(train, train["score"])
    policy = RouterPolicy(router, cost_model=COSTS)
    seen = {
        "without ids": train.drop(columns="query_id"),
        "with other ids": train.assign(query_id="x" + train["query_id"].astype(str)),
        "a single one": pd.concat(
            [
                texts[~texts["query_id"].isin(IDS[:100])],
                train[train["query_id"] == IDS[0]].assign(query_id="other"),
            ]
        ),
    }
    for name, log in seen.items():
        with pytest.raises(ValueError, match=r"was fitted on evaluations of \d+ of"):
            policy.fit(log, log["score"])
        with pytest.raises(ValueError, match=r"was fitted on evaluations of \d+ of"):
            compare({name: router}, log, log["score"])
    fresh = texts[~texts["query_id"].isin(IDS[:100])]
    policy.fit(fresh.drop(columns="query_id"), fresh["score"])
    with pytest.raises(ValueError, match="was fitted on evaluations of 100 of"):
        savings_report(policy, seen["without ids"])


def test_training_queries_are_known_by_their_vectors(router):
    policy = RouterPolicy(router, cost_model=COSTS)
    for log in (
        TRAIN.drop(columns="query_id"),
        TRAIN.assign(query_id="x" + TRAIN["query_id"].astype(str)),
    ):
        with pytest.raises(ValueError, match="was fitted on evaluations of 100 of"):
            policy.fit(log, log["score"])
    # Few equal vectors under other ids may be other questions.
    some = TRAIN[TRAIN["query_id"] == IDS[0]].assign(query_id="another question")
    mixed = pd.concat([HELD_OUT, some])
    policy.fit(mixed, mixed["score"])


# Targets that scikit-learn has recoded


@pytest.mark.parametrize("grades", [(0.25, 0.75), (0.0, 0.5, 1.0)])
@pytest.mark.parametrize("router", [LinearRouter(alpha=1.0), LocusRouter(max_iter=1)])
def test_grades_that_cross_val_predict_has_recoded_are_refused(router, grades):
    rng = np.random.default_rng(0)
    log = LOG.assign(score=rng.choice(grades, len(LOG)))
    with pytest.raises(ValueError, match="cross_val_predict recodes y"):
        cross_val_predict(
            router, log, log["score"], cv=QueryKFold(2), method="predict_proba"
        )


def test_scores_of_one_and_zero_are_not_taken_for_recoded_ones():
    for score in (LOG["score"], LOG["score"].astype(int)):
        log = LOG.assign(score=score)
        P = cross_val_predict(
            LinearRouter(alpha=1.0),
            log,
            log["score"],
            cv=QueryKFold(2),
            method="predict_proba",
        )
        assert P.shape == (len(log), 2)
    graded = LOG.assign(score=np.where(LOG["score"] > 0, 0.75, 0.25))
    LinearRouter(alpha=1.0).fit(graded.drop(columns="score"), LOG["score"].astype(int))


def test_warnings_given_once_are_no_state_of_the_router(router):
    twin = copy.deepcopy(router)
    heard(lambda: router.route(QUERIES, unavailable=["nobody"]))
    assert len(heard(lambda: twin.route(QUERIES, unavailable=["nobody"]))[1]) == 1
