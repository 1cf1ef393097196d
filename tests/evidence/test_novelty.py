"""Trust in what is known near a query, by its distance from all known queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.novelty import EDGE, FADING, NoveltyDiscount

RNG = np.random.default_rng(0)
KNOWN = RNG.normal(size=(300, 4)).astype(np.float32)


def test_left_out_distances_by_hand():
    points = np.array([[0.0], [2.0], [10.0]], dtype=np.float32)
    clusters = QueryClusters(np.array([[1.0], [10.0]], dtype=np.float32))
    # Without the first, the centre of the first two is the second, and so on; the
    # third is alone in its cluster, so that only the other centre is left.
    expected = [2.0, 2.0, 9.0]
    assert clusters.distances_left_out(points) == pytest.approx(expected)


def test_nearest_gives_the_squared_distance():
    clusters = QueryClusters.fit(KNOWN, 12, 0)
    squares = clusters.squared_distances(KNOWN).min(axis=1)
    codes = clusters.squared_distances(KNOWN).argmin(axis=1)
    gaps = KNOWN[:, None] - clusters.centers
    assert squares == pytest.approx((gaps**2).sum(axis=2).min(axis=1), abs=1e-4)
    assert np.array_equal(codes, clusters.assign(KNOWN))


def test_nearly_all_known_queries_are_trusted_and_far_ones_are_not():
    clusters = QueryClusters.fit(KNOWN, 12, 0)
    reach = NoveltyDiscount.learn(clusters, KNOWN)
    other = RNG.normal(size=(2000, 4)).astype(np.float32)
    trust = reach.trust(np.sqrt(clusters.squared_distances(other).min(axis=1)))
    assert (trust == 1).mean() > EDGE - 0.02
    far = reach.trust(np.sqrt(clusters.squared_distances(other + 20).min(axis=1)))
    assert far.max() < 1e-3


@given(st.floats(0, 1e3), st.floats(0, 1e3))
def test_trust_falls_with_the_distance(one, other):
    near, far = sorted([one, other])
    trust = NoveltyDiscount(1.0, 0.5).trust(np.array([near, far]))
    assert trust[0] >= trust[1] >= 0
    assert trust[0] == 1 or near > 1


def test_trust_fades_by_the_documented_rate():
    assert NoveltyDiscount(1.0, 0.5).trust(np.array([1.5])) == pytest.approx(
        np.exp(-FADING)
    )


@pytest.mark.parametrize(
    "encodings", [np.ones((5, 3)), np.zeros((1, 3)), np.repeat(np.eye(3), 4, axis=0)]
)
def test_where_distances_tell_nothing_everything_is_trusted(encodings):
    encodings = encodings.astype(np.float32)
    clusters = QueryClusters.fit(encodings, 3, 0)
    reach = NoveltyDiscount.learn(clusters, encodings)
    assert reach.trust(np.array([0.0, 5.0, 1e6])) == pytest.approx(1)
