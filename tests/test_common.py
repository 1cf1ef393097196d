"""scikit-learn's common checks, on arrays and on tables with a model column."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import SMALL

from skl_locus import (
    BestSingleRouter,
    KMeansRouter,
    KNNRouter,
    LocusEmbedder,
    LocusRouter,
    QueryEncoder,
)
from skl_locus.exceptions import ConstantScoreWarning

ROUTERS = [
    BestSingleRouter(),
    KMeansRouter(),
    KNNRouter(),
    LocusRouter(**{**SMALL, "max_iter": 40}),
]

ONE_ROW_PER_MODEL = dict.fromkeys(
    (
        "check_transformer_general",
        "check_transformer_data_not_an_array",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
    ),
    "output samples are models",
)


def declared_failures(estimator):
    return ONE_ROW_PER_MODEL if isinstance(estimator, LocusEmbedder) else {}


@parametrize_with_checks(
    [*ROUTERS, LocusEmbedder(**SMALL)], expected_failed_checks=declared_failures
)
def test_common_checks(estimator, check):
    with warnings.catch_warnings():
        # Some checks give all rows one label; that the warning comes is tested below.
        warnings.simplefilter("ignore", ConstantScoreWarning)
        check(estimator)
