"""Regressions solved with tensors are those that numpy solves."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone

from skl_locus import LocusRouter
from skl_locus._estimation import arrays
from skl_locus._estimation.linear_solvers import RotatedDesign, fit_logistic
from skl_locus._torch import regressions
from skl_locus._torch.regressions import TorchArrays, arrays_on
from skl_locus.datasets import make_evaluations

ON_CPU = TorchArrays(torch.device("cpu"))
POOL = make_evaluations(n_models=8, n_queries=120, random_state=0)
LOG = POOL.evaluations
ROUTER = LocusRouter(max_iter=12, random_state=0)


@pytest.fixture
def everything_on_tensors(monkeypatch):
    """Solve in tensors whatever the size, on the device that is there."""
    monkeypatch.setattr(arrays, "LEAST_WORK", 0)
    monkeypatch.setattr(regressions, "arrays_on", lambda device: ON_CPU)


@pytest.mark.parametrize("shape", [(60, 5), (60, 60), (40, 90)])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 1e6])
def test_tensors_and_arrays_agree(monkeypatch, shape, alpha, scale):
    monkeypatch.setattr(arrays, "LEAST_WORK", 0)
    rng = np.random.default_rng(0)
    X = scale * rng.normal(size=shape)
    y = (rng.random((shape[0], 7)) < 0.7).astype(float)
    y[:2] = [[0.0], [1.0]]
    offsets = rng.normal(size=(shape[0], 1))
    design = RotatedDesign.of(X)
    by_numpy = fit_logistic(design, y, alpha, offsets)
    with arrays.solving_with(ON_CPU):
        solved = fit_logistic(design, y, alpha, offsets)
    assert all(type(part) is np.ndarray for part in solved)
    P, expected = (expit(design.lines(*s).values(X)) for s in (solved, by_numpy))
    assert_allclose(P, expected, atol=1e-6)


def test_a_router_predicts_the_same(everything_on_tensors, monkeypatch):
    by_tensors = clone(ROUTER).fit(LOG, LOG["score"])
    monkeypatch.undo()
    by_numpy = clone(ROUTER).fit(LOG, LOG["score"])
    assert_allclose(
        by_tensors.correctness_matrix(POOL.encodings),
        by_numpy.correctness_matrix(POOL.encodings),
        atol=1e-6,
    )
    assert b"torch" not in pickle.dumps(by_tensors)


def test_the_tensors_are_used(everything_on_tensors, monkeypatch):
    used = []
    monkeypatch.setattr(
        TorchArrays,
        "numpy",
        lambda self, array: used.append(array.dtype) or array.numpy(),
    )
    clone(ROUTER).fit(LOG, LOG["score"])
    assert set(used) == {torch.float64}


def test_little_work_stays_with_numpy():
    with arrays.solving_with(ON_CPU):
        assert arrays.library_for(arrays.LEAST_WORK) is ON_CPU
        assert arrays.library_for(arrays.LEAST_WORK - 1) is arrays.NUMPY
    assert arrays.library_for(arrays.LEAST_WORK) is arrays.NUMPY


def test_encodings_are_copied_once_for_all_penalties(monkeypatch):
    monkeypatch.setattr(arrays, "LEAST_WORK", 0)
    copied = []
    original = TorchArrays.array
    monkeypatch.setattr(
        TorchArrays,
        "array",
        lambda self, values: copied.append(values.shape) or original(self, values),
    )
    X = np.random.default_rng(0).normal(size=(50, 6))
    y = np.tile([[0.0], [1.0]], (25, 3))
    design = RotatedDesign.of(X)
    with arrays.solving_with(ON_CPU):
        for alpha in (0.1, 1.0, 10.0):
            fit_logistic(design, y, alpha, np.zeros((50, 1)))
    assert copied.count(design.coordinates.shape) == 1


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_devices_without_float64_leave_it_to_the_processor(monkeypatch, device):
    monkeypatch.setattr(regressions, "chosen_device", lambda name: torch.device(device))
    assert arrays_on(device) is None


def test_the_values_that_were_given_are_not_written_to():
    values = np.ones(3)
    ON_CPU.array(values).zero_()
    assert_array_equal(values, 1)
