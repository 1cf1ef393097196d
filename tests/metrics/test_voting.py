"""Majority votes over samples, and their score on planted logs with samples."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from logs import EXAMPLES, SEEDS

from skl_locus import AvengersRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import (
    majority_vote,
    routing_accuracy_score,
    voting_score,
)

# One vote


def test_votes_by_hand():
    answers = [["4", "5", "5"], ["b", "a"], [1, 2, 2.0], []]
    assert majority_vote(answers).tolist() == ["5", "b", 2, None]
    assert majority_vote([]).shape == (0,)


@pytest.mark.parametrize("blank", [None, np.nan, pd.NA, pd.NaT])
def test_samples_without_an_answer_do_not_vote(blank):
    assert majority_vote([[blank, blank, "yes"], [blank]]).tolist() == ["yes", None]


def test_weights_count_votes():
    answers = [["4", "5", "5"], ["4", "5", "5"]]
    weights = [[0.8, 0.1, 0.1], [0.4, 0.3, 0.3]]
    assert majority_vote(answers, weights).tolist() == ["4", "5"]


def test_arrays_and_series_are_sequences():
    answers = [np.array(["x", "y", "y"]), pd.Series(["x", "x"]), ("z",)]
    assert majority_vote(answers).tolist() == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("answers", "weights", "message"),
    [
        (["yes"], None, "sequence of samples"),
        ([3], None, "sequence of samples"),
        ([[["x"]]], None, "cannot be compared"),
        ([["x"]], [], "weights has 0 queries"),
        ([["x"]], [[1, 2]], "one number for each"),
        ([["x"]], [[-1]], "not negative"),
        ([["x"]], [[np.nan]], "finite"),
    ],
)
def test_bad_answers_and_weights_are_named(answers, weights, message):
    with pytest.raises(ValueError, match=message):
        majority_vote(answers, weights)


# Votes of a log


def samples_of(seed, n_queries=200, n_samples=5, right=(0.7, 0.55)):
    """Sample planted models: right with a probability, and wrong in ten ways."""
    rng = np.random.default_rng(seed)
    rows = [
        {"model": f"m{m}", "query": f"q{q}", "P": p, "is_right": rng.random() < p}
        for q in range(n_queries)
        for m, p in enumerate(right)
        for _ in range(n_samples)
    ]
    log = pd.DataFrame(rows)
    wrong = rng.integers(10, size=len(log)).astype(str)
    log["answer"] = np.where(log["is_right"], "right", wrong)
    return log.assign(score=log["is_right"].astype(float))


def score_of(log, **options):
    return voting_score(
        log["score"],
        log["P"],
        log["answer"],
        queries=log["query"],
        models=log["model"],
        **options,
    )


def test_votes_are_better_than_single_samples_of_planted_models():
    log = samples_of(0)
    single = log.drop_duplicates(["model", "query"])
    assert score_of(single) == pytest.approx(0.7, abs=0.08)
    # A binomial majority of five alone is right on 0.84 of the queries; wrong answers
    # rarely agree, so two right ones mostly do.
    assert score_of(log) > 0.9
    assert score_of(log, n_models=2) >= score_of(log) - 0.02
    assert score_of(log, n_models=99) == score_of(log, n_models=2)


def test_one_sample_of_one_model_is_routing():
    log = samples_of(1, n_samples=1)
    rows = {"queries": log["query"], "models": log["model"]}
    expected = routing_accuracy_score(log["score"], log["P"], **rows)
    assert score_of(log) == expected


def test_a_vote_by_hand():
    log = pd.DataFrame(
        {
            "model": ["a", "a", "b", "b", "a", "b"],
            "query": ["q"] * 4 + ["r"] * 2,
            "answer": ["1", "2", "2", "3", "7", "8"],
            "score": [0.0, 1.0, 1.0, 0.0, 0.25, 0.75],
            "P": [0.4, 0.4, 0.6, 0.6, 0.4, 0.6],
        }
    )
    # Alone, "b" gives "2" and "3", and the smaller text wins; then "8".
    assert score_of(log) == (1 + 0.75) / 2
    # Both: "2" has two votes; "7" and "8" are tied, and "b" is the better model.
    assert score_of(log, n_models=2) == (1 + 0.75) / 2
    assert score_of(log.assign(P=1 - log["P"])) == (0 + 0.25) / 2


def test_queries_without_an_answer_have_the_mean_score():
    log = samples_of(2, n_queries=1, n_samples=2, right=(0.5,))
    blank = log.assign(answer=None, score=[0.5, 1.0])
    assert score_of(blank) == 0.75
    half = log.assign(answer=["x", None], score=[1.0, 0.0])
    assert score_of(half) == 1.0


@EXAMPLES
@given(SEEDS)
def test_the_order_of_the_log_changes_no_bit(seed):
    log = samples_of(seed, n_queries=12, n_samples=3, right=(0.4, 0.4, 0.2))
    log["answer"] = log["answer"].mask(
        np.random.default_rng(seed).random(len(log)) < 0.2
    )
    other = log.sample(frac=1, random_state=seed)
    for n_models in (1, 2, 3):
        assert score_of(other, n_models=n_models) == score_of(log, n_models=n_models)


def test_votes_of_the_avengers():
    pool = make_evaluations(n_models=4, n_queries=60, random_state=0)
    log = pool.evaluations
    router = AvengersRouter(4, random_state=0).fit(log, log["score"])
    thrice = pd.concat([log] * 3)
    thrice["answer"] = np.where(thrice["score"] > 0.5, "right", thrice["model"])
    score = voting_score(
        thrice["score"],
        router.routing_scores(thrice),
        thrice["answer"],
        queries=thrice["query_id"],
        models=thrice["model"],
        n_models=3,
    )
    # Two of three that are right agree; those that are wrong do not.
    assert score > thrice["score"].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_models": 0}, "n_models must be an integer"),
        ({"n_models": 1.5}, "n_models must be an integer"),
        ({"answers": ["x"]}, "answers has 1 rows"),
        ({"y_true": [2.0, 0.0]}, "y_true"),
        ({"models": ["a", None]}, "models"),
    ],
)
def test_bad_columns_are_named(options, message):
    arguments = {
        "y_true": [1.0, 0.0],
        "y_score": [0.5, 0.5],
        "answers": ["x", "y"],
        "queries": ["q", "q"],
        "models": ["a", "b"],
        **options,
    }
    with pytest.raises(ValueError, match=message):
        voting_score(**arguments)
