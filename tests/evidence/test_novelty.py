"""Weight of evidence about a query by its distance from all known queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.novelty import NoveltyDiscount

RNG = np.random.default_rng(0)
KNOWN = RNG.normal(size=(300, 4)).astype(np.float32)
CONFIG = EvidenceConfig()

FROM_ONE = NoveltyDiscount(QueryClusters(KNOWN[:3]), edge=1.0, width=0.5, decay=3.0)
"""Full weight up to a distance of one."""


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


def test_nearly_all_known_queries_have_full_weight_and_far_ones_none():
    clusters = QueryClusters.fit(KNOWN, 12, 0)
    novelty = NoveltyDiscount.fit(clusters, KNOWN, CONFIG)
    other = RNG.normal(size=(2000, 4)).astype(np.float32)
    weight = novelty.weight(np.sqrt(clusters.squared_distances(other).min(axis=1)))
    assert (weight == 1).mean() > CONFIG.novelty_quantile - 0.02
    far = novelty.weight(np.sqrt(clusters.squared_distances(other + 20).min(axis=1)))
    assert far.max() < 1e-3


@given(st.floats(0, 1e3), st.floats(0, 1e3))
def test_weight_falls_with_the_distance(one, other):
    near, far = sorted([one, other])
    weights = FROM_ONE.weight(np.array([near, far]))
    assert weights[0] >= weights[1] >= 0
    assert weights[0] == 1 or near > 1


def test_weight_fades_by_the_documented_rate():
    assert FROM_ONE.weight(np.array([1.5])) == pytest.approx(np.exp(-3))
    novelty = NoveltyDiscount.fit(QueryClusters.fit(KNOWN, 12, 0), KNOWN, CONFIG)
    beyond = np.array([novelty.edge + novelty.width])
    assert novelty.weight(beyond) == pytest.approx(np.exp(-CONFIG.novelty_decay))


@pytest.mark.parametrize(
    "encodings", [np.ones((5, 3)), np.zeros((1, 3)), np.repeat(np.eye(3), 4, axis=0)]
)
def test_where_distances_tell_nothing_everything_counts(encodings):
    encodings = encodings.astype(np.float32)
    clusters = QueryClusters.fit(encodings, 3, 0)
    novelty = NoveltyDiscount.fit(clusters, encodings, CONFIG)
    assert novelty.weight(np.array([0.0, 5.0, 1e6])) == pytest.approx(1)
