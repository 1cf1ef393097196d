"""Displays: what is drawn, where, and what is said without matplotlib."""

import builtins

import numpy as np
import pandas as pd
import pytest
from small import SMALL

from skl_locus import LocusRouter
from skl_locus.adaptive import LearningCurveDisplay
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import (
    DistanceAgreementDisplay,
    DistanceHeatmapDisplay,
    EmbeddingMapDisplay,
    ExplanationDisplay,
    NeighborAgreementDisplay,
    PortfolioCurveDisplay,
    StabilityDisplay,
    model_distances,
)

POOL = make_evaluations(n_models=6, n_queries=80, random_state=0)
LOG = POOL.evaluations


@pytest.fixture(scope="module")
def router():
    return LocusRouter(**SMALL).fit(LOG, LOG["score"])


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def displays(router, ax=None):
    scores = LOG["score"]
    return [
        EmbeddingMapDisplay.from_estimator(router, color=POOL.models["family"], ax=ax),
        EmbeddingMapDisplay.from_estimator(router, color=POOL.models["cost"], ax=ax),
        DistanceHeatmapDisplay.from_estimator(router, ax=ax),
        DistanceAgreementDisplay.from_estimator(router, LOG, scores, ax=ax),
        NeighborAgreementDisplay.from_estimator(router, LOG, scores, ax=ax),
        StabilityDisplay.from_estimator(router, n_repeats=1, random_state=0, ax=ax),
        ExplanationDisplay.from_estimator(router, POOL.encodings[:2], query=1, ax=ax),
    ]


def test_each_display_has_axes_with_labels(router, plt):
    for display in displays(router):
        assert display.figure_ is display.ax_.figure
        assert display.ax_.get_xlabel()
        assert display.ax_.get_ylabel()
        display.figure_.canvas.draw()


def test_displays_draw_where_they_are_told(router, plt):
    ax = plt.subplots()[1]
    assert all(display.ax_ is ax for display in displays(router, ax))


def test_the_heat_map_follows_the_dendrogram(plt):
    distances = model_distances(np.array([[0.0], [9.0], [1.0], [10.0]]))
    display = DistanceHeatmapDisplay.from_predictions(distances)
    names = [int(text.get_text()) for text in display.ax_.get_xticklabels()]
    assert {frozenset(names[:2]), frozenset(names[2:])} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }


def test_a_colour_for_every_model_is_needed(router):
    with pytest.raises(ValueError, match="no entry for the model 'model-0'"):
        EmbeddingMapDisplay.from_estimator(router, color={"model-1": 1.0})


def test_without_matplotlib_the_extra_is_named(router, monkeypatch):
    real = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"skl-locus\[plot\]"):
        EmbeddingMapDisplay.from_estimator(router)


def test_bars_of_an_explanation_are_its_parts_and_end_at_its_sum(router, plt):
    explanation = router.explain(POOL.encodings[:3], k=2)
    display = ExplanationDisplay.from_explanation(explanation, query=2)
    table = explanation.contributions
    rows = table[table["query"] == 2]
    for part, bars in zip(explanation.parts, display.ax_.containers, strict=False):
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_allclose(widths, rows[part])
    sums = display.ax_.lines[0].get_xdata()
    np.testing.assert_allclose(sums, rows.loc[:, "mean":"limit"].sum(axis=1), atol=1e-5)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert all(m in name for m, name in zip(rows["model"], names, strict=True))


def test_an_unknown_query_of_an_explanation_is_named(router, plt):
    explanation = router.explain(POOL.encodings[:3])
    with pytest.raises(ValueError, match="no query 7"):
        ExplanationDisplay.from_explanation(explanation, query=7)


def test_names_on_a_map_do_not_overlap(plt):
    rng = np.random.default_rng(0)
    names = [f"vendor/a-long-name-{i}" for i in range(25)]
    points = pd.DataFrame(rng.normal(size=(25, 2)), names, ["t-SNE 1", "t-SNE 2"])
    display = EmbeddingMapDisplay.from_predictions(points)
    display.figure_.draw_without_rendering()
    boxes = [text.get_window_extent().extents for text in display.ax_.texts]
    assert len(boxes) > 10
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        for u0, v0, u1, v1 in boxes[:i]:
            # A pixel of rounding apart.
            assert x1 <= u0 + 1 or u1 <= x0 + 1 or y1 <= v0 + 1 or v1 <= y0 + 1


def test_two_columns_are_coordinates_and_name_the_axes(plt):
    points = pd.DataFrame(np.eye(4, 2), list("abcd"), ["t-SNE 1", "t-SNE 2"])
    display = EmbeddingMapDisplay.from_predictions(points)
    np.testing.assert_array_equal(display.coordinates, points)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == tuple(points.columns)
    by_pca = EmbeddingMapDisplay.from_predictions(points, method="pca")
    assert "% of variance" in by_pca.ax_.get_xlabel()


@pytest.mark.parametrize(("method", "name"), [("mds", "MDS 1"), ("tsne", "t-SNE 1")])
def test_axes_are_named_by_the_method(router, plt, method, name):
    display = EmbeddingMapDisplay.from_estimator(router, method=method)
    assert display.ax_.get_xlabel() == name
    again = EmbeddingMapDisplay.from_estimator(router, method=method)
    np.testing.assert_array_equal(display.coordinates, again.coordinates)


def test_unknown_methods_are_named(router):
    with pytest.raises(ValueError, match="got 'isomap'"):
        EmbeddingMapDisplay.from_estimator(router, method="isomap")


@pytest.mark.parametrize("values", [[1.0, 2.0, np.nan, 4.0], ["x", "y", None, "x"]])
def test_models_without_a_value_are_drawn_hollow(plt, values):
    points = pd.DataFrame(np.eye(4, 3), list("abcd"))
    color = pd.Series(values, list("abcd"), name="cost ($)")
    display = EmbeddingMapDisplay.from_predictions(points, color=color)
    drawn = sum(len(c.get_offsets()) for c in display.ax_.collections)
    assert drawn == 4
    hollow = display.ax_.collections[-1]
    assert len(hollow.get_facecolors()) == 0
    np.testing.assert_allclose(hollow.get_offsets()[0], display.coordinates.loc["c"])


def test_families_have_colours_and_shapes_of_their_own(plt):
    points = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)))
    color = pd.Series([f"family {i:02}" for i in range(20)])
    display = EmbeddingMapDisplay.from_predictions(points, color=color)
    looks = {
        (*c.get_facecolors()[0], c.get_paths()[0].vertices.tobytes())
        for c in display.ax_.collections
    }
    assert len(looks) == 20


def test_the_family_of_a_model_is_written_not_only_coloured(plt):
    distances = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]], ["a", "b"], ["a", "b"])
    display = DistanceHeatmapDisplay.from_predictions(
        distances, color={"a": "old", "b": "new"}
    )
    names = {text.get_text() for text in display.ax_.get_yticklabels()}
    assert names == {"a (old)", "b (new)"}
    assert {text.get_text() for text in display.ax_.get_xticklabels()} == {"a", "b"}


def test_a_portfolio_curve_of_one_size_shows_every_series(plt):
    row = {"size": 2, "accuracy": 0.6, "random_mean": 0.5, "random_std": 0.1}
    chosen = {"top_mean": 0.55, "greedy_cover": 0.58, "best_expected": 0.59}
    display = PortfolioCurveDisplay(pd.DataFrame([{**row, **chosen}])).plot()
    markers = {line.get_label(): line.get_marker() for line in display.ax_.get_lines()}
    names = ["portfolio", "highest means", "cover of the scores", "expected score"]
    shown = [markers[name] for name in names]
    assert len(set(shown)) == 4
    assert "None" not in shown


def test_methods_of_a_learning_curve_differ_by_more_than_colour(plt):
    curve = pd.DataFrame(
        {"method": ["a", "b"], "n_evaluations": [8, 8], "error": [0.1, 0.2]}
    )
    lines = LearningCurveDisplay.from_predictions(curve).ax_.get_lines()
    assert len({line.get_marker() for line in lines}) == 2
