"""Penalised logistic regressions are at their optimum, however they are solved."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from skl_locus._data.queries import QuerySet
from skl_locus._estimation import linear_few, linear_solvers, shared_basis
from skl_locus._estimation.linear_few import (
    GramDesign,
    ScalarProducts,
    fit_logistic_few,
)
from skl_locus._estimation.linear_solvers import RotatedDesign, fit_logistic


def problem(n_queries, n_features, n_models, scale=1.0, seed=0):
    """Draw encodings, scores (some of them soft) and offsets."""
    rng = np.random.default_rng(seed)
    X = scale * rng.normal(size=(n_queries, n_features)).astype(np.float32)
    y = (rng.random((n_queries, n_models)) < 0.7).astype(float)
    y[:, ::2] *= 0.9
    y[:2] = [[0.0], [1.0]]
    return X, y, rng.normal(size=(n_queries, 1))


def largest_slope(lines, X, y, offsets, alpha):
    """Measure how far lines are from the optimum of the documented objective."""
    gaps = expit(offsets + lines.values(X)) - y
    by_slopes = X.astype(float).T @ gaps + alpha * lines.coef.T
    return max(np.abs(by_slopes).max(), np.abs(gaps.sum(axis=0)).max())


@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(60, 5), (60, 60), (40, 90)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_every_model_is_at_the_optimum(shape, alpha, scale):
    X, y, offsets = problem(*shape, 7, scale)
    design = RotatedDesign.of(X)
    together = design.lines(*fit_logistic(design, y, alpha, offsets))
    assert largest_slope(together, X, y, offsets, alpha) < 1e-5 * max(1, scale)
    few = GramDesign.of(X)
    by_weights = few.lines(*fit_logistic_few(few, y, alpha, offsets, 1e-7))
    assert largest_slope(by_weights, X, y, offsets, alpha) < 1e-5 * max(1, scale)


def test_company_changes_roundings_alone():
    X, y, offsets = problem(80, 30, 9)
    design = RotatedDesign.of(X)
    slopes, levels = fit_logistic(design, y, 0.1, offsets)
    for i in range(y.shape[1]):
        alone, level = fit_logistic(design, y[:, [i]], 0.1, offsets)
        assert_allclose(alone[:, 0], slopes[:, i], atol=1e-9)
        assert_allclose(level[0], levels[i], atol=1e-9)


def test_models_beyond_a_block_are_fitted_too(monkeypatch):
    X, y, offsets = problem(50, 8, 11)
    design = RotatedDesign.of(X)
    expected = fit_logistic(design, y, 0.1, offsets)
    monkeypatch.setattr(linear_solvers, "BLOCK_ELEMENTS", 150)
    for got, wanted in zip(
        fit_logistic(design, y, 0.1, offsets), expected, strict=True
    ):
        assert_allclose(got, wanted, atol=1e-9)


def test_steps_that_overshoot_are_shortened():
    # Offsets far on the wrong side: the curvature is nearly zero there, and the first
    # Newton step would lead thousands of times past the optimum.
    X, y, _ = problem(40, 5, 3)
    offsets = np.where(y[:, :1] > 0.5, -12.0, 12.0)
    design, few = RotatedDesign.of(X), GramDesign.of(X)
    lines = design.lines(*fit_logistic(design, y, 1e-3, offsets))
    assert largest_slope(lines, X, y, offsets, 1e-3) < 1e-5
    lines = few.lines(*fit_logistic_few(few, y, 1e-3, offsets, 1e-7))
    assert largest_slope(lines, X, y, offsets, 1e-3) < 1e-5


# Shared axes


def query_set(X):
    keys = np.array([f"{i:08d}" for i in range(len(X))], dtype="S16")
    return QuerySet(keys, np.arange(len(X), dtype=np.int32), X)


@pytest.mark.parametrize("n_queries", [30, 200])
def test_shared_axes_give_the_solution_of_own_ones(n_queries):
    X, y, offsets = problem(n_queries, 40, 5)
    pool, rows = query_set(X), np.arange(0, n_queries, 3)
    part = pool.take(rows)
    own = shared_basis.design_of(part, part.rows, 5)
    with shared_basis.shared_basis(pool):
        shared = shared_basis.design_of(part, part.rows, 5)
    assert shared.axes.shape != own.axes.shape or not np.allclose(shared.axes, own.axes)
    lines = [
        design.lines(*fit_logistic(design, y[rows], 0.3, offsets[rows]))
        for design in (own, shared)
    ]
    assert_allclose(lines[1].values(X), lines[0].values(X), atol=1e-6)


def test_axes_are_found_once_in_a_block(monkeypatch):
    X, _, _ = problem(60, 6, 1)
    pool, found = query_set(X), []
    find = RotatedDesign.of

    def counted(encodings):
        found.append(len(encodings))
        return find(encodings)

    monkeypatch.setattr(RotatedDesign, "of", counted)
    with shared_basis.shared_basis(pool):
        for start in range(3):
            part = pool.take(np.arange(start, 60, 3))
            with shared_basis.shared_basis(part):
                design = shared_basis.design_of(part, part.rows, 9)
            assert_allclose(
                design.coordinates @ design.axes + design.center,
                part.vectors(),
                atol=1e-5,
            )
    assert found == [60]
    unknown = query_set(X[:20] + 1)
    with shared_basis.shared_basis(pool.take(np.arange(10))):
        shared_basis.design_of(unknown, unknown.rows, 9)
    assert found == [60, 20]
    assert shared_basis._current.get() is None


def test_a_design_of_all_rows_is_not_copied():
    X, _, _ = problem(20, 4, 1)
    design = RotatedDesign.of(X)
    assert design.only(np.arange(20)) is design
    assert_array_equal(design.only(np.arange(5)).coordinates, design.coordinates[:5])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "way", [(RotatedDesign, fit_logistic), (GramDesign, fit_logistic_few)]
)
def test_extreme_offsets_move_the_level_alone(way):
    kind, fit = way
    X, y, _ = problem(6, 20, 1)
    design, none = kind.of(X), np.zeros((6, 1))
    slopes, level = fit(design, y, 1.0, none, 1e-7)
    for logit in (50.0, -800.0):
        same, moved = fit(design, y, 1.0, none + logit, 1e-7)
        assert_allclose(same, slopes, atol=1e-6)
        assert_allclose(moved, level - logit, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_scalar_products_that_are_looked_up_are_those_of_the_rows(offset):
    X, _, _ = problem(50, 30, 1)
    X += offset
    rows = np.random.default_rng(1).permutation(50)[:12]
    looked_up = ScalarProducts.of(X).centered(rows)
    assert_allclose(looked_up, GramDesign.of(X[rows]).gram, atol=1e-8)


def test_products_are_shared_where_that_is_less_work():
    X, _, _ = problem(40, 64, 1)
    queries, rows = query_set(X), np.arange(20)
    of = shared_basis.shared_products
    assert of(queries, [(rows, 1)] * 4) is not None
    assert of(queries, [(rows, 1)] * 3) is None
    # Designs in axes need no scalar products.
    assert of(queries, [(rows, 9)] * 100) is None


def test_products_of_too_many_encodings_are_not_held(monkeypatch):
    X, _, _ = problem(40, 64, 1)
    monkeypatch.setattr(shared_basis, "MAX_PRODUCTS_HELD", 40**2 - 1)
    assert shared_basis.shared_products(query_set(X), [(np.arange(20), 1)] * 9) is None


def test_a_factor_is_kept_while_curvatures_hardly_change(monkeypatch):
    X, y, offsets = problem(60, 90, 1)
    design, factors = GramDesign.of(X), []
    decompose = linear_few.dpotrf

    def counted(*arguments, **options):
        factors.append(1)
        return decompose(*arguments, **options)

    monkeypatch.setattr(linear_few, "dpotrf", counted)
    steps = []
    for reused in (0.0, linear_few.REUSED_CURVATURE):
        monkeypatch.setattr(linear_few, "REUSED_CURVATURE", reused)
        factors.clear()
        weights, levels = fit_logistic_few(design, y, 300.0, offsets, 1e-7)
        steps.append((len(factors), weights, levels))
    (every, *exact), (some, *found) = steps
    assert some < every
    for own, other in zip(found, exact, strict=True):
        assert_allclose(own, other, atol=1e-9)
