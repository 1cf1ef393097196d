"""Portfolios of pools whose similarities are never held all at once."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skl_locus import BudgetPortfolio, KCenterPortfolio, KMedoidsPortfolio
from skl_locus.portfolio import _k_center, _kernel

N_CHOSEN, WIDTH = 6, 8
LIMIT = 1.0
"""Of the similarities, in MiB: those of 362 models."""

SELECTORS = {
    "k-center": KCenterPortfolio(N_CHOSEN, memory_limit=LIMIT),
    "k-medoids": KMedoidsPortfolio(N_CHOSEN, memory_limit=LIMIT),
    "budget": BudgetPortfolio(N_CHOSEN, memory_limit=LIMIT),
}


def pool_of(n_models):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, WIDTH))
    own = rng.integers(20, size=n_models)
    return centres[own] + 0.3 * rng.normal(size=(n_models, WIDTH))


def peak_mib(selector, Z):
    selector.fit(Z[:100])
    tracemalloc.start()
    selector.fit(Z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


@pytest.mark.parametrize("name", SELECTORS)
def test_memory_grows_with_the_models_and_not_with_their_pairs(name, monkeypatch):
    # Tiles and samples have a size of their own, which must not hide the growth.
    monkeypatch.setattr(_kernel, "TILE", 64)
    monkeypatch.setattr("skl_locus.portfolio._space.BANDWIDTH_MODELS", 100)
    monkeypatch.setattr("skl_locus.portfolio._k_medoids.SAMPLE_MODELS", 100)
    small, large = (peak_mib(SELECTORS[name], pool_of(n)) for n in (1_500, 6_000))
    # All pairs would take 288 MB, and 16 times as much as those of the smaller pool.
    assert large < 12
    assert large < 6 * small


@pytest.fixture
def few_candidates(monkeypatch):
    values = {"EXACT_UP_TO": 500, "SAMPLE_MODELS": 400, "N_CANDIDATES": 40}
    for name, value in values.items():
        monkeypatch.setattr(_k_center, name, value)


def counted(selector, Z, monkeypatch):
    """Fit a selector; return it and the number of similarities that it computed."""
    sizes = []
    block = _kernel.Kernel.block

    def counting(self, rows, columns):
        found = block(self, rows, columns)
        sizes.append(found.size)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(_kernel.Kernel, "block", counting)
        selector.fit(Z)
    return selector, sum(sizes)


@pytest.mark.parametrize("name", ["k-center", "k-medoids"])
def test_candidates_for_the_medoid_choose_like_all_pairs(name, monkeypatch, request):
    Z = pool_of(2_000)
    exact, all_pairs = counted(clone(SELECTORS[name]), Z, monkeypatch)
    request.getfixturevalue("few_candidates")
    found, n_pairs = counted(clone(SELECTORS[name]), Z, monkeypatch)
    assert_array_equal(found.selected_models_, exact.selected_models_)
    assert_array_equal(found.coverage_path_, exact.coverage_path_)
    searched = all_pairs - _pairs_above_the_diagonal(2_000)
    assert n_pairs == searched + 2_000 * 400 + 40 * 2_000


def _pairs_above_the_diagonal(n_models):
    tiles = _kernel.upper_tiles(n_models)
    return sum((r.stop - r.start) * (c.stop - c.start) for r, c in tiles)


def test_excluded_models_are_no_candidates(few_candidates):
    Z = pool_of(2_000)
    first = KCenterPortfolio(1).fit(Z).selected_models_[0]
    second = KCenterPortfolio(1, exclude=[first]).fit(Z).selected_models_[0]
    assert second != first
    # With one model left, it is chosen without a candidate beside it.
    others = [i for i in range(2_000) if i != 7]
    assert KCenterPortfolio(1, exclude=others).fit(Z).selected_models_ == [7]


def test_a_pool_below_the_size_is_exact(monkeypatch, few_candidates):
    def never(*_):
        raise AssertionError("Candidates are for large pools.")

    monkeypatch.setattr(_kernel.Kernel, "sums_over", never)
    KCenterPortfolio(3).fit(pool_of(500))
    with pytest.raises(AssertionError, match="large pools"):
        KCenterPortfolio(3).fit(pool_of(501))
