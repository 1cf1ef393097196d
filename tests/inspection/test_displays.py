"""Displays: what is drawn, where, and what is said without matplotlib."""

import builtins

import numpy as np
import pytest
from small import SMALL

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import (
    DistanceAgreementDisplay,
    DistanceHeatmapDisplay,
    EmbeddingMapDisplay,
    ExplanationDisplay,
    NeighborAgreementDisplay,
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
