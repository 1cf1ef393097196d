"""A real evaluation log: small scikit-learn classifiers judged on digits."""

import os
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import Bunch

from skl_locus.datasets._base import cached, long_table

# Part of the name of the cache file: raise it whenever the scores change.
_FORMAT_VERSION = 1

_PIXEL_MAXIMUM = 16
_RESERVOIR_FRACTION = 1 / 3
_SEED = 0

_CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=1000),
    "ridge": RidgeClassifier(),
    "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "knn-1": KNeighborsClassifier(n_neighbors=1),
    "knn-3": KNeighborsClassifier(n_neighbors=3),
    "knn-7": KNeighborsClassifier(n_neighbors=7),
    "tree-2": DecisionTreeClassifier(max_depth=2, random_state=_SEED),
    "tree-8": DecisionTreeClassifier(max_depth=8, random_state=_SEED),
    "forest-10": RandomForestClassifier(n_estimators=10, random_state=_SEED),
    "forest-50": RandomForestClassifier(n_estimators=50, random_state=_SEED),
    "extra-trees-50": ExtraTreesClassifier(n_estimators=50, random_state=_SEED),
    "boosting-20": GradientBoostingClassifier(n_estimators=20, random_state=_SEED),
    "svc-linear": SVC(kernel="linear"),
    "svc-rbf": SVC(kernel="rbf"),
    "nb-gaussian": GaussianNB(var_smoothing=1e-2),
    "nb-bernoulli": BernoulliNB(binarize=0.5),
    "mlp-8": MLPClassifier((8,), solver="lbfgs", max_iter=2000, random_state=_SEED),
    "mlp-32": MLPClassifier((32,), solver="lbfgs", max_iter=2000, random_state=_SEED),
}

# By model label: the name of its classifier and the images it learns.
_Curricula = dict[str, tuple[str, np.ndarray]]

# Every classifier of a row learns from the images of the row's digits only.
_LEARNED_DIGITS: dict[str, tuple[str, ...]] = {
    "037": ("svc-rbf", "knn-3", "logistic"),
    "12": ("tree-2", "nb-gaussian", "svc-linear"),
    "4589": ("forest-50", "lda", "mlp-32"),
    "168": ("knn-1", "extra-trees-50", "nb-bernoulli"),
    "059": ("logistic", "tree-8", "boosting-20"),
    "236": ("svc-rbf", "ridge", "forest-10"),
    "47": ("mlp-8", "knn-7", "tree-2"),
    "2789": ("lda", "svc-linear", "nb-gaussian"),
    "0146": ("extra-trees-50", "knn-3", "logistic"),
    "35": ("ridge", "mlp-32", "svc-rbf"),
}

# Every classifier of a row learns from that number of images of any digits.
_LEARNED_IMAGES: dict[int, tuple[str, ...]] = {
    12: ("knn-1", "nb-gaussian"),
    20: ("svc-linear", "tree-8", "boosting-20", "lda"),
    30: ("logistic", "forest-10", "nb-bernoulli", "extra-trees-50"),
    40: ("knn-3", "mlp-8"),
}

_DESCR = """\
Correctness of {n_models} scikit-learn classifiers on {n_queries} images of the
handwritten digits of sklearn.datasets.load_digits. Every classifier has learned either
all images of two to four digits or a few images of any digit, from a third of the data
set set aside for that purpose; it is evaluated on all other images.
Query: the 64 pixels, scaled to [0, 1]. Task: the digit.
"""


def load_digits_pool(*, data_home: str | os.PathLike | None = None) -> Bunch:
    """Load the evaluations of some forty digit classifiers, a real small pool.

    The classifiers of scikit-learn are trained and evaluated on the spot, which
    takes a few seconds and no network; the scores are cached in the data home. Each
    classifier has learned two to four of the ten digits, or fewer than 60 images, so
    that no single one is good on all queries. No classifier was trained on an image
    that appears as a query.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the cache, see :func:`~skl_locus.datasets.get_data_home`.

    Returns
    -------
    pool : :class:`~sklearn.utils.Bunch`
        With the attributes

        evaluations : DataFrame
            One row per evaluation: model, query (1-D float32 array of 64 pixels in
            [0, 1]; rows with the same query share one array object), query_id
            ("digit-" and the index of the image in ``load_digits``), task (the digit)
            and score (1.0 for a correct answer, else 0.0).
        models : DataFrame
            Indexed by model: family (class of the classifier), trained_on
            ("digits-037" or "40-images") and n_train (number of training images).
        queries : DataFrame
            query_id and task.
        encodings : ndarray of shape (n_queries, 64)
            float32 pixels in [0, 1], in the order of `queries`.
        DESCR : str
            Description.

    Examples
    --------
    >>> from skl_locus.datasets import load_digits_pool
    >>> pool = load_digits_pool()
    >>> pool.encodings.shape
    (1198, 64)
    >>> pool.models.loc["svc-rbf/digits-037", ["family", "trained_on"]].to_list()
    ['SVC', 'digits-037']
    """
    pixels, digits = _load_images()
    reservoir, evaluated = _split_images(digits)
    curricula = _choose_curricula(digits, reservoir)

    models = _describe_models(curricula)
    queries = _describe_queries(digits, evaluated)
    encodings = pixels[evaluated]
    shape = len(queries), len(models)
    correctness = cached(
        f"digits_pool-v{_FORMAT_VERSION}-sklearn{sklearn.__version__}.npz",
        compute=lambda: _evaluate(curricula, pixels, digits, evaluated),
        is_valid=lambda content: _is_correctness(content, shape),
        data_home=data_home,
    )
    return Bunch(
        evaluations=long_table(models.index, queries, encodings, correctness),
        models=models,
        queries=queries,
        encodings=encodings,
        DESCR=_DESCR.format(n_models=len(models), n_queries=len(queries)),
    )


def _load_images() -> tuple[np.ndarray, np.ndarray]:
    pixels, digits = load_digits(return_X_y=True)
    return (pixels / _PIXEL_MAXIMUM).astype(np.float32), digits


def _split_images(digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images to learn from and the images to be evaluated on."""
    reservoir, evaluated = train_test_split(
        np.arange(len(digits)),
        train_size=_RESERVOIR_FRACTION,
        stratify=digits,
        random_state=_SEED,
    )
    return reservoir, np.sort(evaluated)


def _choose_curricula(digits: np.ndarray, reservoir: np.ndarray) -> _Curricula:
    """Return what each model learns, by label."""
    curricula: _Curricula = {}
    for learned, names in _LEARNED_DIGITS.items():
        images = reservoir[np.isin(digits[reservoir].astype(str), list(learned))]
        for name in names:
            curricula[f"{name}/digits-{learned}"] = (name, images)
    for count, names in _LEARNED_IMAGES.items():
        for turn, name in enumerate(names):
            # Different images for each: equal ones would make near-copies.
            images = reservoir[turn * count : (turn + 1) * count]
            curricula[f"{name}/{count}-images"] = (name, images)
    return curricula


def _describe_models(curricula: _Curricula) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "family": [
                type(_CLASSIFIERS[name]).__name__ for name, _ in curricula.values()
            ],
            "trained_on": [label.split("/")[1] for label in curricula],
            "n_train": [len(images) for _, images in curricula.values()],
        },
        index=pd.Index(curricula, name="model"),
    )


def _describe_queries(digits: np.ndarray, evaluated: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": [f"digit-{index}" for index in evaluated],
            "task": digits[evaluated].astype(str),
        }
    )


def _evaluate(
    curricula: _Curricula,
    pixels: np.ndarray,
    digits: np.ndarray,
    evaluated: np.ndarray,
) -> np.ndarray:
    """Return the correctness (n_queries, n_models) of every trained classifier."""
    correctness = np.empty((len(evaluated), len(curricula)), dtype=bool)
    for column, (name, images) in enumerate(curricula.values()):
        classifier = sklearn.clone(_CLASSIFIERS[name])
        classifier.fit(pixels[images], digits[images])
        correctness[:, column] = (
            classifier.predict(pixels[evaluated]) == digits[evaluated]
        )
    return correctness


def _is_correctness(content: Any, shape: tuple[int, int]) -> bool:
    return (
        isinstance(content, np.ndarray)
        and content.shape == shape
        and content.dtype == bool
    )
