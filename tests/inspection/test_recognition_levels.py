"""False alarms of recognition are as rare as stated, and its power.

Endpoints answer as the models of a pool do, afresh each time. ``pytest
tests/test_recognition_levels.py -rP`` prints the rates.
"""

import copy

import numpy as np
import pandas as pd
import pytest
from small import TELLING

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import drift_test, find_duplicates, identify

N_MODELS = 6
POOL = make_evaluations(n_models=N_MODELS, n_queries=600, n_families=3, random_state=0)
N_TRAIN = 200
N_KNOWN = 160
N_NEW = 48
N_RESAMPLES = 39
ALPHA = 0.05
N_SIMULATIONS = 1000
N_FOR_POWER = 200
PER_ROUTER = 100
TASKS = POOL.queries["task"].to_numpy()
QUERY_IDS = POOL.queries["query_id"].to_numpy()


def answers(model, queries, label, rng):
    correct = rng.random(len(queries)) < POOL.probabilities[queries, model]
    return pd.DataFrame(
        {
            "model": label,
            "query": list(POOL.encodings[queries]),
            "query_id": QUERY_IDS[queries],
            "score": correct.astype(float),
        }
    )


def train_router(rng, queries=None):
    queries = np.arange(N_TRAIN) if queries is None else queries
    log = pd.concat([answers(m, queries, f"model-{m}", rng) for m in range(N_MODELS)])
    return LocusRouter(**TELLING).fit(log, log["score"])


@pytest.fixture(scope="module")
def router():
    return train_router(np.random.default_rng(0))


def check_rate(name, alarms):
    rate = float(np.mean(alarms))
    print(f"{name}: {rate:.1%} of {len(alarms)} at a nominal {ALPHA:.0%}")
    assert len(alarms) >= N_SIMULATIONS
    assert 0.02 <= rate <= 0.08


def check_power(name, detected, least):
    rate = float(np.mean(detected))
    print(f"{name}: {rate:.1%} of {len(detected)} noticed")
    assert rate > least


def same_queries(rng):
    known = rng.choice(len(TASKS), N_KNOWN, replace=False)
    return known, known[:N_NEW]


def other_queries_of_one_task(rng):
    order = rng.permutation(len(TASKS))
    known, free = order[: N_KNOWN * 2], order[N_KNOWN * 2 :]
    return known, free[TASKS[free] == "task-0"][:N_NEW]


QUERY_CHOICES = [same_queries, other_queries_of_one_task]


def drift_p_values(router, choose_queries, rng, n, other_model=False):
    """Drift tests of newcomers, each against a reference of its own."""
    values = []
    for _ in range(n // PER_ROUTER):
        pairs = [
            drift_case(choose_queries, rng, other_model) for _ in range(PER_ROUTER)
        ]
        references = pd.concat(
            [known.assign(model=f"reference-{i}") for i, (known, _) in enumerate(pairs)]
        )
        pool = copy.copy(router).add_models(references, references["score"])
        values.extend(
            drift_test(
                pool,
                f"reference-{i}",
                new,
                new["score"],
                n_resamples=N_RESAMPLES,
                random_state=i,
            ).p_value
            for i, (_, new) in enumerate(pairs)
        )
    return np.array(values)


def drift_case(choose_queries, rng, other_model):
    known, new = choose_queries(rng)
    model = rng.integers(N_MODELS)
    other = (model + other_model * rng.integers(1, N_MODELS)) % N_MODELS
    return answers(model, known, "known", rng), answers(other, new, "endpoint", rng)


@pytest.mark.parametrize("choose_queries", QUERY_CHOICES)
def test_drift_of_an_unchanged_model_is_rarely_seen(router, choose_queries):
    rng = np.random.default_rng(1)
    p_values = drift_p_values(router, choose_queries, rng, N_SIMULATIONS)
    check_rate(f"drift_test, {choose_queries.__name__}", p_values <= ALPHA)


@pytest.mark.parametrize("choose_queries", QUERY_CHOICES)
def test_another_model_is_noticed_far_more_often(router, choose_queries):
    rng = np.random.default_rng(2)
    p_values = drift_p_values(router, choose_queries, rng, N_FOR_POWER, True)
    check_power(f"drift_test, {choose_queries.__name__}", p_values <= ALPHA, 0.3)


def identified(rng, n):
    """P-values of identify for the model itself and for the others.

    The candidates are models that the network was trained on.
    """
    own, others = [], []
    for _ in range(n // PER_ROUTER):
        queries = rng.permutation(len(TASKS))[:N_TRAIN]
        router = train_router(rng, queries)
        for i in range(PER_ROUTER):
            model = int(rng.integers(N_MODELS))
            asked = rng.permutation(queries)[:N_NEW]
            new = answers(model, asked, "endpoint", rng)
            candidates = [f"model-{model}", f"model-{(model + 1) % N_MODELS}"]
            p_values = identify(
                router,
                new,
                new["score"],
                models=candidates,
                n_resamples=N_RESAMPLES,
                random_state=i,
            )["p_value"]
            own.append(p_values[candidates[0]])
            others.append(p_values[candidates[1]])
    return np.array(own), np.array(others)


def test_identify_rarely_rejects_the_model_itself_and_often_another():
    own, others = identified(np.random.default_rng(3), N_SIMULATIONS)
    check_rate("identify, the model itself", own <= ALPHA)
    check_power("identify, the next model", others <= ALPHA, 0.3)


BASES = (0, 1, 2)  # one model of each family
TWINS = [f"{model}-{name}" for model in BASES for name in "ab"]


def duplicates_of(router, n_neighbors, rng):
    """Ask a pool of models with two names each which pairs are duplicates."""
    queries = rng.permutation(len(TASKS))[:N_KNOWN]
    twins = pd.concat([answers(int(t[0]), queries, t, rng) for t in TWINS])
    pool = copy.copy(router).add_models(twins, twins["score"])
    pool.remove_models([f"model-{m}" for m in range(N_MODELS)])
    table = find_duplicates(pool, n_neighbors=n_neighbors, alpha=ALPHA, random_state=0)
    is_true = table["model_a"].str[0] == table["model_b"].str[0]
    return table[is_true], table[~is_true]


def test_find_duplicates_rarely_misses_any(router):
    rng = np.random.default_rng(4)
    missed = []
    for _ in range(N_SIMULATIONS):
        true_pairs, _ = duplicates_of(router, 1, rng)
        missed.append(bool((~true_pairs["not_told_apart"]).any()))
    check_rate("find_duplicates, any duplicate missed", missed)


def test_find_duplicates_tells_many_others_apart(router):
    rng = np.random.default_rng(5)
    apart = []
    while len(apart) < N_FOR_POWER:
        _, others = duplicates_of(router, len(TWINS), rng)
        apart.extend(~others["not_told_apart"])
    check_power("find_duplicates, pairs of two models", apart, 0.3)
