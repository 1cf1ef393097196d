"""Sessions: when the model that answers already stays."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from small import small_routers

from skl_locus import LinearRouter, LocusRouter, RouterPolicy
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=6, n_queries=160, noise=0.2, random_state=0)
LOG = POOL.evaluations
NAMES = sorted(LOG["model"].unique())
IDS = sorted(LOG["query_id"].unique())
TRAIN = LOG[LOG["query_id"].isin(IDS[:80])]
HELD_OUT = LOG[~LOG["query_id"].isin(IDS[:80])]
# Some queries come twice, in different sessions.
QUERIES = np.concatenate([POOL.encodings[80:], POOL.encodings[80:120]])
N = len(QUERIES)
COSTS = pd.Series(np.linspace(1.0, 2.0, 6), NAMES)
INCUMBENTS = np.resize(np.array([*NAMES, None, "gone"], dtype=object), N)
OWN = np.array([NAMES.index(x) if x in NAMES else -1 for x in INCUMBENTS])
ROWS = np.arange(N)

ROUTERS = {
    name: small_routers()[name].fit(TRAIN, TRAIN["score"])
    for name in ("linear", "knn", "locus")
}
ROUTER = ROUTERS["linear"]

AIMS = pytest.mark.parametrize(
    "aim",
    [
        {},
        {"costs": COSTS, "cost_weight": 0.3},
        {"costs": COSTS, "min_correctness": 0.6},
    ],
    ids=["none", "weight", "floor"],
)


def decisions(router):
    """Return what route maximises without costs: (n_queries, n_models)."""
    rows = pd.DataFrame(
        {"model": np.tile(NAMES, N), "query": list(np.repeat(QUERIES, 6, axis=0))}
    )
    return router.routing_scores(rows).reshape(N, 6)


def expected_routes(preferences, threshold):
    """Route by the definition: the incumbent stays unless the gain is larger."""
    best = preferences.argmax(axis=1)
    gain = preferences[ROWS, best] - preferences[ROWS, OWN]
    stays = (OWN >= 0) & (gain <= threshold)
    assert 0 < stays.sum() < (OWN >= 0).sum()
    return np.array(NAMES, dtype=object)[np.where(stays, OWN, best)]


@pytest.mark.parametrize("name", ROUTERS)
def test_the_incumbent_stays_unless_the_gain_exceeds_the_margin(name):
    router = ROUTERS[name]
    preferences = decisions(router)
    margin = float(np.median(preferences.max(axis=1) - preferences[ROWS, OWN]))
    for threshold in (0.0, margin):
        routes = router.route(QUERIES, incumbent=INCUMBENTS, switch_margin=threshold)
        assert_array_equal(routes, expected_routes(preferences, threshold))


def test_the_cost_of_a_change_is_weighed():
    P = ROUTER.correctness_matrix(QUERIES).astype(np.float64)
    preferences = P - 0.3 * COSTS.to_numpy()
    aim = {"costs": COSTS, "cost_weight": 0.3, "incumbent": INCUMBENTS}
    routes = ROUTER.route(QUERIES, **aim, switch_margin=0.02, switch_cost=0.2)
    assert_array_equal(routes, expected_routes(preferences, 0.02 + 0.3 * 0.2))
    # One cost for each session: long conversations are dear to read again.
    own = np.linspace(0.0, 1.0, N)
    routes = ROUTER.route(QUERIES, **aim, switch_cost=own)
    assert_array_equal(routes, expected_routes(preferences, 0.3 * own))


def test_a_floor_keeps_what_reaches_it_and_is_not_much_dearer():
    P, costs, floor = ROUTER.correctness_matrix(QUERIES), COSTS.to_numpy(), 0.6
    aim = {"costs": COSTS, "min_correctness": floor}
    usual = ROUTER.route(QUERIES, **aim)
    routes = ROUTER.route(
        QUERIES, **aim, incumbent=INCUMBENTS, switch_margin=0.05, switch_cost=0.3
    )
    kinds = set()
    for row, (label, route) in enumerate(zip(usual, routes, strict=True)):
        best, own = NAMES.index(label), OWN[row]
        expected = best
        if own >= 0:
            reached, keeps = P[row, best] >= floor, P[row, own] >= floor
            if reached and keeps:
                stays = costs[own] - costs[best] <= 0.3
            else:
                stays = not reached and P[row, best] - P[row, own] <= 0.05
            kinds.add((bool(reached), bool(keeps), bool(stays)))
            expected = own if stays else best
        assert route == NAMES[expected]
    assert len(kinds) == 5


@pytest.mark.parametrize("name", ROUTERS)
@AIMS
def test_without_incumbents_routes_and_ranks_are_the_same_to_the_bit(name, aim):
    router = ROUTERS[name]
    nobody = [None, "gone", float("nan"), ["a list"]] * (N // 4)
    for incumbent in (None, nobody):
        sessions = {"incumbent": incumbent, "switch_margin": 0.5}
        assert_array_equal(
            router.route(QUERIES, **aim, **sessions), router.route(QUERIES, **aim)
        )
        with_sessions = router.rank(QUERIES, 3, **aim, **sessions)
        without = router.rank(QUERIES, 3, **aim)
        assert_array_equal(with_sessions.labels, without.labels)
        assert_array_equal(with_sessions.probabilities, without.probabilities)


@pytest.mark.parametrize("k", [1, 2, 6])
@AIMS
def test_ranks_begin_with_the_route_and_keep_the_order_of_the_others(k, aim):
    sessions = {"incumbent": INCUMBENTS, "switch_margin": 0.1}
    ranking = ROUTER.rank(QUERIES, k, **aim, **sessions)
    usual = ROUTER.rank(QUERIES, **aim)
    routes = ROUTER.route(QUERIES, **aim, **sessions)
    assert_array_equal(ranking.labels[:, 0], routes)
    P = ROUTER.correctness_matrix(QUERIES)
    for row in range(N):
        others = [label for label in usual.labels[row] if label != routes[row]]
        assert ranking.labels[row].tolist() == [routes[row], *others][:k]
        places = [NAMES.index(label) for label in ranking.labels[row]]
        assert_array_equal(ranking.probabilities[row], P[row, places])


def test_unavailable_incumbents_and_those_not_allowed_do_not_stay():
    sessions = {"incumbent": [NAMES[0]] * N, "switch_margin": 1.0}
    assert set(ROUTER.route(QUERIES, **sessions)) == {NAMES[0]}
    down = ROUTER.route(QUERIES, unavailable=NAMES[:1], **sessions)
    assert_array_equal(down, ROUTER.route(QUERIES, unavailable=NAMES[:1]))
    some = ROUTER.route(QUERIES, NAMES[1:], **sessions)
    assert_array_equal(some, ROUTER.route(QUERIES, NAMES[1:]))
    last = ROUTER.route(QUERIES, NAMES[::-1], **sessions)
    assert set(last) == {NAMES[0]}


def test_an_incumbent_beats_the_neighbor_of_a_model_that_is_down():
    router = ROUTERS["locus"]
    down = [router.route(QUERIES)[0]]
    up = next(name for name in NAMES if name not in down)
    routes = router.route(
        QUERIES, None, down, fallback="neighbor", incumbent=[up] * N, switch_margin=1.0
    )
    assert set(routes) == {up}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"incumbent": "model-0"}, "incumbent must have one label for each of the 120"),
        ({"incumbent": NAMES}, "incumbent must have one label"),
        ({"switch_margin": -1.0}, "switch_margin must be finite and not negative"),
        ({"switch_margin": np.nan}, "switch_margin must be finite"),
        ({"switch_margin": [0.1] * N}, "switch_margin must be a number"),
        ({"switch_margin": "much"}, "switch_margin must be a number"),
        ({"switch_margin": 10**400}, "switch_margin is too large"),
        ({"switch_cost": 0.1}, "switch_cost is weighed as other costs"),
        (
            {"switch_cost": [0.1] * 3, "costs": COSTS, "cost_weight": 1.0},
            "switch_cost must be a number, or 120, one for each query",
        ),
    ],
)
def test_senseless_sessions_are_refused(arguments, message):
    for method in (ROUTER.route, ROUTER.rank):
        with pytest.raises(ValueError, match=message):
            method(QUERIES, **arguments)


def test_no_queries_have_no_sessions():
    none = QUERIES[:0]
    assert ROUTER.route(none, incumbent=[], switch_margin=0.1).shape == (0,)


# Policies


def test_a_policy_keeps_incumbents_by_its_own_objective():
    policy = RouterPolicy(
        ROUTER,
        cost_model=COSTS,
        cost_weight=0.3,
        switch_margin=0.02,
        switch_cost=0.2,
    ).fit(HELD_OUT, HELD_OUT["score"])
    P = policy.calibration_(ROUTER.correctness_matrix(QUERIES))
    expected = expected_routes(P - 0.3 * COSTS.to_numpy(), 0.02 + 0.3 * 0.2)
    assert_array_equal(policy.route(QUERIES, incumbent=INCUMBENTS), expected)
    table = policy.choose(QUERIES, incumbent=INCUMBENTS)
    assert_array_equal(table["model"], expected)
    assert_array_equal(table["cost"], COSTS[expected])
    ranking = policy.rank(QUERIES, 2, incumbent=INCUMBENTS)
    assert_array_equal(ranking.labels[:, 0], expected)
    usual = RouterPolicy(ROUTER, cost_model=COSTS, cost_weight=0.3)
    usual.fit(HELD_OUT, HELD_OUT["score"])
    assert_array_equal(policy.route(QUERIES), usual.route(QUERIES))
    down = policy.route(QUERIES, NAMES[:1], incumbent=[NAMES[0]] * N)
    assert NAMES[0] not in set(down)
    with pytest.raises(ValueError, match="pass incumbent= or budget="):
        policy.choose(QUERIES, 500.0, incumbent=INCUMBENTS)


def test_a_policy_without_costs_weighs_no_cost_of_a_change():
    policy = RouterPolicy(ROUTER, switch_cost=0.1)
    with pytest.raises(ValueError, match="switch_cost is weighed"):
        policy.fit(HELD_OUT, HELD_OUT["score"])
    with pytest.raises(ValueError, match="switch_margin"):
        policy.set_params(switch_cost=0.0, switch_margin=-1.0).fit(
            HELD_OUT, HELD_OUT["score"]
        )


# Trust


def test_trust_falls_with_the_distance_from_the_known_queries():
    router = ROUTERS["locus"]
    known = router.trust(POOL.encodings[:80])
    assert (known > 0.9).mean() > 0.9
    scales = [1.0, 3.0, 10.0, 1e6]
    trust = np.array([router.trust(scale * QUERIES[:20]) for scale in scales])
    assert (np.diff(trust, axis=0) <= 0).all()
    assert (trust >= 0).all()
    assert (trust <= 1).all()
    assert_array_equal(trust[-1], 0.0)
    # It is the weight of all that departs from the means in predictions.
    far = router.correctness_matrix(1e6 * QUERIES[:20])
    np.testing.assert_allclose(far, np.tile(far[0], (20, 1)), atol=1e-6)
    table = pd.DataFrame({"query": list(QUERIES)})
    assert_array_equal(router.trust(table), router.trust(QUERIES))
    assert router.trust(QUERIES[:0]).shape == (0,)


def test_trust_is_that_of_the_packed_evidence():
    router = ROUTERS["locus"]
    asked = np.concatenate([QUERIES, 2 * QUERIES]).astype(np.float32)
    _, packed = router._fitted_pool().packed_evidence._weigh(asked)
    np.testing.assert_allclose(router.trust(asked), packed[:, 0], atol=1e-4)


def test_trust_needs_the_local_evidence():
    router = LocusRouter(max_iter=1, local_evidence=False, random_state=0)
    router.fit(TRAIN, TRAIN["score"])
    with pytest.raises(ValueError, match="local_evidence=True"):
        router.trust(QUERIES)
    assert not hasattr(LinearRouter(), "trust")
