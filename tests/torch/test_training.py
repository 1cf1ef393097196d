"""Training in parts: one result for any number of threads, and bounded checks."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from small import SMALL
from threadpoolctl import threadpool_limits

from skl_locus import LocusRouter
from skl_locus._torch import device as placements
from skl_locus._torch import fit_locus
from skl_locus._torch.batches import draw_batches
from skl_locus._torch.device import (
    LEAST_MIXED_STEP,
    LEAST_STEP,
    LEAST_WORK,
    Workload,
    resolve_placement,
)
from skl_locus._torch.threads import threads_for_step
from skl_locus._torch.training import TrainingOptions, train
from skl_locus.datasets import make_evaluations

CPU = torch.device("cpu")
POOL = make_evaluations(n_models=6, n_queries=60, observed=0.8, random_state=0)
OPTIONS = TrainingOptions(
    max_iter=3,
    learning_rate_init=0.01,
    alpha=0.0,
    ema_decay=0.0,
    n_iter_no_change=1,
    tol=0.0,
    validate_every=1,
)


def fit(pool=POOL, **parameters):
    log = pool.evaluations
    return LocusRouter(**{**SMALL, **parameters}).fit(log, log["score"])


def weights(router):
    return np.concatenate([w.ravel() for w in router._network.weights.values()])


@pytest.fixture
def two_threads():
    """Let torch have two threads on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_threads_give_the_bits_of_one(two_threads):
    divided = weights(fit(dropout=0.2))
    torch.set_num_threads(1)
    assert_array_equal(weights(fit(dropout=0.2)), divided)


def test_parts_run_in_threads_of_their_own(two_threads):
    with threads_for_step(1, CPU, n_parts=2) as compute:
        from threading import Barrier

        both = Barrier(2, timeout=10)
        assert compute(lambda part: (both.wait(), part)[1], [0, 1]) == [0, 1]


def test_operators_are_not_divided_within_parts(two_threads):
    with threads_for_step(1, CPU, n_parts=2) as compute:
        limits = compute(lambda part: torch.get_num_threads(), [0, 1])
    assert limits == [1, 1]
    assert torch.get_num_threads() == 2


def test_one_thread_has_no_others():
    with threadpool_limits(1, user_api="openmp"):
        torch.get_num_threads()
        with threads_for_step(1, CPU, n_parts=2) as compute:
            assert compute.__name__ == "one_after_another"


def test_parts_add_up_to_the_whole():
    X, y = torch.randn(8, 3, dtype=torch.float64), torch.randn(8, dtype=torch.float64)

    def trained(slices):
        layer = torch.nn.Linear(3, 1).double()
        torch.nn.init.constant_(layer.weight, 0.5)
        torch.nn.init.constant_(layer.bias, 0.0)

        def part(rows):
            return lambda: (layer(X[rows])[:, 0] - y[rows]).square().sum()

        history = train(layer, lambda: [part(rows) for rows in slices], None, OPTIONS)
        return layer.weight.detach().numpy(), history.loss_curve

    whole, losses = trained([slice(None)])
    parts, part_losses = trained([slice(0, 3), slice(3, 8)])
    assert_allclose(parts, whole, rtol=1e-12)
    assert_allclose(part_losses, losses, rtol=1e-12)


def test_a_weight_that_no_part_uses_stays():
    layer, unused = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    network = torch.nn.ModuleList([layer, unused])
    before = unused.weight.detach().clone()
    X = torch.ones(1, 2)
    train(network, lambda: [lambda: layer(X).sum()], None, OPTIONS)
    assert torch.equal(unused.weight, before)


@pytest.mark.parametrize(("n_models", "n_parts"), [(1, 2), (2, 2), (5, 2), (5, 3)])
def test_parts_of_a_batch_have_all_its_models(n_models, n_parts):
    evaluations = fit(max_iter=1)._fitted_pool().evaluations
    options = {"n_models": n_models, "min_context": 4, "max_context": 9, "n_targets": 7}

    def rows_of(parts):
        return np.concatenate(
            [
                part.used[part.context.queries] * 2 + part.context.scores
                for part in parts
            ]
        )

    whole = next(draw_batches(evaluations, np.random.default_rng(0), **options))
    parts = next(
        draw_batches(evaluations, np.random.default_rng(0), **options, n_parts=n_parts)
    )
    assert len(whole) == 1
    assert len(parts) == min(n_parts, n_models)
    assert_array_equal(rows_of(parts), rows_of(whole))


def test_checks_are_of_a_bounded_number_of_models(monkeypatch):
    monkeypatch.setattr(fit_locus, "CHECKED_MODELS", 3)
    seen = []
    chunks = fit_locus._validation_chunks

    def counted(held_out, *rest):
        seen.append(held_out.n_models)
        return chunks(held_out, *rest)

    monkeypatch.setattr(fit_locus, "_validation_chunks", counted)
    router = fit()
    assert seen == [3]
    assert np.isfinite(router.validation_scores_).all()


def test_losses_are_plain_numbers():
    router = fit()
    assert all(type(loss) is float for loss in router.loss_curve_)
    assert len(router.loss_curve_) == router.n_iter_


@pytest.mark.parametrize(
    ("step", "n_steps", "embedded", "expected"),
    [
        (LEAST_STEP, LEAST_WORK // LEAST_STEP, 0, "cuda"),
        (LEAST_STEP, 1, LEAST_WORK, "cuda"),
        (LEAST_STEP, 1, 0, "cpu"),
        (LEAST_STEP - 1, LEAST_WORK, 0, "cpu"),
    ],
)
def test_auto_takes_the_gpu_for_large_work_alone(
    monkeypatch, step, n_steps, embedded, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    work = Workload(step, n_steps, embedded)
    assert resolve_placement("auto", "auto", work).device.type == expected
    # Whoever names a device gets it, and mixed precision names CUDA.
    assert resolve_placement("cuda", "auto", work).device.type == "cuda"
    assert resolve_placement("cpu", "auto", work).device.type == "cpu"
    assert resolve_placement("auto", "mixed", work).device.type == "cuda"


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_small_steps_are_not_mixed_unless_asked(monkeypatch, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    small, large = (Workload(LEAST_MIXED_STEP - more, 1) for more in (1, 0))
    assert not resolve_placement("cuda", precision, small).amp
    assert resolve_placement("cuda", precision, large).amp
    assert resolve_placement("cuda", "mixed", small).amp
    assert not resolve_placement("cpu", precision, large).amp


def test_default_parameters_reach_the_gpu_at_a_million_evaluations():
    default = LocusRouter()
    tokens = default.batch_size * (default.max_context + default.n_targets)
    step = tokens * default.n_components

    def suits(n_evaluations):
        embedded = n_evaluations * default.n_components
        return Workload(step, default.max_iter, embedded).suits_accelerator

    assert not suits(500_000)
    assert suits(1_200_000)


def test_a_fit_tells_its_workload(monkeypatch):
    monkeypatch.setattr(placements, "LEAST_STEP", 1)
    monkeypatch.setattr(placements, "LEAST_WORK", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []

    def stop(name):
        asked.append(str(name))
        raise RuntimeError("no such device here")

    monkeypatch.setattr(placements, "_resolve_device", stop)
    with pytest.raises(RuntimeError, match="no such device here"):
        fit()
    assert asked == ["auto"]
