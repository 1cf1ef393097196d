"""Every public estimator, found by itself and fitted on something small."""

import functools
import inspect

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from small import SMALL

import skl_locus
import skl_locus.inspection
import skl_locus.metrics
import skl_locus.model_selection
import skl_locus.portfolio
from skl_locus import CostModel, KMeansRouter, QueryEncoder, RouterPolicy
from skl_locus._routing.base import RouterMixin
from skl_locus.datasets import make_evaluations

FOLDERS = (
    skl_locus,
    skl_locus.baselines,
    skl_locus.inspection,
    skl_locus.metrics,
    skl_locus.model_selection,
    skl_locus.portfolio,
)

POOL = make_evaluations(n_models=6, n_queries=50, observed=0.7, random_state=0)
LOG = POOL.evaluations
OLD = LOG[LOG.model != "model-5"]
NEW = LOG[LOG.model == "model-5"]
QUERIES = POOL.encodings
HELD_OUT = make_evaluations(n_models=5, n_queries=40, random_state=9).evaluations
HELD_OUT = HELD_OUT.assign(query_id="later " + HELD_OUT.query_id)

MODELS = pd.DataFrame(
    np.random.default_rng(0).random((6, 12)), index=sorted(LOG.model.unique())
)
"""Models as the selectors of portfolios take them."""

TEXTS = [f"{word} number {i}" for i, word in enumerate(["sum", "poem", "city"] * 5)]

PARAMETERS = {**SMALL, "max_iter": 3, "n_clusters": 4, "hidden_size": 4, "n_models": 3}
"""Values of parameters that make any estimator small."""


def public_estimators():
    """Return every public estimator class, by name."""
    return {
        name: value
        for folder in FOLDERS
        for name in folder.__all__
        if isinstance(value := getattr(folder, name), type)
        and issubclass(value, BaseEstimator)
    }


def text_transformer():
    return make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0))


def small(cls, **others):
    """Return an unfitted estimator with small values of what it has."""
    names = inspect.signature(cls).parameters
    known = {name: value for name, value in PARAMETERS.items() if name in names}
    return cls(**known, **others)


@functools.cache
def fitted(name):
    """Return a fitted estimator that no test may change."""
    cls = public_estimators()[name]
    if issubclass(cls, RouterMixin):
        return small(cls).fit(OLD, OLD.score)
    if cls is RouterPolicy:
        router = KMeansRouter(4, random_state=0).fit(OLD, OLD.score)
        policy = RouterPolicy(router, cost_model=CostModel(), cost_weight=0.1)
        return policy.fit(HELD_OUT, HELD_OUT.score)
    if cls is QueryEncoder:
        return QueryEncoder(text_transformer()).fit(TEXTS)
    if cls is CostModel:
        return CostModel(costs=dict.fromkeys(LOG.model.unique(), 0.5)).fit(LOG)
    if name.endswith("Portfolio"):
        return small(cls).fit(MODELS)
    if "response_col" in inspect.signature(cls).parameters:
        return small(cls, encoder=text_transformer()).fit(responses())
    return small(cls).fit(LOG, LOG.score)


def responses():
    """Return a log with an answer of every model to every query."""
    rows = make_evaluations(n_models=4, n_queries=6, random_state=0).evaluations
    words = np.array(["yes", "no", "perhaps", "seven"])
    return rows.assign(response=words[np.arange(len(rows)) * 7 % 4])
