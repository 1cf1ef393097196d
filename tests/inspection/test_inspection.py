"""Geometry, stability and profiles: cases by hand and invariances."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import is_valid_linkage
from small import SMALL

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import (
    disagreement,
    distance_agreement,
    embedding_stability,
    embedding_uncertainty,
    model_distances,
    model_linkage,
    neighbor_agreement,
    profile_recall,
    profile_search,
)

POOL = make_evaluations(n_models=8, n_queries=120, random_state=0)
LOG = POOL.evaluations


@pytest.fixture(scope="module")
def router():
    return LocusRouter(**{**SMALL, "max_iter": 60}).fit(LOG, LOG["score"])


def labelled(values, names="abc"):
    return pd.DataFrame(np.array(values, dtype=float), list(names), list(names))


def test_distances_by_hand_and_from_a_router(router):
    points = pd.DataFrame([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], index=list("abc"))
    table = model_distances(points)
    assert table.loc["a", "b"] == 5
    assert table.loc["c", "a"] == 1
    own = model_distances(router, metric="cosine")
    assert own.index.tolist() == own.columns.tolist() == router.models_.tolist()
    assert (own.to_numpy() == own.to_numpy().T).all()
    assert (np.diag(own) == 0).all()


def test_distances_refuse_what_is_no_matrix_and_names_that_occur_twice():
    with pytest.raises(ValueError, match="shape"):
        model_distances([1.0, 2.0])
    with pytest.raises(ValueError, match="'a' has two rows"):
        model_distances(pd.DataFrame([[0.0], [1.0]], index=["a", "a"]))


def small_log():
    rows = [
        *[("a", q, s) for q, s in zip("wxyz", [1, 0, 1, 1], strict=True)],
        *[("b", q, s) for q, s in zip("wxyz", [1, 1, 0, 1], strict=True)],
        *[("c", q, s) for q, s in zip("wx", [0.5, 0.25], strict=True)],
    ]
    return pd.DataFrame(rows, columns=["model", "query", "score"])


def test_disagreement_by_hand():
    log = small_log()
    table = disagreement(log, log["score"], min_common=2)
    assert table.loc["a", "b"] == 0.5
    assert table.loc["a", "c"] == pytest.approx((0.5 + 0.25) / 2)
    assert table.loc["b", "c"] == pytest.approx((0.5 + 0.75) / 2)
    assert (np.diag(table) == 0).all()


def test_too_few_common_queries_are_unknown_not_equal():
    log = small_log()
    table = disagreement(log, log["score"], min_common=3)
    assert table.loc["a", "b"] == 0.5
    assert table[["c"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="min_common"):
        disagreement(log, log["score"], min_common=0)


def test_row_order_and_duplicates_do_not_change_disagreement():
    shuffled = LOG.sample(frac=1, random_state=0)
    twice = pd.concat([shuffled, shuffled])
    expected = disagreement(LOG, LOG["score"])
    pd.testing.assert_frame_equal(disagreement(twice, twice["score"]), expected)


def test_correlations_of_the_same_table_are_one_and_unknown_pairs_are_left_out():
    distances = model_distances(np.array([[0.0], [1.0], [3.0], [7.0], [15.0]]))
    differences = distances / 20
    differences.iloc[0, 1] = differences.iloc[1, 0] = np.nan
    table = distance_agreement(distances, differences, n_resamples=50, random_state=0)
    assert table["value"].to_numpy() == pytest.approx(1)
    assert (table["n_pairs"] == 9).all()
    order = [3, 1, 0, 2, 4]
    again = distance_agreement(
        distances, differences.iloc[order, order], n_resamples=50, random_state=0
    )
    pd.testing.assert_frame_equal(table, again)


def test_intervals_hold_the_value(router):
    table = distance_agreement(
        model_distances(router), disagreement(LOG, LOG["score"]), random_state=0
    )
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()


def test_agreement_refuses_other_models_and_too_few_pairs():
    table = labelled(np.ones((3, 3)))
    with pytest.raises(ValueError, match="the same models"):
        distance_agreement(table, labelled(np.ones((3, 3)), "abd"))
    with pytest.raises(ValueError, match="Only 1 pairs"):
        distance_agreement(
            labelled(np.ones((2, 2)), "ab"), labelled(np.ones((2, 2)), "ab")
        )
    with pytest.raises(ValueError, match="both sides"):
        neighbor_agreement(np.ones((3, 3)), table)


def test_neighbor_agreement_by_hand():
    distances = labelled([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    differences = labelled([[0, 0.1, 0.4], [0.1, 0, 0.5], [0.4, 0.5, 0]])
    table = neighbor_agreement(distances, differences, k=9)
    assert table["agreement"].tolist() == pytest.approx([0.8, (0.6 + 0.5 + 0.5) / 3])
    assert table["random"].to_numpy() == pytest.approx(1 - (0.1 + 0.4 + 0.5) / 3)


def test_linkage_is_one_of_scipy_and_refuses_the_unknown(router):
    assert is_valid_linkage(model_linkage(model_distances(router)))
    with pytest.raises(ValueError, match="missing"):
        model_linkage(labelled([[0, np.nan, 1], [np.nan, 0, 1], [1, 1, 0]]))


def test_stability_full_overlap_moves_nothing_and_fewer_evaluations_move_more(router):
    table = embedding_stability(router, n_repeats=10, random_state=0)
    mean = table.groupby(["change", "value"])["distance"].mean()
    assert mean["overlap"][1.0] == pytest.approx(0, abs=1e-5)
    assert mean["overlap"].is_monotonic_decreasing
    assert mean["size"].iloc[0] > mean["size"].iloc[-1]
    assert (table["nearest_other"] <= table["median_other"]).all()


def test_stability_leaves_out_overlaps_that_evaluations_do_not_suffice_for(router):
    table = embedding_stability(
        router, ["model-0"], n_reference=100, sizes=[10], random_state=0
    )
    overlaps = table.loc[table["change"] == "overlap", "value"]
    assert sorted(overlaps.unique()) == [1.0]
    with pytest.raises(ValueError, match="n_reference=999"):
        embedding_stability(router, n_reference=999)
    with pytest.raises(ValueError, match="overlaps"):
        embedding_stability(router, overlaps=[1.5])


# A sixth of the evaluations has 2.4 times the error. Scores that were not observed are
# expected from the pool, which takes a part of it away.
@pytest.mark.parametrize(
    ("geometry", "least_ratio"), [("network", 1.5), ("scores", 1.2)]
)
def test_uncertainty_does_not_depend_on_the_fraction_and_falls_with_evaluations(
    geometry, least_ratio
):
    parameters = SMALL | {"geometry": geometry}
    mean_of_scores = LocusRouter(**parameters).fit(LOG, LOG["score"])
    half, fifth = (
        embedding_uncertainty(
            mean_of_scores, n_subsamples=100, fraction=f, random_state=0
        )
        for f in (0.5, 0.2)
    )
    ratio = half["spread"] / fifth["spread"]
    assert 0.7 < ratio.median() < 1.4
    few = LOG[LOG["model"] == "model-0"].head(20).assign(model="few")
    onboarded = LocusRouter(**parameters).fit(LOG, LOG["score"])
    onboarded.add_models(few, few["score"])
    table = embedding_uncertainty(onboarded, ["few", "model-0"], random_state=0)
    assert table.loc["few", "spread"] > least_ratio * table.loc["model-0", "spread"]
    assert table["n_evaluations"].tolist() == [20, 120]


def test_uncertainty_leaves_the_router_alone(router):
    before = router.embeddings_.copy()
    models = router.models_.tolist()
    table = embedding_uncertainty(router, queries=POOL.encodings[:5], random_state=0)
    assert np.array_equal(router.embeddings_, before)
    assert router.models_.tolist() == models
    assert table["probability_spread"].between(0, 0.5).all()
    with pytest.raises(ValueError, match="fraction"):
        embedding_uncertainty(router, fraction=1.0)


def test_profile_search_finds_the_specialists(router):
    skill = LOG[LOG["task"] == "task-0"].groupby("model")["score"].mean()
    others = ["task-1", "task-2", "task-3"]
    found = []
    for strong in (0.95, 0.05):
        profile = {"task-0": strong, **dict.fromkeys(others, 1 - strong)}
        table = profile_search(router, profile, tasks=LOG, k=2, random_state=0)
        assert table["distance"].is_monotonic_increasing
        assert (table["spread"] > 0).all()
        found.append(skill[table.index].mean())
    assert found[0] > found[1]


def test_recall_of_profiles_grows_to_one_and_beats_chance(router):
    recall = profile_recall(router, tasks=LOG, k=(1, 3, 8), random_state=0)
    assert recall.is_monotonic_increasing
    assert recall[8] == 1
    assert recall[3] > 3 / 8


def test_senseless_profiles_are_refused(router):
    for profile, message in (
        ({}, "empty"),
        ({"no-task": 0.5}, "'no-task'"),
        ({"task-0": 1.5}, "not in"),
    ):
        with pytest.raises(ValueError, match=message):
            profile_search(router, profile, tasks=LOG)
    with pytest.raises(ValueError, match="n_evaluations=9999"):
        profile_search(router, {"task-0": 0.5}, tasks=LOG, n_evaluations=9999)
    with pytest.raises(ValueError, match="'task' is missing"):
        profile_search(router, {"task-0": 0.5}, tasks=LOG.drop(columns="task"))


def test_inspection_imports_no_drawing_library():
    code = (
        "import sys, skl_locus.inspection;"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
