"""Decisions that look at costs: a weight, a floor, and what every router does."""

import copy
import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EXAMPLES, SEEDS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from small import small_routers

from skl_locus import (
    CostModel,
)
from skl_locus._routing.decisions import top_k
from skl_locus._routing.objective import (
    UNREACHABLE,
    Objective,
    choices_at_floors,
    choices_at_weights,
)
from skl_locus.datasets import make_evaluations

ROUTERS = small_routers()
POOL = make_evaluations(n_models=6, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations
NAMES = [f"model-{i}" for i in range(6)]
QUERIES = POOL.encodings[:20]
COSTS = dict(zip(NAMES, [3.0, 0.5, 2.0, 1.0, 1.0, 8.0], strict=True))
ROW = np.array(list(COSTS.values()))


@functools.cache
def fitted(name):
    return clone(ROUTERS[name]).fit(LOG, LOG.score)


@pytest.fixture(params=ROUTERS)
def router(request):
    return fitted(request.param)


# By hand


def test_a_weight_by_hand():
    objective = Objective(cost_weight=0.125)
    P, costs = np.array([[0.9, 0.5]]), np.array([[4.0, 1.0]])
    assert objective.preferences(P, costs).tolist() == [[0.4, 0.375]]
    assert objective.reached(P).all()


def test_without_weight_and_floor_probability_decides():
    P = np.array([[0.9, 0.5]])
    assert Objective().preferences(P, None) is P
    assert Objective().reached(P).tolist() == [[True, True]]
    assert not Objective().needs_costs


def test_a_floor_by_hand():
    P = np.array([[0.9, 0.8, 0.5, 0.8], [0.2, 0.4, 0.1, 0.4]])
    costs = np.array([[5.0, 2.0, 1.0, 2.0]] * 2)
    order = top_k(Objective(floor=0.8).preferences(P, costs), 4)
    # Of equally cheap ones the more probable, of equal ones the first column; where
    # none reaches the floor, the most probable.
    assert order.tolist() == [[1, 3, 0, 2], [1, 3, 0, 2]]
    dearer = np.array([[5.0, 3.0, 1.0, 2.0]] * 2)
    order = top_k(Objective(floor=0.8).preferences(P, dearer), 2)
    assert order.tolist() == [[3, 1], [1, 3]]


@EXAMPLES
@given(SEEDS, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_a_floor_chooses_as_a_loop_would(seed, floor):
    rng = np.random.default_rng(seed)
    P, costs = rng.integers(0, 11, (2, 8, 5)) / 10
    chosen = Objective(floor=floor).preferences(P, costs).argmax(axis=1)
    for p, c, actual in zip(P, costs, chosen, strict=True):
        reaching = [m for m in range(5) if p[m] >= floor]
        expected = (
            min(reaching, key=lambda m: (c[m], -p[m], m))
            if reaching
            else (int(p.argmax()))
        )
        assert actual == expected


@EXAMPLES
@given(SEEDS)
def test_many_settings_at_once_choose_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    P, costs = rng.integers(0, 11, (2, 8, 5)) / 10
    floors = [0.0, *rng.random(3), 0.5, 1.0, UNREACHABLE]
    weights = [0.0, *rng.random(3), 2.0]
    both = (
        *choices_at_floors(P, costs, floors),
        *choices_at_weights(P, costs, weights),
    )
    for choices in both:
        preferences = choices.objective.preferences(P, costs)
        assert_array_equal(choices.columns, preferences.argmax(axis=1))
        chosen = P[np.arange(8), choices.columns]
        assert_array_equal(choices.reached, choices.objective.reached(chosen))
    used = [(c.objective.floor, c.objective.cost_weight) for c in both]
    assert used == [(q, None) for q in floors] + [(None, w) for w in weights]


# Every router


def test_a_weight_trades_probability_for_cost(router):
    P = router.correctness_matrix(QUERIES).astype(np.float64)
    for weight in (0, 0.01, 0.1, 10):
        expected = (P - weight * ROW).argmax(axis=1)
        routes = router.route(QUERIES, costs=COSTS, cost_weight=weight)
        assert routes.tolist() == [NAMES[m] for m in expected]


@pytest.mark.parametrize("floor", [0.0, 0.4, 0.6, 1.0])
def test_a_floor_takes_the_cheapest_model_that_reaches_it(router, floor):
    P = router.correctness_matrix(QUERIES)
    routes = router.route(QUERIES, costs=COSTS, min_correctness=floor)
    for p, label in zip(P, routes, strict=True):
        chosen = NAMES.index(label)
        reaching = p >= np.float32(floor)
        if reaching.any():
            assert ROW[chosen] == ROW[reaching].min()
            assert reaching[chosen]
        else:
            assert p[chosen] == p.max()


@pytest.mark.parametrize("aim", [{"cost_weight": 0.05}, {"min_correctness": 0.5}])
def test_forms_of_costs(router, aim):
    expected = router.route(QUERIES, costs=COSTS, **aim)
    shuffled = pd.Series(COSTS).sample(frac=1, random_state=0)
    for costs in (
        shuffled,
        dict(COSTS, unknown=3.0),
        CostModel(costs=COSTS).fit(),
        np.tile(ROW, (20, 1)),
        np.tile(ROW, (20, 1)).astype(np.float32),
    ):
        assert_array_equal(router.route(QUERIES, costs=costs, **aim), expected)
    some = NAMES[4:1:-1]
    assert_array_equal(
        router.route(QUERIES, some, costs=np.tile(ROW[4:1:-1], (20, 1)), **aim),
        router.route(QUERIES, some, costs=COSTS, **aim),
    )


def test_costs_of_a_log_are_learned():
    log = LOG.assign(cost=LOG["model"].map(COSTS))
    costs = CostModel().fit(log)
    router = fitted("kmeans")
    assert_array_equal(
        router.route(QUERIES, costs=costs, cost_weight=0.1),
        router.route(QUERIES, costs=COSTS, cost_weight=0.1),
    )


def test_costs_of_pairs():
    router = fitted("kmeans")
    pairs = pd.DataFrame(
        {
            "model": np.repeat(NAMES, 20),
            "query": list(QUERIES) * 6,
            "cost": np.random.default_rng(0).random(120).round(2),
        }
    )
    costs = CostModel(costs=pairs.sample(frac=1, random_state=0)).fit()
    matrix = pairs["cost"].to_numpy().reshape(6, 20).T
    assert_array_equal(
        router.route(QUERIES, costs=costs, min_correctness=0.5),
        router.route(QUERIES, costs=matrix, min_correctness=0.5),
    )
    some = costs.matrix(QUERIES[::-1], NAMES[:2])
    assert_array_equal(some, matrix[::-1, :2])
    with pytest.raises(ValueError, match="'model-0'"):
        router.route(POOL.encodings[20:22], costs=costs, min_correctness=0.5)


def test_costs_follow_repeated_queries(router):
    repeated = QUERIES[[0, 0, 1]]
    costs = np.full((3, 6), 9.0)
    costs[[0, 1, 2], [4, 2, 0]] = 0.0
    routes = router.route(repeated, costs=costs, cost_weight=10)
    assert routes.tolist() == ["model-4", "model-2", "model-0"]


@pytest.mark.parametrize("aim", [{"cost_weight": 0.05}, {"min_correctness": 0.5}])
def test_rank_begins_with_the_route(router, aim):
    labels, probabilities = ranking = router.rank(QUERIES, costs=COSTS, **aim)
    assert ranking.labels is labels
    assert ranking.probabilities is probabilities
    assert_array_equal(labels[:, 0], router.route(QUERIES, costs=COSTS, **aim))
    matrix = router.correctness_matrix(QUERIES)
    columns = np.vectorize(NAMES.index)(labels)
    assert_array_equal(probabilities, np.take_along_axis(matrix, columns, axis=1))
    two = router.rank(QUERIES, 2, costs=COSTS, **aim)
    assert_array_equal(two.labels, labels[:, :2])


def test_rank_tells_who_reaches_the_floor(router):
    ranking = router.rank(QUERIES, costs=COSTS, min_correctness=0.6)
    assert_array_equal(ranking.reached, ranking.probabilities >= np.float32(0.6))
    assert (np.diff(ranking.reached.astype(int), axis=1) <= 0).all()
    nobody = router.rank(QUERIES, costs=COSTS, min_correctness=1.0)
    P = router.correctness_matrix(QUERIES)
    if (P < 1).all():
        assert not nobody.reached.any()
        assert_array_equal(nobody.probabilities[:, 0], P.max(axis=1))
    assert router.rank(QUERIES).reached is None
    assert router.rank(QUERIES, costs=COSTS, cost_weight=1).reached is None


def test_a_ranking_can_be_copied_and_stored():
    ranking = fitted("best").rank(QUERIES, costs=COSTS, min_correctness=0.6)
    for other in (
        copy.copy(ranking),
        copy.deepcopy(ranking),
        ranking._replace(labels=ranking.labels),
        pickle.loads(pickle.dumps(ranking)),
    ):
        assert type(other) is type(ranking)
        for own, expected in zip(
            (*other, other.reached), (*ranking, ranking.reached), strict=True
        ):
            assert_array_equal(own, expected)


def test_a_ranking_is_a_tuple_of_two():
    ranking = fitted("best").rank(QUERIES, costs=COSTS, min_correctness=0.6)
    labels, probabilities = ranking
    assert isinstance(ranking, tuple)
    assert len(ranking) == 2
    assert ranking[0] is labels
    assert ranking == (labels, probabilities)
    assert ranking == copy.copy(ranking)


def test_a_ranking_as_a_table():
    router, queries = fitted("best"), QUERIES[:2]
    ranking = router.rank(queries, 3, costs=COSTS, min_correctness=0.6)
    table = ranking.to_frame()
    assert table.columns.tolist() == [
        "query",
        "rank",
        "model",
        "probability",
        "reached",
    ]
    assert table["query"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["rank"].tolist() == [1, 2, 3] * 2
    for name, values in (
        ("model", ranking.labels),
        ("probability", ranking.probabilities),
        ("reached", ranking.reached),
    ):
        assert_array_equal(table[name].to_numpy().reshape(2, 3), values)
    assert "reached" not in router.rank(queries).to_frame()
    assert router.rank(queries[:0]).to_frame().shape == (0, 5)


def test_a_ranking_has_the_score_that_decides_beside_p():
    router, queries = fitted("locus"), QUERIES[:3]
    table = router.rank(queries).to_frame()
    assert table.columns.tolist()[-2:] == ["probability", "score"]
    assert (table.groupby("query")["score"].diff().dropna() <= 0).all()
    weighed = router.rank(queries, costs=COSTS, cost_weight=0.3)
    costs = pd.Series(COSTS).loc[weighed.labels.ravel()].to_numpy().reshape(3, -1)
    assert_allclose(weighed.scores, weighed.probabilities - 0.3 * costs, rtol=1e-5)
    assert router.rank(queries, costs=COSTS, min_correctness=0.6).scores is None


def test_rank_leaves_out_models_that_are_down_as_route_does():
    router, queries = fitted("locus"), QUERIES[:5]
    best = router.route(queries)[0]
    labels, _ = router.rank(queries, unavailable=[best])
    assert best not in labels
    assert labels.shape[1] == len(router.models_) - 1
    assert_array_equal(labels[:, 0], router.route(queries, unavailable=[best]))
    with pytest.raises(ValueError, match="No model is left"):
        router.rank(queries, unavailable=router.models_)


@pytest.mark.parametrize("queries", [{"query": ["a"]}, {"a", "b"}, {"a": 1}.keys()])
def test_what_is_no_list_of_queries_is_refused(queries):
    with pytest.raises(TypeError, match="no list of queries"):
        fitted("best").route(queries)


def test_a_ranking_can_be_read():
    router = fitted("best")
    ranking = router.rank(QUERIES, 2, costs=COSTS, min_correctness=0.6)
    first, names, *rows = repr(ranking).splitlines()
    assert first == "Ranking of 2 models for 20 queries under a floor of 0.6"
    assert names.split() == ["query", "rank", "model", "probability", "reached"]
    assert rows[0].split()[:3] == ["0", "1", ranking.labels[0, 0]]
    assert len(rows) < 15
    assert repr(router.rank(QUERIES, 2)).startswith(
        "Ranking of 2 models for 20 queries\n"
    )


def test_models_that_are_down_are_left_out(router):
    aim = {"costs": COSTS, "cost_weight": 0.05}
    ranked = router.rank(QUERIES, **aim).labels
    routes = router.route(QUERIES, unavailable=["model-1", "model-3"], **aim)
    for labels, label in zip(ranked, routes, strict=True):
        left = [name for name in labels if name not in ("model-1", "model-3")]
        assert label == left[0]


def test_neighbors_stand_in_for_the_choice_by_cost():
    router = fitted("locus")
    aim = {"costs": COSTS, "min_correctness": 0.3}
    first = router.route(QUERIES, **aim)
    down = first[0]
    stand_in = router.fallback_table(1).loc[down, 1]
    routes = router.route(QUERIES, unavailable=[down], fallback="neighbor", **aim)
    assert_array_equal(routes, np.where(first == down, stand_in, first))


def test_no_queries(router):
    nothing = np.empty((0, 16), np.float32)
    for costs in (COSTS, np.empty((0, 6)), CostModel(costs=COSTS).fit()):
        aim = {"costs": costs, "min_correctness": 0.5}
        assert router.route(nothing, **aim).shape == (0,)
        assert router.rank(nothing, 2, **aim).reached.shape == (0, 2)


# Errors


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_costs_name_the_model(router, bad):
    matrix = np.tile(ROW, (20, 1))
    matrix[3, 2] = bad
    for costs in (dict(COSTS, **{"model-2": bad}), matrix):
        with pytest.raises(ValueError, match="'model-2'"):
            router.route(QUERIES, costs=costs, cost_weight=1)
        with pytest.raises(ValueError, match="'model-2'"):
            router.rank(QUERIES, costs=costs, min_correctness=0.5)


def test_a_missing_cost_names_the_model(router):
    few = {name: COSTS[name] for name in NAMES[:5]}
    for costs in (few, pd.Series(few), CostModel(costs=few).fit()):
        with pytest.raises(ValueError, match="'model-5'"):
            router.route(QUERIES, costs=costs, cost_weight=1)
        router.route(QUERIES, NAMES[:5], costs=costs, cost_weight=1)


@pytest.mark.parametrize("method", ["route", "rank"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"costs": COSTS}, "what they are for"),
        ({"cost_weight": 1}, "cost_weight needs"),
        ({"min_correctness": 0.5}, "min_correctness needs"),
        (
            {"costs": COSTS, "cost_weight": 1, "min_correctness": 0.5},
            "pass one of them",
        ),
        ({"costs": COSTS, "cost_weight": -1}, "at least 0"),
        ({"costs": COSTS, "cost_weight": np.inf}, "finite"),
        ({"costs": COSTS, "cost_weight": "much"}, "cost_weight must be"),
        ({"costs": COSTS, "min_correctness": 1.1}, r"in \[0, 1\]"),
        ({"costs": COSTS, "min_correctness": np.nan}, r"in \[0, 1\]"),
        ({"costs": ROW, "cost_weight": 1}, r"by label.*\(20, 6\)"),
        ({"costs": np.ones((20, 5)), "cost_weight": 1}, r"\(20, 5\)"),
        ({"costs": "cheap", "cost_weight": 1}, "by label"),
    ],
)
def test_senseless_arguments(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(fitted("best"), method)(QUERIES, **arguments)


@EXAMPLES
@given(SEEDS)
def test_a_dearer_weight_never_costs_more(seed):
    rng = np.random.default_rng(seed)
    costs = dict(zip(NAMES, rng.integers(0, 5, 6), strict=True))
    weights = np.sort(rng.random(4))
    spent = [
        sum(
            costs[label]
            for label in fitted("kmeans").route(
                QUERIES, costs=costs, cost_weight=weight
            )
        )
        for weight in weights
    ]
    assert (np.diff(spent) <= 0).all()
