"""Packing takes little more memory than what it makes."""

import tracemalloc

import numpy as np

from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.base import QueryFunctions
from skl_locus._evidence.novelty import NoveltyDiscount
from skl_locus._evidence.packed import pack_features

N_MODELS, N_FEATURES = 2_000, 128


def test_memory_does_not_grow_with_the_number_of_sums():
    rng = np.random.default_rng(0)
    clusters = QueryClusters(rng.normal(size=(4, N_FEATURES)).astype(np.float32))
    means = rng.normal(size=N_MODELS)
    functions = {
        "mean": QueryFunctions(means),
        "own": QueryFunctions(means, rng.normal(size=(N_MODELS, N_FEATURES))),
    }
    weights = {"mean": -0.2, "own": 0.8}
    novelty = NoveltyDiscount(clusters, 1.0, 1.0, 1.0)
    tracemalloc.start()
    packed = pack_features(
        functions, means, weights, weights, np.ones(N_MODELS), novelty, 0.2
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * packed.directions.nbytes
    own = functions["own"].coef
    columns = packed.directions[:, N_MODELS : 2 * N_MODELS]
    np.testing.assert_allclose(columns, 0.8 * own.T, rtol=1e-6)
