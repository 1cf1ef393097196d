"""Mixtures of single models beside a policy: where the models are ordered, and not."""

import numpy as np
import pandas as pd
import pytest
from stand_in_policy import WeightPolicy

from skl_locus import KMeansRouter
from skl_locus.inspection import savings_report
from skl_locus.metrics import zero_router_hull

COSTS = {"large": 10.0, "small": 1.0}
PLACES = {"north": np.array([1.0, 0.0]), "south": np.array([0.0, 1.0])}


def log_of(small, large, n_queries=40, name="q"):
    """Make a log where every place has its mean score of each model, by turns."""
    rows = []
    for place, vector in PLACES.items():
        for model, means in (("small", small), ("large", large)):
            n_right = round(n_queries * means[place])
            rows += [
                {
                    "model": model,
                    "query": vector,
                    "query_id": f"{name}-{place}-{i}",
                    "score": float(i < n_right),
                }
                for i in range(n_queries)
            ]
    return pd.DataFrame(rows)


TRAIN = log_of({"north": 1.0, "south": 0.0}, {"north": 1.0, "south": 1.0}, name="t")
"""Small is as good as large in the north: small is sent there."""

ORDERED = log_of({"north": 0.5, "south": 0.5}, {"north": 1.0, "south": 1.0})


def policy_of(weight=0.04):
    router = KMeansRouter(2, random_state=0).fit(TRAIN, TRAIN["score"])
    return WeightPolicy(router, COSTS, weight)


def report_of(log, weight=0.04):
    return savings_report(policy_of(weight), log, n_resamples=200, random_state=0)


def test_where_models_are_ordered_a_mixture_is_as_good():
    report = report_of(ORDERED)
    mixture = report.mixture
    # Half of the queries to each model, by place or by chance: 0.75 right.
    assert (mixture.cheap, mixture.dear) == ("small", "large")
    assert mixture.share == pytest.approx(0.5)
    assert mixture.difference == pytest.approx(0.0, abs=1e-12)
    assert mixture.low < 0 < mixture.high
    assert "a random mixture of 'large' (50% of the queries) and 'small'" in str(report)
    assert "for no more money" in str(report)


def test_where_routing_pays_nothing_is_said_of_mixtures():
    report = report_of(log_of({"north": 1.0, "south": 0.0}, {"north": 1, "south": 1}))
    assert report.mixture.difference == pytest.approx(1 - 0.75)
    assert report.mixture.low > 0
    assert "mixture" not in str(report)


def test_a_mixture_can_be_better():
    report = report_of(log_of({"north": 0.0, "south": 1.0}, {"north": 1, "south": 1}))
    assert report.mixture.difference == pytest.approx(0.5 - 0.75)
    assert "Better quality for no more money: a random mixture" in str(report)


def test_the_best_model_alone_where_it_is_cheaper():
    report = report_of(log_of({"north": 1, "south": 0.9}, {"north": 0.9, "south": 0.9}))
    assert report.mixture.share == 0
    assert "always 'small'" in str(report)


def test_the_mixture_lies_on_the_hull_of_single_models():
    report = report_of(ORDERED)
    hull = zero_router_hull(
        ORDERED["score"], COSTS, queries=ORDERED["query_id"], models=ORDERED["model"]
    )
    policy = report.table.loc["policy"]
    height = np.interp(policy["cost"], hull["cost"], hull["quality"])
    assert policy["quality"] - report.mixture.difference == pytest.approx(height)


def test_models_of_little_coverage_are_in_no_mixture():
    north = ORDERED["query_id"].str.contains("north")
    partial = ORDERED[(ORDERED["model"] == "large") | north]
    report = report_of(partial)
    # Only the large model has 80% of the queries, and it costs more than the policy.
    assert report.mixture is None
    assert "mixture" not in str(report)
