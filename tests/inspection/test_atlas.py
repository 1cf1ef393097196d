"""The model atlas: its frames, its page and its table for other tools."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from small import SMALL

from skl_locus import BestSingleRouter, CostModel, LocusRouter, RouterPolicy
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import model_atlas
from skl_locus.inspection._atlas import atlas as atlas_module
from skl_locus.inspection._atlas.page import (
    MAX_FAMILIES,
    MAX_TASKS,
    OTHERS,
    UNKNOWN,
    WEBGL_FROM,
    payload,
)


@pytest.fixture(scope="module")
def pool():
    return make_evaluations(n_models=12, n_queries=60, random_state=0)


@pytest.fixture(scope="module")
def router(pool):
    return LocusRouter(**SMALL).fit(pool.evaluations, pool.evaluations["score"])


@pytest.fixture(scope="module")
def atlas(router, pool):
    return model_atlas(router, pool.evaluations, costs=pool.models["cost"], unit="$")


def made(n_models, width=3, seed=0):
    values = np.random.default_rng(seed).normal(size=(n_models, width))
    return pd.DataFrame(values, index=[f"model-{i}" for i in range(n_models)])


def data_of(page):
    """Return what the page holds for its code."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])


def test_scores_are_means_over_the_rows_of_the_log(atlas, pool):
    log = pool.evaluations
    means = log.groupby("model")["score"].mean()
    pd.testing.assert_series_equal(
        atlas.models["mean_score"], means, check_names=False, check_index_type=False
    )
    by_task = log.pivot_table("score", "model", "task")
    np.testing.assert_allclose(atlas.tasks, by_task.loc[atlas.models.index])
    assert atlas.tasks.columns.tolist() == by_task.columns.tolist()
    assert (atlas.models["n_evaluations"] == 60).all()


def test_neighbors_are_those_of_the_router(atlas, router):
    for name in atlas.models.index[:3]:
        own = router.neighbors(name, k=10)
        assert atlas.neighbors.loc[name].tolist() == own.index.tolist()
        np.testing.assert_allclose(atlas.distances.loc[name], own, rtol=1e-6)


def test_the_portfolio_covers_more_with_each_model_and_adds_its_cost(atlas, pool):
    path = atlas.portfolio
    assert path["model"].is_unique
    assert path["coverage"].is_monotonic_increasing
    assert path["coverage"].iloc[-1] == pytest.approx(1)
    assert path["total_cost"].iloc[-1] == pytest.approx(pool.models["cost"].sum())


def test_the_cost_curve_is_that_of_the_router(atlas, router, pool):
    log = pool.evaluations
    curve = atlas.cost_curve
    assert (curve["cost"].diff().dropna() <= 0).all()
    # Without a weight of cost, each query goes where the router sends it.
    routed = router.route(log.drop_duplicates("query_id")["query"].tolist())
    chosen = pd.Series(routed, log.drop_duplicates("query_id")["query_id"])
    known = log.set_index(["query_id", "model"])["score"]
    assert curve["quality"].iloc[0] == pytest.approx(
        known.loc[list(chosen.items())].mean()
    )
    assert curve["cost"].iloc[0] == pytest.approx(pool.models["cost"][routed].mean())


def test_a_policy_brings_its_costs(router, pool):
    log = make_evaluations(n_models=12, n_queries=60, random_state=1).evaluations
    log = log.assign(query_id="other " + log["query_id"].astype(str))
    policy = RouterPolicy(router, cost_model=pool.models["cost"], cost_weight=0.1)
    policy = policy.fit(log, log["score"])
    costs = model_atlas(policy, log).models["cost"]
    np.testing.assert_allclose(costs, pool.models["cost"].loc[costs.index])


def test_a_model_of_costs_is_asked_about_the_log(router, pool):
    log = pool.evaluations.assign(
        cost=pool.evaluations["model"].map(pool.models["cost"])
    )
    costs = model_atlas(router, log, costs=CostModel().fit(log)).models["cost"]
    np.testing.assert_allclose(costs, pool.models["cost"].loc[costs.index])
    with pytest.raises(ValueError, match="needs a log"):
        model_atlas(router, costs=CostModel().fit(log))


def test_scores_may_be_given_beside_the_log(router, pool):
    log = pool.evaluations
    atlas = model_atlas(router, log.drop(columns="score"), 1 - log["score"])
    assert atlas.models["mean_score"].iloc[0] == pytest.approx(
        1 - log.loc[log["model"] == atlas.models.index[0], "score"].mean()
    )


def test_models_without_scores_stay_and_are_unknown(pool):
    log = pool.evaluations
    embeddings = made(12).set_axis(pool.models.index)
    first, second = pool.models.index[:2]
    some = log[(log["model"] != first)]
    some = some[(some["model"] != second) | (some["task"] != "task-1")]
    atlas = model_atlas(embeddings, some)
    assert np.isnan(atlas.models.loc[first, "mean_score"])
    assert np.isnan(atlas.tasks.loc[second, "task-1"])
    assert atlas.tasks.loc[second].notna().sum() == 3
    shown = payload(atlas)
    assert shown["mean"][0] is None
    assert shown["scores"][1][1] is None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"log": None},
        {"task_col": None},
        {"families": {f"model-{i}": "one" for i in range(2)}},
        {"families": {"model-0": None, "model-1": np.nan}},
        {"costs": {"model-0": 0.0, "model-1": 2.0}},
        {"method": "mds"},
    ],
)
@pytest.mark.parametrize("equal", [False, True])
def test_two_models_are_enough(changed, equal):
    embeddings = made(2) * (not equal)
    log = pd.DataFrame({"model": ["model-0"], "score": [1.0], "task": [None]})
    options = {"log": log, **changed}
    if equal and "method" in options:
        pytest.skip("MDS scales by distances, which are all zero here")
    atlas = model_atlas(embeddings, **options)
    assert atlas.neighbors[1].tolist() == ["model-1", "model-0"]
    json.dumps(payload(atlas), allow_nan=False)


def test_families_are_kept_and_clusters_stand_in_for_them(router, pool):
    families = pool.models["family"].to_dict()
    known = model_atlas(router, families=families).models["family"]
    assert known.to_dict() == families
    clusters = model_atlas(router).models["family"].value_counts()
    assert clusters.index[0] == "cluster 1"
    assert clusters.is_monotonic_decreasing
    assert len(clusters) > 1


def test_small_families_and_rare_tasks_are_put_together():
    embeddings = made(3 * MAX_FAMILIES)
    families = {
        name: f"family-{i % (MAX_FAMILIES + 5):02d}"
        for i, name in enumerate(embeddings.index)
    }
    families["model-0"] = None
    log = pd.DataFrame(
        {
            "model": "model-3",
            "task": [f"task-{i:03d}" for i in range(MAX_TASKS + 3)],
            "score": 1.0,
        }
    )
    shown = payload(model_atlas(embeddings, log, families=families))
    assert shown["families"][-2:] == [OTHERS, UNKNOWN]
    assert len(shown["families"]) == MAX_FAMILIES + 2
    assert shown["families"][shown["family"][0]] == UNKNOWN
    assert len(shown["tasks"]) == MAX_TASKS
    assert shown["n_tasks"] == MAX_TASKS + 3


def test_neighbors_on_the_page_are_positions(atlas):
    shown = payload(atlas)
    names = [shown["names"][i] for i in shown["neighbors"][: shown["k"]]]
    assert names == atlas.neighbors.iloc[0].tolist()


def test_the_page_holds_everything_and_loads_nothing(atlas, tmp_path):
    pytest.importorskip("plotly")
    page = atlas.to_html(tmp_path / "atlas.html", title="Ours & <theirs>")
    text = page.read_text()
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in text
    own = text.replace(re.search(r"<script>/\*.*?</script>", text, re.DOTALL)[0], "")
    assert not re.search(r'(src|href)="(?!#)', own)
    assert "default-src 'none'" in own
    assert data_of(page) == json.loads(json.dumps(payload(atlas)))


def test_no_name_can_break_out_of_the_page(tmp_path):
    pytest.importorskip("plotly")
    bad = "</script><b>&{{code}}\u2028"
    embeddings = made(3).set_axis([bad, "b", "c"])
    log = pd.DataFrame({"model": [bad], "task": [bad], "score": [1.0]})
    atlas = model_atlas(embeddings, log, families=dict.fromkeys([bad, "b", "c"], bad))
    page = atlas.to_html(tmp_path / "atlas.html")
    plain = model_atlas(made(3)).to_html(tmp_path / "plain.html")
    assert "</script><b>" not in page.read_text()
    assert page.read_text().count("</script") == plain.read_text().count("</script")
    data = data_of(page)
    assert data["names"][0] == data["tasks"][0] == data["families"][0] == bad


def test_large_pools_are_drawn_by_webgl_and_then_not_at_all(monkeypatch, tmp_path):
    assert not payload(model_atlas(made(50)))["webgl"]
    many = model_atlas(made(WEBGL_FROM), n_neighbors=2)
    assert payload(many)["webgl"]
    monkeypatch.setattr(atlas_module, "MAX_MODELS", WEBGL_FROM - 1)
    with pytest.raises(ValueError, match="to_parquet"):
        many.to_html(tmp_path / "atlas.html")
    assert many.portfolio.attrs["n_models"] == 2_000
    many.to_parquet(tmp_path / "atlas.parquet")


def test_the_table_is_in_the_form_of_embedding_atlas(atlas, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(atlas.to_parquet(tmp_path / "atlas.parquet")).to_pylist()
    assert list(table[0])[:4] == ["model", "x", "y", "family"]
    assert table[0]["score on task-0"] == pytest.approx(atlas.tasks["task-0"].iloc[0])
    near = table[0]["neighbors"]
    assert [table[i]["model"] for i in near["ids"]] == atlas.neighbors.iloc[0].tolist()
    np.testing.assert_allclose(near["distances"], atlas.distances.iloc[0], rtol=1e-6)


def test_the_page_says_which_extra_it_needs(atlas, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ModuleNotFoundError, match=r"skl-locus\[atlas\]"):
        atlas.to_html(tmp_path / "atlas.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no/folder/atlas", "."])
def test_a_place_that_cannot_be_written_is_named(atlas, tmp_path, name):
    with pytest.raises(OSError, match="Cannot write") as caught:
        atlas.to_parquet(tmp_path / name)
    assert ".draft" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_none_is_refused(atlas):
    with pytest.raises(TypeError, match="path must be"):
        atlas.to_html(3)
    with pytest.raises(TypeError, match="title must be"):
        atlas.to_html("atlas.html", title=3)


def test_what_cannot_be_shown_is_refused(router, pool):
    log = pool.evaluations
    with pytest.raises(TypeError, match="has none"):
        model_atlas(BestSingleRouter().fit(log, log["score"]), log)
    with pytest.raises(TypeError, match="router must be"):
        model_atlas("router", log)
    with pytest.raises(TypeError, match="log must be a dataframe"):
        model_atlas(router, log["score"].to_numpy())
    with pytest.raises(ValueError, match="log has no rows"):
        model_atlas(router, log.iloc[:0])
    with pytest.raises(ValueError, match=r"'strange'.* none of the 12"):
        model_atlas(router, log.assign(model="strange"))
    with pytest.raises(ValueError, match="'score' is missing"):
        model_atlas(router, log.drop(columns="score"))
    with pytest.raises(ValueError, match="costs has no entry"):
        model_atlas(router, log, costs={})
    with pytest.raises(ValueError, match="families has no entry"):
        model_atlas(router, log, families={})
    with pytest.raises(ValueError, match="n_neighbors"):
        model_atlas(router, log, n_neighbors=0)
    with pytest.raises(ValueError, match="at least two"):
        model_atlas(made(1))
    with pytest.raises(ValueError, match="not finite"):
        model_atlas(made(3) * np.nan)


def test_a_unit_that_is_no_text_is_refused(router):
    with pytest.raises(TypeError, match="unit must be a str or None, got int"):
        model_atlas(router, unit=5)


def test_tasks_that_are_written_alike_are_refused(router, pool, tmp_path):
    log = pool.evaluations
    cells = [1 if row % 2 else "1" for row in range(len(log))]
    tasks = pd.Series(cells, log.index, dtype=object)
    atlas = model_atlas(router, log.assign(task=tasks))
    with pytest.raises(ValueError, match="Two tasks are written '1'"):
        atlas.to_parquet(tmp_path / "atlas.parquet")
    assert list(tmp_path.iterdir()) == []
