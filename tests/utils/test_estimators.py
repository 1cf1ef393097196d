"""Fits that leave an estimator as it was on an error."""

import inspect
import threading

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted, validate_data

from skl_locus import CostModel, KMeansRouter, LocusEmbedder, QueryEncoder, RouterPolicy
from skl_locus._utils.estimators import atomic_fit, draft_of
from skl_locus.baselines import LLMDNAEmbedder
from skl_locus.portfolio import KCenterPortfolio


class Sums(BaseEstimator):
    """An estimator that may fail when half of its attributes are set."""

    def __init__(self, fails=False):
        self.fails = fails

    @atomic_fit
    def fit(self, X, y=None):
        """Add up the columns."""
        X = validate_data(self, X)
        self.sums_ = X.sum(axis=0)
        if self.fails:
            raise ValueError("half done")
        self.means_ = X.mean(axis=0)
        return self

    @atomic_fit
    def fit_sum(self, X):
        return self.fit(X).sums_.sum()


def test_a_fit_returns_the_estimator_itself():
    sums = Sums()
    assert sums.fit(np.ones((3, 2))) is sums
    assert sums.n_features_in_ == 2
    assert sums.fit_sum(np.ones((3, 4))) == 12
    assert sums.n_features_in_ == 4


def test_an_error_leaves_everything_as_it_was():
    sums = Sums().fit(np.ones((3, 2))).set_params(fails=True)
    before = dict(vars(sums))
    for method in (sums.fit, sums.fit_sum):
        with pytest.raises(ValueError, match="half done"):
            method(np.zeros((3, 5)))
        assert vars(sums) == before
    assert sums.n_features_in_ == 2
    fresh = Sums(fails=True)
    with pytest.raises(ValueError, match="half done"):
        fresh.fit(np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        check_is_fitted(fresh)


def test_nobody_sees_half_a_fit():
    sums = Sums().fit(np.ones((3, 2)))
    seen = []
    with draft_of(sums) as draft:
        draft.fit(np.zeros((3, 5)))
        other = threading.Thread(target=lambda: seen.append(sums.n_features_in_))
        other.start()
        other.join()
    assert seen == [2]
    assert sums.n_features_in_ == 5


def test_the_signature_is_kept():
    assert list(inspect.signature(Sums.fit).parameters) == ["self", "X", "y"]
    assert Sums.fit.__doc__ == "Add up the columns."
    for estimator in (
        CostModel,
        KCenterPortfolio,
        KMeansRouter,
        LLMDNAEmbedder,
        LocusEmbedder,
        QueryEncoder,
        RouterPolicy,
    ):
        assert list(inspect.signature(estimator.fit).parameters)[:2] == ["self", "X"]
        assert "Parameters" in estimator.fit.__doc__


class Broken:
    """A sentence model that runs out of memory."""

    def encode(self, texts, **options):
        raise MemoryError(f"{len(texts)} texts are too many")


def test_an_encoder_keeps_its_state_when_a_second_fit_fails():
    encoder = QueryEncoder(CountVectorizer()).fit(["one two", "two three"])
    before = dict(vars(encoder))
    encoder.set_params(encoder=Broken())
    with pytest.raises(MemoryError, match="too many"):
        encoder.fit(["four"])
    assert vars(encoder) == before | {"encoder": encoder.encoder}
