"""Adaptive evaluation: ask, tell, result."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from equality import differences
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL

import skl_locus
from skl_locus import KMeansRouter, LocusRouter
from skl_locus.adaptive import AdaptiveEvaluation, AdaptiveResult
from skl_locus.adaptive._batches import NEAR
from skl_locus.datasets import make_evaluations

LOG = make_evaluations(n_models=17, n_queries=120, random_state=3).evaluations
NEW = LOG[LOG["model"] == "model-16"].reset_index(drop=True)
KNOWN = LOG[LOG["model"] != "model-16"]
QUERIES = NEW[["query_id", "query"]]
ANSWERS = NEW.set_index("query_id")["score"]
GOALS = ("routing", "score", "identity")
ROUTER = LocusRouter(**SMALL).fit(KNOWN, KNOWN["score"])


def evaluation_of(**options):
    return AdaptiveEvaluation(ROUTER, QUERIES, **{"random_state": 0} | options)


STARTS = {goal: evaluation_of(goal=goal) for goal in GOALS}
"""Evaluations before the first ask, copied by tests: to make one takes longer."""


def start(goal):
    return copy.deepcopy(STARTS[goal])


def step(evaluation, n):
    ids = list(evaluation.ask(n)["query_id"])
    evaluation.tell(ids, ANSWERS[ids])
    return ids


def same(one, other):
    assert isinstance(one, AdaptiveResult)
    assert one.score == other.score
    assert one.uncertainty == other.uncertainty
    pd.testing.assert_frame_equal(one.evaluations, other.evaluations)
    pd.testing.assert_frame_equal(one.completed, other.completed)
    pd.testing.assert_frame_equal(one.neighbors, other.neighbors)


goals = st.sampled_from(GOALS)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=4)
few = settings(max_examples=12)


@few
@given(goals, sizes)
def test_no_query_is_asked_twice(goal, batches):
    evaluation, asked = start(goal), []
    for i, n in enumerate(batches):
        ids = list(evaluation.ask(n)["query_id"])
        assert len(ids) == min(n, len(QUERIES) - len(asked))
        asked += ids
        if i % 2:  # whether the scores have come or not
            evaluation.tell(ids, ANSWERS[ids])
    assert len(set(asked)) == len(asked)


@few
@given(goals, st.permutations(range(12)))
def test_the_order_of_answers_changes_nothing(goal, order):
    one, other = start(goal), start(goal)
    ids = list(one.ask(12)["query_id"])
    assert list(other.ask(12)["query_id"]) == ids
    one.tell(ids, ANSWERS[ids])
    shuffled = [ids[i] for i in order]
    other.tell(shuffled, ANSWERS[shuffled])
    same(one.result(), other.result())
    assert list(one.ask(8)["query_id"]) == list(other.ask(8)["query_id"])


@few
@given(goals, st.integers(1, 11))
def test_partial_answers_equal_complete_ones(goal, cut):
    one, other = start(goal), start(goal)
    ids = list(one.ask(12)["query_id"])
    other.ask(12)
    one.tell(ids, ANSWERS[ids])
    for part in (ids[:cut], ids[cut:]):
        other.tell(part, ANSWERS[part])
    same(one.result(), other.result())
    assert list(one.ask(8)["query_id"]) == list(other.ask(8)["query_id"])


@few
@given(goals, sizes)
def test_pickling_between_asks_changes_nothing(goal, batches):
    one, other = start(goal), start(goal)
    for n in batches:
        other = pickle.loads(pickle.dumps(other))
        asked = step(one, n)
        other_asked = list(other.ask(n)["query_id"])
        assert asked == other_asked
        other = pickle.loads(pickle.dumps(other))
        other.tell(asked, ANSWERS[asked])
    same(one.result(), other.result())


@pytest.mark.parametrize("goal", GOALS)
def test_the_random_state_determines_the_queries(goal):
    first = [step(start(goal), 16) for _ in range(2)]
    assert first[0] == first[1]
    other = evaluation_of(goal=goal, random_state=1)
    assert step(other, 16) != first[0]


@pytest.mark.parametrize("goal", GOALS)
def test_the_order_of_the_queries_given_changes_nothing(goal):
    shuffled = QUERIES.sample(frac=1, random_state=0)
    other = AdaptiveEvaluation(ROUTER, shuffled, goal=goal, random_state=0)
    one = start(goal)
    for _ in range(2):
        assert step(one, 8) == step(other, 8)


def test_the_router_is_not_changed():
    before = pickle.dumps(ROUTER.correctness_matrix(list(QUERIES["query"])))
    evaluation = evaluation_of()
    step(evaluation, 16)
    evaluation.result()
    assert pickle.dumps(ROUTER.correctness_matrix(list(QUERIES["query"]))) == before


def test_the_answers_change_what_is_asked():
    asked = []
    for value in (0.0, 1.0):
        evaluation = evaluation_of(random_share=0)
        ids = list(evaluation.ask(16)["query_id"])
        evaluation.tell(ids, np.full(16, value))
        asked.append(set(evaluation.ask(16)["query_id"]))
    assert asked[0] != asked[1]


def test_a_share_is_drawn_whatever_the_answers():
    # With all queries drawn, scores have no part in the choice.
    ones, zeros = (evaluation_of(random_share=1) for _ in range(2))
    for _ in range(3):
        ids = list(ones.ask(8)["query_id"])
        assert list(zeros.ask(8)["query_id"]) == ids
        ones.tell(ids, np.ones(8))
        zeros.tell(ids, np.zeros(8))


def test_the_share_holds_over_small_batches():
    evaluation = evaluation_of(random_share=0.25)
    for n in (1, 1, 1, 1, 3, 9):
        step(evaluation, n)
    assert evaluation._drawn == 4


def test_what_remains_is_asked_and_then_nothing():
    evaluation = start("routing")
    assert len(evaluation.ask(100)) == 100
    assert len(evaluation.ask(100)) == 20
    empty = evaluation.ask(5)
    assert len(empty) == 0
    assert list(empty.columns) == ["query_id", "query"]


def test_a_failed_query_is_put_back_once():
    evaluation = start("routing")
    (first, *others) = list(evaluation.ask(4)["query_id"])
    evaluation.tell(others, ANSWERS[others])
    evaluation.tell([first], None)
    rest = list(evaluation.ask(len(QUERIES))["query_id"])
    assert first in rest
    assert not set(others) & set(rest)
    evaluation.tell([first], [None])
    assert len(evaluation.ask(10)) == 0
    with pytest.raises(ValueError, match="was not asked"):
        evaluation.tell([first], [1.0])


def test_single_failures_stand_beside_scores():
    evaluation = start("routing")
    ids = list(evaluation.ask(3)["query_id"])
    evaluation.tell(ids, [1.0, np.nan, None])
    assert evaluation.result().n_evaluations == 1


@pytest.mark.parametrize(
    ("ids", "scores", "message"),
    [
        (["nobody"], [1.0], "'nobody' was not asked"),
        ([3], [1.0], "3 was not asked"),
        (["first", "first"], [1.0, 1.0], "twice"),
        (["first", "second"], [1.0], "1 scores for 2 ids"),
        (["first", "second"], [1.0, 1.5], r"number 1 is 1.5"),
        (["first", "second"], [-0.1, 1.0], r"number 0 is -0.1"),
        (["first"], ["right"], "numbers in"),
        ("first", [1.0], "must be a sequence"),
        (["answered"], [1.0], "has a score already"),
        (["free"], [1.0], "was not asked"),
    ],
)
def test_bad_answers_are_refused_and_nothing_is_lost(ids, scores, message):
    evaluation = start("routing")
    answered, first, second = evaluation.ask(3)["query_id"]
    evaluation.tell([answered], [1.0])
    free = next(q for q in QUERIES["query_id"] if q not in (answered, first, second))
    names = {"first": first, "second": second, "answered": answered, "free": free}
    if isinstance(ids, list):
        ids = [names.get(each, each) for each in ids]
    before = evaluation.result()
    with pytest.raises(ValueError, match=message):
        evaluation.tell(ids, scores)
    same(evaluation.result(), before)
    evaluation.tell([first, second], [1.0, 0.0])
    assert evaluation.result().n_evaluations == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": "price"}, "goal must be"),
        ({"random_share": 1.5}, "random_share"),
        ({"goal": "score", "traffic": QUERIES}, "traffic"),
        ({"costs": {"query-000": 1.0}}, "no entry"),
        ({"costs": np.ones(3)}, "3 entries for 120"),
        ({"costs": np.zeros(120)}, "positive"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        evaluation_of(**options)


def test_other_routers_are_refused():
    router = KMeansRouter(3, random_state=0).fit(KNOWN, KNOWN["score"])
    with pytest.raises(TypeError, match="LocusRouter, got KMeansRouter"):
        AdaptiveEvaluation(router, QUERIES)


@pytest.mark.parametrize("n", [0, -1, 1.5, "many"])
def test_bad_numbers_are_refused(n):
    with pytest.raises(ValueError, match="n must be"):
        start("routing").ask(n)


def test_no_queries_are_refused():
    with pytest.raises(ValueError, match="empty"):
        AdaptiveEvaluation(ROUTER, QUERIES.head(0))


def test_there_is_no_result_without_scores():
    evaluation = start("routing")
    with pytest.raises(ValueError, match="no result yet"):
        evaluation.result()
    assert not evaluation.should_stop(1e9)


def test_costs_are_respected():
    costs = pd.Series(np.where(np.arange(120) % 2, 1.0, 50.0), QUERIES["query_id"])
    evaluation = evaluation_of(costs=costs, random_share=0)
    asked = list(evaluation.ask(40)["query_id"])
    assert (costs[asked] == 1).all()
    evaluation = evaluation_of(costs=costs)
    asked = list(evaluation.ask(40, budget=110)["query_id"])
    assert costs[asked].sum() <= 110
    evaluation.tell(asked, ANSWERS[asked])
    assert evaluation.result().cost == costs[asked].sum()
    assert len(evaluation.ask(5, budget=0.5)) == 0
    with pytest.raises(ValueError, match="budget"):
        evaluation.ask(5, budget=-1)


def test_no_near_duplicates_are_chosen_into_one_batch():
    twins = QUERIES.assign(query_id=QUERIES["query_id"] + "-again")
    evaluation = AdaptiveEvaluation(
        ROUTER, pd.concat([QUERIES, twins]), random_share=0, random_state=0
    )
    batch = np.stack(list(evaluation.ask(60)["query"]))
    everything = np.stack(list(QUERIES["query"]))
    distances = np.square(batch[:, None] - batch).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() > NEAR * 2 * everything.var(axis=0).sum()


def test_the_result_can_be_added():
    evaluation = start("routing")
    for _ in range(3):
        step(evaluation, 8)
    result = evaluation.result("model-16")
    for table, n_rows in ((result.evaluations, 24), (result.completed, 120)):
        router = copy.copy(ROUTER).add_models(table, table["score"])
        assert len(table) == n_rows
        assert router.models_.tolist()[-1] == "model-16"
    observed = result.evaluations.set_index("query_id")["score"]
    assert (observed == ANSWERS[observed.index]).all()
    completed = result.completed.set_index("query_id")["score"]
    assert (completed[observed.index] == observed).all()
    assert completed.between(0, 1).all()


def test_small_pools_complete_nothing():
    few = KNOWN[KNOWN["model"].isin(["model-00", "model-01", "model-02", "model-03"])]
    router = LocusRouter(**SMALL).fit(few, few["score"])
    evaluation = AdaptiveEvaluation(router, QUERIES, random_state=0)
    step(evaluation, 8)
    result = evaluation.result()
    pd.testing.assert_frame_equal(result.completed, result.evaluations)


def test_known_queries_alone_are_completed():
    unknown = make_evaluations(n_models=4, n_queries=10, random_state=9).evaluations
    unknown = unknown.drop_duplicates("query_id")[["query_id", "query"]]
    unknown = unknown.assign(query_id="new-" + unknown["query_id"])
    evaluation = AdaptiveEvaluation(
        ROUTER, pd.concat([QUERIES, unknown]), random_state=0
    )
    ids = list(evaluation.ask(16)["query_id"])
    evaluation.tell(ids, np.ones(16))
    completed = set(evaluation.result().completed["query_id"])
    assert completed == set(QUERIES["query_id"]) | set(ids)


def test_a_known_model_is_its_own_nearest_neighbor():
    own = KNOWN[KNOWN["model"] == "model-03"].set_index("query_id")["score"]
    evaluation = start("identity")
    for _ in range(4):
        ids = list(evaluation.ask(16)["query_id"])
        evaluation.tell(ids, own[ids])
    result = evaluation.result()
    assert result.neighbors.index[0] == "model-03"
    assert result.neighbors["distance"].idxmin() == "model-03"
    assert result.neighbors["probability"].sum() == pytest.approx(1)
    assert result.uncertainty == pytest.approx(
        1 - result.neighbors["probability"].iloc[0]
    )
    assert evaluation.should_stop(0.5)


@pytest.mark.parametrize("goal", ["routing", "score"])
def test_uncertainty_falls_until_it_is_enough(goal):
    evaluation, uncertainties = start(goal), []
    for _ in range(3):
        step(evaluation, 24)
        uncertainties.append(evaluation.result().uncertainty)
    assert uncertainties == sorted(uncertainties, reverse=True)
    assert evaluation.should_stop(uncertainties[-1])
    assert not evaluation.should_stop(uncertainties[-1] * 0.99)
    with pytest.raises(ValueError, match="tolerance"):
        evaluation.should_stop(-1)
    while len(evaluation._askable) > (evaluation._states == 2).sum():
        step(evaluation, 50)
    assert evaluation.should_stop(0)


def test_bare_queries_have_their_positions_as_ids():
    vectors = np.stack(list(QUERIES["query"]))
    for queries in (vectors, list(vectors), pd.Series(list(vectors))):
        evaluation = AdaptiveEvaluation(ROUTER, queries, random_state=0)
        batch = evaluation.ask(5)
        for position, vector in zip(batch["query_id"], batch["query"], strict=True):
            assert np.array_equal(vectors[position], vector)
        evaluation.tell(batch["query_id"], np.ones(5))
        table = evaluation.result().evaluations
        assert "query_id" not in table
        assert len(copy.copy(ROUTER).add_models(table, table["score"]).models_) == 17


def test_other_dataframe_libraries_come_back():
    pl = pytest.importorskip("polars")
    table = pl.DataFrame(
        {"query_id": QUERIES["query_id"].tolist()}
        | {"query": [vector.tolist() for vector in QUERIES["query"]]}
    )
    evaluation = AdaptiveEvaluation(ROUTER, table, random_state=0)
    batch = evaluation.ask(8)
    assert isinstance(batch, pl.DataFrame)
    assert batch["query_id"].to_list() == list(start("routing").ask(8)["query_id"])
    evaluation.tell(batch["query_id"], [1.0] * 8)
    assert isinstance(evaluation.result().evaluations, pl.DataFrame)


def test_traffic_decides_what_matters():
    narrow = QUERIES.head(3)
    evaluation = evaluation_of(traffic=narrow, random_share=0)
    elsewhere = evaluation_of(random_share=0)
    assert step(evaluation, 16) != step(elsewhere, 16)
    often = pd.concat([narrow.iloc[[0]]] * 50 + [narrow.iloc[1:]])
    weighted = evaluation_of(traffic=often, random_share=0)
    assert weighted._target_weights.max() == pytest.approx(50 / 52)


def test_shown_as_what_it_is():
    evaluation = start("score")
    step(evaluation, 8)
    evaluation.ask(2)
    assert repr(evaluation) == (
        "<AdaptiveEvaluation for score: 8 of 120 queries answered, 2 pending>"
    )
    assert "8 evaluations, mean score" in repr(evaluation.result())


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("goal", GOALS)
def test_a_saved_evaluation_goes_on_where_it_was(goal, mmap, tmp_path):
    path = tmp_path / "evaluation.locus"
    one, other = start(goal), start(goal)
    for n in (8, 5):
        # In between, some queries are answered, one has failed and one is under way.
        for each in (one, other):
            ids = list(each.ask(n)["query_id"])
            each.tell(ids[2:], ANSWERS[ids[2:]])
            each.tell(ids[:1], None)
        skl_locus.save(other, path)
        before = other
        other = skl_locus.load(path, mmap=mmap)
        assert differences(other, before) == []
    assert repr(other) == repr(one)
    same(one.result(), other.result())
    assert step(one, 16) == step(other, 16)
    same(one.result(), other.result())


def test_a_saved_evaluation_keeps_ids_costs_and_traffic(tmp_path):
    path = tmp_path / "evaluation.locus"
    numbers = QUERIES.assign(query_id=np.arange(len(QUERIES)))
    costs = dict(zip(numbers["query_id"], np.linspace(1, 9, len(QUERIES)), strict=True))
    one = AdaptiveEvaluation(
        ROUTER, numbers, traffic=QUERIES.head(9), costs=costs, random_state=2
    )
    one.tell(one.ask(6)["query_id"], np.ones(6))
    skl_locus.save(one, path)
    other = skl_locus.load(path)
    assert skl_locus.describe(path)["estimator"] == "AdaptiveEvaluation"
    same(one.result(), other.result())
    one_batch, other_batch = one.ask(6, budget=20), other.ask(6, budget=20)
    pd.testing.assert_frame_equal(one_batch, other_batch)


def test_an_evaluation_is_not_saved_without_its_evaluations(tmp_path):
    path = tmp_path / "evaluation.locus"
    with pytest.raises(ValueError, match="needs the evaluations"):
        skl_locus.save(start("routing"), path, evaluations=False)
    assert not path.exists()


def test_copies_do_not_change_each_other():
    one = start("routing")
    other = copy.copy(one)
    ids = list(one.ask(4)["query_id"])
    one.tell(ids, ANSWERS[ids])
    assert repr(other).endswith("0 of 120 queries answered, 0 pending>")
