"""Portfolios: what is chosen, checked by hand, by brute force and on random pools."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning

from skl_locus import BudgetPortfolio, KCenterPortfolio, KMedoidsPortfolio
from skl_locus.portfolio._greedy import buy_greedily
from skl_locus.portfolio._kernel import Kernel
from skl_locus.portfolio._space import PointSpace, as_points

SELECTORS = [KCenterPortfolio, KMedoidsPortfolio, BudgetPortfolio]
each_selector = pytest.mark.parametrize("Selector", SELECTORS)
few_examples = settings(max_examples=20)


def on_a_line(*places, names="abcdefghij"):
    """Return models with one coordinate each."""
    return pd.DataFrame(
        {"z": np.array(places, dtype=float)}, list(names[: len(places)])
    )


def some_pool(n=14, d=3, seed=0):
    Z = np.random.default_rng(seed).normal(size=(n, d))
    return pd.DataFrame(Z, [f"m{i:02}" for i in range(n)])


def some_costs(Z, seed=0):
    costs = np.random.default_rng(seed).lognormal(size=len(Z))
    return pd.Series(costs, Z.index)


def kernel_of(Z, metric="cosine", bandwidth="median"):
    distances = cdist(Z, Z, metric)
    if bandwidth == "median":
        bandwidth = np.median(distances[np.triu_indices(len(Z), 1)])
    return np.exp(-((distances / bandwidth) ** 2))


def coverage_of(K, chosen):
    return K[:, list(chosen)].max(axis=1).sum()


# By hand


def test_k_center_starts_at_the_medoid_and_adds_the_worst_covered():
    Z = on_a_line(0, 1, 2, 5, 9)
    portfolio = KCenterPortfolio(3, metric="euclidean", bandwidth=1.0).fit(Z)
    # b has two neighbours at distance 1; then e is 8 away from it; then d is 4 from
    # both b and e, while c and a are 1 from b.
    assert portfolio.selected_models_.tolist() == ["b", "e", "d"]
    assert portfolio.selected_indices_.tolist() == [1, 4, 3]
    assert portfolio.labels_.tolist() == [0, 0, 0, 2, 1]
    near = np.exp(-1)
    assert portfolio.coverage_ == pytest.approx(3 + 2 * near)
    assert portfolio.min_coverage_ == pytest.approx(near)
    np.testing.assert_allclose(
        portfolio.coverage_path_,
        [
            1 + 2 * near + np.exp(-16) + np.exp(-64),
            2 + 2 * near + np.exp(-16),
            3 + 2 * near,
        ],
    )


def test_k_medoids_moves_into_the_middle():
    Z = on_a_line(0, 1, 2, 10, 11, 12)
    start = KCenterPortfolio(2, metric="euclidean", bandwidth=1.0).fit(Z)
    portfolio = KMedoidsPortfolio(2, metric="euclidean", bandwidth=1.0).fit(Z)
    assert start.selected_models_.tolist() == ["b", "f"]
    assert portfolio.selected_models_.tolist() == ["b", "e"]
    assert portfolio.labels_.tolist() == [0, 0, 0, 1, 1, 1]
    assert portfolio.n_iter_ == 2
    near, far = np.exp(-1), np.exp(-4)
    np.testing.assert_allclose(
        portfolio.coverage_path_, [2 + 3 * near + far, 2 + 4 * near], atol=1e-12
    )


def test_the_ratio_rule_alone_can_be_bad():
    Z = on_a_line(0, 0.1, 0.1, 0.1, 0.1, 50)
    cost = [10, 10, 10, 10, 10, 0.1]
    # Per cost, f is the best buy; after it no other is affordable.
    portfolio = BudgetPortfolio(10, metric="euclidean", bandwidth=1.0)
    portfolio.fit(Z, cost=cost)
    assert portfolio.selected_models_.tolist() == ["b"]
    assert portfolio.strategy_ == "gain"
    assert portfolio.total_cost_ == 10
    assert portfolio.coverage_ == pytest.approx(4 + np.exp(-0.01))


def test_the_ratio_rule_buys_two_cheap_models_for_a_dear_one():
    Z = on_a_line(0, 1, 10, 11)
    cost = {"a": 2, "b": 4.1, "c": 2, "d": 4.1}
    portfolio = BudgetPortfolio(4.2, metric="euclidean", bandwidth=2.0)
    portfolio.fit(Z, cost=cost)
    # b covers as much as c does, at twice the cost; c is nearer to the other pair than
    # a is.
    assert portfolio.selected_models_.tolist() == ["c", "a"]
    assert portfolio.strategy_ == "gain per cost"
    assert portfolio.total_cost_ == 4
    assert portfolio.labels_.tolist() == [1, 1, 0, 0]


def test_without_costs_the_budget_is_a_number_of_models():
    Z = some_pool()
    portfolio = BudgetPortfolio(4).fit(Z)
    assert len(portfolio.selected_models_) == portfolio.total_cost_ == 4
    everything = BudgetPortfolio(100).fit(Z)
    assert len(everything.selected_models_) == len(Z) == everything.coverage_


@pytest.mark.parametrize(
    ("places", "first"), [((0, 1), "a"), ((0, 1, 2, 3), "b"), ((0, 0, 0), "a")]
)
@each_selector
def test_of_equally_good_models_the_first_name_is_chosen(Selector, places, first):
    Z = on_a_line(*places)
    for rows in (Z, Z[::-1]):
        portfolio = Selector(1, metric="euclidean").fit(rows)
        assert portfolio.selected_models_.tolist() == [first]


def test_of_equally_good_unnamed_models_the_smallest_vector_is_chosen():
    Z = np.array([[3.0], [2.0], [1.0], [0.0]])
    portfolio = KCenterPortfolio(2, metric="euclidean").fit(Z)
    assert portfolio.selected_models_.tolist() == [2, 0]


def test_of_equal_unnamed_models_the_cheapest_is_chosen():
    Z = np.ones((3, 2))
    for cost in ([3, 1, 2], [2, 3, 1]):
        portfolio = BudgetPortfolio(5).fit(Z, cost=cost)
        assert portfolio.selected_models_.tolist() == [cost.index(1)]


# By brute force


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_k_center_follows_its_equations(metric, seed):
    Z = some_pool(seed=seed)
    K = kernel_of(Z, metric)
    chosen = [K.mean(axis=0).argmax()]
    for _ in range(4):
        chosen.append(K[:, chosen].max(axis=1).argmin())
    portfolio = KCenterPortfolio(5, metric=metric).fit(Z)
    assert portfolio.selected_indices_.tolist() == chosen
    assert portfolio.coverage_ == pytest.approx(coverage_of(K, chosen), rel=1e-12)
    assert portfolio.min_coverage_ == pytest.approx(K[:, chosen].max(axis=1).min())
    np.testing.assert_array_equal(portfolio.labels_, K[:, chosen].argmax(axis=1))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_no_single_swap_improves_k_medoids(metric, seed):
    Z = some_pool(seed=seed)
    K = kernel_of(Z, metric)
    portfolio = KMedoidsPortfolio(
        4, metric=metric, must_include=["m05"], exclude=["m07"]
    ).fit(Z)
    chosen = set(portfolio.selected_indices_.tolist())
    reached = coverage_of(K, chosen)
    assert portfolio.coverage_ == pytest.approx(reached, rel=1e-12)
    assert 5 in chosen
    assert 7 not in chosen
    for leaves in chosen - {5}:
        for comes in set(range(len(Z))) - chosen - {7}:
            swapped = chosen - {leaves} | {comes}
            assert coverage_of(K, swapped) <= reached + 1e-9


def test_k_medoids_stops_at_max_iter():
    Z = some_pool(60)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        stopped = KMedoidsPortfolio(6, max_iter=1).fit(Z)
    finished = KMedoidsPortfolio(6).fit(Z)
    assert stopped.n_iter_ == 1 < finished.n_iter_
    assert len(stopped.coverage_path_) == 2
    np.testing.assert_allclose(stopped.coverage_path_, finished.coverage_path_[:2])


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_portfolio_is_close_to_the_best(seed):
    Z, budget = some_pool(10, seed=seed), 4.0
    cost = some_costs(Z, seed)
    K = kernel_of(Z)
    subsets = [
        subset
        for size in range(1, 6)
        for subset in combinations(range(len(Z)), size)
        if cost.iloc[list(subset)].sum() <= budget
    ]
    best = max(coverage_of(K, subset) for subset in subsets)
    portfolio = BudgetPortfolio(budget).fit(Z, cost=cost)
    assert portfolio.coverage_ >= (1 - np.exp(-0.5)) * best
    best_single = max(coverage_of(K, [i]) for i in np.flatnonzero(cost <= budget))
    assert portfolio.coverage_ >= best_single - 1e-9


def plain_greedy(K, cost, budget, required, allowed, per_cost):
    """Compute every gain at every step."""
    chosen = required.tolist()
    while True:
        best = K[chosen].max(axis=0)
        gains = np.maximum(K - best, 0).sum(axis=1)
        free = allowed & (sum(cost[chosen]) + cost <= budget)
        free[chosen] = False
        if gains[free].max(initial=0) < 1e-4:
            return chosen
        values = gains / cost if per_cost else gains
        chosen.append(int(np.where(free, values, 0).argmax()))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("per_cost", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_lazy_greedy_is_plain_greedy(seed, per_cost, dtype):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(9, 4))
    Z = centers[rng.integers(9, size=300)] + rng.normal(scale=0.2, size=(300, 4))
    kernel = Kernel(PointSpace(as_points(Z, "cosine"), "cosine"), 0.3, dtype)
    cost = rng.choice([0.5, 1.0, 2.0, 3.0], size=300)
    allowed = rng.random(300) < 0.8
    required = np.flatnonzero(allowed)[[3, 8]]
    args = (cost, 25.0, required, allowed)
    lazy = buy_greedily(kernel, kernel.sums(), *args, per_cost=per_cost)
    plain = plain_greedy(kernel.matrix(), *args, per_cost)
    assert lazy.tolist() == plain
    assert len(lazy) > 10


def test_lazy_greedy_looks_at_few_models(monkeypatch):
    Z = np.random.default_rng(0).normal(size=(2000, 2))
    space = PointSpace(as_points(Z, "euclidean"), "euclidean")
    kernel = Kernel(space, 0.05)
    looks = []
    block = Kernel.block
    monkeypatch.setattr(
        Kernel, "block", lambda self, *at: looks.append(1) or block(self, *at)
    )
    free = np.ones(2000, dtype=bool)
    sums = kernel.sums()
    looks.clear()
    chosen = buy_greedily(
        kernel, sums, np.ones(2000), 50.0, np.array([], int), free, per_cost=True
    )
    assert len(chosen) == 50
    assert len(looks) < 50 * 12


# For all pools

POOLS = arrays(
    np.float64,
    st.tuples(st.integers(6, 12), st.integers(1, 3)),
    elements=st.integers(-3, 3).map(float),
)


def fitted(Selector, Z, **parameters):
    """Fit a portfolio of four models, or of what costs no more than 8.5."""
    if Selector is not BudgetPortfolio:
        return Selector(4, **parameters).fit(Z)
    cost = {name: 1 + ord(name[-1]) % 3 for name in Z.index}
    return Selector(8.5, **parameters).fit(Z, cost=cost)


@each_selector
@given(
    Z=POOLS, seed=st.integers(0, 99), metric=st.sampled_from(["cosine", "euclidean"])
)
@few_examples
def test_the_order_of_models_never_matters(Selector, Z, seed, metric):
    names = [f"{'x' * (i % 3)}{i}" for i in range(len(Z))]
    frame = pd.DataFrame(Z, names)
    shuffled = frame.sample(frac=1, random_state=seed)
    one, other = (fitted(Selector, rows, metric=metric) for rows in (frame, shuffled))
    assert one.selected_models_.tolist() == other.selected_models_.tolist()
    assert one.coverage_ == other.coverage_
    np.testing.assert_array_equal(one.coverage_path_, other.coverage_path_)
    labels = pd.Series(other.labels_, shuffled.index)
    assert labels[frame.index].tolist() == one.labels_.tolist()


@each_selector
@given(
    Z=POOLS, seed=st.integers(0, 99), metric=st.sampled_from(["cosine", "euclidean"])
)
@few_examples
def test_the_order_of_unnamed_models_never_matters(Selector, Z, seed, metric):
    order = np.random.default_rng(seed).permutation(len(Z))
    one = Selector(3, metric=metric).fit(Z)
    other = Selector(3, metric=metric).fit(Z[order])
    np.testing.assert_array_equal(
        Z[one.selected_indices_], Z[order][other.selected_indices_]
    )
    assert one.coverage_ == other.coverage_


@each_selector
@given(Z=POOLS, data=st.data())
@few_examples
def test_what_every_portfolio_promises(Selector, Z, data):
    frame = pd.DataFrame(Z, [f"m{i}" for i in range(len(Z))])
    names = st.lists(st.sampled_from(frame.index.tolist()), max_size=2, unique=True)
    required, excluded = data.draw(names), data.draw(names)
    excluded = [name for name in excluded if name not in required]
    portfolio = fitted(Selector, frame, must_include=required, exclude=excluded)
    selected = portfolio.selected_models_.tolist()
    assert len(selected) == len(set(selected)) > 0
    assert set(required) <= set(selected)
    assert not set(excluded) & set(selected)
    assert (np.diff(portfolio.coverage_path_) >= 0).all()
    assert portfolio.coverage_path_[-1] == portfolio.coverage_ <= len(Z)
    np.testing.assert_array_equal(frame.index[portfolio.selected_indices_], selected)
    np.testing.assert_array_equal(portfolio.predict(frame), portfolio.labels_)
    distances = portfolio.transform(frame)
    np.testing.assert_array_equal(distances.argmin(axis=1), portfolio.labels_)
    best = np.exp(-((distances.min(axis=1) / portfolio.bandwidth_) ** 2))
    assert best.sum() == pytest.approx(portfolio.coverage_)
    assert best.min() == pytest.approx(portfolio.min_coverage_)


@given(Z=POOLS, data=st.data())
@few_examples
def test_the_budget_is_never_exceeded(Z, data):
    prices = st.sampled_from([0.1, 0.2, 0.7, 1, 2, 3.3])
    cost = data.draw(st.lists(prices, min_size=len(Z), max_size=len(Z)))
    budget = data.draw(st.sampled_from([0.3, 0.7, 1, 2.1, 10])) + min(cost) - 0.1
    required = [int(np.argmin(cost))]
    portfolio = BudgetPortfolio(budget, must_include=required).fit(Z, cost=cost)
    selected = portfolio.selected_models_.tolist()
    assert portfolio.total_cost_ == pytest.approx(sum(cost[i] for i in selected))
    assert portfolio.total_cost_ <= budget
    assert selected[: len(required)] == required
