"""The warning of new models that were evaluated on a narrow part of the queries."""

import copy
import warnings

import pytest
from small import SMALL

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import NarrowCoverageWarning

LOG = make_evaluations(n_models=6, n_queries=200, random_state=0).evaluations
NEW = LOG[LOG["model"] == "model-5"].assign(model="new").sort_values("task")


@pytest.fixture(scope="module")
def router():
    known = LOG[LOG["model"] != "model-5"]
    return LocusRouter(**SMALL).fit(known, known["score"])


def add(router, rows):
    copy.copy(router).add_models(rows, rows["score"])


def test_the_head_of_a_log_sorted_by_task_is_narrow(router):
    with pytest.warns(NarrowCoverageWarning, match="'new' are from a narrow") as given:
        add(router, NEW.head(20))
    assert len(given) == 1
    assert given[0].filename == __file__


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_is_not(router, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add(router, NEW.sample(20, random_state=seed))


def test_hardly_any_evaluations_and_known_models_give_no_warning(router):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add(router, NEW.head(5))
        add(router, NEW.head(20).assign(model="model-1"))
