"""Headroom of routing: planted specialists, one ability, partial logs, errors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from skl_locus.inspection import RoutingHeadroom, routing_headroom

N_KINDS = 3


def make_log(probabilities, n_queries=300, n_features=8, seed=0):
    """Draw scores of models (rows) whose ability depends on the kind of query."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n_queries) % probabilities.shape[1]
    centers = 3 * np.eye(n_features)[kinds]
    vectors = (centers + 0.3 * rng.normal(size=centers.shape)).astype(np.float32)
    scores = rng.random((len(probabilities), n_queries)) < probabilities[:, kinds]
    cells = np.fromiter(vectors, dtype=object, count=n_queries)
    names = np.array([f"m{i}" for i in range(len(probabilities))])
    return pd.DataFrame(
        {
            "model": np.repeat(names, n_queries),
            "query": np.tile(cells, len(names)),
            "query_id": np.tile(np.arange(n_queries), len(names)),
            "task": np.tile(np.array([f"kind {kind}" for kind in kinds]), len(names)),
            "score": scores.ravel().astype(float),
        }
    )


def specialists():
    """Return models that are good at one kind each, and a generalist."""
    return np.vstack([0.2 + 0.7 * np.eye(N_KINDS), np.full((1, N_KINDS), 0.6)])


LOG = make_log(specialists())


def headroom(log, **options):
    return routing_headroom(log, log["score"], **{"random_state": 0, **options})


def test_planted_specialists_are_found_by_task_and_by_cluster():
    found = headroom(LOG, n_clusters=N_KINDS)
    table = found.table
    own = LOG.groupby("model")["score"].mean()
    assert table.loc["best single", "model"] == own.idxmax() == "m3"
    assert all(model is None for model in table["model"].iloc[1:])
    assert table.loc["best single", "score"] == pytest.approx(own["m3"])
    by_task = LOG.groupby(["task", "model"])["score"].mean().groupby("task").max()
    for name in ("best by task", "best by cluster"):
        # Kinds are of equal size, and clusters as clear as tasks.
        assert table.loc[name, "score"] == pytest.approx(by_task.mean())
        assert table.loc[name, "in_sample"] == pytest.approx(by_task.mean())
        assert table.loc[name, "gain"] > 5 * table.loc[name, "gain_error"]
    oracle = LOG.groupby("query_id")["score"].max().mean()
    assert table.loc["oracle", "score"] == pytest.approx(oracle)
    assert (table["coverage"] == 1).all()
    gain = 100 * (by_task.mean() - own["m3"])
    assert str(found) == (
        f"Always the best single model, 'm3', scores {own['m3']:.3f}; the best model "
        f"of each task {by_task.mean():.3f}, of each cluster of queries "
        f"{by_task.mean():.3f}, of each query {oracle:.3f} (300 queries, 4 models): "
        f"there are {gain:.1f} points to win by task."
    )
    assert repr(found) == f"<RoutingHeadroom: {found}>"
    assert isinstance(found, RoutingHeadroom)


def test_the_standard_error_is_that_of_the_paired_difference():
    table = headroom(LOG, n_clusters=N_KINDS).table
    scores = LOG.pivot_table(index="query_id", columns="model", values="score")
    difference = scores.max(axis=1) - scores["m3"]
    assert table.loc["oracle", "gain"] == pytest.approx(difference.mean())
    assert table.loc["oracle", "gain_error"] == pytest.approx(difference.sem())


@pytest.mark.parametrize("seed", range(4))
def test_a_pool_ordered_by_ability_has_no_headroom(seed):
    ability = np.linspace(0.3, 0.8, 6)[:, None] * np.ones((1, N_KINDS))
    found = headroom(make_log(ability, seed=seed), n_clusters=8)
    for name in ("best by task", "best by cluster"):
        row = found.table.loc[name]
        assert row["gain"] <= 2 * row["gain_error"] + 1e-12
    # The best of several lucky answers is no headroom that a router could use.
    assert found.table.loc["oracle", "gain"] > 0.1
    assert "nothing to win by task or by cluster" in str(found) or "chance" in str(
        found
    )


def test_cross_validation_does_not_see_the_held_out_scores():
    """Coin flips look like good models and specialists to whoever has seen them."""
    coins = [
        headroom(make_log(np.full((20, 6), 0.5), n_queries=60, seed=seed)).table
        for seed in range(8)
    ]
    means = pd.concat(coins)[["score", "in_sample"]].groupby("choice").mean()
    for name in ("best single", "best by task", "best by cluster"):
        assert means.loc[name, "in_sample"] > 0.6
        assert abs(means.loc[name, "score"] - 0.5) < 0.06


def test_small_groups_are_not_left_to_luck():
    """One model is the best everywhere; in groups of eight another one is luckier."""
    ability = np.array([0.8, *[0.7] * 11])[:, None] * np.ones((1, 40))
    for seed in range(3):
        log = make_log(ability, n_queries=320, n_features=40, seed=seed)
        assert headroom(log).table.loc["best by task", "gain"] > -0.02


def partial(log, share, seed=0):
    return log.sample(frac=share, random_state=seed)


def test_partial_logs_choose_among_the_observed_and_report_coverage():
    log = partial(LOG, 0.85)
    found = headroom(log, n_clusters=N_KINDS)
    table = found.table
    assert (table["coverage"] < 1).all()
    assert table.loc["best single", "coverage"] == pytest.approx(
        (log["model"] == "m3").mean() * len(log) / 300
    )
    n_queries = log["query_id"].nunique()
    assert table.loc["oracle", "coverage"] == pytest.approx(len(log) / (4 * n_queries))
    assert table.loc["best by task", "gain"] > 0.1
    by_cluster = table.loc["best by cluster", "coverage"]
    assert f"cluster for {by_cluster:.1%} of the queries" in str(found)


def test_where_the_best_was_not_observed_the_next_best_counts():
    good = LOG[LOG["model"] == "m0"].assign(score=1.0)
    bad = good.assign(model="m1", score=0.0)
    half = good[good["query_id"] < 150]
    table = headroom(pd.concat([half, bad])).table
    for name in ("best by task", "best by cluster"):
        assert table.loc[name, ["score", "in_sample", "coverage"]].tolist() == [0.5] * 3


def test_a_single_model_needs_the_coverage():
    log = partial(LOG, 0.5)
    found = headroom(log)
    assert found.table.loc["best single", "model"] is None
    assert found.table["gain"].isna().all()
    assert "No model was evaluated on 80% of the queries" in str(found)
    assert "no single model to compare with" in str(found)
    assert headroom(log, min_coverage=0.4).table.loc["best single", "model"] == "m3"


def test_a_rarely_evaluated_model_is_not_the_best_single_one():
    lucky = LOG[LOG["model"] == "m3"].head(5).assign(model="lucky", score=1.0)
    table = headroom(pd.concat([LOG, lucky])).table
    assert table.loc["best single", "model"] == "m3"


@pytest.mark.parametrize(
    "log", [LOG.drop(columns="task"), LOG.assign(task="one"), LOG.assign(task=None)]
)
def test_without_several_tasks_nothing_is_chosen_by_task(log):
    found = headroom(log, n_clusters=N_KINDS)
    assert found.table.index.tolist() == ["best single", "best by cluster", "oracle"]
    assert "task" not in str(found)
    assert "to win by cluster" in str(found)


def test_other_columns_and_texts():
    kinds = ["prove the lemma", "translate into French", "write a loop"]
    numbers = LOG["task"].str[-1].astype(int)
    texts = [
        f"{kinds[n]} number {i}" for n, i in zip(numbers, LOG["query_id"], strict=True)
    ]
    renamed = LOG.assign(query=texts).rename(
        columns={"model": "llm", "query": "text", "query_id": "id", "task": "area"}
    )
    names = {"model_col": "llm", "query_col": "text", "query_id_col": "id"}
    found = headroom(
        renamed, **names, task_col="area", encoder=TfidfVectorizer(), n_clusters=N_KINDS
    )
    expected = headroom(LOG, n_clusters=N_KINDS).table["in_sample"]
    np.testing.assert_allclose(found.table["in_sample"], expected)
    with pytest.raises(ValueError, match="encoder"):
        headroom(renamed, **names)


@pytest.mark.parametrize("frac", [1.0, 0.85])
def test_the_order_of_the_rows_changes_no_bit(frac):
    log = partial(LOG, frac)
    one, other = headroom(log), headroom(log.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)


def test_repeated_rows_are_combined():
    twice = pd.concat([LOG, LOG.assign(score=1 - LOG["score"])])
    assert headroom(twice).table.loc["oracle", "score"] == 0.5
    with pytest.raises(ValueError, match="duplicates"):
        headroom(twice, duplicates="raise")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"cv": 1}, "cv"),
        ({"cv": 301}, "cv=301"),
        ({"min_coverage": 1.5}, "min_coverage"),
        ({"duplicates": "sum"}, "duplicates"),
        ({"model_col": "llm"}, "'llm'"),
    ],
)
def test_bad_parameters_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        headroom(LOG, **options)


def test_bad_tables_and_scores():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        routing_headroom(LOG, LOG["score"] + 1)
    with pytest.raises(ValueError, match="'model'"):
        routing_headroom(np.eye(6), np.ones(6))
    with pytest.raises(ValueError, match="empty"):
        routing_headroom(LOG[:0], [])
