"""What "auto" chooses, and on what evidence."""

import copy

import numpy as np
import pandas as pd
import pytest
from logs import pool_of_parts
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skl_locus import KMeansRouter, KNNRouter, LinearRouter
from skl_locus._estimation import linear_models as _model_lines
from skl_locus._estimation.cross_validation import choose_setting, query_folds
from skl_locus.baselines import _kmeans, _knn
from skl_locus.datasets import make_evaluations

AUTO = {
    "knn": KNNRouter("auto"),
    "softmax": KNNRouter(
        "auto", weights="softmax", temperature="auto", shrinkage="auto"
    ),
    "kmeans": KMeansRouter("auto", shrinkage="auto", random_state=0),
    "linear": LinearRouter(),
    "ridge": LinearRouter(loss="squared_error", pooling="none"),
}
CHOSEN = ("n_neighbors_", "temperature_", "n_clusters_", "shrinkage_", "alpha_")

every_router = pytest.mark.parametrize("name", AUTO)
every_aim = pytest.mark.parametrize("tune_for", ["log_loss", "routing_accuracy"])

POOL = make_evaluations(n_models=5, n_queries=60, observed=0.7, random_state=0)
LOG = POOL.evaluations


def chosen(router):
    return {name: getattr(router, name) for name in CHOSEN if hasattr(router, name)}


def evaluation_set(log):
    reader = KNNRouter()
    return reader._evaluations_of(
        reader._read_rows(log, reset=True),
        log["score"].to_numpy(np.float32),
    )


# Folds


def test_folds_part_queries_and_keep_equal_encodings_together():
    log = pd.concat([LOG, LOG.assign(query_id="again-" + LOG["query_id"].astype(str))])
    evaluations = evaluation_set(log)
    tested = []
    for training, held_out in query_folds(evaluations):
        assert len(training) + len(held_out) == len(evaluations)
        assert not set(training.queries.keys) & set(held_out.queries.keys)
        trained_vectors = {v.tobytes() for v in training.queries.vectors()}
        held_out_vectors = {v.tobytes() for v in held_out.queries.vectors()}
        assert not trained_vectors & held_out_vectors
        tested.extend(held_out.queries.keys)
    assert sorted(tested) == evaluations.queries.keys.tolist()
    assert len(tested) == 2 * LOG["query_id"].nunique()


def test_models_without_training_evaluations_are_not_held_out():
    one = LOG[LOG["model"] == "model-0"].head(1).assign(model="newcomer")
    evaluations = evaluation_set(pd.concat([LOG, one]))
    tested = 0
    for training, held_out in query_folds(evaluations):
        assert set(held_out.model_names) <= set(training.model_names)
        tested += len(held_out)
    assert tested == len(evaluations) - 1


def test_nothing_to_hold_out_leaves_the_first_setting():
    log = pd.DataFrame({"model": ["a", "b"], "query": [np.ones(2)] * 2})
    evaluations = evaluation_set(log.assign(score=[0.0, 1.0]))
    assert choose_setting(["smooth", "rough"], evaluations, None, "log_loss") == (
        "smooth"
    )


# Choices


def planted_predictions(training, encodings, settings):
    """Tell the truth, up to what each setting adds to it."""
    truth = encodings[:, : training.n_models].astype(np.float32)
    return [np.clip(setting(truth), 0.01, 0.99) for setting in settings]


def planted_evaluations():
    """Two models, one right where the other is wrong; vectors tell which."""
    side = np.arange(20) % 2
    vectors = np.stack([side, 1 - side, np.arange(20)], axis=1).astype(float)
    log = pd.DataFrame(
        {"model": np.repeat(["a", "b"], 20), "query": list(np.tile(vectors, (2, 1)))}
    )
    return evaluation_set(log.assign(score=np.concatenate([side, 1 - side]) * 1.0))


def sharp(P):
    return P


def timid(P):
    return 0.5 + (P - 0.5) / 10


def even(P):
    return np.full_like(P, 0.5)


def wrong(P):
    return 1 - P


def test_the_better_setting_is_chosen_for_either_aim():
    evaluations = planted_evaluations()

    def choose(settings, aim):
        return choose_setting(settings, evaluations, planted_predictions, aim)

    assert choose([even, timid, sharp, wrong], "log_loss") is sharp
    # Sharp and timid route alike: the first of equally good settings is taken.
    assert choose([even, timid, sharp, wrong], "routing_accuracy") is timid
    assert choose([wrong, even], "log_loss") is even


def test_routing_chooses_among_the_observed():
    evaluations = planted_evaluations()
    kept = np.flatnonzero(evaluations.scores == 0)
    only_wrong = evaluations.take(kept)
    # Every query has one model observed: whatever is predicted, it is chosen.
    assert (
        choose_setting(
            [wrong, sharp], only_wrong, planted_predictions, "routing_accuracy"
        )
        is wrong
    )


@every_aim
@every_router
def test_auto_is_what_a_grid_value_gives(name, tune_for):
    auto = clone(AUTO[name]).set_params(tune_for=tune_for).fit(LOG, LOG["score"])
    values = {key.removesuffix("_"): value for key, value in chosen(auto).items()}
    fixed = clone(auto).set_params(**values).fit(LOG, LOG["score"])
    assert chosen(fixed) == chosen(auto)
    queries = POOL.encodings
    assert_array_equal(
        fixed.correctness_matrix(queries), auto.correctness_matrix(queries)
    )


@every_router
def test_auto_takes_its_values_from_the_documented_grids(name):
    router = clone(AUTO[name]).fit(LOG, LOG["score"])
    got = chosen(router)
    if "alpha_" in got:
        spread = np.unique(np.stack(LOG["query"]), axis=0).var(axis=0).sum()
        assert np.isclose(got["alpha_"], np.array(_model_lines.ALPHAS) * spread).any()
    elif "n_clusters_" in got:
        assert got["n_clusters_"] in _kmeans.N_CLUSTERS
        assert got["n_clusters_"] <= 60 / _kmeans.QUERIES_PER_CLUSTER
        assert got["shrinkage_"] in _kmeans.SHRINKAGES
    else:
        assert got["n_neighbors_"] in _knn.N_NEIGHBORS
        assert got["shrinkage_"] in (*_knn.SHRINKAGES, router.shrinkage)
        assert got["temperature_"] in (*_knn.TEMPERATURES, router.temperature)


@every_aim
@every_router
def test_auto_does_not_depend_on_the_order_of_rows(name, tune_for):
    first = clone(AUTO[name]).set_params(tune_for=tune_for).fit(LOG, LOG["score"])
    for seed in range(3):
        mixed = LOG.sample(frac=1, random_state=seed)
        second = clone(first).fit(mixed, mixed["score"])
        assert chosen(second) == chosen(first)
        assert_array_equal(
            second.correctness_matrix(POOL.encodings),
            first.correctness_matrix(POOL.encodings),
        )


@every_router
def test_auto_is_settled_in_fit(name):
    router = clone(AUTO[name]).fit(LOG, LOG["score"])
    before = chosen(router)
    changed = copy.deepcopy(router)
    new = LOG[LOG["model"] == "model-0"].assign(model="new")
    changed.add_models(new, new["score"])
    changed.remove_models(["model-1"])
    assert chosen(changed) == before


@pytest.mark.parametrize("n_parts", [4, 8])
def test_kmeans_finds_the_number_of_parts(n_parts):
    log = pool_of_parts(n_parts, 0.1)
    router = KMeansRouter("auto", random_state=0).fit(log, log["score"])
    assert router.n_clusters_ == n_parts


def test_neighbours_are_as_many_as_the_parts_hold():
    log = pool_of_parts(4, 0.2)
    router = KNNRouter("auto").fit(log, log["score"])
    # 240 queries in four parts: some 48 of one part in every training fold.
    assert 25 <= router.n_neighbors_ <= 50


def test_alpha_is_large_where_encodings_tell_nothing():
    rng = np.random.default_rng(0)
    log = pool_of_parts(4, 0.1)
    meaningful = LinearRouter().fit(log, log["score"])
    noise = log.assign(query=list(rng.normal(size=(960, 4))))
    meaningless = LinearRouter().fit(noise, log["score"])
    assert meaningless.alpha_ > 10 * meaningful.alpha_
