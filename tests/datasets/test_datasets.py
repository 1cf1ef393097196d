import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from skl_locus.datasets import (
    _digits,
    clear_data_home,
    get_data_home,
    load_digits_pool,
    make_evaluations,
)

SEEDS = range(5)


@pytest.fixture(scope="module")
def data_home(tmp_path_factory):
    return tmp_path_factory.mktemp("data_home")


@pytest.fixture(scope="module")
def digits_pool(data_home):
    return load_digits_pool(data_home=data_home)


def score_matrix(pool):
    """Return the scores of a complete log, one row per model."""
    return pool.evaluations.pivot_table("score", "model", "query_id")


def assert_same_pool(one, other):
    assert one.keys() == other.keys()
    for frame in ("models", "queries"):
        assert_frame_equal(one[frame], other[frame])
    assert_frame_equal(
        one.evaluations.drop(columns="query"), other.evaluations.drop(columns="query")
    )
    np.testing.assert_array_equal(
        np.stack(one.evaluations["query"]), np.stack(other.evaluations["query"])
    )
    np.testing.assert_array_equal(one.encodings, other.encodings)


def assert_queries_share_one_object(pool):
    """Every query must have one array object, equal to its row of the encodings."""
    objects = pool.evaluations["query"].map(id)
    assert objects.groupby(pool.evaluations["query_id"]).nunique().eq(1).all()
    assert objects.nunique() == pool.evaluations["query_id"].nunique()
    row_of = pd.Index(pool.queries["query_id"]).get_indexer(
        pool.evaluations["query_id"]
    )
    np.testing.assert_array_equal(
        np.stack(pool.evaluations["query"]), pool.encodings[row_of]
    )


# make_evaluations


def test_synthetic_pool_has_the_documented_shapes():
    pool = make_evaluations(
        6, 50, n_tasks=3, n_families=2, n_features=8, random_state=0
    )
    assert list(pool.evaluations) == [
        "model", "query", "query_id", "task", "score", "cost"
    ]  # fmt: skip
    assert len(pool.evaluations) == 6 * 50
    assert list(pool.models) == ["family", "ability", "cost"]
    assert pool.models.index.name == "model"
    assert list(pool.queries) == ["query_id", "task", "difficulty"]
    assert pool.encodings.shape == (50, 8)
    assert pool.encodings.dtype == np.float32
    assert pool.probabilities.shape == (50, 6)
    assert "6 models of 2 families on 50 queries" in pool.DESCR


def test_synthetic_cells_are_float32_vectors_that_share_storage():
    pool = make_evaluations(6, 50, random_state=0)
    assert pool.evaluations["query"].dtype == object
    cell = pool.evaluations["query"].iloc[0]
    assert cell.shape == (16,)
    assert cell.dtype == np.float32
    assert_queries_share_one_object(pool)


@pytest.mark.parametrize("options", [{}, {"graded": True}, {"observed": 0.3}])
def test_synthetic_pool_depends_on_the_random_state_alone(options):
    pools = [make_evaluations(8, 60, random_state=3, **options) for _ in range(2)]
    assert_same_pool(*pools)
    np.testing.assert_array_equal(pools[0].probabilities, pools[1].probabilities)
    other = make_evaluations(8, 60, random_state=4, **options)
    assert not np.array_equal(pools[0].probabilities, other.probabilities)


def test_synthetic_pool_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one is meant
    make_evaluations(random_state=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_binary_scores_follow_the_probabilities():
    pool = make_evaluations(n_queries=2000, random_state=0)
    scores = score_matrix(pool)
    assert set(np.unique(scores)) == {0.0, 1.0}
    np.testing.assert_allclose(
        scores.mean(axis=1), pool.probabilities.mean(axis=0), atol=0.04
    )


def test_graded_scores_follow_the_same_probabilities_on_a_grid():
    binary = make_evaluations(n_queries=2000, random_state=0)
    graded = make_evaluations(n_queries=2000, graded=True, random_state=0)
    np.testing.assert_array_equal(graded.probabilities, binary.probabilities)
    scores = score_matrix(graded)
    np.testing.assert_array_equal(np.unique(scores), np.arange(11) / 10)
    np.testing.assert_allclose(
        scores.mean(axis=1), graded.probabilities.mean(axis=0), atol=0.04
    )


def test_each_model_observes_its_own_random_fraction():
    pool = make_evaluations(10, 200, observed=0.25, random_state=0)
    seen = pool.evaluations.groupby("model")["query_id"].agg(frozenset)
    assert (seen.map(len) == 50).all()
    assert seen.nunique() == 10


def test_a_smaller_fraction_only_removes_rows():
    complete = make_evaluations(10, 200, random_state=0)
    partial = make_evaluations(10, 200, observed=0.25, random_state=0)
    keys = ["model", "query_id"]
    kept = complete.evaluations.set_index(keys)["score"]
    partial_scores = partial.evaluations.set_index(keys)["score"]
    pd.testing.assert_series_equal(kept.loc[partial_scores.index], partial_scores)
    np.testing.assert_array_equal(partial.encodings, complete.encodings)


def test_every_model_observes_at_least_one_query():
    pool = make_evaluations(10, 20, observed=1e-6, random_state=0)
    assert pool.evaluations["model"].value_counts().eq(1).all()
    assert pool.evaluations["model"].nunique() == 10


@pytest.mark.parametrize("seed", SEEDS)
def test_routing_by_the_true_probabilities_pays(seed):
    probabilities = make_evaluations(random_state=seed).probabilities
    best_single = probabilities.mean(axis=0).max()
    assert probabilities.max(axis=1).mean() >= best_single + 0.1
    assert best_single > probabilities.mean() + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_families_can_be_recovered_from_scores_per_task(seed):
    pool = make_evaluations(random_state=seed)
    per_task = pool.evaluations.pivot_table("score", "model", "task")
    profiles = per_task.sub(per_task.mean(axis=1), axis=0)
    clusters = AgglomerativeClustering(4).fit_predict(profiles)
    assert adjusted_rand_score(pool.models["family"], clusters) > 0.8


def test_families_on_the_same_tasks_still_differ():
    pool = make_evaluations(8, n_tasks=2, n_families=4, random_state=0)
    logits = np.log(pool.probabilities / (1 - pool.probabilities))
    relative = pd.DataFrame(logits - logits.mean(axis=0)).groupby(pool.queries["task"])
    assert relative.mean().round(6).T.drop_duplicates().shape[0] == 4


def test_without_specialization_only_ability_differs():
    pool = make_evaluations(specialization=0.0, random_state=0)
    ranking = pool.probabilities.argsort(axis=1)
    assert (ranking == pool.models["ability"].argsort().to_numpy()).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_encodings_tell_tasks_and_part_of_the_difficulty(seed):
    pool = make_evaluations(n_queries=1000, random_state=seed)
    np.testing.assert_allclose(np.linalg.norm(pool.encodings, axis=1), 1, rtol=1e-5)
    train, test = slice(0, 500), slice(500, None)
    task, difficulty = pool.queries["task"], pool.queries["difficulty"]
    neighbours = KNeighborsClassifier().fit(pool.encodings[train], task[train])
    assert neighbours.score(pool.encodings[test], task[test]) > 0.8
    line = LinearRegression().fit(pool.encodings[train], difficulty[train])
    assert 0.4 < line.score(pool.encodings[test], difficulty[test]) < 0.95


def test_noise_hides_difficulty_from_the_encodings():
    pool = make_evaluations(n_queries=1000, noise=5.0, random_state=0)
    line = LinearRegression().fit(pool.encodings, pool.queries["difficulty"])
    assert line.score(pool.encodings, pool.queries["difficulty"]) < 0.2


def test_stronger_models_are_dearer():
    pool = make_evaluations(random_state=0)
    by_ability = pool.models.sort_values("ability")
    assert by_ability["cost"].is_monotonic_increasing
    assert (by_ability["cost"] > 0).all()
    costs = pool.evaluations.groupby("model")["cost"].agg(["min", "max"])
    assert (costs["min"] == pool.models["cost"]).all()
    assert (costs["max"] == pool.models["cost"]).all()


def test_the_smallest_pool_is_possible():
    pool = make_evaluations(1, 1, n_tasks=1, n_families=1, n_features=1, random_state=0)
    assert len(pool.evaluations) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_models": 3}, ValueError, "n_models=3 is less than n_families=4"),
        ({"n_models": 8.0}, TypeError, "n_models must be an instance of int"),
        ({"n_queries": 3}, ValueError, "n_queries=3 is less than n_tasks=4"),
        ({"n_queries": "9"}, TypeError, "n_queries must be an instance of int"),
        ({"n_tasks": 0}, ValueError, "n_tasks == 0, must be >= 1"),
        ({"n_families": -1}, ValueError, "n_families == -1, must be >= 1"),
        ({"n_features": 0}, ValueError, "n_features == 0, must be >= 1"),
        ({"observed": 0.0}, ValueError, r"observed=0.0 is not in \(0, 1\]"),
        ({"observed": 1.5}, ValueError, r"observed=1.5 is not in \(0, 1\]"),
        ({"observed": np.nan}, ValueError, r"observed=nan is not in \(0, 1\]"),
        ({"graded": "yes"}, TypeError, "graded must be an instance of"),
        ({"specialization": -1}, ValueError, "specialization=-1 is not a finite"),
        ({"noise": np.inf}, ValueError, "noise=inf is not a finite"),
        ({"noise": None}, TypeError, "noise must be an instance of float"),
        ({"random_state": "x"}, ValueError, "cannot be used to seed"),
    ],
)
def test_invalid_parameters_are_named(options, error, message):
    with pytest.raises(error, match=message):
        make_evaluations(**options)


# load_digits_pool


def test_digits_pool_has_the_documented_shapes(digits_pool):
    n_queries, n_models = len(digits_pool.queries), len(digits_pool.models)
    assert n_queries >= 1000
    assert 38 <= n_models <= 44
    assert list(digits_pool.evaluations) == [
        "model", "query", "query_id", "task", "score"
    ]  # fmt: skip
    assert len(digits_pool.evaluations) == n_queries * n_models
    assert list(digits_pool.models) == ["family", "trained_on", "n_train"]
    assert list(digits_pool.queries) == ["query_id", "task"]
    assert digits_pool.encodings.shape == (n_queries, 64)
    assert f"{n_models} scikit-learn classifiers" in digits_pool.DESCR


def test_digits_queries_are_scaled_pixels_that_share_storage(digits_pool):
    cell = digits_pool.evaluations["query"].iloc[0]
    assert cell.dtype == np.float32
    assert digits_pool.encodings.min() == 0
    assert digits_pool.encodings.max() == 1
    assert_queries_share_one_object(digits_pool)


def test_digits_labels_name_family_and_training_set(digits_pool):
    expected = digits_pool.models.index.str.split("/").str[1]
    assert digits_pool.models.index.is_unique
    assert (digits_pool.models["trained_on"] == expected).all()
    assert digits_pool.models["family"].nunique() >= 8


def test_no_single_digits_model_is_good_everywhere(digits_pool):
    scores = score_matrix(digits_pool)
    assert set(np.unique(scores)) == {0.0, 1.0}
    best_single = scores.mean(axis=1).max()
    assert best_single < 0.75
    assert scores.max().mean() - best_single > 0.15


def test_digits_models_know_two_to_four_digits_or_few_images(digits_pool):
    trained_on = digits_pool.models["trained_on"]
    by_digits = trained_on.str.startswith("digits-")
    assert (
        trained_on[by_digits].str.removeprefix("digits-").str.len().between(2, 4).all()
    )
    assert (digits_pool.models.loc[~by_digits, "n_train"] < 60).all()


def test_specialists_are_right_on_their_digits_alone(digits_pool):
    log = digits_pool.evaluations
    specialist = log[log["model"] == "svc-rbf/digits-037"]
    by_task = specialist.groupby("task")["score"].mean()
    known = by_task.index.isin(["0", "3", "7"])
    assert (by_task[known] > 0.9).all()
    assert (by_task[~known] == 0).all()


def test_no_classifier_learned_an_image_that_is_a_query(data_home, monkeypatch):
    learned = set()
    evaluate = _digits._evaluate

    def spy(curricula, pixels, digits, evaluated):
        for _, images in curricula.values():
            learned.update(f"digit-{index}" for index in images)
        return evaluate(curricula, pixels, digits, evaluated)

    monkeypatch.setattr(_digits, "_evaluate", spy)
    pool = load_digits_pool(data_home=data_home / "recomputed")
    assert learned
    assert learned.isdisjoint(pool.queries["query_id"])


def test_digits_scores_are_reproducible_and_cached(tmp_path, digits_pool, monkeypatch):
    assert_same_pool(load_digits_pool(data_home=tmp_path), digits_pool)
    monkeypatch.setattr(_digits, "_evaluate", None)
    assert_same_pool(load_digits_pool(data_home=tmp_path), digits_pool)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"not a pickle"),
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: file.write_bytes(b""),
        lambda file: joblib.dump(np.ones((3, 3), dtype=bool), file),
        lambda file: joblib.dump({"some": "object"}, file),
    ],
    ids=["garbage", "truncated", "empty", "wrong shape", "wrong type"],
)
def test_a_damaged_cache_file_is_replaced(tmp_path, digits_pool, damage):
    load_digits_pool(data_home=tmp_path)
    (file,) = tmp_path.iterdir()
    intact = file.read_bytes()
    damage(file)
    assert_same_pool(load_digits_pool(data_home=tmp_path), digits_pool)
    assert file.read_bytes() == intact


def test_a_failed_write_leaves_no_file_behind(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        load_digits_pool(data_home=tmp_path)
    assert not list(tmp_path.iterdir())


# The data home


def test_data_home_follows_argument_then_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SKL_LOCUS_DATA", str(tmp_path / "environment"))
    assert get_data_home() == str(tmp_path / "environment")
    assert get_data_home(tmp_path / "argument") == str(tmp_path / "argument")
    assert (tmp_path / "environment").is_dir()
    assert (tmp_path / "argument").is_dir()


def test_data_home_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("SKL_LOCUS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Path(get_data_home()) == tmp_path / "skl_locus_data"


def test_clear_data_home_deletes_it_once_and_for_all(tmp_path):
    folder = tmp_path / "home"
    load_digits_pool(data_home=folder)
    clear_data_home(folder)
    assert not folder.exists()
    clear_data_home(folder)
