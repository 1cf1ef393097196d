"""The warning of routers that send nearly all queries to one model."""

import warnings

import numpy as np
import pytest
from small import SMALL

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import CollapsedRoutingWarning

LOG = make_evaluations(n_models=4, n_queries=340, random_state=0).evaluations
BEST = np.where(LOG["model"] == "model-2", 1.0, 0.2 * LOG["score"])
HOLD_OUT = {**SMALL, "validation_fraction": 0.6}  # 204 queries


def fit(y, **params):
    return LocusRouter(**{**HOLD_OUT, **params}).fit(LOG, y)


@pytest.mark.parametrize("local_evidence", [True, False])
def test_a_log_that_one_model_wins_gives_one_warning(local_evidence):
    with pytest.warns(CollapsedRoutingWarning, match="'model-2'.*headroom") as given:
        fit(BEST, local_evidence=local_evidence, max_iter=60)
    assert len(given) == 1
    assert given[0].filename == __file__
    assert "204 held-out queries" in str(given[0].message)


def test_routing_that_differs_between_queries_gives_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(LOG["score"])


def test_few_held_out_queries_give_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(BEST, validation_fraction=0.5)  # 170 queries
