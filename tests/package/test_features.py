"""The page of expected features says what is so."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import skl_locus
from skl_locus import (
    BestSingleRouter,
    KMeansRouter,
    LinearRouter,
    LocusEmbedder,
    LocusRouter,
    QueryEncoder,
)
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import ConstantScoreWarning
from skl_locus.model_selection import QueryKFold

PAGE = Path(__file__).parents[2] / "docs" / "features.rst"
POOL = make_evaluations(n_models=4, n_queries=40, random_state=0)
LOG, SCORES, QUERIES = POOL.evaluations, POOL.evaluations["score"], POOL.encodings
ARRAY, CLASSES = QUERIES, np.arange(len(QUERIES)) % 2
FEW = {"n_components": 8, "max_iter": 2, "random_state": 0}


def rows_of_page():
    """Return what the table says of each feature."""
    cells = PAGE.read_text().split("\n   * - ")[2:]
    rows = [cell.split("\n     - ") for cell in cells]
    return {" ".join(row[0].split()): row[1].strip() for row in rows}


def fitted():
    return KMeansRouter(2, random_state=0).fit(LOG, SCORES)


def is_refused(call, error=(TypeError, ValueError)):
    with pytest.raises(error):
        call()
    return False


def checked():
    with warnings.catch_warnings():
        # One of the checks has equal scores, and we warn of that.
        warnings.simplefilter("ignore", ConstantScoreWarning)
        return len(check_estimator(BestSingleRouter(), on_skip=None)) > 0


def copied():
    router = LinearRouter(encoder=QueryEncoder()).set_params(encoder__batch_size=8)
    return clone(router).encoder.batch_size == 8


def routed_by_image():
    pixels = FunctionTransformer(lambda images: np.reshape(images, (len(images), -1)))
    images = list(np.random.default_rng(0).random((40, 2, 2)))
    log = LOG[["model", "score"]].assign(query=images * 4)
    router = KMeansRouter(2, encoder=QueryEncoder(pixels), random_state=0)
    return len(router.fit(log, log["score"]).route(images[:3])) == 3


def searched():
    search = GridSearchCV(
        KMeansRouter(random_state=0), {"n_clusters": [1, 2]}, cv=QueryKFold(2)
    )
    piped = make_pipeline(FunctionTransformer(), BestSingleRouter())
    scores = cross_val_score(piped, LOG, SCORES, cv=QueryKFold(2))
    return search.fit(LOG, SCORES).best_score_ > 0 and np.isfinite(scores).all()


def predicted():
    router = fitted()
    shapes = router.predict(LOG).shape, router.predict_proba(LOG).shape
    return shapes == ((len(LOG),), (len(LOG), 2)) and router.score(LOG, SCORES) > 0


def pickled():
    router = fitted()
    again = pickle.loads(pickle.dumps(router))
    return (again.route(QUERIES) == router.route(QUERIES)).all()


def named():
    columns = pd.DataFrame(ARRAY).add_prefix("x")
    router = BestSingleRouter().fit(columns, CLASSES)
    names = LocusEmbedder(**FEW).fit(LOG).get_feature_names_out()
    return list(router.feature_names_in_) == list(columns) and len(names) == 8


def output_is(kind):
    embedder = LocusEmbedder(**FEW).set_output(transform=kind)
    return type(embedder.fit_transform(LOG)).__module__.startswith(kind)


def read_from(library):
    table = LOG.assign(query=[vector.tolist() for vector in LOG["query"]])
    frame = {"polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}[library](table)
    router = KMeansRouter(2, random_state=0).fit(frame, SCORES.to_numpy())
    return (router.route(QUERIES) == fitted().route(QUERIES)).all()


def partial():
    some = LOG.sample(frac=0.7, random_state=0)
    return len(KMeansRouter(2).fit(some, some["score"]).models_) == 4


def weighed_in_score():
    with config_context(enable_metadata_routing=True):
        router = fitted().set_score_request(sample_weight=True)
        asked = router.get_metadata_routing().score.requests["sample_weight"]
    ones = np.ones(len(LOG))
    return asked and router.score(LOG, SCORES, sample_weight=ones) > 0


def seeded():
    first, second = (LocusEmbedder(**FEW).fit_transform(LOG) for _ in range(2))
    return first.equals(second)


def has_parameters(*names):
    return all(name in LocusRouter().get_params() for name in names)


CHECKS = {
    "estimator checks of scikit-learn": checked,
    "clone, get_params, set_params": copied,
    "Pipeline, GridSearchCV, cross_val_score": searched,
    "predict, predict_proba, score": predicted,
    "decision_function": lambda: hasattr(fitted(), "decision_function"),
    "CalibratedClassifierCV": lambda: hasattr(
        CalibratedClassifierCV(BestSingleRouter(), cv=2).fit(ARRAY, CLASSES), "classes_"
    ),
    "more than two classes": lambda: is_refused(
        lambda: BestSingleRouter().fit(ARRAY, np.arange(len(ARRAY)) % 3)
    ),
    "pickling": pickled,
    "HTML representation": lambda: "KMeansRouter" in fitted()._repr_html_(),
    "feature names": named,
    "set_output: pandas": lambda: output_is("pandas"),
    "set_output: polars": lambda: is_refused(lambda: output_is("polars")),
    "logs in polars, pyarrow": lambda: read_from("polars") and read_from("pyarrow"),
    "queries that are images or sound": routed_by_image,
    "sparse encodings": lambda: is_refused(
        lambda: BestSingleRouter().fit(sp.csr_matrix(ARRAY), CLASSES)
    ),
    "missing evaluations": partial,
    "missing values in encodings": lambda: is_refused(
        lambda: BestSingleRouter().fit(np.full_like(ARRAY, np.nan), CLASSES)
    ),
    "sample_weight in score": weighed_in_score,
    "sample_weight in fit": lambda: is_refused(
        lambda: BestSingleRouter().fit(LOG, SCORES, sample_weight=SCORES)
    ),
    "partial_fit": lambda: hasattr(fitted(), "partial_fit"),
    "warm_start": lambda: has_parameters("warm_start"),
    "n_jobs": lambda: has_parameters("n_jobs"),
    "device": lambda: has_parameters("device"),
    "array API inputs": lambda: fitted().__sklearn_tags__().array_api_support,
    "random_state": seeded,
    "verbose": lambda: has_parameters("verbose"),
    "callbacks": lambda: has_parameters("callbacks"),
    "``feature_importances_``, ``coef_``": lambda: (
        hasattr(fitted(), "feature_importances_") or hasattr(fitted(), "coef_")
    ),
    "async methods": lambda: any(
        hasattr(fitted(), name) for name in ("aroute", "route_async")
    ),
    "upload to a model hub": lambda: (
        hasattr(skl_locus, "push_to_hub") or hasattr(fitted(), "push_to_hub")
    ),
}


@pytest.mark.parametrize("feature", CHECKS)
def test_a_feature_is_there_as_the_page_says(feature):
    assert rows_of_page()[feature] == ("yes" if CHECKS[feature]() else "no")


def test_each_row_of_the_page_is_checked():
    assert list(rows_of_page()) == list(CHECKS)
