"""scikit-learn's common checks, on arrays and on tables with a model column."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data
from small import SMALL, SMALL_ITEMS, SMALL_VECTORS

from skl_locus import (
    AvengersRouter,
    BestSingleRouter,
    EmbedLLMRouter,
    IRTRouter,
    JEIRTRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LLMDNAEmbedder,
    LocusEmbedder,
    LocusRouter,
    MIRTRouter,
    ProxRouter,
    QueryEncoder,
    UniRouteRouter,
)
from skl_locus.exceptions import ConstantScoreWarning

ROUTERS = [
    BestSingleRouter(),
    KMeansRouter(random_state=0),
    KNNRouter(),
    LinearRouter(),
    EmbedLLMRouter(**SMALL_VECTORS),
    IRTRouter(**SMALL_VECTORS),
    JEIRTRouter(**SMALL_VECTORS),
    MIRTRouter(**SMALL_ITEMS),
    ProxRouter(random_state=0),
    UniRouteRouter(8, alpha=0.1, random_state=0),
    AvengersRouter(random_state=0),
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
    run(check, estimator)


def run(check, estimator):
    one_label = check.func.__name__ == "check_classifiers_one_label"
    with warnings.catch_warnings():
        if one_label:
            warnings.simplefilter("ignore", ConstantScoreWarning)
        check(estimator)


class Framed(ClassifierMixin, BaseEstimator):
    """A router behind a table: every row is asked of two models that agree."""

    def __init__(self, router=None):
        self.router = router

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}."
            )
        router = BestSingleRouter() if self.router is None else clone(self.router)
        table = pd.concat([as_table(X, "twin"), as_table(X, "model")])
        self.router_ = router.fit(table, np.tile(codes, 2))
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return self.router_.predict_proba(as_table(X, "model"))

    def predict(self, X):
        probabilities = self.predict_proba(X)[:, : len(self.classes_)]
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = self.router is None
        return tags


def as_table(X, model):
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    return table.assign(model=model)


@parametrize_with_checks(
    [Framed(), *(Framed(r) for r in ROUTERS if not isinstance(r, BestSingleRouter))]
)
def test_common_checks_through_tables(estimator, check):
    run(check, estimator)


@pytest.mark.parametrize("estimator", [QueryEncoder(), LLMDNAEmbedder()])
def test_estimators_of_texts_are_like_scikit_learns_own(estimator):
    # As for CountVectorizer, the checks have no input for an estimator of texts;
    # nor for one of responses, which an array does not have.
    with pytest.warns(SkipTestWarning, match="requires input"):
        list(estimator_checks_generator(estimator))


@pytest.mark.parametrize("estimator", [*ROUTERS, LocusEmbedder(**SMALL)])
def test_equal_scores_warn(estimator):
    X = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.warns(ConstantScoreWarning, match="equal"):
        clone(estimator).fit(X, np.ones(12))


def test_clone_keeps_every_parameter():
    for estimator in [
        *ROUTERS,
        LocusEmbedder(**SMALL),
        QueryEncoder("name"),
        LLMDNAEmbedder(3),
    ]:
        assert clone(estimator).get_params() == estimator.get_params()
