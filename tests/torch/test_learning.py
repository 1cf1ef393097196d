"""It learns: planted structure is found, by margins far outside noise."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from skl_locus import BestSingleRouter, KNNRouter, LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import soft_log_loss

N_TRAIN = 300
STANDARD_ERRORS = 4
NETWORK = {
    "n_components": 32,
    "n_latents": 16,
    "max_iter": 200,
    "learning_rate_init": 2e-3,
    "random_state": 0,
}


@dataclass
class World:
    """A synthetic pool of two families of specialists, split by query."""

    pool: object
    seed: int

    def train(self, observed=1.0):
        log = make_pool(self.seed, observed).evaluations
        return log[log["query_id"].isin(self.pool.queries["query_id"][:N_TRAIN])]

    def routed(self, router):
        """True P(correct) of the chosen model on each test query: no noise in it."""
        truth = self.pool.probabilities[N_TRAIN:]
        columns = self.pool.models.index.get_indexer(
            router.route(self.pool.encodings[N_TRAIN:])
        )
        return truth[np.arange(len(truth)), columns]


def make_pool(seed, observed=1.0):
    return make_evaluations(
        n_models=24,
        n_queries=800,
        n_tasks=8,
        n_families=2,
        observed=observed,
        random_state=seed,
    )


def global_numpy_state():
    return np.random.mtrand._rand.get_state(legacy=False)["state"]["key"].copy()


def fit(router, log):
    return router.fit(log, log["score"])


@pytest.fixture(scope="module", params=[0, 1])
def world(request):
    return World(make_pool(request.param), request.param)


@pytest.fixture(scope="module")
def complete(world):
    return fit(LocusRouter(**NETWORK), world.train())


@pytest.fixture(scope="module")
def quarter(world):
    return fit(LocusRouter(**NETWORK), world.train(observed=0.25))


def assert_far_above(better, worse):
    difference = better - worse
    error = difference.std() / np.sqrt(len(difference))
    assert difference.mean() > STANDARD_ERRORS * error


def test_routing_beats_the_best_single_model(world, complete):
    best = fit(BestSingleRouter(), world.train())
    assert_far_above(world.routed(complete), world.routed(best))


def test_routing_beats_neighbours_where_evaluations_are_few(world, quarter):
    nearest = fit(KNNRouter(), world.train(observed=0.25))
    assert_far_above(world.routed(quarter), world.routed(nearest))


def test_a_quarter_of_the_evaluations_routes_nearly_as_well(world, complete, quarter):
    best = world.routed(fit(BestSingleRouter(), world.train())).mean()
    gain = world.routed(complete).mean() - best
    assert world.routed(quarter).mean() - best > 0.65 * gain


# Two models of one family may answer a query differently by chance. The distance of
# their answers counts that, and the embedding by the network does not.
@pytest.mark.parametrize(("geometry", "ratio"), [("network", 0.5), ("scores", 0.8)])
def test_models_of_a_family_are_neighbours(world, complete, geometry, ratio):
    families = world.pool.models["family"].loc[complete.models_].to_numpy()
    by_network = complete._pool.network_embeddings
    embeddings = by_network if geometry == "network" else complete.embeddings_
    distances = pairwise_distances(embeddings)
    np.fill_diagonal(distances, np.inf)
    nearest = families[distances.argmin(axis=1)]
    assert (nearest == families).all()
    same = families[:, None] == families
    between = distances[~same].mean()
    assert distances[same & np.isfinite(distances)].mean() < ratio * between


def test_64_evaluations_of_a_new_model_beat_its_mean(world):
    log = world.train()
    names = sorted(log["model"].unique())
    new = names[::6]
    router = fit(LocusRouter(**NETWORK), log[~log["model"].isin(new)])
    for name in new:
        own = log[log["model"] == name].head(64)
        router.add_models(own, own["score"])
    truth = world.pool.probabilities[N_TRAIN:]
    columns = world.pool.models.index.get_indexer(new)
    predicted = router.correctness_matrix(world.pool.encodings[N_TRAIN:], models=new)
    for name, column, p in zip(new, columns, predicted.T, strict=True):
        mean = log.loc[log["model"] == name, "score"].head(64).mean()
        flat = np.full(len(truth), mean)
        assert soft_log_loss(truth[:, column], p) < soft_log_loss(
            truth[:, column], flat
        )


def test_training_changes_nothing_global_and_is_reproducible():
    import torch

    pool = make_evaluations(n_models=4, n_queries=40, random_state=0)
    log = pool.evaluations

    def train():
        router = LocusRouter(n_components=16, max_iter=15, random_state=3)
        return fit(router, log).embeddings_

    numpy_before, torch_before = global_numpy_state(), torch.get_rng_state()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    first = train()
    assert np.array_equal(global_numpy_state(), numpy_before)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, dtype)
    torch.rand(1)
    assert np.array_equal(train(), first)


def test_the_best_weights_are_kept_and_training_can_go_on():
    log = make_evaluations(n_models=6, n_queries=80, random_state=0).evaluations
    router = LocusRouter(
        n_components=16,
        max_iter=48,
        learning_rate_init=0.02,
        n_iter_no_change=3,
        random_state=0,
        warm_start=True,
    )
    fit(router, log)
    checks = 1 + np.argmax(router.validation_scores_)
    assert router.best_iter_ == checks * (48 // 24)
    assert router.n_iter_ <= 48
    assert len(router.loss_curve_) == router.n_iter_
    before = max(router.validation_scores_)
    fit(router.set_params(max_iter=24, learning_rate_init=1e-4), log)
    assert router.validation_scores_[0] == pytest.approx(before, abs=0.05)


@pytest.mark.cuda
def test_training_on_cuda_gives_arrays_on_the_cpu():
    log = make_evaluations(n_models=6, n_queries=80, random_state=0).evaluations
    router = fit(LocusRouter(max_iter=20, device="cuda", random_state=0), log)
    assert isinstance(router.embeddings_, np.ndarray)
    assert np.isfinite(router.embeddings_).all()
