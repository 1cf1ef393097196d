"""Features by name: another one, other weights, and what updates leave alone."""

import copy
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from small import SMALL

from skl_locus import BestSingleRouter, LocusRouter
from skl_locus._estimation.clusters import QueryClusters
from skl_locus._evidence.base import (
    ClusterTable,
    Feature,
    FeatureSpec,
    QueryFunctions,
)
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.features import FEATURES
from skl_locus._evidence.fit import fit_evidence
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._evidence.stack import EvidenceStack
from skl_locus.datasets import make_evaluations

POOL = make_evaluations(n_models=5, n_queries=80, random_state=0)
LOG = POOL.evaluations
MODELS = np.arange(5)


def evaluations_of(log):
    return BestSingleRouter().fit(log, log["score"])._fitted_pool().evaluations


@dataclass(frozen=True)
class TwoClustersAndAnAxis(Feature):
    """How often a model is right in two clusters of its own, and along one axis."""

    clusters: QueryClusters
    axis: np.ndarray

    @classmethod
    def fit(cls, pool):
        encodings = pool.evaluations.queries.vectors()
        clusters = QueryClusters(encodings[[3, 40]])
        return cls(clusters, np.eye(encodings.shape[1])[:1])

    def functions(self, models):
        sums, counts = self.clusters.totals(models.evaluations)
        table = (sums / (counts + 1))[:, models.order]
        slopes = self.axis * models.means[:, None]
        table = ClusterTable(self.clusters, table)
        return QueryFunctions(models.mean_logits / 2, slopes, (table,))


TOY = FeatureSpec("toy", TwoClustersAndAnAxis.fit, weight=0.7, decision_weight=-0.4)
WITH_TOY = EvidenceConfig(features=(*FEATURES, TOY))


def no_network(evaluations, config):
    held_out = np.zeros(len(evaluations), dtype=bool)
    return fit_evidence(evaluations, held_out, np.empty(0), config)


def unpacked(evidence, encodings, network):
    """Return decision scores and logits from the values of the features."""
    shared, columns = evidence.shared, np.arange(len(evidence.models))
    values = evidence.values(encodings, columns).astype(float)
    anchor, h = values[..., 0], shared.network_share
    squares = shared.novelty.clusters.squared_distances(encodings).min(axis=1)
    known = shared.novelty.weight(np.sqrt(squares))[:, None]
    stacked = (values @ list(shared.weights.values())).clip(-MAX_LOGIT, MAX_LOGIT)
    logits = anchor + known * ((1 - h) * stacked + h * network - anchor)
    first, *others = shared.decision_weights.values()
    departures = (values[..., 1:] - anchor[..., None]) @ others
    departures = (1 - h) * departures + h * sum(others) * (network - anchor)
    reliability = evidence.sizes / (evidence.sizes + shared.decision_evaluations)
    return first * anchor + known * reliability * departures, logits


@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_a_feature_from_outside_is_packed_like_the_others(moved):
    evidence = no_network(evaluations_of(LOG), WITH_TOY)
    assert list(evidence.shared.weights) == [*EvidenceConfig().names, "toy"]
    encodings = POOL.encodings + np.float32(moved)
    network = np.random.default_rng(0).normal(size=(len(encodings), 5))
    packed = evidence.pack()
    clusters = evidence.shared.features["clusters"]
    assert len(packed.tables) == len(clusters.parts) + 1
    found = packed.scores_and_probabilities(encodings, network.astype(np.float32))
    for values, expected in zip(
        found, unpacked(evidence, encodings, network), strict=True
    ):
        assert values == pytest.approx(expected, abs=2e-5)


def test_a_feature_from_outside_counts_in_routers_and_keeps_what_it_must():
    router, plain = LocusRouter(**SMALL), LocusRouter(**SMALL)
    router._evidence_config = WITH_TOY
    router.fit(LOG, LOG["score"])
    P = router.correctness_matrix(POOL.encodings)
    others = plain.fit(LOG, LOG["score"]).correctness_matrix(POOL.encodings)
    assert np.abs(P - others).max() > 0.01
    new = LOG[LOG["model"] == "model-1"].head(30).assign(model="new")
    grown = copy.copy(router).add_models(new, new["score"])
    known = list(router.models_)
    assert np.array_equal(grown.correctness_matrix(POOL.encodings, known), P)
    shrunk = copy.copy(grown).remove_models(["new", "model-0"])
    left = list(shrunk.models_)
    assert np.array_equal(
        shrunk.correctness_matrix(POOL.encodings),
        router.correctness_matrix(POOL.encodings, left),
    )


def test_features_of_unchanged_models_stay_the_same_to_the_bit():
    evidence = no_network(evaluations_of(LOG), WITH_TOY)
    few = LOG[LOG["model"] == "model-1"].head(9).assign(model="a newcomer")
    grown_log = evaluations_of(pd.concat([LOG, few]))
    models = np.append(evidence.models, "a newcomer")
    grown = evidence.updated(grown_log, models, ["a newcomer"])
    before = evidence.values(POOL.encodings, MODELS)
    assert np.array_equal(grown.values(POOL.encodings, MODELS), before)
    fresh = EvidenceStack.from_evaluations(evidence.shared, grown_log, models)
    assert np.array_equal(
        fresh.values(POOL.encodings, np.arange(6)),
        grown.values(POOL.encodings, np.arange(6)),
    )


def test_models_can_be_taken_under_other_labels():
    evidence = no_network(evaluations_of(LOG), WITH_TOY)
    columns = np.array([3, 0, 3])
    taken = evidence.take(columns, np.array(["x", "y", "z"], dtype=object))
    assert np.array_equal(
        taken.values(POOL.encodings, np.arange(3)),
        evidence.values(POOL.encodings, columns),
    )
    assert taken.sizes.tolist() == evidence.sizes[columns].tolist()


def test_a_single_feature_is_enough():
    config = EvidenceConfig(features=FEATURES[:1])
    evidence = no_network(evaluations_of(LOG), config)
    zeros = np.zeros((len(POOL.encodings), 5), dtype=np.float32)
    scores, _ = evidence.pack().scores_and_probabilities(POOL.encodings, zeros)
    assert np.ptp(evidence.values(POOL.encodings, MODELS), axis=0).max() == 0
    assert scores.argmax() % 5 == evidence.anchor_logits.argmax()


# Configuration


def test_weights_that_are_left_out_are_those_of_the_features():
    config = EvidenceConfig(weights={"mean": 0.5})
    assert config.weights["mean"] == 0.5
    assert config.weights["own_regression"] == 0.51
    assert tuple(config.weights) == tuple(config.decision_weights) == config.names


def test_todays_weights_sum_to_one():
    assert sum(EvidenceConfig().weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("field", ["weights", "decision_weights"])
def test_weights_of_unknown_features_are_refused(field):
    with pytest.raises(ValueError, match=f"{field} names 'average', which is not"):
        EvidenceConfig(**{field: {"average": 1.0}})


def test_starting_weights_and_share_decide_where_nothing_is_learned():
    strong = {"weight_penalty": 1e9, "decision_penalty": 1e9, "share_penalty": 1e9}
    config = EvidenceConfig(
        weights={"mean": 0.9}, network_share=0.6, network_queries=0, **strong
    )
    router = LocusRouter(**SMALL)
    router._evidence_config = config
    shared = router.fit(LOG, LOG["score"])._fitted_pool().evidence.shared
    proportions = np.array(list(shared.weights.values())) / shared.weights["mean"]
    assert proportions == pytest.approx(np.array(list(config.weights.values())) / 0.9)
    assert shared.decision_weights == pytest.approx(config.decision_weights)
    assert shared.network_share == pytest.approx(0.6, abs=1e-3)


def test_the_configuration_is_no_parameter_and_can_be_pickled():
    config = replace(EvidenceConfig(), shrinkage_range=(10, 10))
    reread = pickle.loads(pickle.dumps(config))
    assert reread.names == config.names
    assert reread.shrinkage_range == (10, 10)
    router = LocusRouter(**SMALL)
    assert not any("config" in name for name in router.get_params())
    router._evidence_config = config
    features = router.fit(LOG, LOG["score"])._fitted_pool().evidence.shared.features
    assert {part.shrinkage for part in features["clusters"].parts} == {10}
    assert LocusRouter()._evidence_config == EvidenceConfig()
    for twin in (
        clone(router),
        copy.deepcopy(router),
        pickle.loads(pickle.dumps(router)),
    ):
        assert twin._evidence_config.shrinkage_range == (10, 10)
    assert "_evidence_config" not in vars(clone(LocusRouter()))
