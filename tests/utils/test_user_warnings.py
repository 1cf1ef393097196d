"""Warnings that are shown at the line of the user's code."""

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skl_locus import KMeansRouter, LinearRouter, LocusRouter
from skl_locus._utils.user_warnings import warn_user
from skl_locus.metrics import soft_roc_auc_score
from skl_locus.portfolio import KMedoidsPortfolio

VECTORS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
RIGHT = np.ones(60)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LinearRouter().fit(VECTORS, RIGHT),
        lambda: KMeansRouter(random_state=0).fit(VECTORS, RIGHT),
        lambda: LocusRouter(max_iter=1, local_evidence=False).fit(VECTORS, RIGHT),
        lambda: make_pipeline(StandardScaler(), LinearRouter()).fit(VECTORS, RIGHT),
        lambda: KMedoidsPortfolio(5, max_iter=1).fit(VECTORS),
        lambda: KMedoidsPortfolio(5, max_iter=1).fit_predict(VECTORS),
        lambda: soft_roc_auc_score(RIGHT, RIGHT),
    ],
)
def test_warnings_are_shown_at_the_line_of_the_call(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert [warning.filename for warning in caught] == [__file__]


def test_helpers_in_between_make_no_difference():
    with pytest.warns(UserWarning, match="odd") as caught:
        warn_user("odd", UserWarning)
    assert caught[0].filename == __file__


def test_a_warning_made_an_error_leaves_the_router_as_it_was():
    router = LinearRouter().fit(VECTORS, np.arange(60) % 2)
    expected = router.predict_proba(VECTORS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="scores are equal"):
            router.fit(VECTORS, RIGHT)
    np.testing.assert_array_equal(router.predict_proba(VECTORS), expected)
