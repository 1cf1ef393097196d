"""MIRT of IRT-Router: multidimensional item response theory, linear in the query."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._networks.training_parameters import TRAINING_CONSTRAINTS
from skl_locus._networks.vector_state import (
    MultidimensionalPredictor,
    MultidimensionalShape,
)
from skl_locus.baselines._item_vectors import ItemVectorRouter


class MIRTRouter(ItemVectorRouter):
    """Predict by abilities of the model and positive discriminations of the query.

    The multidimensional form of IRT-Router (ACL 2025, arXiv 2506.01048) predicts logit
    P(correct) = a . theta - b. The discriminations a, which are positive, and the
    difficulty b are computed from the encoding of the query, each by one linear map.
    More of any ability is never worse.

    The vector of a new model is the solution of a convex problem with all else frozen.

    Parameters
    ----------
    n_components : int, default=25
        Length of an embedding.
    query_noise : float, default=0.0
        Standard deviation of the Gaussian noise added to the encodings in `fit`.
    max_iter : int, default=5000
        Maximum number of optimiser steps.
    batch_size : int, default=512
        Number of evaluations per step.
    learning_rate_init : float, default=1e-3
        Learning rate of Adam, constant.
    alpha : float, default=0.0
        Weight decay, decoupled from the gradient as in AdamW.
    early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls, and
        keep the best weights.
    validation_fraction : float, default=0.15
        Share of the queries held out for early stopping. With fewer than 10 queries,
        none are held out.
    n_iter_no_change : int, default=10
        Number of checks without improvement before the training stops. There are 100
        checks in ``max_iter`` steps.
    tol : float, default=1e-4
        Smallest decrease of the log loss that counts as an improvement.
    random_state : int, RandomState or None, default=None
        Seed of all randomness; the global random generators are not touched.
    device : str, default="auto"
        Name of a torch device, or "auto": CUDA if available, else MPS, for fits that
        are large enough for it, else the CPU.
    precision : {"auto", "float32", "float64", "mixed"}, default="auto"
        Arithmetic of the training; "auto" is mixed precision for large steps on CUDA
        and float32 otherwise.
    verbose : int, default=0
        1 shows a progress bar of each step that takes more than two seconds and, at
        the end of `fit`, a line of what was learned, both on standard error.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.

    Attributes
    ----------
    models_ : ndarray of shape (n_models,), object
        Labels of the models: sorted at `fit`, additions appended.
    embeddings_ : ndarray of shape (n_models, n_components)
        Embeddings of the models, one row per entry of ``models_``.
    classes_ : ndarray of shape (2,)
        [0, 1] for wrong and correct; the labels in ``y`` if ``X`` is an array.
    n_features_in_ : int
        Length of a query encoding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns. Defined only if the queries are given as
        columns.
    query_encoder_ : QueryEncoder or None
        Fitted encoder of text queries.
    n_iter_ : int
        Number of steps taken.
    best_iter_ : int
        Step after which the weights were kept.
    loss_curve_ : list of float
        Training loss of each step.
    validation_scores_ : list of float
        Negative log loss on the held-out queries at each check.
    device_ : str
        Device of the training.

    See Also
    --------
    IRTRouter : Discrimination and difficulty from a mixture of experts.
    JEIRTRouter : Queries and models in one space.

    Notes
    -----
    For the encoding x, ``a = log(1 + exp(W x))`` and ``b = w . x``, both without
    intercepts. Vectors start at random, with a mean squared length of 1. Length,
    batches, optimiser and learning rate are those of the paper; early stopping replaces
    its 10 epochs.

    The main difference is the ability theta: a free vector of each model here, and in
    the paper a linear map of an encoded text that describes the model. The logs that
    this package reads have no such texts. A new model is not described either, but
    evaluated: its vector minimises the log loss plus ``|theta - c|^2 / (2 v)``, where c
    is the mean and v the variance of the vectors of `fit`. The paper's mixing of a new
    query with similar ones of the training is left out.

    Examples
    --------
    >>> from skl_locus import MIRTRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = MIRTRouter(max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> router.embeddings_.shape
    (6, 25)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        **TRAINING_CONSTRAINTS,
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        *,
        n_components: int = 25,
        query_noise: float = 0.0,
        max_iter: int = 5000,
        batch_size: int = 512,
        learning_rate_init: float = 1e-3,
        alpha: float = 0.0,
        early_stopping: bool = True,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 0,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        super().__init__(
            n_components=n_components,
            query_noise=query_noise,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            alpha=alpha,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            random_state=random_state,
            device=device,
            precision=precision,
            verbose=verbose,
            encoder=encoder,
            model_col=model_col,
            query_col=query_col,
            query_id_col=query_id_col,
            encoding_cols=encoding_cols,
            duplicates=duplicates,
        )

    def _predictor_type(self) -> type[MultidimensionalPredictor]:
        return MultidimensionalPredictor

    def _shape(self, n_features: int) -> MultidimensionalShape:
        return MultidimensionalShape(n_features, self.n_components)
