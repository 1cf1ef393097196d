"""Fits and additions in whatever context of torch the caller is."""

from contextlib import contextmanager

import numpy as np
import pytest
from small import SMALL, SMALL_VECTORS

from skl_locus import EmbedLLMRouter, IRTRouter, LocusEmbedder, LocusRouter
from skl_locus.datasets import make_evaluations

torch = pytest.importorskip("torch")

POOL = make_evaluations(n_models=6, n_queries=50, observed=0.7, random_state=0)
OLD = POOL.evaluations[POOL.evaluations.model != "model-5"]
NEW = POOL.evaluations[POOL.evaluations.model == "model-5"]

ROUTERS = {
    "locus": LocusRouter(**SMALL, geometry="network"),
    "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
    "irt": IRTRouter(**SMALL_VECTORS),
}


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


CONTEXTS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "default device": lambda: default_device("meta"),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def settings():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
    )


@pytest.fixture(scope="module")
def expected():
    return {name: predictions(router) for name, router in ROUTERS.items()}


def predictions(router):
    router = router.__sklearn_clone__().fit(OLD, OLD["score"])
    router.add_models(NEW, NEW["score"])
    return router.correctness_matrix(POOL.encodings)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", ROUTERS)
def test_fits_and_additions_are_the_same_in_every_context(name, context, expected):
    with CONTEXTS[context]():
        before = settings()
        P = predictions(ROUTERS[name])
        assert settings() == before
    np.testing.assert_array_equal(P, expected[name])


@pytest.mark.parametrize("context", CONTEXTS)
def test_embeddings_are_the_same_in_every_context(context):
    embedder = LocusEmbedder(**SMALL, geometry="network")
    expected = embedder.fit_transform(OLD).to_numpy()
    with CONTEXTS[context]():
        Z = embedder.fit(OLD).transform(OLD).to_numpy()
    np.testing.assert_array_equal(Z, expected)


def test_sensitivities_are_computed_without_gradients_around():
    router = LocusRouter(**SMALL, geometry="network").fit(OLD, OLD["score"])
    some = NEW.iloc[:20]

    def effects():
        evaluations = router._read_evaluations(some, some["score"], reset=False)
        codes = evaluations.query_codes.reshape(2, -1)
        scores = evaluations.scores.reshape(2, -1)
        return router._exchange_effects(
            evaluations.queries, codes, scores, np.full_like(scores, 0.5), np.eye(8)
        )[0]

    expected = effects()
    with torch.inference_mode():
        np.testing.assert_array_equal(effects(), expected)
