"""Learning curves over queries, on logs that are sorted by model."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import learning_curve

from skl_locus import KMeansRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import QueryLearningCurveDisplay
from skl_locus.model_selection import QueryKFold, query_learning_curve

LOG = make_evaluations(n_models=5, n_queries=60, random_state=0).evaluations
LOG = LOG.sort_values(["model", "query_id"], ignore_index=True)


class Recorder(BaseEstimator):
    """Keeps what it is fitted to, and scores by the number of queries."""

    seen = []

    def fit(self, X, y):
        assert (X["score"].to_numpy() == np.asarray(y)).all()
        Recorder.seen.append(X)
        return self

    def score(self, X, y):
        assert not set(X["query_id"]) & set(self.seen[-1]["query_id"])
        return len(self.seen[-1])


def test_scores_are_known_where_rows_in_order_give_none():
    router = KMeansRouter(3, random_state=0)
    with pytest.warns(FitFailedWarning):
        _, _, plain = learning_curve(
            router, LOG, LOG["score"], train_sizes=[0.1, 1.0], cv=QueryKFold(3)
        )
    assert np.isnan(plain).any()
    curve = query_learning_curve(router, LOG, LOG["score"], random_state=0)
    assert curve["score"].between(0, 1).all()
    assert len(curve) == 25


def test_sets_are_nested_and_have_all_models():
    Recorder.seen = []
    curve = query_learning_curve(
        Recorder(), LOG, LOG["score"], train_sizes=[5, 0.5, 1.0], cv=QueryKFold(3)
    )
    assert curve["n_queries"].tolist() == [5, 20, 40] * 3
    assert curve["score"].tolist() == [25, 100, 200] * 3
    for first in range(0, 9, 3):
        small, middle, large = (set(X["query_id"]) for X in Recorder.seen[first:][:3])
        assert small < middle < large
    assert all(X["model"].unique().size == 5 for X in Recorder.seen)


def test_a_seed_determines_the_draws():
    curves = [
        query_learning_curve(
            KMeansRouter(3, random_state=0), LOG, LOG["score"], random_state=seed
        )["score"].tolist()
        for seed in (0, 0, 1)
    ]
    assert curves[0] == curves[1] != curves[2]


def test_a_scorer_takes_the_place_of_score():
    curve = query_learning_curve(
        Recorder(), LOG, LOG["score"], train_sizes=[8], scoring=lambda e, X, y: 7
    )
    assert set(curve["score"]) == {7.0}


@pytest.mark.parametrize("size", [0, 0.0, 1.5, 1000, True, "half"])
def test_sizes_out_of_range_are_named(size):
    with pytest.raises(ValueError, match="train_sizes has"):
        query_learning_curve(Recorder(), LOG, LOG["score"], train_sizes=[size])


def test_the_display_draws_means():
    pytest.importorskip("matplotlib").use("Agg")
    display = QueryLearningCurveDisplay.from_estimator(
        KMeansRouter(3, random_state=0),
        LOG,
        LOG["score"],
        score_name="Accuracy",
        random_state=0,
    )
    means = display.curve.groupby("n_queries")["score"].mean()
    drawn = np.asarray(display.ax_.lines[0].get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn, means)
    assert display.ax_.get_ylabel().startswith("Accuracy")
