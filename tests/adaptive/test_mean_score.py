"""The mean score from few evaluations, fixed sets of queries, and learning curves."""

import numpy as np
import pandas as pd
import pytest
from small import SMALL

from skl_locus import KMeansRouter, LocusRouter
from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._routing.access import known_models
from skl_locus.adaptive import (
    LearningCurveDisplay,
    estimate_score,
    select_queries,
)
from skl_locus.adaptive._responses import ResponseModel
from skl_locus.adaptive._spread import SpreadOrder, coordinates_of, tree_order
from skl_locus.datasets import make_evaluations
from skl_locus.inspection._likelihood import answer_probabilities, log_likelihoods

LOG = make_evaluations(n_models=24, n_queries=200, random_state=5).evaluations
NAMES = sorted(LOG["model"].unique())
IS_NEW = LOG["model"].isin(NAMES[16:])
KNOWN, NEW = LOG[~IS_NEW], LOG[IS_NEW]
QUERIES = LOG.drop_duplicates("query_id")[["query_id", "query"]]
ROUTER = LocusRouter(**SMALL).fit(KNOWN, KNOWN["score"])


def test_the_interval_holds_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held, errors, plain = [], [], []
    for name in NAMES[16:]:
        own = NEW[NEW["model"] == name]
        truth = own["score"].mean()
        for size in (12, 25, 50, 100):
            for _ in range(5):
                few = own.iloc[rng.permutation(len(own))[:size]]
                found = estimate_score(ROUTER, few, few["score"], QUERIES)
                held.append(found.low <= truth <= found.high)
                errors.append(abs(found.mean - truth))
                plain.append(abs(few["score"].mean() - truth))
    assert 0.8 < np.mean(held) < 0.99
    assert np.mean(errors) < np.mean(plain)


def test_all_evaluations_leave_nothing_to_estimate():
    own = NEW[NEW["model"] == NAMES[20]]
    found = estimate_score(ROUTER, own, own["score"], QUERIES)
    assert found.mean == pytest.approx(own["score"].mean())
    assert found.low == pytest.approx(found.high)
    assert (found.n_observed, found.n_queries) == (200, 200)
    assert estimate_score(ROUTER, own, own["score"]) == found


def test_more_confidence_is_a_wider_interval():
    own = NEW[NEW["model"] == NAMES[20]].head(30)
    widths = []
    for confidence in (0.5, 0.9, 0.99):
        found = estimate_score(
            ROUTER, own, own["score"], QUERIES, confidence=confidence
        )
        widths.append(found.high - found.low)
    assert widths == sorted(widths)


def test_evaluations_of_other_queries_count_too():
    own = NEW[NEW["model"] == NAMES[20]]
    half = QUERIES.head(100)
    asked = own[own["query_id"].isin(QUERIES["query_id"].tail(100))]
    found = estimate_score(ROUTER, asked, asked["score"], half)
    assert (found.n_observed, found.n_queries) == (0, 100)
    wrong = estimate_score(ROUTER, asked, np.zeros(100), half)
    assert wrong.mean < found.mean


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"queries": QUERIES.head(0)}, "empty"),
        ({"y": np.full(10, 2.0)}, "must be scores"),
        ({"X": LOG.head(10).assign(model=NAMES[:10])}, "10 models"),
    ],
)
def test_bad_input_is_named(change, message):
    own = NEW[NEW["model"] == NAMES[20]].head(10)
    arguments = {"X": own, "y": own["score"], "queries": QUERIES} | change
    with pytest.raises(ValueError, match=f"(?i){message}"):
        estimate_score(ROUTER, **arguments)


def test_other_routers_are_refused():
    router = KMeansRouter(3, random_state=0).fit(KNOWN, KNOWN["score"])
    own = NEW[NEW["model"] == NAMES[20]]
    with pytest.raises(TypeError, match="LocusRouter"):
        estimate_score(router, own, own["score"])
    with pytest.raises(TypeError, match="LocusRouter"):
        select_queries(router, 10)


def test_a_fixed_set_is_the_same_every_time():
    anchors = select_queries(ROUTER, 40, QUERIES)
    assert len(anchors) == anchors["query_id"].nunique() == 40
    shuffled = QUERIES.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(select_queries(ROUTER, 40, shuffled), anchors)
    assert len(select_queries(ROUTER, 200, QUERIES)) == 200
    for n in (0, 201, 1.5):
        with pytest.raises(ValueError, match="n must be"):
            select_queries(ROUTER, n, QUERIES)


def test_a_fixed_set_of_the_routers_own_queries_is_encodings():
    anchors = select_queries(ROUTER, 40)
    own = {tuple(vector) for vector in QUERIES["query"].map(np.float32)}
    assert anchors.shape == (40, 16)
    assert {tuple(vector) for vector in anchors} <= own
    chosen = {
        tuple(np.float32(v)) for v in select_queries(ROUTER, 40, QUERIES)["query"]
    }
    assert {tuple(vector) for vector in anchors} == chosen


def test_a_fixed_set_stands_for_the_whole():
    sets = select_queries(ROUTER, 40, QUERIES)["query_id"]
    means = KNOWN.groupby("query_id")["score"].mean()
    rng = np.random.default_rng(0)
    misses = [
        abs(means.iloc[rng.permutation(200)[:40]].mean() - means.mean())
        for _ in range(200)
    ]
    assert abs(means[sets].mean() - means.mean()) < np.median(misses)


def parts():
    known = known_models(ROUTER)
    queries = known.evaluations.queries
    return ResponseModel.of(known.model, queries), queries


def test_the_first_of_the_order_are_spread_and_equally_likely():
    responses, queries = parts()
    counts = np.zeros(len(queries))
    tree = tree_order(coordinates_of(responses, queries))
    cells = np.empty(len(tree), dtype=int)
    cells[tree] = np.arange(len(tree)) // 25
    for seed in range(60):
        spread = SpreadOrder.of(responses, queries, np.random.default_rng(seed))
        assert sorted(spread.order) == list(range(len(queries)))
        first = spread.order[:8]
        counts[first] += 1
        assert len(set(cells[first])) >= 7
    assert counts.max() <= 12


def test_equal_coordinates_are_ordered_too():
    assert sorted(tree_order(np.zeros((37, 3)))) == list(range(37))
    assert tree_order(np.zeros((1, 3))).tolist() == [0]


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_probabilities_of_answers_are_those_of_the_likelihood(score):
    known = known_models(ROUTER)
    # Half of the models have answered the query, the others have not.
    stored = known.evaluations
    rows = (stored.query_codes != 7) | (stored.model_codes < 8)
    stored = stored.take(np.flatnonzero(rows))
    queries = stored.queries.take(np.array([7]))
    newcomer = EvaluationSet(
        model_names=label_array(["new"]),
        queries=queries,
        model_codes=np.zeros(1, dtype=np.int32),
        query_codes=np.zeros(1, dtype=np.int32),
        scores=np.array([score], dtype=np.float32),
        counts=np.ones(1, dtype=np.int32),
    )
    expected = known.expected_scores(stored.model_names, queries)
    p = answer_probabilities(stored, queries, expected)[:, 0]
    likelihoods = log_likelihoods(newcomer, stored, expected)
    assert np.log(p if score else 1 - p) == pytest.approx(likelihoods)
    assert len(np.unique(p)) > 8


def test_the_learning_curve_is_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    curve = pd.DataFrame(
        {
            "method": ["chosen"] * 2 + ["random"] * 2,
            "n_evaluations": [64, 16, 16, 64],
            "error": [0.02, 0.05, 0.06, 0.03],
            "low": [0.01, 0.04, 0.05, 0.02],
            "high": [0.03, 0.06, 0.07, 0.04],
        }
    )
    display = LearningCurveDisplay.from_predictions(curve, metric="Log loss")
    lines = {line.get_label(): line for line in display.ax_.lines}
    assert set(lines) == {"chosen", "random"}
    assert lines["chosen"].get_xydata().tolist() == [[16, 0.05], [64, 0.02]]
    assert len(display.ax_.collections) == 2
    assert display.ax_.get_ylabel() == "Log loss"
    matplotlib.pyplot.close(display.figure_)
    with pytest.raises(ValueError, match="'error'"):
        LearningCurveDisplay.from_predictions(curve.drop(columns="error"))
