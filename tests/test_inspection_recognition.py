"""Recognition: levels that hold, power to see differences, refusals."""

import copy

import numpy as np
import pandas as pd
import pytest

from skl_locus import LocusRouter
from skl_locus._statistics import holm
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import drift_test, find_duplicates, identify

NETWORK = {
    "n_components": 8,
    "n_latents": 4,
    "n_layers": 1,
    "n_heads": 2,
    "max_iter": 100,
    "learning_rate_init": 5e-3,
    "query_noise": 0.1,
    "dropout": 0.0,
    "n_targets": 64,
    "min_context": 16,
    "max_context": 64,
    "random_state": 0,
}
POOL = make_evaluations(n_models=6, n_queries=600, n_families=3, random_state=0)
LOG = POOL.evaluations
N_TRAIN = 200
N_KNOWN = 160
N_NEW = 48
N_RESAMPLES = 39
ALPHA = 0.05
N_SIMULATIONS = 1000
PER_ROUTER = 100
TASKS = POOL.queries["task"].to_numpy()


def train_router(log):
    return LocusRouter(**NETWORK).fit(log, log["score"])


@pytest.fixture(scope="module")
def router():
    train = POOL.queries["query_id"][:N_TRAIN]
    return train_router(LOG[LOG["query_id"].isin(train)])


class Simulation:
    """Endpoints that answer as the models of the pool do, afresh each time."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def answers(self, model, queries, label):
        correct = self.rng.random(len(queries)) < POOL.probabilities[queries, model]
        return pd.DataFrame(
            {
                "model": label,
                "query": list(POOL.encodings[queries]),
                "query_id": POOL.queries["query_id"].to_numpy()[queries],
                "score": correct.astype(float),
            }
        )

    def p_values(self, router, choose_queries, other_model=False, n=N_SIMULATIONS):
        """Drift tests of newcomers, each against a reference of its own."""
        values = []
        for _ in range(n // PER_ROUTER):
            drawn = [
                self.case(choose_queries, other_model, i) for i in range(PER_ROUTER)
            ]
            references = pd.concat([known for known, _ in drawn])
            pool = copy.copy(router).add_models(
                references, references["score"], replace=True
            )
            for i, (_, new) in enumerate(drawn):
                values.append(
                    drift_test(
                        pool,
                        f"reference-{i}",
                        new,
                        new["score"],
                        n_resamples=N_RESAMPLES,
                        random_state=i,
                    ).p_value
                )
        return np.array(values)

    def case(self, choose_queries, other_model, number):
        known, new = choose_queries(self.rng)
        model = self.rng.integers(6)
        other = (model + other_model * self.rng.integers(1, 6)) % 6
        return (
            self.answers(model, known, f"reference-{number}"),
            self.answers(other, new, "endpoint"),
        )


def same_queries(rng):
    known = rng.choice(len(TASKS), N_KNOWN, replace=False)
    return known, known[:N_NEW]


def other_queries_of_one_task(rng):
    order = rng.permutation(len(TASKS))
    known, free = order[: N_KNOWN * 2], order[N_KNOWN * 2 :]
    return known, free[TASKS[free] == "task-0"][:N_NEW]


@pytest.mark.parametrize("choose_queries", [same_queries, other_queries_of_one_task])
def test_false_alarms_are_as_rare_as_stated(router, choose_queries):
    p_values = Simulation(1).p_values(router, choose_queries)
    assert 0.02 <= (p_values <= ALPHA).mean() <= 0.08


@pytest.mark.parametrize("choose_queries", [same_queries, other_queries_of_one_task])
def test_another_model_is_noticed_far_more_often(router, choose_queries):
    p_values = Simulation(2).p_values(router, choose_queries, True, n=200)
    assert (p_values <= ALPHA).mean() > 0.3


def rows_of(model):
    return LOG[LOG["model"] == model]


def test_the_same_answers_are_never_an_alarm(router):
    known = rows_of("model-2").head(50)
    test = drift_test(router, "model-2", known, known["score"], random_state=0)
    assert test.p_value == 1
    assert test.n_pairs == test.n_shared == 50
    assert test.distance == pytest.approx(0, abs=1e-6)


def test_p_values_count_the_observed_and_are_reproducible(router):
    known = rows_of("model-2").head(150)
    perfect = known.assign(score=1.0)
    first, second = (
        drift_test(
            router, "model-2", perfect, perfect["score"], n_resamples=99, random_state=3
        )
        for _ in range(2)
    )
    as_large = (first.null >= first.statistic * (1 - 1e-4)).sum()
    assert first.p_value == (1 + as_large) / 100
    assert first.p_value == 0.01
    assert np.array_equal(first.null, second.null)


def test_too_few_evaluations_on_other_queries_are_refused(router):
    new = rows_of("model-1").tail(101)
    with pytest.raises(ValueError, match="at least 202 are needed"):
        drift_test(router, "model-1", new, new["score"])
    with pytest.raises(ValueError, match="No candidate has enough"):
        identify(router, new, new["score"])


def test_several_models_and_unknown_ones_are_refused(router):
    with pytest.raises(ValueError, match="X has 6 models"):
        identify(router, LOG, LOG["score"])
    some = rows_of("model-1").head(10)
    with pytest.raises(ValueError, match="Unknown model 'nobody'"):
        drift_test(router, "nobody", some, some["score"])
    with pytest.raises(ValueError, match="n_resamples"):
        drift_test(router, "model-1", some, some["score"], n_resamples=0)


def test_identify_ranks_the_model_itself_first(router):
    unknown = rows_of("model-4").head(120).drop(columns="model")
    table = identify(router, unknown, unknown["score"], n_tested=2, random_state=0)
    assert table.index[0] == "model-4"
    assert table["p_value"].iloc[0] == 1
    assert table["p_value"].notna().tolist() == [True, True] + [False] * 4
    assert table["distance"].is_monotonic_increasing


def test_identify_looks_among_the_models_it_is_given(router):
    unknown = rows_of("model-4").head(60)
    table = identify(
        router, unknown, unknown["score"], models=["model-0", "model-1"], n_tested=0
    )
    assert set(table.index) == {"model-0", "model-1"}


def test_holm_by_hand():
    adjusted = holm(np.array([0.04, 0.01, 0.03]))
    assert adjusted.tolist() == pytest.approx([0.06, 0.03, 0.06])


def test_duplicates_are_found_and_opposites_are_not():
    twin = rows_of("model-3").assign(model="twin")
    opposite = twin.assign(model="opposite", score=1 - twin["score"])
    log = pd.concat([LOG, twin, opposite])
    log = log[log["query_id"].isin(POOL.queries["query_id"][:N_TRAIN])]
    table = find_duplicates(train_router(log), n_neighbors=7, random_state=0)
    assert len(table) == 8 * 7 / 2
    assert table.loc[0, ["model_a", "model_b"]].tolist() == ["model-3", "twin"]
    assert table.loc[0, "duplicate"]
    pairs = table.set_index(["model_a", "model_b"])
    assert not pairs.loc[("opposite", "twin"), "duplicate"]
    assert (table["p_adjusted"] >= table["p_value"]).all()


def test_models_without_common_queries_are_compared_on_matched_ones(router):
    new = rows_of("model-3").tail(200).assign(model="renamed")
    pool = copy.copy(router).add_models(new, new["score"])
    table = find_duplicates(pool, n_neighbors=6, n_resamples=19, random_state=0)
    pairs = table[table["model_b"] == "renamed"]
    assert (pairs["n_shared"] == 0).all()
    assert (pairs["n_pairs"] == 100).all()
