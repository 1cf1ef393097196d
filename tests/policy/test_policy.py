"""Policies: calibration, floors, targets and budgets on held-out queries."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from logs import EXAMPLES, SEEDS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from small import SMALL

from skl_locus import (
    CostModel,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusRouter,
    QueryEncoder,
    RouterPolicy,
)
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import UnreachedTargetWarning
from skl_locus.model_selection import QueryKFold

DATA = Path(__file__).parents[3] / "shared" / "data"
POOL = make_evaluations(n_models=8, n_queries=1500, random_state=0)
LOG = POOL.evaluations
COSTS = POOL.models["cost"].round(3)
NAMES = COSTS.index.tolist()
UNREACHED = "ignore::skl_locus.exceptions.UnreachedTargetWarning"


def part(log, first, last):
    """Return the rows of some queries, by their numbers."""
    numbers = log["query_id"].str[-4:].astype(int)
    return log[(numbers >= first) & (numbers < last)]


TRAIN, HELD_OUT, TEST = part(LOG, 0, 300), part(LOG, 300, 900), part(LOG, 900, 1500)
ROUTER = KMeansRouter(8, random_state=0).fit(TRAIN, TRAIN["score"])
QUERIES = POOL.encodings[900:]
TRUTH = POOL.probabilities[900:]


def fitted(router=ROUTER, **parameters):
    policy = RouterPolicy(router, **{"cost_model": COSTS} | parameters)
    return policy.fit(HELD_OUT, HELD_OUT["score"])


def expected_score(labels):
    """Return the true P(correct) of routed test queries: (n_queries,)."""
    return TRUTH[np.arange(len(labels)), [NAMES.index(label) for label in labels]]


# What is decided


def test_without_an_aim_the_router_decides():
    policy = fitted(cost_model=None)
    assert_array_equal(policy.route(QUERIES), ROUTER.route(QUERIES))
    table = policy.choose(QUERIES)
    assert table["cost"].isna().all()
    assert table["reached"].all()
    assert_array_equal(policy.rank(QUERIES).labels, ROUTER.rank(QUERIES).labels)
    assert policy.rank(QUERIES).reached is None


def test_a_weight_is_kept():
    policy = fitted(cost_weight=0.05, calibration=None)
    expected = ROUTER.route(QUERIES, costs=COSTS, cost_weight=0.05)
    assert_array_equal(policy.route(QUERIES), expected)
    assert policy.cost_weight_ == 0.05
    assert policy.threshold_ is None
    assert policy.cost_ == pytest.approx(policy.report_["cost"].iloc[0])


def test_a_floor_is_one_on_corrected_probabilities():
    policy = fitted(min_correctness=0.6)
    assert policy.threshold_ >= 0.6
    P = policy.calibration_(ROUTER.correctness_matrix(QUERIES))
    table = policy.choose(QUERIES)
    for p, (_, row) in zip(P, table.iterrows(), strict=True):
        reaching = p >= policy.threshold_
        assert row["reached"] == reaching.any()
        if reaching.any():
            assert row["cost"] == COSTS[reaching].min()
        else:
            assert row["probability"] == p.max()
    assert_allclose(table["cost"], COSTS[table["model"]])


def test_rank_begins_with_the_route():
    policy = fitted(min_correctness=0.6)
    labels, probabilities = ranking = policy.rank(QUERIES, 3)
    table = policy.choose(QUERIES)
    assert_array_equal(labels[:, 0], table["model"])
    assert_array_equal(probabilities[:, 0], table["probability"])
    assert_array_equal(ranking.reached[:, 0], table["reached"])
    down = policy.rank(QUERIES, unavailable=NAMES[:5])
    assert down.labels.shape == (600, 3)
    assert set(down.labels.ravel()) == set(NAMES[5:])
    for k in (0, 9, 1.5, "all"):
        with pytest.raises(ValueError, match="k must be an integer between 1 and 8"):
            policy.rank(QUERIES, k)


def test_only_models_that_are_allowed_and_up():
    policy = fitted(cost_weight=0.1, models=NAMES[2:5])
    assert set(policy.route(QUERIES)) <= set(NAMES[2:5])
    assert policy.costs(QUERIES).tolist() == [COSTS[2:5].tolist()] * 600
    assert set(policy.route(QUERIES, NAMES[2:4])) == {NAMES[4]}
    with pytest.raises(ValueError, match="No model is left"):
        policy.route(QUERIES, NAMES[2:5])


def test_a_neighbor_answers_for_a_model_that_is_down():
    few = part(LOG, 0, 60)
    router = LocusRouter(**SMALL).fit(few, few["score"])
    policy = fitted(router, cost_weight=0.05, fallback="neighbor")
    first = policy.route(QUERIES)
    stand_in = router.fallback_table(1).loc[first[0], 1]
    routes = policy.route(QUERIES, unavailable=[first[0]])
    assert_array_equal(routes, np.where(first == first[0], stand_in, first))


def test_the_table_keeps_the_index_of_the_queries():
    policy = fitted(cost_weight=0.05)
    series = pd.Series(list(QUERIES[:3]), index=["x", "y", "z"])
    assert policy.choose(series).index.tolist() == ["x", "y", "z"]
    frame = pd.DataFrame({"query": series})
    assert policy.choose(frame, budget=1e3).index.tolist() == ["x", "y", "z"]
    assert policy.choose(QUERIES[:0]).shape == (0, 4)


def test_new_models_of_the_router_join():
    router = copy.deepcopy(ROUTER)
    costs = {**COSTS, "new": 0.0}
    policy = fitted(router, cost_weight=100.0, cost_model=costs)
    new = HELD_OUT[HELD_OUT["model"] == NAMES[0]].assign(model="new")
    router.add_models(new, new["score"])
    assert set(policy.route(QUERIES)) == {"new"}


# Budgets


def test_a_budget_is_spent_well():
    policy = fitted(cost_weight=0.05)
    budget = 0.6 * COSTS.mean() * 600
    table = policy.choose(QUERIES, budget)
    assert table["cost"].sum() <= budget
    assert table.attrs["cost"] == pytest.approx(table["cost"].sum())
    assert table.attrs["expected"] == pytest.approx(table["probability"].sum())
    assert 0 <= table.attrs["gap"] < 1
    assert table.attrs["budget"] == budget
    assert_array_equal(policy.route(QUERIES, budget=budget), table["model"])
    # One model for all cannot be better for the same money.
    P = policy.calibration_(ROUTER.correctness_matrix(QUERIES))
    affordable = COSTS.to_numpy() * 600 <= budget
    assert table.attrs["expected"] >= P.sum(axis=0)[affordable].max()
    # The price of the last step leads to about the same cost, query by query.
    by_price = fitted(cost_weight=table.attrs["cost_weight"]).choose(QUERIES)
    assert by_price["cost"].sum() == pytest.approx(budget, rel=0.1)


def test_a_budget_leaves_out_models_that_are_down():
    policy = fitted(min_correctness=0.5)
    table = policy.choose(QUERIES, 1e6, NAMES[:4])
    assert set(table["model"]) <= set(NAMES[4:])
    with pytest.raises(ValueError, match=r"budget=1.* is below"):
        policy.choose(QUERIES, budget=1.0)


def test_a_budget_needs_costs():
    policy = fitted(cost_model=None)
    with pytest.raises(ValueError, match="cost_model"):
        policy.choose(QUERIES, budget=1.0)
    with pytest.raises(ValueError, match="cost_model"):
        policy.costs(QUERIES)


# Floors


@pytest.mark.parametrize(
    "router",
    [
        KMeansRouter(8, random_state=0),
        KNNRouter(5),
        LinearRouter(alpha=1.0),
    ],
    ids=lambda router: type(router).__name__,
)
@pytest.mark.filterwarnings(UNREACHED)
def test_routes_keep_to_the_floor_on_new_queries(router):
    router = clone(router).fit(TRAIN, TRAIN["score"])
    coverages = []
    for floor in (0.5, 0.6, 0.7, 0.8, 0.9):
        policy = fitted(router, min_correctness=floor)
        table = policy.choose(QUERIES)
        reached = table["reached"].to_numpy()
        coverages.append(reached.mean())
        if reached.any():
            quality = expected_score(table["model"])[reached].mean()
            assert quality >= floor - 0.02
    assert coverages[0] > 0.5
    assert (np.diff(coverages) <= 0).all()


def test_a_router_that_is_too_sure_of_itself_is_corrected():
    router = KNNRouter(1).fit(TRAIN, TRAIN["score"])
    assert set(np.unique(router.correctness_matrix(QUERIES))) == {0.0, 1.0}
    with pytest.warns(UnreachedTargetWarning, match="keeps the mean score"):
        sure = fitted(router, min_correctness=0.95, calibration=None)
    assert sure.threshold_ == np.inf
    assert sure.coverage_ == 0
    corrected = fitted(router, cost_weight=0.0)
    assert corrected.calibration_.slope < 0.5


@pytest.mark.filterwarnings(UNREACHED)
def test_a_certified_floor():
    certified = fitted(min_correctness=0.7, confidence=0.95)
    assert np.isfinite(certified.threshold_)
    assert certified.report_["p_value"].iloc[0] <= 0.05
    assert (certified.report_["n_routes"] <= 0.7 * 600).all()
    table = certified.choose(QUERIES)
    reached = table["reached"].to_numpy()
    assert expected_score(table["model"])[reached].mean() >= 0.7


def test_too_few_queries_cannot_certify():
    few = part(LOG, 300, 330)
    policy = RouterPolicy(
        ROUTER, cost_model=COSTS, min_correctness=0.9, confidence=0.95
    )
    with pytest.warns(UnreachedTargetWarning, match=r"Too little to certify.*29 would"):
        policy.fit(few, few["score"])
    assert policy.threshold_ == np.inf
    table = policy.choose(QUERIES)
    assert not table["reached"].any()
    P = policy.calibration_(ROUTER.correctness_matrix(QUERIES))
    assert_array_equal(table["probability"], P.max(axis=1))


@pytest.mark.filterwarnings(UNREACHED)
@pytest.mark.parametrize("n_queries", [1, 2, 3])
def test_hardly_any_queries(n_queries):
    few = part(LOG, 300, 300 + n_queries)
    for aim in (
        {"min_correctness": 0.6},
        {"min_correctness": 1.0},
        {"target_quality": "best_single"},
        {"target_quality": 0.5, "tune": "min_correctness"},
        {"target_cost": 1.0},
    ):
        policy = RouterPolicy(ROUTER, cost_model=COSTS, **aim)
        policy.fit(few, few["score"])
        assert policy.route(QUERIES).shape == (600,)
    sure = RouterPolicy(ROUTER, cost_model=COSTS, min_correctness=0.6, confidence=0.9)
    if n_queries == 1:
        with pytest.raises(ValueError, match="too few to certify"):
            sure.fit(few, few["score"])
    else:
        assert sure.fit(few, few["score"]).threshold_ == np.inf


def test_graded_scores_and_partial_logs():
    pool = make_evaluations(
        n_models=6, n_queries=600, observed=0.6, graded=True, random_state=1
    )
    train, held_out = (
        part(
            pool.evaluations.assign(
                query_id="query-0" + pool.evaluations["query_id"].str[-3:]
            ),
            *ends,
        )
        for ends in ((0, 200), (200, 600))
    )
    router = KMeansRouter(5, random_state=0).fit(train, train["score"])
    policy = RouterPolicy(
        router, cost_model=pool.models["cost"], min_correctness=0.6, confidence=0.9
    ).fit(held_out, held_out["score"])
    outcome = policy.evaluate(held_out, held_out["score"])
    assert 0.4 < outcome["observed"] < 0.8
    assert outcome["quality_reached"] >= 0.6
    assert outcome["n_queries"] == held_out["query_id"].nunique()
    assert policy.score(held_out, held_out["score"]) == outcome["quality"]


# Targets


@pytest.mark.parametrize("tune", ["cost_weight", "min_correctness"])
def test_as_good_as_the_best_single_model_for_less(tune):
    policy = fitted(target_quality="best_single", tune=tune)
    means = TRAIN.groupby("model")["score"].mean()
    held_out = HELD_OUT[HELD_OUT["model"] == means.idxmax()]
    assert policy.target_quality_ == pytest.approx(held_out["score"].mean())
    assert policy.quality_ >= policy.target_quality_
    assert policy.cost_ <= COSTS[means.idxmax()]
    row = policy.report_[policy.report_["cost"] == policy.cost_].iloc[0]
    assert row["difference"] >= row["standard_error"]
    tuned = policy.cost_weight_ if tune == "cost_weight" else policy.threshold_
    assert tuned > 0


def test_a_tolerance_saves_more():
    strict = fitted(target_quality="best_single")
    tolerant = fitted(target_quality="best_single", tolerance=0.05)
    assert tolerant.target_quality_ == strict.target_quality_
    assert tolerant.quality_ >= strict.target_quality_ - 0.05
    assert tolerant.cost_ < strict.cost_
    row = tolerant.report_[tolerant.report_["cost"] == tolerant.cost_].iloc[0]
    shortfall = tolerant.target_quality_ - row["quality"]
    assert row["difference"] == pytest.approx(0.05 - shortfall)


def test_the_best_single_model_itself_may_be_the_cheapest_way():
    best = TRAIN.groupby("model")["score"].mean().idxmax()
    hasty = KNNRouter(1).fit(TRAIN, TRAIN["score"])
    costs = dict.fromkeys(NAMES, 1.0)
    policy = fitted(hasty, cost_model=costs, target_quality="best_single")
    assert policy.models_ == [best]
    assert set(policy.route(QUERIES)) == {best}
    assert policy.quality_ == policy.target_quality_
    assert policy.models is None


@pytest.mark.parametrize("tune", ["cost_weight", "min_correctness"])
def test_the_best_for_a_target_cost(tune):
    target = float(COSTS.mean()) * 0.7
    policy = fitted(target_cost=target, tune=tune)
    assert policy.cost_ <= target
    affordable = policy.report_[policy.report_["cost"] <= target]
    assert policy.cost_ == affordable.loc[affordable["expected"].idxmax(), "cost"]
    with pytest.raises(ValueError, match="raise it"):
        fitted(target_cost=COSTS.min() / 2, tune=tune)


def test_a_target_that_is_out_of_reach_warns():
    with pytest.warns(UnreachedTargetWarning, match="target_quality is not reached"):
        policy = fitted(target_quality=0.99)
    assert policy.quality_ < 0.99
    assert policy.target_quality_ == pytest.approx(0.99)
    easy = fitted(target_quality=0.05)
    assert set(easy.route(QUERIES)) == {COSTS.idxmin()}


@pytest.mark.parametrize(
    "goal",
    [
        {"min_correctness": 0.99},
        {"min_correctness": 0.99, "confidence": 0.999},
        {"target_quality": 0.999},
    ],
    ids=["calibrated", "certified", "target"],
)
def test_warnings_are_shown_at_the_line_that_fits(goal):
    policy = RouterPolicy(ROUTER, cost_model=COSTS, **goal)
    for twin in (policy, clone(policy)):
        with pytest.warns(UnreachedTargetWarning) as caught:
            twin.fit(HELD_OUT, HELD_OUT["score"])
        assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


def test_a_warning_that_is_an_error_leaves_a_policy_as_it_was():
    policy = fitted(cost_weight=0.1)
    before = dict(vars(policy))
    policy.set_params(cost_weight=None, target_quality=0.999)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnreachedTargetWarning)
        with pytest.raises(UnreachedTargetWarning):
            policy.fit(HELD_OUT, HELD_OUT["score"])
    assert policy.cost_weight_ == 0.1
    assert policy.report_ is before["report_"]
    assert vars(policy).keys() == before.keys()


def test_no_single_model_was_seen_on_most_queries():
    rng = np.random.default_rng(0)
    sparse = HELD_OUT[rng.random(len(HELD_OUT)) < 0.5]
    policy = RouterPolicy(ROUTER, cost_model=COSTS, target_quality="best_single")
    with pytest.raises(ValueError, match="80%"):
        policy.fit(sparse, sparse["score"])


# Costs


def test_costs_are_learned_from_the_held_out_log():
    log = HELD_OUT.assign(cost=HELD_OUT["model"].map(COSTS))
    costs = CostModel()
    policy = RouterPolicy(ROUTER, cost_model=costs, cost_weight=0.1)
    policy.fit(log, log["score"])
    assert not hasattr(costs, "mean_costs_")
    assert_allclose(policy.costs(QUERIES[:1])[0], COSTS)
    known = CostModel(costs=COSTS).fit()
    assert fitted(cost_model=known, cost_weight=0.1).cost_model_ is known


def test_a_missing_cost_names_the_model():
    with pytest.raises(ValueError, match=NAMES[-1]):
        fitted(cost_model=COSTS[:-1], cost_weight=0.1)
    fitted(cost_model=COSTS[:-1], cost_weight=0.1, models=NAMES[:-1])


# Errors


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cost_weight": 1, "min_correctness": 0.5}, "exclude each other"),
        ({"target_quality": 0.5, "target_cost": 1.0}, "exclude each other"),
        ({"cost_weight": 1, "cost_model": None}, "cost_model"),
        ({"confidence": 0.9}, "min_correctness"),
        ({"confidence": 0.9, "cost_weight": 1}, "min_correctness"),
        ({"confidence": 0.9, "min_correctness": 1.0}, "min_correctness"),
        ({"confidence": 1.0, "min_correctness": 0.5}, "confidence"),
        ({"min_correctness": 2}, "min_correctness"),
        ({"target_quality": "best"}, "target_quality"),
        ({"tune": "models"}, "tune"),
        ({"models": ["nobody"]}, "'nobody'"),
        ({"fallback": "neighbor", "cost_weight": 1}, "embeddings"),
    ],
)
def test_senseless_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted(**parameters)


def test_queries_of_the_routers_fit_are_refused():
    policy = RouterPolicy(ROUTER, cost_model=COSTS, cost_weight=0.1)
    mixed = pd.concat([HELD_OUT, TRAIN[:3]])
    with pytest.raises(ValueError, match=r"fitted on evaluations of 3 of the 603"):
        policy.fit(mixed, mixed["score"])
    with pytest.raises(TypeError, match="dataframe"):
        policy.fit(QUERIES, np.zeros(600))
    with pytest.raises(ValueError, match="no evaluation of the models"):
        clone(policy).set_params(models=NAMES[:2]).fit(
            HELD_OUT[HELD_OUT["model"] == NAMES[3]], np.zeros(600)
        )


def test_only_fitted_routers_can_be_wrapped():
    with pytest.raises(NotFittedError):
        fitted(KMeansRouter())
    pipeline = make_pipeline(QueryEncoder("name"), ROUTER)
    for other in (pipeline, "router", None):
        with pytest.raises(TypeError, match="router of this package"):
            fitted(other)
    policy = RouterPolicy(ROUTER)
    for call in (policy.route, policy.choose, policy.rank, policy.costs):
        with pytest.raises(NotFittedError):
            call(QUERIES)
    for call in (policy.evaluate, policy.score):
        with pytest.raises(NotFittedError):
            call(HELD_OUT, HELD_OUT["score"])


def test_an_error_leaves_a_policy_as_it_was():
    policy = fitted(cost_weight=0.1)
    expected = policy.route(QUERIES)
    with pytest.raises(ValueError, match="scores in"):
        policy.fit(HELD_OUT, HELD_OUT["score"] + 1)
    assert_array_equal(policy.route(QUERIES), expected)


# Conventions


def test_clones_share_the_router_and_keep_nothing_else():
    costs = CostModel(costs=COSTS)
    policy = RouterPolicy(ROUTER, cost_model=costs, cost_weight=0.1)
    policy.fit(HELD_OUT, HELD_OUT["score"])
    twin = clone(policy)
    assert twin.router is ROUTER
    assert twin.cost_model is not costs
    assert twin.cost_weight == 0.1
    assert not hasattr(twin, "report_")
    known = CostModel(costs=COSTS).fit()
    assert clone(RouterPolicy(ROUTER, cost_model=known)).cost_model is known
    unfitted = RouterPolicy(KMeansRouter(3))
    assert clone(unfitted).router is not unfitted.router


def test_nested_parameters():
    policy = RouterPolicy(KMeansRouter(3), cost_model=CostModel())
    parameters = policy.get_params()
    assert parameters["router__n_clusters"] == 3
    assert parameters["cost_model__shrinkage"] == 10.0
    policy.set_params(router__n_clusters=5, cost_model__shrinkage=1, cost_weight=2)
    assert policy.router.n_clusters == 5
    assert policy.cost_model.shrinkage == 1
    assert repr(policy).startswith("RouterPolicy(")
    assert "cost_weight=2" in repr(policy)


def test_a_frozen_router_is_taken_out_of_the_freezer():
    policy = fitted(FrozenEstimator(ROUTER), cost_weight=0.1)
    assert_array_equal(policy.route(QUERIES), fitted(cost_weight=0.1).route(QUERIES))
    assert_array_equal(
        clone(policy).fit(HELD_OUT, HELD_OUT["score"]).route(QUERIES),
        policy.route(QUERIES),
    )


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_decide_alike(way):
    policy = fitted(min_correctness=0.6, cost_model=CostModel(costs=COSTS).fit())
    other = way(policy)
    pd.testing.assert_frame_equal(other.choose(QUERIES), policy.choose(QUERIES))
    pd.testing.assert_frame_equal(other.report_, policy.report_)
    assert other.get_params().keys() == policy.get_params().keys()


def test_weights_can_be_searched():
    def worth(policy, X, y):
        outcome = policy.evaluate(X, y)
        return outcome["quality"] - 0.1 * outcome["cost"]

    policy = RouterPolicy(ROUTER, cost_model=COSTS)
    grid = {"cost_weight": [0.0, 0.1, 5.0]}
    cv = QueryKFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(policy, grid, scoring=worth, cv=cv)
    search.fit(HELD_OUT, HELD_OUT["score"])
    assert search.best_params_ == {"cost_weight": 0.1}
    assert search.best_estimator_.router is ROUTER
    by_score = GridSearchCV(policy, grid, cv=cv).fit(HELD_OUT, HELD_OUT["score"])
    assert by_score.best_params_ == {"cost_weight": 0.0}


def test_fit_leaves_the_router_and_the_table_alone():
    before, log = pickle.dumps(ROUTER), HELD_OUT.copy()
    fitted(target_quality="best_single")
    assert pickle.dumps(ROUTER) == before
    pd.testing.assert_frame_equal(HELD_OUT, log)


def test_other_frames():
    columns = ["model", "query", "query_id"]
    frame = pl.DataFrame(
        {name: HELD_OUT[name].tolist() for name in columns},
        schema_overrides={"query": pl.List(pl.Float32)},
    )
    policy = RouterPolicy(ROUTER, cost_model=COSTS, min_correctness=0.6)
    policy.fit(frame, HELD_OUT["score"].to_numpy())
    expected = fitted(min_correctness=0.6)
    assert policy.threshold_ == expected.threshold_
    pd.testing.assert_frame_equal(policy.report_, expected.report_)


@EXAMPLES
@given(SEEDS)
def test_the_order_of_the_rows_changes_nothing(seed):
    few = part(LOG, 300, 340)
    rows = np.random.default_rng(seed).permutation(len(few))
    other = few.iloc[rows]
    for parameters in (
        {"min_correctness": 0.6},
        {"min_correctness": 0.5, "confidence": 0.8},
        {"target_quality": "best_single"},
        {"target_cost": float(COSTS.mean())},
    ):
        policy = RouterPolicy(ROUTER, cost_model=COSTS, **parameters)
        one = clone(policy).fit(few, few["score"])
        two = clone(policy).fit(other, other["score"])
        pd.testing.assert_frame_equal(one.report_, two.report_, check_exact=True)
        assert one.threshold_ == two.threshold_
        assert one.cost_weight_ == two.cost_weight_
        assert one.calibration_ == two.calibration_


# A real log


@pytest.mark.skipif(
    not (DATA / "mmlu_pro").is_dir(), reason="the real log of ../shared is not here"
)
@pytest.mark.filterwarnings(UNREACHED)
def test_routes_keep_to_the_floor_on_a_real_log():
    folder = DATA / "mmlu_pro"
    prices = pd.read_csv(folder / "models.csv").set_index("model")
    log, queries = real_log(folder)
    train, held_out, test = (
        log[log["query_id"].isin(own)] for own in np.split(queries, [1000, 3000])
    )
    router = KMeansRouter(30, random_state=0).fit(train, train["score"])
    priced = [name for name in router.models_ if prices["price_in"].notna()[name]]
    costs = CostModel(prices=prices, default_output_tokens=400, query_col="text")
    n_reached = 0
    for floor in (0.5, 0.6, 0.7, 0.8, 0.9):
        policy = RouterPolicy(
            router, cost_model=costs, min_correctness=floor, models=priced
        ).fit(held_out, held_out["score"])
        outcome = policy.evaluate(test, test["score"])
        if outcome["coverage"] > 0.01:
            assert outcome["quality_reached"] >= floor - 0.02
            n_reached += 1
    assert n_reached >= 2


def real_log(folder):
    """Return evaluations with vectors and texts, and ids of distinct texts."""
    queries = pd.read_parquet(folder / "queries.parquet").astype({"query_id": str})
    encodings = np.load(folder / "encodings_minilm.npy").astype(np.float32)
    queries = queries.assign(vector=list(encodings)).drop_duplicates("query")
    log = pd.read_parquet(folder / "evaluations.parquet")
    log = log.astype({"model": str, "query_id": str}).merge(
        queries.rename(columns={"query": "text", "vector": "query"}), on="query_id"
    )
    ids = np.sort(queries["query_id"].to_numpy(dtype=str))
    return log, np.random.default_rng(0).permutation(ids)[:6000]


def test_the_methods_take_models_and_costs_for_one_request():
    policy = fitted(cost_weight=0.05, cost_model=COSTS)
    some = list(policy.router.models_[:2])
    assert set(policy.route(QUERIES, models=some)) <= set(some)
    assert policy.rank(QUERIES, models=some).labels.shape[1] == 2
    table = policy.choose(QUERIES, models=some, costs=dict.fromkeys(NAMES, 0.0))
    assert (table["cost"] == 0).all()
    # Where nothing costs anything, the largest P is chosen.
    free = policy.rank(QUERIES, costs=dict.fromkeys(NAMES, 0.0))
    assert (free.probabilities[:, 0] == free.probabilities.max(axis=1)).all()
    with pytest.raises(ValueError, match="none of models="):
        fitted(cost_weight=0.05, cost_model=COSTS, models=some).route(
            QUERIES, models=[policy.router.models_[3]]
        )
