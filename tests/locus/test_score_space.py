"""Distances of embeddings are differences of scores, and say more than ability does."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances

from skl_locus import LocusEmbedder, LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import disagreement, model_distances

SMALL = {
    "n_components": 32,
    "n_latents": 4,
    "n_layers": 1,
    "n_heads": 2,
    "max_iter": 3,
    "n_targets": 16,
    "min_context": 8,
    "max_context": 16,
    "random_state": 0,
}
POOL = make_evaluations(n_models=20, n_queries=160, random_state=0)
LOG = POOL.evaluations


@pytest.fixture(scope="module")
def embedder():
    return LocusEmbedder(**SMALL).fit(LOG)


def shuffled(log, seed):
    return log.sample(frac=1, random_state=seed)


def test_distances_of_complete_logs_are_shares_of_different_answers(embedder):
    embeddings = embedder.transform(LOG)
    squares = pairwise_distances(embeddings) ** 2
    assert_allclose(squares, disagreement(LOG, LOG["score"]), atol=1e-5)


def test_graded_scores_give_root_mean_square_differences():
    log = LOG.assign(score=0.2 + 0.6 * LOG["score"])
    squares = pairwise_distances(LocusEmbedder(**SMALL).fit_transform(log)) ** 2
    assert_allclose(squares, 0.36 * disagreement(LOG, LOG["score"]), atol=1e-5)


def test_distances_of_partial_logs_go_beyond_the_difference_of_means():
    rng = np.random.default_rng(0)
    seen = LOG[rng.random(len(LOG)) < 0.5]
    embeddings = LocusEmbedder(**SMALL).fit_transform(seen)
    truth = disagreement(LOG, LOG["score"]).to_numpy()[np.triu_indices(20, 1)]
    means = seen.groupby("model")["score"].mean()
    by_means = pdist(means.to_numpy()[:, None])
    ours = np.corrcoef(pdist(embeddings), truth)[0, 1]
    assert ours > np.corrcoef(by_means, truth)[0, 1] + 0.1


def test_the_order_of_rows_changes_no_bit(embedder):
    again = LocusEmbedder(**SMALL).fit(shuffled(LOG, 1))
    assert_array_equal(
        again.transform(shuffled(LOG, 2)).to_numpy(), embedder.transform(LOG).to_numpy()
    )


def test_renamed_ids_change_nothing(embedder):
    renamed = LOG.assign(query_id="other-" + LOG["query_id"].astype(str))
    assert_array_equal(
        embedder.transform(renamed).to_numpy(), embedder.transform(LOG).to_numpy()
    )


def test_relabelled_models_are_embedded_alike(embedder):
    names = {
        name: f"z{i:02d}" for i, name in enumerate(sorted(set(LOG["model"]))[::-1])
    }
    again = embedder.transform(LOG.assign(model=LOG["model"].map(names)))
    before = embedder.transform(LOG).rename(index=names)
    assert_allclose(again.loc[before.index], before, atol=1e-5)


def test_unknown_queries_give_embeddings(embedder):
    other = make_evaluations(n_models=4, n_queries=50, random_state=9).evaluations
    log = other.assign(query_id="new-" + other["query_id"].astype(str))
    embeddings = embedder.transform(log)
    assert embeddings.shape == (4, 32)
    assert np.isfinite(embeddings.to_numpy()).all()


@pytest.mark.parametrize("n_components", [1, 4, 200])
def test_any_number_of_components(n_components):
    parameters = SMALL | {"n_components": n_components}
    embeddings = LocusEmbedder(**parameters).fit_transform(LOG)
    assert embeddings.shape == (20, n_components)
    used = embeddings.to_numpy().any(axis=0).sum()
    assert used == min(n_components, 19)  # 20 models span 19 directions


def test_added_and_removed_models_move_no_other():
    new = LOG["model"] == "model-03"
    router = LocusRouter(**SMALL).fit(LOG[~new], LOG.loc[~new, "score"])
    before = pd.DataFrame(router.embeddings_, index=router.models_)
    router.add_models(LOG[new], LOG.loc[new, "score"])
    router.remove_models(["model-07"])
    after = pd.DataFrame(router.embeddings_, index=router.models_)
    kept = [name for name in before.index if name != "model-07"]
    assert_array_equal(after.loc[kept].to_numpy(), before.loc[kept].to_numpy())
    own = router.embedder_.transform(LOG[new]).loc["model-03"]
    assert_allclose(after.loc["model-03"], own, atol=1e-5)


def test_predictions_do_not_depend_on_the_geometry():
    fitted = [
        LocusRouter(**SMALL, geometry=geometry).fit(LOG, LOG["score"])
        for geometry in ("scores", "network")
    ]
    matrices = [router.correctness_matrix(POOL.encodings) for router in fitted]
    assert_array_equal(*matrices)
    assert not np.allclose(fitted[0].embeddings_, fitted[1].embeddings_)
    assert_array_equal(
        fitted[0]._pool.network_embeddings, fitted[1]._pool.network_embeddings
    )
    assert_array_equal(fitted[1].embeddings_, fitted[1]._pool.network_embeddings)


def test_neighbours_are_those_that_answer_alike():
    router = LocusRouter(**SMALL).fit(LOG, LOG["score"])
    differences = disagreement(LOG, LOG["score"])
    for model in ("model-00", "model-11"):
        nearest = router.neighbors(model, 1).index[0]
        others = differences.loc[model].drop(model)
        assert others[nearest] == others.min()
    assert_allclose(model_distances(router) ** 2, differences, atol=1e-5)


def test_one_unnamed_model_has_the_coordinates_of_the_network():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5))
    embedder = LocusEmbedder(**SMALL).fit(X, rng.integers(2, size=30))
    assert embedder._space is None
    assert embedder.transform(X).shape == (1, 32)


def few_of(log, n, seed):
    return log.groupby("model").sample(n, random_state=seed)


@pytest.fixture(scope="module")
def joined():
    """A router with five models that joined with few evaluations; the log of all."""
    pool = make_evaluations(
        n_models=25,
        n_queries=400,
        n_families=5,
        random_state=0,
    ).evaluations
    new = pool["model"] >= "model-20"
    train, few = pool[~new], few_of(pool[new], 80, 0)
    router = LocusRouter(**SMALL).fit(train, train["score"])
    before = router.specific_variances_
    router.add_models(few, few["score"])
    return router, before, pool


def test_nothing_is_left_out_of_a_complete_pool(joined):
    router, before, _ = joined
    assert_array_equal(before, np.zeros(20))
    assert_array_equal(router.specific_variances_[:20], before)


def test_what_new_models_leave_out_makes_up_for_their_distances(joined):
    router, _, pool = joined
    truth = disagreement(pool, pool["score"]).loc[router.models_, router.models_]
    of_new = np.triu(np.ones((25, 25), dtype=bool), 1)
    of_new[:20, :20] = False
    truth = truth.to_numpy()[of_new]
    raw = (pairwise_distances(router.embeddings_) ** 2)[of_new]
    found = (model_distances(router).to_numpy() ** 2)[of_new]
    # Embeddings alone show less than half of it.
    assert raw.mean() < 0.5 * truth.mean()
    assert found.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_new_models_are_not_the_neighbors_of_all_others(joined):
    router, _, _ = joined
    nearest = router.fallback_table(1)[1]
    assert (nearest[:20] >= "model-20").mean() < 0.5
    assert (nearest[20:] >= "model-20").mean() < 0.5
    # By embeddings alone they are.
    raw = pairwise_distances(router.embeddings_)
    np.fill_diagonal(raw, np.inf)
    assert (raw.argmin(axis=1) >= 20).all()


def test_neighbors_and_distances_agree(joined):
    router, _, _ = joined
    distances = model_distances(router)
    for name in ("model-03", "model-22"):
        neighbors = router.neighbors(name, 24)
        assert_allclose(neighbors, distances.loc[name, neighbors.index], atol=1e-5)
        assert neighbors.is_monotonic_increasing
    by_cosine = model_distances(router, metric="cosine")
    plain = model_distances(router.embeddings_, metric="cosine")
    assert_array_equal(by_cosine, plain)


def test_the_networks_geometry_leaves_nothing_out():
    router = LocusRouter(**SMALL, geometry="network").fit(LOG, LOG["score"])
    few = few_of(LOG[LOG["model"] == "model-03"], 40, 0).assign(model="new")
    router.add_models(few, few["score"])
    assert_array_equal(router.specific_variances_, np.zeros(21))


def test_a_pool_of_an_earlier_version_leaves_nothing_out(joined):
    router = LocusRouter(**SMALL).fit(LOG, LOG["score"])
    object.__setattr__(router._pool, "specific_variances", None)
    few = few_of(LOG[LOG["model"] == "model-03"], 40, 0).assign(model="new")
    router.add_models(few, few["score"])
    assert_array_equal(router.specific_variances_[:-1], np.zeros(20))
    assert router.specific_variances_[-1] > 0


def test_graded_scores_leave_out_less():
    few = few_of(LOG[LOG["model"] == "model-03"], 40, 0).assign(model="new")
    variances = []
    for scale in (1.0, 0.5):
        log = LOG.assign(score=0.25 + scale * (LOG["score"] - 0.25))
        new = few.assign(score=0.25 + scale * (few["score"] - 0.25))
        router = LocusRouter(**SMALL).fit(log, log["score"])
        variances.append(router.add_models(new, new["score"]).specific_variances_[-1])
    assert variances[1] == pytest.approx(variances[0] / 4, rel=0.2)
