"""Hits among k, best single models, oracles and chance, by hand and by property."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from long_rows import distinct, long_rows

from skl_locus import BestSingleRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import (
    best_single_score,
    gain_over_best_single,
    gap_to_oracle,
    hit_at_k_score,
    make_routing_scorer,
    oracle_score,
    random_router_score,
    routing_accuracy_score,
    routing_coverage,
)

few_examples = settings(max_examples=60)
LOG = pd.DataFrame(
    [
        ("q1", "a", 1.0, 0.9),
        ("q1", "b", 0.0, 0.5),
        ("q1", "c", 0.25, 0.1),
        ("q2", "a", 0.0, 0.9),
        ("q2", "b", 0.0, 0.8),
        ("q2", "c", 1.0, 0.1),
        ("q3", "b", 0.5, 0.7),
        ("q4", "a", 0.0, 0.2),
        ("q4", "b", 0.4, 0.6),
    ],
    columns=["query", "model", "score", "decision"],
)
ROWS = {"queries": LOG["query"], "models": LOG["model"]}
TRAIN = {"y_train": [1, 0, 0.75, 0.5, 1], "models_train": ["b", "b", "a", "a", "c"]}


def with_columns(metric, rows, k=None):
    """Call a metric on rows (query, model, score, decision)."""
    queries, models, scores, decisions = map(list, zip(*rows, strict=True))
    columns = {"queries": queries, "models": models}
    if metric is routing_coverage:
        return metric(**columns)
    if metric in (oracle_score, random_router_score):
        return metric(scores, **columns)
    if metric is hit_at_k_score:
        return metric(scores, decisions, k=k or 2, **columns)
    if metric is best_single_score:
        training = {"y_train": scores, "models_train": models, "min_coverage": 0}
        return metric(scores, **columns, **training)
    if metric is gain_over_best_single:
        training = {"y_train": scores, "models_train": models, "min_coverage": 0}
        return metric(scores, decisions, **columns, **training)
    return metric(scores, decisions, **columns)


EVERY_METRIC = [
    best_single_score,
    gain_over_best_single,
    gap_to_oracle,
    hit_at_k_score,
    oracle_score,
    random_router_score,
    routing_accuracy_score,
    routing_coverage,
]


# By hand


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.5), (3, 0.75), (9, 0.75)])
def test_hit_at_k_by_hand(k, expected):
    assert hit_at_k_score(LOG["score"], LOG["decision"], k=k, **ROWS) == expected


def test_ties_at_the_border_of_k_go_to_the_smallest_label():
    rows = {"queries": ["q", "q", "q"], "models": ["c", "b", "a"]}
    assert hit_at_k_score([0, 1, 0], [0.5, 0.5, 0.5], k=1, **rows) == 0
    assert hit_at_k_score([0, 1, 0], [0.5, 0.5, 0.5], k=2, **rows) == 1
    assert hit_at_k_score([1, 0, 0], [0.5, 0.5, 0.5], k=2, **rows) == 0


def test_a_soft_score_is_a_hit_from_one_half_on():
    rows = {"queries": ["q1", "q2"], "models": ["a", "a"]}
    assert hit_at_k_score([0.5, 0.49], [1, 1], **rows) == 0.5


@pytest.mark.parametrize("k", [0, -1, 1.5, "two"])
def test_a_bad_k_is_named(k):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        hit_at_k_score(LOG["score"], LOG["decision"], k=k, **ROWS)


def test_oracle_and_random_router_by_hand():
    assert oracle_score(LOG["score"], **ROWS) == pytest.approx((1 + 1 + 0.5 + 0.4) / 4)
    expected = (1.25 / 3 + 1 / 3 + 0.5 + 0.2) / 4
    assert random_router_score(LOG["score"], **ROWS) == pytest.approx(expected)


def test_gap_to_oracle_by_hand():
    gap = gap_to_oracle(LOG["score"], LOG["decision"], **ROWS)
    assert gap == pytest.approx((0 + 1 + 0 + 0) / 4)


def test_coverage_counts_each_pair_once():
    assert routing_coverage(**ROWS) == 9 / 12
    doubled = pd.concat([LOG, LOG])
    assert routing_coverage(queries=doubled["query"], models=doubled["model"]) == 0.75
    with pytest.raises(ValueError, match="queries is empty"):
        routing_coverage(queries=[], models=[])


def test_best_single_is_chosen_in_training_among_the_covered_models():
    # "c" is best in training, but was evaluated on two of the four queries only;
    # "a" is next, on three of four.
    score = LOG["score"]
    with_b = best_single_score(score, **ROWS, **TRAIN)
    with_a = best_single_score(score, **ROWS, **TRAIN, min_coverage=0.75)
    with_c = best_single_score(score, **ROWS, **TRAIN, min_coverage=0.5)
    assert with_b == pytest.approx((0 + 0 + 0.5 + 0.4) / 4)
    assert with_a == pytest.approx(1 / 3)
    assert with_c == pytest.approx(1.25 / 2)


def test_a_model_seen_in_training_alone_is_no_candidate():
    score = best_single_score(
        [0.25], queries=["q"], models=["a"], y_train=[0, 1], models_train=["a", "z"]
    )
    assert score == 0.25


def test_equal_training_means_give_the_smallest_label():
    options = {"queries": ["q", "q"], "models": [10, 9]}
    training = {"y_train": [0.3] * 3 + [0.3], "models_train": [10, 10, 10, 9]}
    assert best_single_score([0, 1], **options, **training) == 1


def test_gain_is_taken_on_the_queries_of_the_single_model():
    gain = gain_over_best_single(
        LOG["score"], LOG["decision"], **ROWS, **TRAIN, min_coverage=0.75
    )
    # "a" on q1, q2, q4: chosen scores 1, 0, 0.4 less 1, 0, 0.
    assert gain == pytest.approx(0.4 / 3)


def test_references_name_what_is_wrong():
    score = LOG["score"]
    with pytest.raises(ValueError, match="No model of the training evaluations"):
        best_single_score(score, **ROWS, y_train=[1], models_train=["c"])
    with pytest.raises(ValueError, match="min_coverage must be in"):
        best_single_score(score, **ROWS, **TRAIN, min_coverage=80)
    with pytest.raises(ValueError, match="models_train has 1 rows, but y_train has 2"):
        best_single_score(score, **ROWS, y_train=[1, 0], models_train=["c"])
    with pytest.raises(ValueError, match=r"y_train must lie in \[0, 1\]; row 1"):
        best_single_score(score, **ROWS, y_train=[1, 2], models_train=["a", "b"])
    with pytest.raises(ValueError, match="'models_train' has a missing value"):
        best_single_score(score, **ROWS, y_train=[1, 0], models_train=["a", None])
    with pytest.raises(ValueError, match="queries has 2 rows"):
        oracle_score([1.0], queries=["q", "q"], models=["a"])


# Properties


@pytest.mark.parametrize("metric", EVERY_METRIC)
@few_examples
@given(rows=long_rows, data=st.data())
def test_nothing_changes_a_bit_when_rows_are_shuffled(metric, rows, data):
    shuffled = data.draw(st.permutations(rows))
    assert with_columns(metric, rows) == with_columns(metric, shuffled)


@few_examples
@given(rows=long_rows)
def test_hits_grow_with_k_up_to_the_share_of_solvable_queries(rows):
    binary = [(q, m, round(y), s) for q, m, y, s in distinct(rows)]
    hits = [with_columns(hit_at_k_score, binary, k) for k in (1, 2, 3, 4)]
    assert hits == sorted(hits)
    assert hits[0] == with_columns(routing_accuracy_score, binary)
    assert hits[2] == hits[3] == with_columns(oracle_score, binary)


@few_examples
@given(rows=long_rows)
def test_references_are_ordered(rows):
    oracle = with_columns(oracle_score, rows)
    accuracy = with_columns(routing_accuracy_score, rows)
    assert with_columns(random_router_score, rows) <= oracle + 1e-12
    assert with_columns(gap_to_oracle, rows) == pytest.approx(oracle - accuracy)
    assert with_columns(gap_to_oracle, rows) >= 0


@few_examples
@given(rows=long_rows)
def test_in_a_complete_log_the_gain_is_a_difference_of_scores(rows):
    known = {row[:2]: row for row in rows}
    queries = sorted({q for q, _ in known})
    complete = [known.get((q, m), (q, m, 0.3, -2)) for q in queries for m in "abc"]
    assert with_columns(routing_coverage, complete) == 1
    difference = with_columns(routing_accuracy_score, complete) - with_columns(
        best_single_score, complete
    )
    gain = with_columns(gain_over_best_single, complete)
    assert gain == pytest.approx(difference, abs=1e-12)


def test_the_best_single_router_scores_as_the_best_single_model():
    log = make_evaluations(n_models=5, n_queries=80, random_state=1).evaluations
    even = pd.factorize(log["query_id"])[0] % 2 == 0
    train, test = log[even], log[~even]
    router = BestSingleRouter().fit(train, train["score"])
    expected = best_single_score(
        test["score"],
        queries=test["query_id"],
        models=test["model"],
        y_train=train["score"],
        models_train=train["model"],
    )
    scorer = make_routing_scorer()
    assert scorer(router, test, test["score"]) == pytest.approx(expected, abs=1e-7)


def test_hit_at_k_can_be_a_scorer():
    log = make_evaluations(n_models=4, n_queries=30, random_state=0).evaluations
    router = BestSingleRouter().fit(log, log["score"])

    def hit_at_2(y_true, y_score, *, queries, models):
        return hit_at_k_score(y_true, y_score, queries=queries, models=models, k=2)

    one, two = (make_routing_scorer(m) for m in (hit_at_k_score, hit_at_2))
    binary = np.round(log["score"])
    assert two(router, log, binary) > one(router, log, binary)
